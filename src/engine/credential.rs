//! What a task needs to know and to have, and how it is started.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::driver::Driver;
use super::handle::Handle;
use super::hands::Hands;
use super::snapshot::Snapshot;
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
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let (snapshots, seen) = watch::channel(Snapshot::starting(&credential));
    let desk = Desk::new(received, snapshots, adapters.new_rotation_id, shutdown.clone());
    let hands = Hands::new(credential, adapters, shutdown);
    let task = tokio::spawn(Box::pin(Driver::new(desk, hands).run()));
    (Handle::new(seen, commands), task)
}

/// Commands that may wait for a busy task; a sender beyond that waits itself.
const COMMANDS_MAX: usize = 16;
