//! The service that starts, shows and settles rotations.

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::ask::ask;
use super::peer::Caller;
use super::replay::Replay;
use super::serve::Shared;
use super::watches::Watch;
use super::{convert, page, proto, request, status};
use crate::clock::Clock;
use crate::engine::{Handle, RotateRequest, Snapshot};
use crate::ids::{CredentialName, RotationId};
use crate::rotation;

/// Rotations over a fleet.
#[derive(Debug)]
pub(super) struct RotateApi<C> {
    shared: Shared<C>,
    replay: Replay,
}

impl<C: Clock> RotateApi<C> {
    /// A service whose streams end when the shutdown begins.
    pub(super) fn new(shared: Shared<C>) -> Self {
        Self { shared, replay: Replay::default() }
    }

    /// The handle whose snapshot remembers a rotation, and the rotation as it is now.
    async fn find(
        &self,
        credential: &str,
        id: RotationId,
    ) -> Result<(CredentialName, Handle, proto::Rotation), Status> {
        let fleet = &self.shared.fleet;
        let only = request::optional_credential(fleet, credential)?.map(|(name, _)| name);
        for (index, (name, handle)) in fleet.all().iter().enumerate() {
            give_way(index).await;
            if only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            if let Some(rotation) = see(handle, id) {
                return Ok((name.clone(), handle.clone(), rotation));
            }
        }
        Err(status::rotation_not_found(id))
    }

    /// The newest rotations behind one, at most `count`.
    async fn newest(
        &self,
        credential: &str,
        behind: Option<RotationId>,
        count: usize,
    ) -> Result<Vec<(RotationId, Handle)>, Status> {
        let fleet = &self.shared.fleet;
        let only = request::optional_credential(fleet, credential)?.map(|(name, _)| name);
        let mut found = Vec::new();
        for (index, (name, handle)) in fleet.all().iter().enumerate() {
            if index % TURN_CREDENTIALS == 0 {
                keep_newest(&mut found, count);
            }
            give_way(index).await;
            if only.as_ref().is_none_or(|only| only == name) {
                let ids = ids(handle).into_iter();
                found.extend(
                    ids.filter(|id| behind.is_none_or(|last| *id < last)).map(|id| (id, handle.clone())),
                );
            }
        }
        keep_newest(&mut found, count);
        Ok(found)
    }
}

/// How many credentials a call looks at before it lets others have their turn: a large fleet must not keep a
/// thread from the rotations themselves.
const TURN_CREDENTIALS: usize = 256;

async fn give_way(index: usize) {
    if index % TURN_CREDENTIALS == TURN_CREDENTIALS - 1 {
        tokio::task::yield_now().await;
    }
}

fn keep_newest(found: &mut Vec<(RotationId, Handle)>, count: usize) {
    found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    found.dedup_by_key(|(id, _)| *id);
    found.truncate(count);
}

fn see(handle: &Handle, id: RotationId) -> Option<proto::Rotation> {
    convert::rotation(&handle.watch().borrow(), id)
}

#[tonic::async_trait]
impl<C: Clock> proto::rotate_service_server::RotateService for RotateApi<C> {
    async fn rotate(
        &self,
        request: Request<proto::RotateRequest>,
    ) -> Result<Response<proto::RotateResponse>, Status> {
        let caller = if request.get_ref().emergency {
            self.shared.operators.admit(&request, "Rotate with emergency")?
        } else {
            Caller::known(&request, "Rotate")?
        };
        let message = request.into_inner();
        let (name, handle) = request::credential(&self.shared.fleet, &message.credential, "credential")?;
        let wanted = RotateRequest {
            emergency: message.emergency,
            request_id: request::request_id(message.request_id)?,
            caller: Some(caller.name.clone()),
        };
        let asked = rotation::Request {
            trigger: rotation::Trigger::Manual,
            emergency: wanted.emergency,
            request_id: wanted.request_id.clone(),
            caller: wanted.caller.clone(),
        };
        let id = ask(&self.shared.clock, &name, handle.rotate(wanted)).await?;
        info!(%caller, pid = caller.pid, credential = %name, rotation_id = %id, emergency = message.emergency,
            "rotation asked for");
        let snapshot = handle.snapshot();
        let rotation =
            convert::rotation(&snapshot, id).unwrap_or_else(|| convert::queued(&snapshot, id, &asked));
        Ok(Response::new(proto::RotateResponse { rotation: Some(rotation) }))
    }

