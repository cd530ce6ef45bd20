//! The credentials' tasks, each with its provider, Vault and the escrow; they follow the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyturn::clock::SystemClock;
use keyturn::config::{self, Change, Config};
use keyturn::engine::{self, Adapters, Credential, Fleet, Place, Snapshot};
use keyturn::escrow::MirroredEscrow;
use keyturn::ids::{CredentialName, RotationId};
use keyturn::mistake::Mistake;
use keyturn::provider::{Accounts, HttpProvider, Transport, TransportOptions};
use keyturn::vault::VaultStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of all credentials.
pub(super) struct Tasks {
    outside: Outside,
    fleet: Fleet,
    running: TaskTracker,
    /// Where a credential's successors are sent; dropping it lets the credential end.
    successors: BTreeMap<CredentialName, mpsc::UnboundedSender<Prepared>>,
}

/// What all tasks share.
pub(super) struct Outside {
    pub(super) store: Arc<VaultStore<SystemClock>>,
    pub(super) escrow: Arc<MirroredEscrow>,
    pub(super) clock: SystemClock,
    pub(super) shutdown: CancellationToken,
    connect_timeout: Duration,
    transport: Transport,
    accounts: Accounts,
}

/// A credential with everything that a task of it needs.
struct Prepared {
    credential: Credential,
    adapters: Adapters<HttpProvider<SystemClock>, VaultStore<SystemClock>, MirroredEscrow, SystemClock>,
}

impl Tasks {
    /// Starts a task for every credential of the configuration.
    pub(super) fn start(config: &Config, outside: Outside) -> anyhow::Result<Self> {
        let (running, successors) = (TaskTracker::new(), BTreeMap::new());
        let mut tasks = Self { outside, fleet: Fleet::new([]), running, successors };
        for configured in &config.credentials {
            let prepared = tasks.outside.prepare(configured)?;
            tasks.add(prepared);
        }
        Ok(tasks)
    }

    /// All credentials, as they come and go.
    pub(super) fn fleet(&self) -> Fleet {
        self.fleet.clone()
    }

    /// The tasks that run.
    pub(super) fn running(&self) -> TaskTracker {
        self.running.clone()
    }

    /// Follows a changed configuration, or refuses it as a whole. What is changed or removed ends when no rotation of it
    /// is open.
    pub(super) fn follow(&mut self, change: &Change<'_>) -> Result<(), Vec<Mistake>> {
        let there = self.still_there(change);
        if !there.is_empty() {
            return Err(there);
        }
        let mut prepare = |configured: &&config::Credential| {
            let path = format!("credentials.{}", configured.name);
            self.outside.prepare(configured).map_err(|error| vec![Mistake::new(path, format!("{error:#}"))])
        };
        let added = change.added.iter().map(&mut prepare).collect::<Result<Vec<_>, _>>()?;
        let changed = change.changed.iter().map(&mut prepare).collect::<Result<Vec<_>, _>>()?;
        for name in &change.removed {
            self.successors.remove(*name);
        }
        for prepared in changed {
            if let Some(successors) = self.successors.get(&prepared.credential.name) {
                // At the shutdown nobody succeeds any more.
                successors.send(prepared).ok();
            }
        }
        for prepared in added {
            self.add(prepared);
        }
        Ok(())
    }

    /// What cannot begin yet: two tasks must never have one record, or publish into one field.
    fn still_there(&self, change: &Change<'_>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let fleet = self.fleet.all();
        for one in &change.added {
            if fleet.contains_key(&one.name) {
                let what = "it was removed, and a rotation of it is still open; it can come back when that has ended";
                mistakes.push(Mistake::new(format!("credentials.{}", one.name), what));
            }
        }
        for one in &change.changed {
            let place =
                fleet.get(&one.name).map(engine::Handle::snapshot).filter(|now| now.store != one.store);
            if let Some(now) = place.filter(Snapshot::may_be_open) {
                let what = format!(
                    "a rotation is open that ends in {}; the file is taken up when it has",
                    now.store
                );
                let hint = "copy the key to the new place after that, not before";
                mistakes.push(Mistake::new(format!("credentials.{}.store", one.name), what).hint(hint));
            }
        }
        for one in change.added.iter().chain(&change.changed) {
            let owner = fleet
                .iter()
                .find(|(name, handle)| **name != one.name && shares_a_field(&handle.snapshot(), one));
            if let Some((owner, _)) = owner {
                let what = format!("restart to apply: until {owner} has ended, it publishes into this field");
                let hint = format!("or take {owner} out of the file first");
                mistakes.push(Mistake::new(format!("credentials.{}.store", one.name), what).hint(hint));
            }
        }
        mistakes
    }

