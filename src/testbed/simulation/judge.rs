//! Who sees everything, counts it, and says at once when a promise is broken.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::docket::{Docket, Verdict, after};
use super::shared::Shared;
use super::tally::Tally;
use crate::clock::Clock as _;
use crate::engine::Credential;
use crate::ids::ReplicaId;
use crate::rotation::{Plan, State};
use crate::testbed::fake::{FakeClock, FakeMint, Life, ProviderAct, VaultWrite};

/// The judge of one world.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    clock: FakeClock,
    notes: Shared<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    tally: Tally,
    broken: Option<String>,
    trace: u64,
    trail: Option<VecDeque<String>>,
    dockets: Vec<Docket>,
    troubles: Vec<(Timestamp, Timestamp)>,
    clocks_were_wrong: bool,
}

/// Lines of a trail that are kept.
const TRAIL_MAX: usize = 2_000;

impl Judge {
    pub(super) fn new(clock: FakeClock, keeps_trail: bool) -> Self {
        let notes = Notes {
            trail: keeps_trail.then(VecDeque::new),
            trace: 0xcbf2_9ce4_8422_2325,
            ..Notes::default()
        };
        Self { clock, notes: Shared::new(notes) }
    }

    pub(super) fn follow(&self, credential: Credential, plan: Plan, mint: FakeMint) {
        self.notes.with(|notes| notes.dockets.push(Docket::new(credential, plan, mint)));
    }

    /// Looks at one credential's docket.
    pub(super) fn docket<R>(&self, index: usize, look: impl FnOnce(&mut Docket) -> R) -> Option<R> {
        self.notes.with(|notes| notes.dockets.get_mut(index).map(look))?
    }

    pub(super) fn state(&self, index: usize) -> Option<State> {
        self.docket(index, |docket| docket.state.clone())?
    }

    pub(super) fn count(&self, event: &'static str) {
        self.notes.with(|notes| notes.tally.count(event));
    }

    pub(super) fn fault(&self, kind: &'static str) {
        self.say(|| format!("    fault: {kind}"));
        self.notes.with(|notes| notes.tally.fault(kind));
    }

    /// From now on nothing that depends on wall clocks is expected.
    pub(super) fn clocks_go_wrong(&self) {
        self.notes.with(|notes| notes.clocks_were_wrong = true);
    }

    pub(super) fn clocks_were_wrong(&self) -> bool {
        self.notes.with(|notes| notes.clocks_were_wrong).unwrap_or_default()
    }

    /// For so long something is down that keyturn cannot do without.
    pub(super) fn trouble_for(&self, time: Duration) {
        let now = self.clock.now();
        self.notes.with(|notes| notes.troubles.push((now, after(now, time))));
    }

    /// A line of the trail, if one is kept.
    pub(super) fn say(&self, line: impl FnOnce() -> String) {
        let now = self.clock.now();
        self.notes.with(|notes| {
            if let Some(trail) = &mut notes.trail {
                trail.push_back(format!("{now:.3} {}", line()));
                if trail.len() > TRAIL_MAX {
                    trail.pop_front();
                }
            }
        });
    }

    /// Takes one operation into the trace.
    pub(super) fn trace(&self, (replica, credential): (usize, usize), operation: &'static str, over: bool) {
        let now = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.notes.with(|notes| {
            let head = [now, replica as u64, credential as u64, u64::from(over)];
            let all = head.into_iter().chain(operation.bytes().map(u64::from));
            notes.trace = all.fold(notes.trace, |hash, part| (hash ^ part).wrapping_mul(0x0100_0000_01b3));
        });
        let quiet = operation == "record version" || !over;
        if !quiet {
            self.say(|| format!("r{replica} c{credential} {operation}"));
        }
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.notes.with(|notes| notes.broken.clone())?
    }

