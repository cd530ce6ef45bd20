//! What a provider remembers: its keys, the calls that it got, and how the next ones go wrong.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::dice::Draw;
use super::trouble::{CallFault, Question, QuestionFault};
use crate::ids::{KeyId, RotationId};
use crate::provider::Regeneration;
use crate::rotation::{Created, Plan, RefusalClass};
use crate::testbed::Gate;
use crate::testbed::keyring::later;

/// One regenerate call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MintCall {
    /// The rotation that it was made for.
    pub rotation_id: RotationId,
    /// When it came.
    pub at: Timestamp,
}

/// The provider's side, shared by all replicas.
#[derive(Debug, Clone)]
pub struct FakeMint {
    ledger: Arc<watch::Sender<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    keys: Vec<Key>,
    calls: Vec<MintCall>,
    script: VecDeque<CallFault>,
    outage: Option<RefusalClass>,
    keeps_old_keys: bool,
    stalled: Option<Gate>,
    reads: usize,
    probes: usize,
    read_lag: Duration,
    question_script: VecDeque<(Question, QuestionFault)>,
    call_chance: Option<Draw<RotationId, CallFault>>,
    question_chance: Option<Draw<Question, QuestionFault>>,
    mints_twice: bool,
    hides_its_marker: bool,
    /// How many keys its callers have chosen.
    chosen: usize,
}

#[derive(Debug, Clone)]
struct Key {
    value: String,
    rotation_id: Option<RotationId>,
    /// Which of several named keys it is.
    slot: usize,
    usable_at: Timestamp,
    shown_at: Timestamp,
    dies_at: Option<Timestamp>,
}

impl FakeMint {
    /// A provider with one key, which it accepts.
    pub fn new() -> Self {
        let first = Key {
            value: "key-0".into(),
            rotation_id: None,
            slot: 0,
            usable_at: Timestamp::MIN,
            shown_at: Timestamp::MIN,
            dies_at: None,
        };
        let (ledger, _) = watch::channel(Ledger { keys: vec![first], ..Ledger::default() });
        Self { ledger: Arc::new(ledger) }
    }

    /// Lets the next call that no other fault awaits go wrong.
    pub fn next(&self, fault: CallFault) {
        self.ledger.send_modify(|ledger| ledger.script.push_back(fault));
    }

    /// Lets the next question of this kind that no other fault awaits go wrong.
    pub fn next_question(&self, question: Question, fault: QuestionFault) {
        self.ledger.send_modify(|ledger| ledger.question_script.push_back((question, fault)));
    }

    /// Refuses every call, read and probe in this way, until it recovers.
    pub fn go_down(&self, class: RefusalClass) {
        self.ledger.send_modify(|ledger| ledger.outage = Some(class));
    }

    /// Lets chance decide about each call, and each question, that no other fault awaits.
    pub fn suffer(&self, calls: Draw<RotationId, CallFault>, questions: Draw<Question, QuestionFault>) {
        self.ledger.send_modify(|ledger| {
            ledger.call_chance = Some(calls);
            ledger.question_chance = Some(questions);
        });
    }

    /// Shows a new key only so much later to whoever reads it.
    pub fn show_late(&self, lag: Duration) {
        self.ledger.send_modify(|ledger| ledger.read_lag = lag);
    }

    /// Shows nothing any more that changes with the key.
    pub fn hide_marker(&self) {
        self.ledger.send_modify(|ledger| ledger.hides_its_marker = true);
    }

    /// What changes with the key, and does not show it.
    pub(super) fn marker(&self, slot: usize, now: Timestamp) -> Option<String> {
        let is_shown = !self.ledger.borrow().hides_its_marker;
        is_shown.then(|| format!("mark of {}", self.shown_key(slot, now)))
    }

    /// Makes two keys at each call from now on: a defect, to see who notices.
    pub fn mint_twice(&self) {
        self.ledger.send_modify(|ledger| ledger.mints_twice = true);
    }

    /// Ends the outage.
    pub fn recover(&self) {
        self.ledger.send_modify(|ledger| ledger.outage = None);
    }

    /// Answers no read and no probe until the gate is released.
    pub fn stall(&self, gate: &Gate) {
        self.ledger.send_modify(|ledger| ledger.stalled = Some(gate.clone()));
    }

    /// Never ends a key's life any more.
    pub fn keep_old_keys(&self) {
        self.ledger.send_modify(|ledger| ledger.keeps_old_keys = true);
    }

    /// Makes a key behind keyturn's back, as a person does at the provider's console.
    pub fn mint_by_hand(&self, plan: &Plan, now: Timestamp) -> String {
        let slot = self.ledger.borrow().keys.len() % plan.slots.len().max(1);
        self.make(plan, (None, slot), None, now)
    }

