//! Replicas of the real engine on fake outsides, all in one thread and in virtual time.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyturn::clock::Clock as _;
use keyturn::engine::{self, Activity, Adapters, Credential, Handle, RotateRequest, Snapshot};
use keyturn::ids::{CredentialName, FieldPath, ReplicaId, RotationId};
use keyturn::provider::Account;
use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::rotation::{Closed, ClosedAs, Creates, Phase, Phases, Plan, Propagation, State};
use keyturn::testbed::Gate;
use keyturn::testbed::fake::{
    CallFault, Death, FakeClock, FakeDisk, FakeEscrow, FakeMint, FakeProvider, FakeStore, FakeVault, Life,
    PAIR, SkewedClock, StoreCall, StoreFault, VaultLink, has_pairs, pair_of,
};
use keyturn::vault::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The key that the provider and Vault hold at first.
pub const FIRST_KEY: &str = "key-0";

/// The most virtual time that anything is waited for.
const PATIENCE: Duration = Duration::from_hours(6);

/// What all replicas share.
#[derive(Clone)]
pub struct World {
    pub plan: Plan,
    pub vault: FakeVault,
    pub mint: FakeMint,
    pub clock: FakeClock,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let vault = FakeVault::default();
        if has_pairs(&plan) {
            vault.put_with_pair(&store(), PAIR_FIELD, FIRST_KEY);
        } else {
            vault.put(&store(), FIRST_KEY);
        }
        vault.put(&admin_key(), "the admin's key");
        let clock = FakeClock::starting_at("2026-03-01T12:00:00Z".parse().unwrap());
        Self { plan, vault, mint: FakeMint::new(), clock }
    }

    /// A replica that has come to rest.
    pub async fn replica(&self, number: u128) -> Replica {
        let mut replica = self.stopped_replica(number);
        replica.start();
        replica.until_at_rest().await;
        replica
    }

    pub fn stopped_replica(&self, number: u128) -> Replica {
        let id = ReplicaId::from_uuid(Uuid::from_u128(number));
        let (disk, link) = (FakeDisk::default(), VaultLink::default());
        let clock = SkewedClock::new(self.clock);
        Replica { world: self.clone(), id, disk, link, clock, running: None }
    }

    /// The next regenerate call's answer is held back until the gate is released.
    pub fn hold_next_answer(&self) -> Gate {
        let gate = Gate::new();
        self.mint.next(CallFault::Held(gate.clone()));
        gate
    }

    /// The next regenerate call takes effect, and its answer is lost.
    pub fn lose_next_answer(&self) {
        self.mint.next(CallFault::AnswerLost);
    }

    pub fn seal(&self) {
        self.vault.go_down(Error::Sealed);
    }

    /// The key in the entry; what stands beside it is what goes with it.
    pub fn published(&self) -> String {
        let key = self.vault.value(&store());
        if let Some(stamp) = self.vault.stamp(&store()).filter(|_| has_pairs(&self.plan)) {
            assert_eq!(stamp.fields, fields());
            assert_eq!(
                self.vault.value(&pair()),
                pair_of(&key),
                "beside {key} stands what does not go with it"
            );
        }
        key
    }

    pub fn state(&self) -> State {
        self.vault.state(&name()).unwrap()
    }

    pub fn phase(&self) -> &'static str {
        self.state().phase.name()
    }

    pub fn newest_closed(&self) -> Closed {
        self.state().history.first().unwrap().clone()
    }

    /// The keys that the provider accepts, oldest first.
    pub fn live_keys(&self) -> Vec<String> {
        self.mint.live_keys(self.now())
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The rotation ended well: `key` is published, no claim is open, and so many calls were made in all.
    pub fn assert_rotated(&self, key: &str, calls: usize) {
        assert_eq!(self.published(), key);
        assert_eq!(self.mint.newest_key(), key, "the published key is not the provider's newest");
        assert_eq!(self.phase(), "idle");
        assert!(
            matches!(self.newest_closed().outcome, ClosedAs::Rotated { .. }),
            "{:?}",
            self.newest_closed()
        );
        assert_eq!(self.mint.calls().len(), calls);
    }
}

/// One keyturn with a disk and a connection of its own, over all its lives.
pub struct Replica {
    world: World,
    pub id: ReplicaId,
    pub disk: FakeDisk,
    pub link: VaultLink,
    pub clock: SkewedClock,
    running: Option<Running>,
}

struct Running {
    handle: Handle,
    task: JoinHandle<()>,
    life: Life,
    shutdown: CancellationToken,
}

impl Replica {
    pub fn start(&mut self) {
        self.start_until(None);
    }

    /// Starts a life that ends by itself at an operation.
    pub fn start_until(&mut self, death: Option<Death>) {
        self.start_life(Life::new(death), Account::default());
    }

