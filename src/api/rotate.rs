//! The service that starts, shows and settles rotations.

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::ask::ask;
use super::operators::Operators;
use super::peer::Caller;
use super::replay::Replay;
use super::{convert, page, proto, request, status};
use crate::clock::Clock;
use crate::engine::{Fleet, Handle, RotateRequest, Snapshot};
use crate::ids::{CredentialName, RotationId};
use crate::rotation;

/// Rotations over a fleet.
#[derive(Debug)]
pub(super) struct RotateApi<C> {
    fleet: Fleet,
    clock: C,
    operators: Operators,
    replay: Replay,
    shutdown: CancellationToken,
}

impl<C: Clock> RotateApi<C> {
    /// A service whose streams end when `shutdown` is cancelled.
    pub(super) fn new(fleet: Fleet, clock: C, operators: Operators, shutdown: CancellationToken) -> Self {
        Self { fleet, clock, operators, replay: Replay::default(), shutdown }
    }

    /// The handle whose snapshot remembers a rotation, and the rotation as it is now.
    fn find(
        &self,
        credential: &str,
        id: RotationId,
    ) -> Result<(&CredentialName, &Handle, proto::Rotation), Status> {
        let only = request::optional_credential(&self.fleet, credential)?.map(|(name, _)| name);
        self.fleet
            .iter()
            .filter(|(name, _)| only.as_ref().is_none_or(|only| only == *name))
            .find_map(|(name, handle)| Some((name, handle, see(handle, id)?)))
            .ok_or_else(|| status::rotation_not_found(id))
    }
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
            self.operators.admit(&request, "Rotate with emergency")?
        } else {
            Caller::of(&request)
        };
        let message = request.into_inner();
        let (name, handle) = request::credential(&self.fleet, &message.credential, "credential")?;
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
        let id = ask(&self.clock, &name, handle.rotate(wanted)).await?;
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
        let (_, _, rotation) = self.find(&message.credential, id)?;
        Ok(Response::new(proto::GetRotationResponse { rotation: Some(rotation) }))
    }

    async fn list_rotations(
        &self,
        request: Request<proto::ListRotationsRequest>,
    ) -> Result<Response<proto::ListRotationsResponse>, Status> {
        let message = request.into_inner();
        let size = page::size(message.page_size)?;
        let behind = page::behind::<RotationId>(&message.page_token, &message.credential)?;
        let only = request::optional_credential(&self.fleet, &message.credential)?.map(|(_, handle)| handle);
        let handles: Vec<_> = match only {
            Some(handle) => vec![handle],
            None => self.fleet.iter().map(|(_, handle)| handle).collect(),
        };
        let mut found: Vec<_> = handles
            .into_iter()
            .flat_map(|handle| ids(handle).into_iter().map(move |id| (id, handle)))
            .filter(|(id, _)| behind.is_none_or(|last| *id < last))
            .collect();
        found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        found.dedup_by_key(|(id, _)| *id);
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
        let (_, handle, _) = self.find(&message.credential, id)?;
        let watching =
            Watching { snapshots: handle.watch(), id, sent: None, shutdown: self.shutdown.clone() };
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
        let caller = self.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let id = request::rotation_id(&message.rotation_id)?;
        let (name, handle, rotation) = self.find("", id)?;
        ask(&self.clock, name, handle.cancel(id)).await?;
        info!(%caller, pid = caller.pid, credential = %name, rotation_id = %id, "rotation cancelled");
        let rotation =
            Some(see(handle, id).filter(convert::is_final).unwrap_or_else(|| convert::cancelled(rotation)));
        let answer = proto::CancelRotationResponse { rotation };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }

    async fn resolve_rotation(
        &self,
        request: Request<proto::ResolveRotationRequest>,
    ) -> Result<Response<proto::ResolveRotationResponse>, Status> {
        const METHOD: &str = "ResolveRotation";
        let caller = self.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let id = request::rotation_id(&message.rotation_id)?;
        let decision = request::decision(message.decision)?;
        let (name, handle, before) = self.find("", id)?;
        ask(&self.clock, name, handle.resolve(id, decision)).await?;
        info!(%caller, pid = caller.pid, credential = %name, rotation_id = %id,
            decision = message.decision().as_str_name(), "rotation resolved");
        let rotation = Some(see(handle, id).unwrap_or(before));
        let answer = proto::ResolveRotationResponse { rotation };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }

    async fn plan_rotation(
        &self,
        request: Request<proto::PlanRotationRequest>,
    ) -> Result<Response<proto::PlanRotationResponse>, Status> {
        self.operators.admit(&request, "PlanRotation")?;
        let message = request.into_inner();
        let (name, handle) = request::credential(&self.fleet, &message.credential, "credential")?;
        let report = ask(&self.clock, &name, handle.plan(message.emergency)).await?;
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
