//! What is known of one credential from outside, and what must hold of it at each act of provider and Vault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::engine::Credential;
use crate::ids::{KvVersion, ReplicaId, RotationId};
use crate::rotation::{ClosedAs, Doubt, HaltReason, Phase, Plan, Rotation, State};
use crate::testbed::fake::{FakeMint, Life, PAIR, ProviderAct, has_pairs, pair_of};
use crate::vault::Stamp;

/// Why a promise is broken; nothing where it is kept.
pub(super) type Verdict = Result<(), String>;

/// One credential, as somebody sees it who sees everything.
#[derive(Debug)]
pub(super) struct Docket {
    pub(super) credential: Credential,
    pub(super) plan: Plan,
    pub(super) mint: FakeMint,
    /// When keys left the entry.
    pub(super) left_the_entry: BTreeMap<usize, Timestamp>,
    /// The number of the key in the entry, and of the newest that was ever there.
    pub(super) entry: usize,
    epoch: KvVersion,
    pub(super) state: Option<State>,
    /// Keys whose request left after its claim was lost, or outlived its sender, and those that such a request ended: the
    /// residual risk.
    pub(super) late: BTreeSet<usize>,
    /// Keys of rotations that a person has settled.
    given_up: BTreeSet<usize>,
    resolved: BTreeSet<RotationId>,
    /// Requests that may have taken effect, and keys that were made.
    calls: BTreeMap<RotationId, u32>,
    made: BTreeMap<RotationId, u32>,
    newest_seen: usize,
    sent_late: BTreeSet<(RotationId, Timestamp)>,
    /// The newest key that an escrow said it had sealed.
    promised: usize,
    /// Answers that reached a replica, and the life that they reached.
    heard: Vec<(usize, Life)>,
    pub(super) halted_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
}

/// What the newest write of the record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) began: bool,
    pub(super) closed: Option<&'static str>,
    pub(super) halted: bool,
}

impl Docket {
    pub(super) fn new(credential: Credential, plan: Plan, mint: FakeMint) -> Self {
        Self {
            credential,
            plan,
            mint,
            left_the_entry: BTreeMap::new(),
            entry: 0,
            epoch: KvVersion(0),
            state: None,
            late: BTreeSet::new(),
            given_up: BTreeSet::new(),
            resolved: BTreeSet::new(),
            calls: BTreeMap::new(),
            made: BTreeMap::new(),
            newest_seen: 0,
            sent_late: BTreeSet::new(),
            promised: 0,
            heard: Vec::new(),
            halted_at: None,
            refused_at: None,
            quiet_until: None,
        }
    }

    pub(super) fn open(&self) -> Option<&Rotation> {
        self.state.as_ref()?.phase.rotation()
    }

    fn is_halted(&self) -> bool {
        matches!(self.state.as_ref().map(|state| &state.phase), Some(Phase::Halted { .. }))
    }

    /// The number of the provider's newest key.
    pub(super) fn newest(&self) -> usize {
        self.mint.minted()
    }

    /// How many keys came too late for their claim.
    pub(super) fn late(&self) -> usize {
        self.late.len()
    }

    /// Something happened between a replica and the provider. `clocks_are_right` while no wall clock was set wrong.
    pub(super) fn provider(
        &mut self,
        act: &ProviderAct,
        (replica, life): (ReplicaId, &Life),
        now: Timestamp,
        clocks_are_right: bool,
    ) -> Verdict {
        match act {
            ProviderAct::Sent(id) => self.sent(*id, replica, now, clocks_are_right),
            ProviderAct::Refused { rotation_id, .. } => {
                self.refused_at = Some(now);
                self.calls.entry(*rotation_id).and_modify(|calls| *calls = calls.saturating_sub(1));
                Ok(())
            }
            ProviderAct::Revoked { key, took } => self.revoked(key, *took, now, clocks_are_right),
            ProviderAct::Made { rotation_id, key, sent_at } => self.made(*rotation_id, key, *sent_at, now),
            ProviderAct::Heard { key, .. } => {
                let number = self.number(key)?;
                self.heard.push((number, life.clone()));
                Ok(())
            }
        }
    }

    fn sent(
        &mut self,
        id: RotationId,
        replica: ReplicaId,
        now: Timestamp,
        clocks_are_right: bool,
    ) -> Verdict {
        let calls = self.calls.entry(id).or_default();
        *calls += 1;
        let (made, allowed) = (*calls, self.plan.redo.unwrap_or(1));
        if made > allowed && self.plan.replay.is_none() {
            return Err(format!("P3: request {made} of rotation {id}; its provider allows {allowed}"));
        }
        let claimed = |open: &&Rotation| open.rotation_id == id && open.holder == replica;
        match self.open().filter(claimed) {
            None => drop(self.sent_late.insert((id, now))),
            Some(open) => {
                let early = self.quiet_until.is_some_and(|until| now < until);
                if early && open.calls == 1 && !open.request.emergency && clocks_are_right && made == 1 {
                    return Err(format!(
                        "P8: rotation {id} called before the provider's Retry-After was over"
                    ));
                }
            }
        }
        Ok(())
    }

