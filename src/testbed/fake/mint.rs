//! What a provider remembers: its keys, the calls that it got, and how the next ones go wrong.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::dice::Draw;
use crate::ids::{KeyId, RotationId};
use crate::provider::Regeneration;
use crate::rotation::{Created, Plan, RefusalClass};
use crate::testbed::Gate;
use crate::testbed::keyring::later;

/// How one regenerate call goes wrong.
#[derive(Debug, Clone)]
pub enum CallFault {
    /// The provider acts, and its answer is lost.
    AnswerLost,
    /// The provider never gets the request, and nobody knows.
    RequestLost,
    /// The provider acts so much later, when the sender has given up.
    Late(Duration),
    /// The provider does not act, and says so.
    Refused(RefusalClass),
    /// The provider does not act, and says how long it wants to be left alone.
    RefusedFor(RefusalClass, Duration),
    /// The provider answers with a status that does not say whether it acted.
    Unclear {
        /// Whether it did.
        acts: bool,
    },
    /// The provider acts, and answers in a form that nobody can read.
    Garbled,
    /// The provider acts, and its answer takes so long.
    Slow(Duration),
    /// The provider acts, and answers without the key.
    NoValue,
    /// The provider acts, and its answer comes once the gate is released.
    Held(Gate),
    /// The sender freezes before its last byte: once the gate is released, the provider acts and answers.
    Frozen(Gate),
}

/// A question that changes nothing at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What the current key is.
    Read,
    /// Whether a key is accepted.
    Probe,
    /// Which keys there are.
    List,
    /// To end a key's life. It can be asked twice.
    Revoke,
}

/// How one question goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionFault {
    /// There is no answer.
    Unavailable,
    /// The provider refuses to say. A probe then counts as not answered.
    Refused(RefusalClass, Option<Duration>),
    /// What it is asked to do takes effect, and the answer is lost.
    AnswerLost,
    /// What it is asked to do takes effect so much later, when nobody waits any more.
    Late(Duration),
}

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
    /// How many keys its callers have chosen.
    chosen: usize,
}

#[derive(Debug, Clone)]
struct Key {
    value: String,
    rotation_id: Option<RotationId>,
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
        self.make(plan, None, None, now)
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

    /// Ends the life of the key with this id; gives it, unless it was over already.
    pub(super) fn revoke(&self, id: &KeyId, now: Timestamp) -> Option<String> {
        let mut revoked = None;
        self.ledger.send_modify(|ledger| {
            let mut keys = ledger.keys.iter_mut().enumerate();
            let found = keys.find(|(number, key)| key_id(*number).as_ref() == Some(id) && key.lives(now));
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

    /// The key that a read shows.
    pub(super) fn shown_key(&self, now: Timestamp) -> String {
        let ledger = self.ledger.borrow();
        let shown = ledger.keys.iter().rev().find(|key| key.shown_at <= now);
        shown.map(|key| key.value.clone()).unwrap_or_default()
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
        let made = self.make(plan, Some(rotation_id), brought, now);
        if self.ledger.borrow().mints_twice {
            self.make(plan, Some(rotation_id), None, now);
        }
        made
    }

    pub(super) fn id_of(&self, value: &str) -> Option<KeyId> {
        self.number_of(value).and_then(key_id)
    }

    fn make(
        &self,
        plan: &Plan,
        rotation_id: Option<RotationId>,
        brought: Option<String>,
        now: Timestamp,
    ) -> String {
        self.ledger.send_modify(|ledger| {
            let number = ledger.keys.len();
            let dies = !ledger.keeps_old_keys && plan.creates.is_none();
            if let Some(before) = ledger.keys.last_mut().filter(|_| dies) {
                before.dies_at = Some(later(now, plan.grace.unwrap_or_default()));
            }
            let delay = plan.propagation.map(|times| times.delay).unwrap_or_default();
            ledger.keys.push(Key {
                value: brought.unwrap_or_else(|| format!("key-{number}")),
                rotation_id,
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

/// The provider's id of the key with this number.
fn key_id(number: usize) -> Option<KeyId> {
    format!("id-{number}").parse().ok()
}

impl Default for FakeMint {
    fn default() -> Self {
        Self::new()
    }
}