    fn add(&mut self, prepared: Prepared) {
        let name = prepared.credential.name.clone();
        let shutdown = self.outside.shutdown.clone();
        let (handle, place) = Place::open(&prepared.credential, new_rotation_id, shutdown.child_token());
        let (sender, successors) = mpsc::unbounded_channel();
        self.successors.insert(name.clone(), sender);
        self.fleet.add(name.clone(), handle);
        let fleet = self.fleet.clone();
        self.running.spawn(async move {
            match tend(place, prepared, successors).await {
                Ok(place) => place.close(),
                // A restart recovers; a silent hole in the fleet does not.
                Err(_) => {
                    tracing::error!(credential = %name, "a credential's task broke; keyturn stops, and a restart recovers");
                    shutdown.cancel();
                }
            }
            if !shutdown.is_cancelled() {
                tracing::info!(credential = %name, "a credential that was removed has ended");
                fleet.remove(&name);
            }
        });
    }
}

/// Whether a task publishes into a field that another credential names.
fn shares_a_field(task: &Snapshot, one: &config::Credential) -> bool {
    let has = |field: &String| task.store.field == *field || task.fields.values().any(|own| own == field);
    task.store.path == one.store.path && std::iter::once(&one.store.field).chain(one.fields.values()).any(has)
}

/// Lets one task after the other serve the credential, until the shutdown, or until no successor can come.
async fn tend(
    mut place: Place,
    first: Prepared,
    mut successors: mpsc::UnboundedReceiver<Prepared>,
) -> Result<Place, tokio::task::JoinError> {
    let mut next = Some(first);
    while let Some(Prepared { credential, adapters }) = next {
        let retire = CancellationToken::new();
        let mut task = tokio::spawn(Box::pin(place.serve(credential, adapters, retire.clone())));
        next = tokio::select! {
            ended = &mut task => return ended,
            successor = successors.recv() => successor,
        };
        retire.cancel();
        place = task.await?;
        next = newest(next, &mut successors);
    }
    Ok(place)
}

/// What was wanted last, while the task before came to its end.
fn newest(
    mut next: Option<Prepared>,
    successors: &mut mpsc::UnboundedReceiver<Prepared>,
) -> Option<Prepared> {
    loop {
        match successors.try_recv() {
            Ok(newer) => next = Some(newer),
            Err(mpsc::error::TryRecvError::Empty) => return next,
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
        }
    }
}

impl Outside {
    /// What all tasks of a configuration share.
    pub(super) fn new(
        config: &Config,
        store: Arc<VaultStore<SystemClock>>,
        escrow: MirroredEscrow,
        clock: SystemClock,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let connect_timeout = config.timeouts.provider_call / CONNECT_SHARE;
        let transport = Transport::new(&TransportOptions { connect_timeout, ..TransportOptions::default() })?;
        let (escrow, accounts) = (Arc::new(escrow), Accounts::default());
        Ok(Self { store, escrow, clock, shutdown, connect_timeout, transport, accounts })
    }

    fn prepare(&mut self, configured: &config::Credential) -> anyhow::Result<Prepared> {
        let transport = transport(configured, &self.transport, self.connect_timeout)?;
        let provider = HttpProvider::new(configured.definition.clone(), self.clock, transport)?;
        let account = self.accounts.of(configured.definition.base_url(), configured.signer.place());
        let adapters = Adapters {
            provider: provider.with_account(account),
            store: Arc::clone(&self.store),
            replica: self.escrow.replica_id(),
            escrow: Arc::clone(&self.escrow),
            clock: self.clock,
            new_rotation_id,
        };
        Ok(Prepared { credential: credential(configured), adapters })
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
        fields: configured.fields.clone(),
        signer: configured.signer.place().cloned(),
        extra: configured.secrets.clone().into_iter().collect(),
    }
}

fn new_rotation_id() -> RotationId {
    RotationId::from_uuid(uuid::Uuid::now_v7())
}