    fn made(&mut self, id: RotationId, key: &str, sent_at: Timestamp, now: Timestamp) -> Verdict {
        let number = self.number(key)?;
        self.quiet_until = None;
        if number <= self.newest_seen {
            return Ok(());
        }
        self.newest_seen = number;
        let made = self.made.entry(id).or_default();
        *made += 1;
        let (made, allowed) = (*made, self.plan.redo.unwrap_or(1));
        if made > allowed {
            return Err(format!(
                "P3: {made} keys were made for rotation {id}; its provider allows {allowed}"
            ));
        }
        let outlived = now > after(sent_at, self.plan.call_timeout + self.plan.settle);
        if outlived || self.sent_late.contains(&(id, sent_at)) {
            self.late.insert(number);
        }
        if self.resolved.contains(&id) {
            self.given_up.insert(number);
        }
        Ok(())
    }

    pub(super) fn number(&self, key: &str) -> Result<usize, String> {
        self.mint.number_of(key).ok_or_else(|| format!("P2: {key:?} is no key that the provider made"))
    }

    /// keyturn wrote the entry.
    pub(super) fn published(
        &mut self,
        value: &str,
        fields: &BTreeMap<String, String>,
        stamp: &Stamp,
    ) -> Verdict {
        let number = self.number(value)?;
        let pair = has_pairs(&self.plan).then(|| (PAIR.to_owned(), pair_of(value)));
        if *fields != BTreeMap::from_iter(pair) || stamp.fields.len() != fields.len() {
            return Err(format!("P2: beside key {number} stands what does not go with it"));
        }
        let (before, epoch) = (self.entry, self.epoch);
        self.entry = number;
        self.epoch = stamp.epoch;
        if before != number {
            self.left_the_entry.insert(before, stamp.published_at);
        }
        if number < before {
            return Err(format!("P2: the entry went from key {before} back to key {number}"));
        }
        if stamp.epoch < epoch {
            return Err(format!("P5: epoch {} wrote over epoch {epoch}", stamp.epoch));
        }
        let own = self.mint.maker_of(number) == Some(stamp.rotation_id) || self.late.contains(&number);
        if own { Ok(()) } else { Err(format!("P2: the stamp of {} beside key {number}", stamp.rotation_id)) }
    }

    /// A person put a key into the entry.
    pub(super) fn put_by_hand(&mut self, number: usize) {
        self.entry = number;
    }

    /// keyturn wrote the record.
    pub(super) fn recorded(&mut self, state: &State, now: Timestamp) -> Result<Change, String> {
        let before = self.state.replace(state.clone());
        let open_before = before.as_ref().and_then(|state| state.phase.rotation());
        let open = state.phase.rotation();
        let newest = |state: &State| state.history.first().map(|closed| closed.rotation_id);
        let closes = newest(state).is_some() && newest(state) != before.as_ref().and_then(newest);
        let halted = matches!(state.phase, Phase::Halted { .. });
        if halted {
            self.halted_at = Some(now);
            self.halts_for_a_reason(state)?;
        }
        if let (Some(before), Some(open)) = (open_before, open)
            && open.epoch < before.epoch
        {
            return Err(format!("P5: the record's epoch went from {} to {}", before.epoch, open.epoch));
        }
        if state.history.len() > crate::rotation::HISTORY_MAX {
            return Err(format!("growth: {} closed rotations in the record", state.history.len()));
        }
        Ok(Change {
            began: open.is_some_and(|open| open_before.is_none_or(|old| old.rotation_id != open.rotation_id)),
            closed: if closes { Some(self.closed(state, now)?) } else { None },
            halted: halted && !matches!(before.map(|state| state.phase), Some(Phase::Halted { .. })),
        })
    }

    fn halts_for_a_reason(&self, state: &State) -> Verdict {
        let Phase::Halted { rotation, halt } = &state.phase else { return Ok(()) };
        let Plan { read, marker, replay, redo, probe, creates, .. } = &self.plan;
        let shows = read.is_some() || marker.is_some() && rotation.baseline.marker.is_some();
        let may = match halt.reason {
            HaltReason::NoWayToTell { .. } | HaltReason::MeansExhausted { .. } if creates.is_some() => false,
            HaltReason::NoWayToTell { .. } => !shows && replay.is_none() && redo.is_none(),
            HaltReason::MeansExhausted { .. } => read.is_some() || replay.is_some() || redo.is_some(),
            HaltReason::AnswerLost { ref doubt } => {
                let made_one = self.made.contains_key(&rotation.rotation_id) || !self.late.is_empty();
                made_one && (marker.is_some() || *doubt == Doubt::NoValue)
            }
            HaltReason::ReadRefused { .. } => shows,
            HaltReason::NewKeyRefused | HaltReason::NewKeyNotProven => *probe,
        };
        if may { Ok(()) } else { Err(format!("P8: it halted with {:?}, though it has means", halt.reason)) }
    }

