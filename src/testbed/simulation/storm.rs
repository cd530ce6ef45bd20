//! Hundreds of sidecars at one Vault and one provider: how hard they knock, and how soon all are done.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lot;
use super::replica::{forget_rotations, new_rotation_id};
use crate::engine::{self, Activity, Adapters, Credential, Handle};
use crate::ids::{FieldPath, ReplicaId};
use crate::rotation::schedule::{Cadence, Schedule};
use crate::rotation::{Closed, ClosedAs, Phase, Plan};
use crate::testbed::fake::{
    Dice, FakeClock, FakeDisk, FakeEscrow, FakeMint, FakeProvider, FakeStore, FakeVault, Life, StoreCall,
    VaultLink,
};
use crate::vault::Error;

/// Who storms, and for how long Vault is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// How many sidecars there are.
    pub sidecars: usize,
    /// Whether all of them have the same credential, or each one of its own.
    pub share_one_credential: bool,
    /// The rotations become due so long after the start, less the jitter.
    pub due_after: Duration,
    /// Vault is sealed for so long, from just before the rotations are due.
    pub sealed_for: Duration,
    /// How far the schedule spreads them, in per cent of that time.
    pub jitter_percent: u8,
}

/// How hard they knocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knocks {
    /// The most requests to Vault within one second while it was sealed, the first minute of it aside.
    pub sealed_peak: usize,
    /// Those within the first second after it was unsealed.
    pub first_second: usize,
    /// The most within one second after it was unsealed.
    pub unsealed_peak: usize,
    /// The most rotations that began within one second after it was unsealed.
    pub returned_peak: usize,
    /// The most calls to the provider within one second.
    pub calls_peak: usize,
    /// Calls to the provider in all.
    pub calls: usize,
    /// Rotations that closed with the new key in Vault.
    pub rotated: usize,
    /// From the unsealing until all were done.
    pub done_after: Duration,
}

struct Stage {
    clock: FakeClock,
    start: Instant,
    vault: FakeVault,
    mints: Vec<FakeMint>,
    handles: Vec<Handle>,
    tasks: Vec<JoinHandle<()>>,
}

const SECOND: Duration = Duration::from_secs(1);
/// The longest time that anything is waited for.
const PATIENCE_LOOKS: u32 = 7_200;

/// Lets the crowd loose.
pub fn storm(crowd: Crowd) -> io::Result<Knocks> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(run(crowd)))
}

async fn run(crowd: Crowd) -> Knocks {
    forget_rotations();
    let mut stage = Stage::set();
    for number in 0..crowd.sidecars {
        stage.enter(number, crowd);
    }
    let due_from = crowd.due_after.mul_f64(f64::from(100 - crowd.jitter_percent) / 100.0);
    tokio::time::sleep(due_from.saturating_sub(SECOND * 60)).await;
    let sealed_at = stage.now_ms();
    stage.vault.note_arrivals();
    if !crowd.sealed_for.is_zero() {
        stage.vault.go_down(Error::Sealed);
        tokio::time::sleep(crowd.sealed_for).await;
        stage.vault.recover();
    }
    let unsealed_at = stage.now_ms();
    stage.until_all_know(crowd).await;
    let done_after = Duration::from_millis(stage.now_ms() - unsealed_at);
    let knocks = stage.count(sealed_at, unsealed_at);
    stage.tasks.iter().for_each(JoinHandle::abort);
    Knocks { done_after, ..knocks }
}

impl Stage {
    fn set() -> Self {
        let clock = FakeClock::starting_at(Timestamp::constant(1_772_323_200, 0));
        let (mints, handles, tasks) = (Vec::new(), Vec::new(), Vec::new());
        Self { clock, start: Instant::now(), vault: FakeVault::default(), mints, handles, tasks }
    }

    /// One more sidecar starts.
    fn enter(&mut self, number: usize, crowd: Crowd) {
        let own = if crowd.share_one_credential { 0 } else { number };
        let Some(credential) = credential(own) else { return };
        if self.mints.len() <= own {
            self.vault.put(&credential.store, "key-0");
            self.mints.push(FakeMint::new());
        }
        let Some(mint) = self.mints.get(own) else { return };
        let life = Life::new(None);
        let provider = FakeProvider::new(plan(crowd), mint.clone(), self.clock, life.clone());
        let store = FakeStore::new(self.vault.clone(), VaultLink::default(), life.clone());
        let adapters = Adapters {
            provider,
            store: Arc::new(store),
            escrow: Arc::new(FakeEscrow::new(FakeDisk::default(), life)),
            clock: self.clock,
            replica: ReplicaId::from_uuid(Uuid::from_u128(number as u128 + 1)),
            new_rotation_id,
        };
        let (handle, task) = engine::spawn(credential, adapters, CancellationToken::new());
        self.handles.push(handle);
        self.tasks.push(task);
    }

