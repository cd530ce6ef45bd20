//! What a simulated provider remembers: its keys, the calls that it got, and the answers that it may replay.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::keyring::{Keyring, later};
use super::reply::Reply;

/// What a call asks of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Make a new key.
    Regenerate,
    /// Show the current key.
    Read,
    /// Say whether a key is accepted.
    Probe,
    /// Give an access token for a secret.
    Token,
    /// List the keys that live side by side.
    List,
    /// Let one of them die.
    Revoke,
    /// Something that the provider does not know.
    Unknown,
}

/// One call that a simulator got; it holds no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// The method and path.
    pub target: String,
    /// The idempotency key that was sent, whether the provider honours it or not.
    pub idempotency_key: Option<String>,
    /// Tells the key that it brought from others, where the caller chooses it.
    pub brought: Option<u64>,
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// What came of it at the provider, whatever the caller heard.
    pub outcome: CallOutcome,
}

/// What came of a call at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It is still being worked on.
    InFlight,
    /// The provider did what was asked.
    Done,
    /// The provider gave the answer of an earlier call with the same idempotency key.
    Replayed,
    /// The provider did nothing, and said so with this status.
    Refused(u16),
}

/// How long PublicSquare keeps an answer for its idempotency key.
const ANSWER_KEPT_FOR: Duration = Duration::from_hours(24);

/// All that a simulated provider remembers.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The keys.
    pub(super) keys: Keyring,
    /// The calls, oldest first.
    pub(super) calls: Vec<Call>,
    /// How far a test has moved the simulator's clock.
    pub(super) clock_offset: SignedDuration,
    faults: Vec<(Operation, Fault)>,
    answers: HashMap<String, (Timestamp, Reply)>,
    in_progress: HashSet<String>,
}

/// What the ledger says of an idempotency key.
#[derive(Debug)]
pub(super) enum Idempotency {
    /// Not seen yet; it is now in progress.
    New,
    /// A call with it is in progress.
    InProgress,
    /// A call with it succeeded.
    Answered(Reply),
}

impl Ledger {
    pub(super) fn new(keys: Keyring) -> Self {
        Self {
            keys,
            calls: Vec::new(),
            clock_offset: SignedDuration::ZERO,
            faults: Vec::new(),
            answers: HashMap::new(),
            in_progress: HashSet::new(),
        }
    }

    /// Lets the next call of this kind that no other fault awaits go wrong.
    pub(super) fn add_fault(&mut self, operation: Operation, fault: Fault) {
        self.faults.push((operation, fault));
    }

    /// Drops the faults that no call has met yet.
    pub(super) fn forget_faults(&mut self) {
        self.faults.clear();
    }

    /// Notes a call; gives its place in the list, and how it shall go wrong.
    pub(super) fn open_call(&mut self, call: Call) -> (usize, Fault) {
        let waiting = self.faults.iter().position(|(operation, _)| *operation == call.operation);
        let fault = waiting.map_or_else(Fault::none, |place| self.faults.remove(place).1);
        self.calls.push(call);
        (self.calls.len() - 1, fault)
    }

    /// Notes what came of a call.
    pub(super) fn close_call(&mut self, place: usize, outcome: CallOutcome) {
        if let Some(call) = self.calls.get_mut(place) {
            call.outcome = outcome;
        }
    }

    /// Looks an idempotency key up, and marks a new one as in progress.
    pub(super) fn begin(&mut self, key: &str, now: Timestamp) -> Idempotency {
        match self.answers.get(key) {
            Some((answered_at, reply)) if now < later(*answered_at, ANSWER_KEPT_FOR) => {
                return Idempotency::Answered(reply.clone());
            }
            _ => {}
        }
        if self.in_progress.insert(key.to_owned()) { Idempotency::New } else { Idempotency::InProgress }
    }

    /// Ends what [`Ledger::begin`] began; only a success is kept.
    pub(super) fn end(&mut self, key: &str, reply: &Reply, now: Timestamp) {
        self.in_progress.remove(key);
        if reply.is_success() {
            self.answers.insert(key.to_owned(), (now, reply.clone()));
        }
    }
}
