//! The service that shows credentials and pauses their schedules.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::ask::ask;
use super::replay::Replay;
use super::serve::Shared;
use super::watches::Watch;
use super::{convert, page, proto, request, status};
use crate::clock::Clock;
use crate::engine::{Fleet, Handle, Handles};
use crate::ids::CredentialName;

/// The most credentials in one message of a stream.
const BATCH_MAX: usize = 100;

/// Credentials of a fleet.
#[derive(Debug)]
pub(super) struct CredentialApi<C> {
    shared: Shared<C>,
    replay: Replay,
}

impl<C: Clock> CredentialApi<C> {
    /// A service whose streams end when the shutdown begins.
    pub(super) fn new(shared: Shared<C>) -> Self {
        Self { shared, replay: Replay::default() }
    }
}

fn see(handle: &Handle) -> proto::Credential {
    convert::credential(&handle.watch().borrow())
}

#[tonic::async_trait]
impl<C: Clock> proto::credential_service_server::CredentialService for CredentialApi<C> {
    async fn get_credential(
        &self,
        request: Request<proto::GetCredentialRequest>,
    ) -> Result<Response<proto::GetCredentialResponse>, Status> {
        let (_, handle) =
            request::credential(&self.shared.fleet, &request.into_inner().credential, "credential")?;
        Ok(Response::new(proto::GetCredentialResponse { credential: Some(see(&handle)) }))
    }

    async fn list_credentials(
        &self,
        request: Request<proto::ListCredentialsRequest>,
    ) -> Result<Response<proto::ListCredentialsResponse>, Status> {
        let message = request.into_inner();
        let size = page::size(message.page_size)?;
        let behind = page::behind::<CredentialName>(&message.page_token, "")?;
        let all = self.shared.fleet.all();
        let mut rest =
            all.iter().filter(|(name, _)| behind.as_ref().is_none_or(|last| *name > last)).peekable();
        let listed: Vec<_> = rest.by_ref().take(size).collect();
        let more = rest.peek().is_some();
        let last = listed.last().filter(|_| more).map(|(name, _)| page::token("", name));
        Ok(Response::new(proto::ListCredentialsResponse {
            credentials: listed.into_iter().map(|(_, handle)| see(handle)).collect(),
            next_page_token: last.unwrap_or_default(),
        }))
    }

    type WatchCredentialsStream = BoxStream<proto::WatchCredentialsResponse>;

    async fn watch_credentials(
        &self,
        request: Request<proto::WatchCredentialsRequest>,
    ) -> Result<Response<Self::WatchCredentialsStream>, Status> {
        let names = request.into_inner().credentials;
        let watched = watched(&self.shared.fleet, &names)?;
        let watch = self.shared.watches.begin(watched.borrow().len())?;
        let ended = self.shared.shutdown.clone().cancelled_owned();
        let messages = follow(watched).take_until(ended).map(move |message| {
            let _place: &Watch = &watch;
            Ok(message)
        });
        let last = stream::once(async { Err(status::stopping()) });
        Ok(Response::new(Box::pin(messages.chain(last))))
    }

    async fn pause_credential(
        &self,
        request: Request<proto::PauseCredentialRequest>,
    ) -> Result<Response<proto::PauseCredentialResponse>, Status> {
        const METHOD: &str = "PauseCredential";
        let caller = self.shared.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let (name, handle) = request::credential(&self.shared.fleet, &message.credential, "credential")?;
        let reason = request::pause_reason(message.reason.clone())?;
        ask(&self.shared.clock, &name, handle.pause(reason)).await?;
        info!(%caller, pid = caller.pid, credential = %name, "credential paused");
        let answer = proto::PauseCredentialResponse { credential: Some(see(&handle)) };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }

    async fn resume_credential(
        &self,
        request: Request<proto::ResumeCredentialRequest>,
    ) -> Result<Response<proto::ResumeCredentialResponse>, Status> {
        const METHOD: &str = "ResumeCredential";
        let caller = self.shared.operators.admit(&request, METHOD)?;
        let message = request.into_inner();
        let request_id = request::request_id(message.request_id.clone())?;
        if let Some(answer) = self.replay.find(request_id.as_deref(), METHOD, &message).await? {
            return Ok(Response::new(answer));
        }
        let (name, handle) = request::credential(&self.shared.fleet, &message.credential, "credential")?;
        ask(&self.shared.clock, &name, handle.resume()).await?;
        info!(%caller, pid = caller.pid, credential = %name, "credential resumed");
        let answer = proto::ResumeCredentialResponse { credential: Some(see(&handle)) };
        self.replay.remember(request_id, METHOD, &message, &answer).await;
        Ok(Response::new(answer))
    }
}

/// The named credentials, for good; or, where none is named, whatever the fleet has at any time.
fn watched(fleet: &Fleet, names: &[String]) -> Result<watch::Receiver<Handles>, Status> {
    if names.is_empty() {
        return Ok(fleet.watch());
    }
    let handles: Result<_, Status> =
        names.iter().map(|name| request::credential(fleet, name, "credentials")).collect();
    Ok(watch::channel(Arc::new(handles?)).1)
}

/// Every watched credential once, then the changed and the added ones. Only the newest snapshot of each waits for a
/// slow reader.
fn follow(watched: watch::Receiver<Handles>) -> BoxedResponses {
    let mut missing = watched.borrow().len();
    let nothing = proto::WatchCredentialsResponse { credentials: Vec::new(), synced: true };
    let first = stream::iter((missing == 0).then_some(nothing));
    let messages = snapshots(watched).ready_chunks(BATCH_MAX).map(move |batch| {
        missing = missing.saturating_sub(batch.iter().filter(|(first, _)| *first).count());
        let credentials = batch.into_iter().map(|(_, credential)| credential).collect();
        proto::WatchCredentialsResponse { credentials, synced: missing == 0 }
    });
    first.chain(messages).boxed()
}

/// The snapshots of all watched credentials, each with whether it is the first of its credential.
fn snapshots(watched: watch::Receiver<Handles>) -> impl stream::Stream<Item = (bool, proto::Credential)> {
    let mut followed = Handles::default();
    WatchStream::new(watched)
        .flat_map(move |handles| {
            let before = std::mem::replace(&mut followed, Arc::clone(&handles));
            let is_new = |(name, handle): (_, &Handle)| {
                let known = before.get(name).is_some_and(|known| known.is_same(handle));
                (!known).then(|| handle.watch())
            };
            stream::iter(handles.iter().filter_map(is_new).collect::<Vec<_>>())
        })
        .chain(stream::pending())
        .map(|receiver| {
            let seen = WatchStream::new(receiver).map(|snapshot| convert::credential(&snapshot));
            seen.enumerate().map(|(index, credential)| (index == 0, credential))
        })
        .flatten_unordered(None)
}

type BoxedResponses = stream::BoxStream<'static, proto::WatchCredentialsResponse>;