    fn closed(&mut self, state: &State, now: Timestamp) -> Result<&'static str, String> {
        let Some(closed) = state.history.first() else { return Ok("none") };
        let name = match &closed.outcome {
            ClosedAs::Rotated { .. } => "rotated",
            ClosedAs::Failed { refusal } => {
                // What died with a process before it was recorded binds nobody, and the newest word counts.
                self.quiet_until =
                    refusal.retry_after.map(|time| after(self.refused_at.unwrap_or(now), time));
                if state.retry.is_some() && !refusal.class.is_passing() {
                    return Err(format!("P8: {} is tried again by itself", refusal.class.code()));
                }
                "failed"
            }
            ClosedAs::NotApplied { .. } => "not applied",
            ClosedAs::Resolved { .. } => {
                self.resolved.insert(closed.rotation_id);
                self.given_up.extend(self.entry + 1..=self.newest());
                "resolved"
            }
        };
        self.holds_the_newest().map(|()| name)
    }

    /// P4: while nothing is open, the entry has the provider's newest key; the residual risk and what a person gave
    /// up aside.
    pub(super) fn holds_the_newest(&self) -> Verdict {
        let newest = self.newest();
        if self.plan.creates.is_some() {
            // Which of the live keys counts is what Vault says; that it lives is P6.
            return Ok(());
        }
        if self.late.contains(&self.entry) {
            // A read can show such a key while a newer one does not show yet.
            return Ok(());
        }
        let missing =
            (self.entry + 1..=newest).find(|key| !self.late.contains(key) && !self.given_up.contains(key));
        match missing {
            None => Ok(()),
            Some(_) => {
                Err(format!("P4: idle with key {} in the entry, and {newest} is the newest", self.entry))
            }
        }
    }

    /// P1: what an escrow said it had sealed is published or kept, or gave way to a newer one.
    pub(super) fn sealed(&mut self, keys: &[String], newest_kept: usize) -> Verdict {
        for key in keys {
            self.promised = self.promised.max(self.number(key)?);
        }
        if self.plan.creates.is_some() {
            return Ok(());
        }
        if self.promised > newest_kept.max(self.entry) {
            return Err(format!("P1: key {} was sealed, and is nowhere", self.promised));
        }
        Ok(())
    }

    /// P1: what was erased is published, or older than what is kept.
    pub(super) fn erased(&self, keys: &[String], newest_kept: usize, now: Timestamp) -> Verdict {
        for key in keys {
            let number = self.number(key)?;
            if self.plan.creates.is_some() {
                self.is_not_missed(number, now)?;
                continue;
            }
            if number > newest_kept.max(self.entry) {
                return Err(format!("P1: key {number} was erased; the newest that is kept is {newest_kept}"));
            }
        }
        Ok(())
    }

    /// P1: every answer that reached a replica is published or kept, or gave way to a newer one.
    pub(super) fn nothing_lost(&self, newest_kept: usize) -> Verdict {
        if self.is_halted() || self.plan.creates.is_some() {
            return Ok(());
        }
        let kept = newest_kept.max(self.entry);
        let lost = self
            .heard
            .iter()
            .find(|(number, life)| *number > kept && !life.is_over() && !self.given_up.contains(number));
        lost.map_or(Ok(()), |(number, _)| Err(format!("P1: key {number} reached a replica, and is nowhere")))
    }

    /// P6: with a grace window the published key is accepted. `trouble` is the time from the given moment on in which
    /// nobody could have done anything.
    pub(super) fn is_accepted(&self, now: Timestamp, trouble: impl Fn(Timestamp) -> Duration) -> Verdict {
        let key = self.mint.key_number(self.entry);
        if self.mint.accepts(&key, now) {
            return Ok(());
        }
        let late = self.late.iter().chain(&self.given_up).any(|key| *key > self.entry);
        if !self.plan.slots.is_empty() && !late {
            return Err(format!("P6: {key} is published, and its slot was made anew"));
        }
        if self.plan.creates.is_some() && self.plan.propagation.is_none() && !self.late.contains(&self.entry)
        {
            return Err(format!("P6: {key} is published, and dead"));
        }
        let Some(grace) = self.plan.grace else { return Ok(()) };
        let Some(dies_at) = self.mint.death_of(&key) else {
            let settled_by_hand = self.halted_at.is_some();
            return if settled_by_hand {
                Ok(())
            } else {
                Err(format!("P6: {key} was published before its time"))
            };
        };
        let replaced_at = before(dies_at, grace);
        let excused = self.is_halted()
            || self.halted_at.is_some_and(|at| at >= replaced_at)
            || self.late.contains(&self.entry)
            || late
            || trouble(replaced_at) >= grace / 4;
        if excused { Ok(()) } else { Err(format!("P6: {key} is published, and dead since {dies_at}")) }
    }
}

pub(super) fn after(time: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    time.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

fn before(time: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    time.saturating_sub(delay).unwrap_or(Timestamp::MIN)
}
