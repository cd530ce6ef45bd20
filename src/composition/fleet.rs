//! The credentials' tasks, each with its provider, Vault and the escrow.

use std::sync::Arc;
use std::time::Duration;

use keyturn::clock::SystemClock;
use keyturn::config::{self, Config};
use keyturn::engine::{self, Adapters, Credential, Fleet};
use keyturn::escrow::MirroredEscrow;
use keyturn::ids::RotationId;
use keyturn::provider::{Accounts, HttpProvider, Transport, TransportOptions};
use keyturn::vault::VaultStore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Starts a task for every credential; a broken one ends the process.
pub(super) fn start_fleet(
    config: &Config,
    store: &Arc<VaultStore<SystemClock>>,
    escrow: &Arc<MirroredEscrow>,
    clock: SystemClock,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Fleet, JoinSet<()>)> {
    let connect_timeout = config.timeouts.provider_call / CONNECT_SHARE;
    let shared = Transport::new(&TransportOptions { connect_timeout, ..TransportOptions::default() })?;
    let mut accounts = Accounts::default();
    let mut handles = Vec::new();
    let mut tasks = JoinSet::new();
    for configured in &config.credentials {
        let transport = transport(configured, &shared, connect_timeout)?;
        let provider = HttpProvider::new(configured.definition.clone(), clock, transport)?;
        let account = accounts.of(configured.definition.base_url(), configured.signer.place());
        let adapters = Adapters {
            provider: provider.with_account(account),
            store: Arc::clone(store),
            replica: escrow.replica_id(),
            escrow: Arc::clone(escrow),
            clock,
            new_rotation_id,
        };
        let (handle, task) = engine::spawn(credential(configured), adapters, shutdown.child_token());
        tasks.spawn(watch_over(configured.name.to_string(), task, shutdown.clone()));
        handles.push((configured.name.clone(), handle));
    }
    Ok((Fleet::new(handles), tasks))
}

/// A task that panics takes the process with it: a restart recovers, a silent hole in the fleet does not.
async fn watch_over(name: String, task: JoinHandle<()>, shutdown: CancellationToken) {
    if task.await.is_err() {
        tracing::error!(
            credential = name,
            "a credential's task broke; keyturn stops, and a restart recovers"
        );
        shutdown.cancel();
    }
}

/// The share of a provider call's time that its connect may take; only a connect that fails by itself proves
/// that nothing was sent.
pub(super) const CONNECT_SHARE: u32 = 3;

fn transport(
    configured: &config::Credential,
    shared: &Transport,
    connect_timeout: Duration,
) -> anyhow::Result<Transport> {
    match configured.ca_pem().map_err(|mistake| anyhow::anyhow!("{mistake}"))? {
        None => Ok(shared.clone()),
        Some(pem) => {
            let extra_ca_pem = vec![pem.into_bytes()];
            Ok(Transport::new(&TransportOptions { extra_ca_pem, connect_timeout })?)
        }
    }
}

fn credential(configured: &config::Credential) -> Credential {
    Credential {
        name: configured.name.clone(),
        provider: configured.definition.name().to_owned(),
        store: configured.store.clone(),
        signer: configured.signer.place().cloned(),
        extra: configured.secrets.clone().into_iter().collect(),
    }
}

fn new_rotation_id() -> RotationId {
    RotationId::from_uuid(uuid::Uuid::now_v7())
}