    /// All regenerate calls, oldest first.
    pub fn calls(&self) -> Vec<MintCall> {
        self.ledger.borrow().calls.clone()
    }

    /// How many keys were made for one rotation.
    pub fn minted_for(&self, rotation_id: RotationId) -> usize {
        let ledger = self.ledger.borrow();
        ledger.keys.iter().filter(|key| key.rotation_id == Some(rotation_id)).count()
    }

    /// How many keys were made in all.
    pub fn minted(&self) -> usize {
        self.ledger.borrow().keys.len() - 1
    }

    /// How many reads of the current key came.
    pub fn reads(&self) -> usize {
        self.ledger.borrow().reads
    }

    /// How many probes came.
    pub fn probes(&self) -> usize {
        self.ledger.borrow().probes
    }

    /// The newest key, which is the one that counts.
    pub fn newest_key(&self) -> String {
        self.ledger.borrow().keys.last().map(|key| key.value.clone()).unwrap_or_default()
    }

    /// Whether a key is accepted.
    pub fn accepts(&self, value: &str, now: Timestamp) -> bool {
        let alive = |key: &Key| key.usable_at <= now && key.dies_at.is_none_or(|dies_at| now < dies_at);
        self.ledger.borrow().keys.iter().any(|key| key.value == value && alive(key))
    }

    /// Which key this is, counted from the first; `None` for one that was never made.
    pub fn number_of(&self, value: &str) -> Option<usize> {
        self.ledger.borrow().keys.iter().rposition(|key| key.value == value)
    }

    /// The key with this number.
    pub fn key_number(&self, number: usize) -> String {
        self.ledger.borrow().keys.get(number).map(|key| key.value.clone()).unwrap_or_default()
    }

    /// The rotation that a key was made for.
    pub fn maker_of(&self, number: usize) -> Option<RotationId> {
        self.ledger.borrow().keys.get(number)?.rotation_id
    }

    /// When a key dies; `None` while it is the newest.
    pub fn death_of(&self, value: &str) -> Option<Timestamp> {
        self.ledger.borrow().keys.iter().rev().find(|key| key.value == value)?.dies_at
    }

    /// The keys that are accepted, oldest first.
    pub fn live_keys(&self, now: Timestamp) -> Vec<String> {
        self.ledger.borrow().keys.iter().filter(|key| key.lives(now)).map(|key| key.value.clone()).collect()
    }

    /// The keys that were made for rotations and live, as a listing shows them.
    pub(super) fn listed(&self, now: Timestamp) -> Vec<Created> {
        let ledger = self.ledger.borrow();
        let shown = ledger.keys.iter().enumerate().filter(|(_, key)| key.lives(now) && key.shown_at <= now);
        let made = shown.filter_map(|(number, key)| {
            Some(Created { key_id: key_id(number)?, rotation_id: key.rotation_id? })
        });
        made.collect()
    }

    /// Ends the life of the pending key, as a person does at the provider's console.
    pub fn lose_pending_key(&self, now: Timestamp) {
        self.revoke(&KeyId::of_the_pending_key(), now);
    }

    /// Ends the life of the key with this id; gives it, unless it was over already.
    pub(super) fn revoke(&self, id: &KeyId, now: Timestamp) -> Option<String> {
        let mut revoked = None;
        self.ledger.send_modify(|ledger| {
            let living: Vec<_> = (0..).zip(&ledger.keys).filter(|(_, key)| key.lives(now)).collect();
            let place =
                |place: usize| living.get(place).filter(|_| living.len() == 2).map(|(number, _)| *number);
            let meant = match id {
                old if *old == KeyId::of_the_old_key() => place(0),
                pending if *pending == KeyId::of_the_pending_key() => place(1),
                _ => (0..ledger.keys.len()).find(|number| key_id(*number).as_ref() == Some(id)),
            };
            let mut keys = ledger.keys.iter_mut().enumerate();
            let found = keys.find(|(number, key)| Some(*number) == meant && key.lives(now));
            if let Some((_, key)) = found {
                key.dies_at = Some(now);
                revoked = Some(key.value.clone());
            }
        });
        revoked
    }

    /// Whether the provider lets a further key live.
    pub(super) fn has_place(&self, plan: &Plan, now: Timestamp) -> bool {
        let keys_max = plan.creates.as_ref().and_then(|creates| creates.keys_max);
        keys_max.is_none_or(|max| self.live_keys(now).len() < max as usize)
    }

    /// The key that a read shows: of several named ones, that in the slot.
    pub(super) fn shown_key(&self, slot: usize, now: Timestamp) -> String {
        let ledger = self.ledger.borrow();
        let shown = ledger.keys.iter().rev().find(|key| key.shown_at <= now && key.slot == slot);
        shown.map_or_else(|| format!("never-used-{slot}"), |key| key.value.clone())
    }