    /// Starts a life that shares an account at the provider with others.
    pub fn start_with(&mut self, account: Account) {
        self.start_life(Life::new(None), account);
    }

    fn start_life(&mut self, life: Life, account: Account) {
        let World { plan, vault, mint, clock } = self.world.clone();
        let adapters = Adapters {
            provider: FakeProvider::new(plan, mint, clock, life.clone()).with_account(account),
            store: Arc::new(FakeStore::new(vault, self.link.clone(), life.clone())),
            escrow: Arc::new(FakeEscrow::new(self.disk.clone(), life.clone())),
            clock: self.clock.clone(),
            replica: self.id,
            new_rotation_id,
        };
        let shutdown = CancellationToken::new();
        let (handle, task) = engine::spawn(self.world.credential(), adapters, shutdown.clone());
        life.belongs_to(task.abort_handle());
        self.running = Some(Running { handle, task, life, shutdown });
    }

    /// Dies at once, as by `kill -9`.
    pub async fn kill(&mut self) {
        self.life().end();
        self.bury().await;
    }

    /// Takes away what a death left.
    pub async fn bury(&mut self) {
        let running = self.running.take().unwrap();
        assert!(running.task.await.is_err_and(|error| error.is_cancelled()));
    }

    /// Stops as a process does that is asked to.
    pub async fn shut_down(&mut self) {
        let running = self.running.take().unwrap();
        running.shutdown.cancel();
        running.task.await.unwrap();
    }

    pub fn handle(&self) -> &Handle {
        &self.running.as_ref().unwrap().handle
    }

    pub fn life(&self) -> &Life {
        &self.running.as_ref().unwrap().life
    }

    pub fn snapshot(&self) -> Snapshot {
        self.handle().snapshot()
    }

    pub fn hold_next_preflight(&self) -> Gate {
        let gate = Gate::new();
        self.link.next(StoreCall::Preflight, StoreFault::Held(gate.clone()));
        gate
    }

    pub async fn rotate(&self) -> RotationId {
        self.handle().rotate(ask(false)).await.unwrap()
    }

    pub async fn until(&self, what: &str, is_so: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let mut seen = self.handle().watch();
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(is_so)).await;
        match found {
            Ok(Ok(snapshot)) => snapshot.clone(),
            _ => panic!("it never came to {what}; {:#?}", self.snapshot()),
        }
    }

    pub async fn until_phase(&self, phase: &'static str) -> Snapshot {
        self.until(phase, |seen| seen.state.as_ref().is_some_and(|state| state.phase.name() == phase)).await
    }

    pub async fn until_held(&self, code: &'static str) -> Snapshot {
        self.until(code, |seen| seen.hold.as_ref().is_some_and(|hold| hold.code == code)).await
    }

    /// Until nothing is left to do: the record is idle or waits for a person, and no retry is due.
    pub async fn until_at_rest(&self) -> Snapshot {
        self.until("rest", |seen| {
            let done = |state: &State| {
                let settled = matches!(state.phase, Phase::Idle | Phase::Halted { .. });
                settled && state.retry.is_none()
            };
            seen.activity == Activity::Idle
                && seen.pending.is_none()
                && seen.state.as_deref().is_some_and(done)
        })
        .await
    }

    /// Until a rotation is closed with its key in Vault, and this replica knows.
    pub async fn until_rotated(&self, times: usize) -> Snapshot {
        self.until("the end of the rotation", |seen| {
            let rotated = |closed: &&Closed| matches!(closed.outcome, ClosedAs::Rotated { .. });
            let count = |state: &State| state.history.iter().filter(rotated).count() >= times;
            seen.activity == Activity::Idle && seen.state.as_deref().is_some_and(count)
        })
        .await
    }

    pub fn conditions(&self) -> Vec<&'static str> {
        self.snapshot().conditions.iter().map(|condition| condition.code).collect()
    }

    pub fn sealed_keys(&self) -> Vec<String> {
        self.disk.sealed().into_iter().map(|sealed| sealed.key).collect()
    }
}

impl Drop for Replica {
    /// It would go on polling for as long as the test runs.
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.life.end();
        }
    }
}

impl World {
    fn credential(&self) -> Credential {
        let signer = (!self.plan.self_authenticating).then(admin_key);
        let fields = if has_pairs(&self.plan) { fields() } else { BTreeMap::new() };
        let (name, provider, extra) = (name(), "test/fake".into(), Vec::new());
        Credential { name, provider, store: store(), fields, signer, extra }
    }
}

/// Where what goes with a key is published; the definition, if there were one, has another name for it.
const PAIR_FIELD: &str = "what_goes_with_it";

fn fields() -> BTreeMap<String, String> {
    BTreeMap::from([(PAIR.to_owned(), PAIR_FIELD.to_owned())])
}

/// What goes with the key, in the entry.
pub fn pair() -> FieldPath {
    FieldPath { field: PAIR_FIELD.to_owned(), ..store() }
}