    fn now_ms(&self) -> u64 {
        self.ms_of(Instant::now())
    }

    fn ms_of(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// Until every sidecar has seen its credential's rotation closed, within a bound.
    async fn until_all_know(&self, crowd: Crowd) {
        let rotations = if crowd.share_one_credential { 1 } else { crowd.sidecars };
        for _ in 0..PATIENCE_LOOKS {
            tokio::time::sleep(SECOND).await;
            if self.rotated() >= rotations && self.handles.iter().all(knows_of_the_rotation) {
                return;
            }
        }
    }

    /// Credentials whose entry holds a key that was made here.
    fn rotated(&self) -> usize {
        let published = |number: usize| credential(number).map(|one| self.vault.value(&one.store));
        let newest = |(number, mint): &(usize, &FakeMint)| {
            mint.minted() > 0 && published(*number) == Some(mint.newest_key())
        };
        self.mints.iter().enumerate().filter(newest).count()
    }

    fn count(&self, sealed_at: u64, unsealed_at: u64) -> Knocks {
        let arrivals = self.vault.arrivals();
        let at = |wanted: &dyn Fn(StoreCall, u64) -> bool| -> Vec<u64> {
            let all = arrivals.iter().map(|(call, at)| (*call, self.ms_of(*at)));
            all.filter(|(call, at)| wanted(*call, *at)).map(|(_, at)| at).collect()
        };
        let calls: Vec<_> = self.mints.iter().flat_map(FakeMint::calls).map(|call| call.at).collect();
        let mut called_at: Vec<_> =
            calls.iter().filter_map(|at| u64::try_from(at.as_millisecond()).ok()).collect();
        called_at.sort_unstable();
        Knocks {
            sealed_peak: peak(&at(&|_, at| at >= sealed_at + 60_000 && at < unsealed_at)),
            first_second: at(&|_, at| at >= unsealed_at && at < unsealed_at + 1_000).len(),
            unsealed_peak: peak(&at(&|_, at| at >= unsealed_at)),
            returned_peak: peak(&at(&|call, at| call == StoreCall::Preflight && at >= unsealed_at)),
            calls_peak: peak(&called_at),
            calls: calls.len(),
            rotated: self.rotated(),
            done_after: Duration::ZERO,
        }
    }
}

fn knows_of_the_rotation(handle: &Handle) -> bool {
    let seen = handle.snapshot();
    let rotated = |closed: &Closed| matches!(closed.outcome, ClosedAs::Rotated { .. });
    seen.activity == Activity::Idle
        && seen.state.is_some_and(|state| state.phase == Phase::Idle && state.history.iter().any(rotated))
}

/// The most of these sorted times that lie within one second.
fn peak(sorted_ms: &[u64]) -> usize {
    let within = |(index, from): (usize, &u64)| {
        let later = sorted_ms.get(index..).unwrap_or_default();
        later.partition_point(|at| *at < from + 1_000)
    };
    sorted_ms.iter().enumerate().map(within).max().unwrap_or_default()
}

fn credential(number: usize) -> Option<Credential> {
    let store = FieldPath { path: format!("secret/app-{number}").parse().ok()?, field: "key".to_owned() };
    let name = format!("credential-{number}").parse().ok()?;
    // It signs for itself, so that the storm needs no further secret.
    Some(Credential {
        name,
        provider: "storm".to_owned(),
        store,
        signer: None,
        extra: Vec::new(),
        fields: BTreeMap::new(),
    })
}

fn plan(crowd: Crowd) -> Plan {
    let plan = lot::plan("none", &Dice::new(0));
    let schedule = Schedule {
        cadence: Cadence::Every(crowd.due_after),
        jitter_percent: crowd.jitter_percent,
        window: None,
        min_interval: Duration::ZERO,
    };
    Plan { schedule, lock: None, claim: Duration::from_mins(2), ..plan }
}