    /// How a question goes wrong.
    pub(super) fn question_fault(&self, question: Question) -> Option<QuestionFault> {
        if self.outage().is_some() {
            return Some(QuestionFault::Unavailable);
        }
        let mut scripted = None;
        self.ledger.send_modify(|ledger| {
            let place = ledger.question_script.iter().position(|(awaited, _)| *awaited == question);
            scripted = place.and_then(|place| ledger.question_script.remove(place)).map(|(_, fault)| fault);
        });
        let chance = self.ledger.borrow().question_chance.clone();
        scripted.or_else(|| chance?.ask(question))
    }

    pub(super) fn outage(&self) -> Option<RefusalClass> {
        self.ledger.borrow().outage
    }

    pub(super) async fn stand_in_line(&self) {
        let stalled = self.ledger.borrow().stalled.clone();
        if let Some(gate) = stalled {
            gate.pass().await;
        }
    }

    pub(super) fn count_read(&self) {
        self.ledger.send_modify(|ledger| ledger.reads += 1);
    }

    pub(super) fn count_probe(&self) {
        self.ledger.send_modify(|ledger| ledger.probes += 1);
    }

    /// Notes a call; says how it shall go wrong.
    pub(super) fn receive(&self, rotation_id: RotationId, at: Timestamp) -> Option<CallFault> {
        let mut fault = None;
        self.ledger.send_modify(|ledger| {
            ledger.calls.push(MintCall { rotation_id, at });
            fault = ledger.outage.map(CallFault::Refused).or_else(|| ledger.script.pop_front());
        });
        let chance = self.ledger.borrow().call_chance.clone();
        fault.or_else(|| chance?.ask(rotation_id))
    }

    /// A key for a caller who chooses it, different from all others.
    pub(super) fn choose(&self) -> String {
        self.ledger.send_modify(|ledger| ledger.chosen += 1);
        format!("chosen-{}", self.ledger.borrow().chosen)
    }

    /// Makes a key, or finds the one that it made for the same rotation before, where the plan says that it does. One that the
    /// caller brings is the newest from here on, whenever the call was made.
    pub(super) fn regenerate(&self, plan: &Plan, what: Regeneration<'_>, now: Timestamp) -> String {
        let rotation_id = what.rotation;
        let brought = what.supplied.map(|supplied| supplied.expose().to_owned());
        if let Some(brought) = brought.as_ref().filter(|brought| **brought == self.newest_key()) {
            return brought.clone();
        }
        let known = |key: &&Key| plan.replay.is_some() && key.rotation_id == Some(rotation_id);
        if let Some(key) = self.ledger.borrow().keys.iter().find(known) {
            return key.value.clone();
        }
        let place = (Some(rotation_id), slot_of(plan, what.slot));
        let made = self.make(plan, place, brought, now);
        if self.ledger.borrow().mints_twice {
            self.make(plan, place, None, now);
        }
        made
    }

    pub(super) fn id_of(&self, value: &str) -> Option<KeyId> {
        self.number_of(value).and_then(key_id)
    }

    fn make(
        &self,
        plan: &Plan,
        (rotation_id, slot): (Option<RotationId>, usize),
        brought: Option<String>,
        now: Timestamp,
    ) -> String {
        self.ledger.send_modify(|ledger| {
            let number = ledger.keys.len();
            let dies = !ledger.keeps_old_keys && plan.creates.is_none();
            let grace = plan.grace.filter(|_| plan.slots.is_empty()).unwrap_or_default();
            if let Some(before) = ledger.keys.iter_mut().rfind(|key| key.slot == slot).filter(|_| dies) {
                before.dies_at = Some(later(now, grace));
            }
            let delay = plan.propagation.map(|times| times.delay).unwrap_or_default();
            ledger.keys.push(Key {
                value: brought.unwrap_or_else(|| format!("key-{number}")),
                rotation_id,
                slot,
                usable_at: later(now, delay),
                shown_at: later(now, ledger.read_lag),
                dies_at: None,
            });
        });
        self.newest_key()
    }
}

impl Key {
    fn lives(&self, now: Timestamp) -> bool {
        self.dies_at.is_none_or(|dies_at| now < dies_at)
    }
}

/// Which of several named keys this one is; a provider with one has the first.
pub(super) fn slot_of(plan: &Plan, name: Option<&KeyId>) -> usize {
    plan.slots.iter().position(|slot| Some(slot) == name).unwrap_or_default()
}

/// The provider's id of the key with this number.
fn key_id(number: usize) -> Option<KeyId> {
    format!("id-{number}").parse().ok()
}

impl Default for FakeMint {
    fn default() -> Self {
        Self::new()
    }
}