    /// The first broken promise is the one that counts.
    pub(super) fn judge(&self, credential: usize, verdict: Verdict) {
        if let Err(why) = verdict {
            let class =
                self.docket(credential, |docket| docket.credential.provider.clone()).unwrap_or_default();
            self.say(|| format!("    BROKEN: c{credential} ({class}): {why}"));
            self.notes
                .with(|notes| notes.broken.get_or_insert(format!("c{credential} ({class}): {why}")).len());
        }
    }

    pub(super) fn provider(&self, credential: usize, act: &ProviderAct, replica: ReplicaId, life: &Life) {
        self.say(|| format!("    c{credential} {act:?}"));
        if matches!(act, ProviderAct::Sent(_)) {
            self.count("provider calls");
        }
        let (now, right) = (self.clock.now(), !self.clocks_were_wrong());
        let verdict = self.docket(credential, |docket| docket.provider(act, (replica, life), now, right));
        self.judge(credential, verdict.unwrap_or(Ok(())));
    }

    /// A write of keyturn's took effect in Vault.
    pub(super) fn vault(&self, write: &VaultWrite) {
        match write {
            VaultWrite::Entry { place, value, fields, stamp } => {
                let index = self.index(|docket| docket.credential.store == *place);
                self.say(|| format!("    c{index} entry: {value}, epoch {}", stamp.epoch));
                let verdict = self.docket(index, |docket| docket.published(value, fields, stamp));
                self.judge(index, verdict.unwrap_or(Ok(())));
            }
            VaultWrite::Record { credential, state } => {
                let index = self.index(|docket| docket.credential.name == *credential);
                self.say(|| format!("    c{index} record: {:?}, retry {:?}", state.phase, state.retry));
                self.recorded(index, state);
            }
        }
    }

    fn recorded(&self, index: usize, state: &State) {
        let now = self.clock.now();
        match self.docket(index, |docket| docket.recorded(state, now)) {
            Some(Ok(change)) => {
                if change.began {
                    self.count("rotations started");
                }
                if change.halted {
                    self.count("halted");
                }
                if let Some(outcome) = change.closed {
                    self.count(outcome);
                }
            }
            Some(Err(why)) => self.judge(index, Err(why)),
            None => {}
        }
    }

    fn index(&self, is_it: impl Fn(&Docket) -> bool) -> usize {
        let found = self.notes.with(|notes| notes.dockets.iter().position(is_it));
        found.flatten().unwrap_or(usize::MAX)
    }

    /// P6 of one credential.
    pub(super) fn look_whether_accepted(&self, credential: usize) {
        let now = self.clock.now();
        let troubles = self.notes.with(|notes| notes.troubles.clone()).unwrap_or_default();
        let trouble = |from: Timestamp| {
            let overlap = |(begin, end): &(Timestamp, Timestamp)| {
                let time = (*end).min(now).duration_since((*begin).max(from));
                Duration::try_from(time.max(SignedDuration::ZERO)).unwrap_or_default()
            };
            troubles.iter().map(overlap).sum()
        };
        let verdict = self.docket(credential, |docket| docket.is_accepted(now, trouble));
        self.judge(credential, verdict.unwrap_or(Ok(())));
    }

    /// Forgets troubles that are long over.
    pub(super) fn tidy_up(&self) {
        let long_ago =
            self.clock.now().saturating_sub(SignedDuration::from_hours(3)).unwrap_or(Timestamp::MIN);
        self.notes.with(|notes| notes.troubles.retain(|(_, end)| *end > long_ago));
    }

    /// What was counted, the trace's hash, and the trail's newest lines.
    pub(super) fn conclude(&self) -> (Tally, u64, Vec<String>) {
        let concluded = self.notes.with(|notes| {
            let late = notes.dockets.iter().map(|docket| docket.late() as u64).sum();
            notes.tally.events.insert("keys of late requests (residual risk)", late);
            let trail = notes.trail.iter().flatten().cloned().collect();
            (notes.tally.clone(), notes.trace, trail)
        });
        concluded.unwrap_or_default()
    }
}