    async fn get_rotation(
        &self,
        request: Request<proto::GetRotationRequest>,
    ) -> Result<Response<proto::GetRotationResponse>, Status> {
        let message = request.into_inner();
        let id = request::rotation_id(&message.rotation_id)?;
        let (_, _, rotation) = self.find(&message.credential, id).await?;
        Ok(Response::new(proto::GetRotationResponse { rotation: Some(rotation) }))
    }

    async fn list_rotations(
        &self,
        request: Request<proto::ListRotationsRequest>,
    ) -> Result<Response<proto::ListRotationsResponse>, Status> {
        let message = request.into_inner();
        let size = page::size(message.page_size)?;
        let behind = page::behind::<RotationId>(&message.page_token, &message.credential)?;
        let mut found = self.newest(&message.credential, behind, size + 1).await?;
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more).map(|(id, _)| page::token(&message.credential, id));
        Ok(Response::new(proto::ListRotationsResponse {
            rotations: found.iter().filter_map(|(id, handle)| see(handle, *id)).collect(),
            next_page_token: last.unwrap_or_default(),
        }))
    }

    type WatchRotationStream = BoxStream<proto::WatchRotationResponse>;

    async fn watch_rotation(
        &self,
        request: Request<proto::WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        let message = request.into_inner();
        let id = request::rotation_id(&message.rotation_id)?;
        let (_, handle, _) = self.find(&message.credential, id).await?;
        let watching = Watching {
            snapshots: handle.watch(),
            id,
            sent: None,
            shutdown: self.shared.shutdown.clone(),
            _place: self.shared.watches.begin(1)?,
        };
        let rotations = stream::unfold(Some(watching), follow);
        let responses = rotations
            .map(|next| next.map(|rotation| proto::WatchRotationResponse { rotation: Some(rotation) }));
        Ok(Response::new(Box::pin(responses)))
    }

    async fn cancel_rotation(
        &self,
        request: Request<proto::CancelRotationRequest>,
    ) -> Result<Response<proto::CancelRotationResponse>, Status> {
        const METHOD: &str = "CancelRotation";
        let caller = self.shared.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let id = request::rotation_id(&message.rotation_id)?;
        let (name, handle, rotation) = self.find("", id).await?;
        ask(&self.shared.clock, &name, handle.cancel(id)).await?;
        info!(%caller, pid = caller.pid, credential = %name, rotation_id = %id, "rotation cancelled");
        let rotation =
            Some(see(&handle, id).filter(convert::is_final).unwrap_or_else(|| convert::cancelled(rotation)));
        let answer = proto::CancelRotationResponse { rotation };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }

    async fn resolve_rotation(
        &self,
        request: Request<proto::ResolveRotationRequest>,
    ) -> Result<Response<proto::ResolveRotationResponse>, Status> {
        const METHOD: &str = "ResolveRotation";
        let caller = self.shared.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let id = request::rotation_id(&message.rotation_id)?;
        let decision = request::decision(message.decision)?;
        let (name, handle, before) = self.find("", id).await?;
        ask(&self.shared.clock, &name, handle.resolve(id, decision)).await?;
        info!(%caller, pid = caller.pid, credential = %name, rotation_id = %id,
            decision = message.decision().as_str_name(), "rotation resolved");
        let rotation = Some(see(&handle, id).unwrap_or(before));
        let answer = proto::ResolveRotationResponse { rotation };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }

    async fn plan_rotation(
        &self,
        request: Request<proto::PlanRotationRequest>,
    ) -> Result<Response<proto::PlanRotationResponse>, Status> {
        self.shared.operators.admit(&request, "PlanRotation")?;
        let message = request.into_inner();
        let (name, handle) = request::credential(&self.shared.fleet, &message.credential, "credential")?;
        let report = ask(&self.shared.clock, &name, handle.plan(message.emergency)).await?;
        Ok(Response::new(convert::plan(report)))
    }
}

