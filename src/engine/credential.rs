//! What a task needs to know and to have, how it is started, and how another takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::driver::Driver;
use super::handle::Handle;
use super::hands::Hands;
use super::snapshot::{Activity, Snapshot};
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{CredentialName, FieldPath, ReplicaId, RotationId};
use crate::provider::Provider;
use crate::vault::Store;

/// One managed secret, as its task sees it.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its name.
    pub name: CredentialName,
    /// The provider definition's name.
    pub provider: String,
    /// Where the secret is published.
    pub store: FieldPath,
    /// The fields of the same entry for what goes with it, by the definition's names.
    pub fields: BTreeMap<String, String>,
    /// The secret that signs the provider's calls; `None`: the rotated secret signs itself.
    pub signer: Option<FieldPath>,
    /// Further secrets that the definition asks for, by its names.
    pub extra: Vec<(String, FieldPath)>,
}

/// The outsides that a task acts on.
#[derive(Debug, Clone)]
pub struct Adapters<P, S, E, C> {
    /// The provider, bound to this credential.
    pub provider: P,
    /// Vault.
    pub store: Arc<S>,
    /// The escrow.
    pub escrow: Arc<E>,
    /// Time.
    pub clock: C,
    /// This keyturn.
    pub replica: ReplicaId,
    /// Makes rotation ids.
    pub new_rotation_id: fn() -> RotationId,
}

/// Starts a credential's task; it ends at `shutdown`, after a call that was sent has come to its end.
pub fn spawn<P, S, E, C>(
    credential: Credential,
    adapters: Adapters<P, S, E, C>,
    shutdown: CancellationToken,
) -> (Handle, JoinHandle<()>)
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    let (handle, place) = Place::open(&credential, adapters.new_rotation_id, shutdown);
    let task = async move { place.serve(credential, adapters, CancellationToken::new()).await.close() };
    (handle, tokio::spawn(Box::pin(task)))
}

/// Where a credential is served: its handle's other end, which outlives the tasks that follow one another in it.
///
/// So a credential's configuration can change while callers go on to look and to ask.
#[derive(Debug)]
pub struct Place {
    desk: Desk,
}

impl Place {
    /// A place that nobody serves yet, with the handle to it. What is asked meanwhile waits.
    pub fn open(
        credential: &Credential,
        new_rotation_id: fn() -> RotationId,
        shutdown: CancellationToken,
    ) -> (Handle, Self) {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (snapshots, seen) = watch::channel(Snapshot::starting(credential));
        let desk = Desk::new(received, snapshots, new_rotation_id, shutdown);
        (Handle::new(seen, commands), Self { desk })
    }

    /// Serves the credential until the shutdown, or until `retire` is cancelled and no rotation is open any more.
    pub async fn serve<P, S, E, C>(
        mut self,
        credential: Credential,
        adapters: Adapters<P, S, E, C>,
        retire: CancellationToken,
    ) -> Self
    where
        P: Provider,
        S: Store,
        E: Escrow,
        C: Clock,
    {
        self.desk.show(|snapshot| {
            snapshot.provider.clone_from(&credential.provider);
            if snapshot.store != credential.store {
                snapshot.store = credential.store.clone();
                snapshot.entry_version = None;
            }
            snapshot.fields.clone_from(&credential.fields);
        });
        let hands = Hands::new(credential, adapters, self.desk.shutdown.clone());
        Self { desk: Box::pin(Driver::new(self.desk, hands, retire).run()).await }
    }

    /// Ends it; whoever looks is told.
    pub fn close(mut self) {
        self.desk.show_activity(Activity::Stopped);
    }
}

/// Commands that may wait for a busy task; a sender beyond that waits itself.
const COMMANDS_MAX: usize = 16;