pub fn name() -> CredentialName {
    "fake".parse().unwrap()
}

pub fn store() -> FieldPath {
    "secret/app#key".parse().unwrap()
}

fn admin_key() -> FieldPath {
    "secret/admin#key".parse().unwrap()
}

pub fn ask(emergency: bool) -> RotateRequest {
    RotateRequest { emergency, request_id: None, caller: None }
}

thread_local! {
    /// A test has a thread of its own, so its ids are the same in every run.
    static ROTATIONS: Cell<u128> = const { Cell::new(0) };
}

fn new_rotation_id() -> RotationId {
    ROTATIONS.with(|count| {
        count.set(count.get() + 1);
        RotationId::from_uuid(Uuid::from_u128(count.get()))
    })
}

pub async fn hours(count: u64) {
    tokio::time::sleep(Duration::from_hours(count)).await;
}

pub async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_mins(count)).await;
}

pub async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// No means at all: an unknown outcome is a person's.
pub fn plan_none() -> Plan {
    Plan {
        schedule: Schedule {
            cadence: Cadence::Manual,
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        },
        self_authenticating: false,
        grace: None,
        lock: None,
        replay: None,
        read: None,
        marker: None,
        redo: None,
        supplies: false,
        slots: Vec::new(),
        creates: None,
        propagation: None,
        probe: false,
        call_timeout: Duration::from_secs(30),
        settle: Duration::from_secs(30),
        claim: Duration::from_mins(2),
    }
}

pub fn plan_read() -> Plan {
    Plan { read: Some(Duration::from_mins(1)), ..plan_none() }
}

/// What the provider shows of its key changes with it, and the key is not shown.
pub fn plan_marked() -> Plan {
    Plan { marker: Some(Duration::from_mins(1)), ..plan_none() }
}

pub fn plan_replay() -> Plan {
    Plan { replay: Some(Duration::from_hours(24)), probe: true, ..plan_none() }
}

/// The secret signs its own rotation, as long as its grace lasts.
pub fn plan_redo() -> Plan {
    Plan {
        self_authenticating: true,
        grace: Some(Duration::from_hours(1)),
        redo: Some(3),
        probe: true,
        ..plan_none()
    }
}

/// keyturn chooses the key, and the same call brings it again.
pub fn plan_supplied() -> Plan {
    Plan { supplies: true, redo: Some(u32::MAX), ..plan_none() }
}

/// Two named keys; the one that the entry does not hold is made anew, and the other is left alone for a day.
pub fn plan_slots() -> Plan {
    let slots = ["first", "second"].map(|name| name.parse().unwrap()).into();
    Plan { slots, grace: Some(Duration::from_hours(24)), ..plan_read() }
}

/// Keys live side by side, and the old one is revoked an hour after the rotation.
pub fn plan_created() -> Plan {
    let creates = Creates {
        revoke_after: Duration::from_hours(1),
        keys_max: None,
        lists: true,
        phases: None,
        first_key: Some("id-0".parse().unwrap()),
    };
    Plan { creates: Some(creates), ..plan_none() }
}

/// An old key and a pending one, which is activated an hour after the rotation.
pub fn plan_phases() -> Plan {
    let phases = Some(Phases { discards: true });
    let creates = plan_created().creates.map(|creates| Creates {
        keys_max: Some(2),
        lists: false,
        phases,
        first_key: None,
        ..creates
    });
    Plan { creates, probe: true, ..plan_none() }
}

/// The same, where only so many keys may live at once.
pub fn at_most(keys_max: u32, plan: Plan) -> Plan {
    let creates = plan.creates.map(|creates| Creates { keys_max: Some(keys_max), ..creates });
    Plan { creates, ..plan }
}

/// The same provider, whose new keys are usable only after minutes.
pub fn staged(plan: Plan) -> Plan {
    let propagation = Propagation {
        delay: Duration::from_mins(5),
        poll: Duration::from_secs(15),
        deadline: Duration::from_mins(10),
    };
    Plan { propagation: Some(propagation), ..plan }
}

pub fn due_every(interval: Duration, plan: Plan) -> Plan {
    let schedule = Schedule { cadence: Cadence::Every(interval), ..plan.schedule };
    Plan { schedule, ..plan }
}

/// The same provider with a claim that runs out in seconds.
pub fn hasty(plan: Plan) -> Plan {
    let propagation = plan.propagation.map(|_| Propagation {
        delay: Duration::from_secs(20),
        poll: Duration::from_secs(5),
        deadline: Duration::from_secs(40),
    });
    Plan {
        read: plan.read.map(|_| Duration::from_secs(5)),
        propagation,
        call_timeout: Duration::from_secs(5),
        settle: Duration::from_secs(5),
        claim: Duration::from_secs(20),
        ..plan
    }
}