fn ids(handle: &Handle) -> Vec<RotationId> {
    convert::rotation_ids(&handle.watch().borrow()).collect()
}

/// One WatchRotation, between two messages.
struct Watching {
    snapshots: watch::Receiver<Snapshot>,
    id: RotationId,
    sent: Option<proto::Rotation>,
    shutdown: CancellationToken,
    _place: Watch,
}

/// The next message of a WatchRotation; `None` behind the last one.
async fn follow(watching: Option<Watching>) -> Option<(Result<proto::Rotation, Status>, Option<Watching>)> {
    let mut watching = watching?;
    loop {
        let seen = convert::rotation(&watching.snapshots.borrow_and_update(), watching.id);
        match seen {
            Some(rotation) if watching.sent.as_ref() == Some(&rotation) => {}
            Some(rotation) if convert::is_final(&rotation) => return Some((Ok(rotation), None)),
            Some(rotation) => {
                watching.sent = Some(rotation.clone());
                return Some((Ok(rotation), Some(watching)));
            }
            None => return Some((vanished(&mut watching), None)),
        }
        tokio::select! {
            () = watching.shutdown.cancelled() => return Some((Err(status::stopping()), None)),
            changed = watching.snapshots.changed() => if changed.is_err() {
                return Some((Err(status::stopping()), None));
            },
        }
    }
}

/// A rotation that the snapshot no longer remembers: only one that never began can go without a trace.
fn vanished(watching: &mut Watching) -> Result<proto::Rotation, Status> {
    match watching.sent.take() {
        Some(rotation) if rotation.state() == proto::RotationState::Queued => {
            Ok(convert::cancelled(rotation))
        }
        _ => Err(status::rotation_not_found(watching.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::listen::ListenOptions;
    use super::super::operators::Operators;
    use super::super::watches::Watches;
    use super::*;
    use crate::clock::SystemClock;
    use crate::engine::scripted::scripted;
    use crate::engine::{Activity, Fleet, Rejection, Role};

    fn large_fleet() -> Fleet {
        Fleet::new((0..1000).map(|number| {
            let credential: CredentialName = format!("key-{number}").parse().unwrap();
            let snapshot = Snapshot {
                credential: credential.clone(),
                provider: "own/key".into(),
                store: "secret/own#key".parse().unwrap(),
                fields: std::collections::BTreeMap::new(),
                state: None,
                entry_version: None,
                role: Role::Own,
                activity: Activity::Loading,
                pending: None,
                hold: None,
                next_due: None,
                conditions: Vec::new(),
                withdrawn: Vec::new(),
            };
            let handle = scripted(watch::channel(snapshot).1, |_| Err(Rejection::Stopping));
            (credential, handle)
        }))
    }

    #[tokio::test]
    async fn a_look_at_a_large_fleet_lets_others_have_their_turn() {
        let api = RotateApi::new(Shared {
            fleet: large_fleet(),
            clock: SystemClock::start(),
            operators: Operators::of(&ListenOptions::default()),
            watches: Watches::up_to(1),
            shutdown: CancellationToken::new(),
        });
        let mut list = std::pin::pin!(api.newest("", None, 50));
        for _ in 0..3 {
            assert!(futures_util::poll!(list.as_mut()).is_pending());
        }
        assert!(list.await.unwrap().is_empty());
        let unknown = "01890000-0000-7000-8000-000000000000".parse().unwrap();
        let mut find = std::pin::pin!(api.find("", unknown));
        for _ in 0..3 {
            assert!(futures_util::poll!(find.as_mut()).is_pending());
        }
        find.await.unwrap_err();
    }
}
