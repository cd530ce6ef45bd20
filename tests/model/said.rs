//! What is said to the core, in the model's small numbers; each becomes a real event.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyturn::ids::{KeyId, KvVersion};
use keyturn::rotation::{
    Answer, Baseline, Created, Decision, Doubt, Event, Evidence, Holding, Outcome, Plan, Problem, Reading,
    Refusal, RefusalClass, Request, Trigger, Verdict,
};
use keyturn::secret::Fingerprint;

use super::world::{Key, Number, at, replica_id, rotation_id};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    Requested(Number),
    Preflighted {
        rotation: Number,
        replica: usize,
        epoch: u8,
        shown: Option<Key>,
        /// Which of several named keys is made anew.
        slot: Option<u8>,
        entry: (Key, u8),
    },
    Called(Heard),
    Read(Shown),
    Sealed,
    Probed(Seen),
    Published(u8),
    Fenced,
    Woke,
    Released(usize),
    /// The provider listed keys: for each, from the lowest, four bits with the rotation that it was made for.
    Listed {
        keys: u32,
        entry: Key,
    },
    Revoked(Key),
    /// A sealed answer of a closed rotation.
    Beside {
        rotation: Number,
        told: Told,
        entry: Key,
        replica: usize,
    },
    Resolved {
        decision: Decides,
        replica: usize,
        epoch: u8,
    },
    Resumed {
        replica: usize,
        lapsed: bool,
        epoch: u8,
        holding: Holds,
        published: Option<(Told, u8)>,
    },
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Heard {
    Key(Told),
    Unreachable,
    Forbidden,
    NoValue,
    Timeout,
}

/// What is known of a key: which call brought it, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    pub(crate) key: Key,
    pub(crate) call: u8,
    pub(crate) made_at: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shown {
    Changed(Told),
    Replaced,
    Unchanged,
    Unavailable,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    Accepted,
    NotAccepted,
    Unavailable,
    NoProbe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holds {
    Nothing,
    Unsent,
    Sent,
    Answer(Told),
}

/// What a person decides about a rotation that is in doubt or halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Decides {
    KeepCurrent,
    TryAgain,
}

impl Decides {
    pub(crate) const fn decision(self) -> Decision {
        match self {
            Self::KeepCurrent => Decision::KeepCurrent,
            Self::TryAgain => Decision::TryAgain,
        }
    }
}

impl Said {
    pub(crate) fn event(self, plan: &Plan, now: Timestamp) -> Event {
        match self {
            Self::Requested(number) => {
                Event::Requested { rotation_id: rotation_id(number), request: request(), now }
            }
            Self::Preflighted { rotation, replica, epoch, shown, slot, entry: (key, version) } => {
                Event::Preflighted {
                    rotation_id: rotation_id(rotation),
                    request: request(),
                    replica: replica_id(replica),
                    epoch: KvVersion(u64::from(epoch)),
                    baseline: Baseline {
                        provider: shown.filter(|_| plan.marker.is_none()).map(fingerprint),
                        marker: shown.filter(|_| plan.marker.is_some()).map(fingerprint),
                        entry: Some(fingerprint(key)),
                        entry_version: KvVersion(u64::from(version)),
                        key_id: None,
                        slot: slot.map(|slot| plan.slots[usize::from(slot)].clone()),
                    },
                    now,
                }
            }
            Self::Called(heard) => Event::Called { outcome: heard.outcome(plan), now },
            Self::Read(shown) => Event::Read { reading: shown.reading(plan), now },
            Self::Sealed => Event::Sealed { now },
            Self::Probed(seen) => Event::Probed { verdict: seen.verdict(), now },
            Self::Published(version) => Event::Published { version: KvVersion(u64::from(version)), now },
            Self::Fenced => Event::Fenced { now },
            Self::Woke => Event::Woke { now },
            Self::Released(replica) => Event::Released { replica: replica_id(replica) },
            Self::Listed { keys, entry } => {
                Event::Listed { keys: created(keys), entry: Some(fingerprint(entry)), now }
            }
            Self::Revoked(key) => Event::Revoked { key_id: key_id(key) },
            Self::Beside { rotation, told, entry, replica } => Event::Orphaned {
                rotation_id: rotation_id(rotation),
                answer: told.answer(plan),
                evidence: Evidence::Beside,
                baseline: Baseline { entry: Some(fingerprint(entry)), ..Baseline::default() },
                unchanged_for: LONG,
                replica: replica_id(replica),
                epoch: KvVersion(0),
                now,
            },
            Self::Resolved { decision, replica, epoch } => Event::Resolved {
                decision: decision.decision(),
                replica: replica_id(replica),
                epoch: KvVersion(u64::from(epoch)),
                now,
            },
            Self::Resumed { replica, lapsed, epoch, holding, published } => Event::Resumed {
                replica: replica_id(replica),
                lapsed,
                epoch: KvVersion(u64::from(epoch)),
                holding: holding.holding(plan),
                published: published
                    .map(|(told, version)| (told.answer(plan), KvVersion(u64::from(version)))),
                now,
            },
        }
    }
}

impl Heard {
    fn outcome(self, plan: &Plan) -> Outcome<Answer> {
        match self {
            Self::Key(told) => Outcome::Applied(told.answer(plan)),
            Self::Unreachable => Outcome::NotApplied(refusal(RefusalClass::Unreachable)),
            Self::Forbidden => Outcome::NotApplied(refusal(RefusalClass::Forbidden)),
            Self::NoValue => Outcome::AppliedNoValue,
            Self::Timeout => Outcome::Unknown(Doubt::Timeout),
        }
    }
}

impl Told {
    fn answer(self, plan: &Plan) -> Answer {
        let grace = plan.grace.map(|grace| SignedDuration::try_from(grace).unwrap());
        Answer {
            fingerprint: fingerprint(self.key),
            previous_expires_at: grace.map(|grace| at(self.made_at) + grace),
            received_at: at(0),
            call: u32::from(self.call),
            key_id: plan
                .creates
                .as_ref()
                .filter(|creates| creates.phases.is_none())
                .map(|_| key_id(self.key)),
        }
    }
}

impl Shown {
    fn reading(self, plan: &Plan) -> Reading {
        match self {
            Self::Changed(told) => Reading::Changed(told.answer(plan)),
            Self::Replaced => Reading::Replaced,
            Self::Unchanged => Reading::Unchanged,
            Self::Unavailable => Reading::Unavailable(Problem::default()),
            Self::Refused => Reading::Refused(refusal(RefusalClass::Forbidden)),
        }
    }
}

impl Seen {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Accepted => Verdict::Accepted,
            Self::NotAccepted => Verdict::NotAccepted,
            Self::Unavailable => Verdict::Unavailable,
            Self::NoProbe => Verdict::NoProbe,
        }
    }
}

impl Holds {
    fn holding(self, plan: &Plan) -> Holding {
        match self {
            Self::Nothing => Holding::Nothing,
            Self::Unsent => Holding::Unsent,
            Self::Sent => Holding::Sent,
            Self::Answer(told) => Holding::Answer(told.answer(plan)),
        }
    }
}

fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, problem: Problem::default(), retry_after: None }
}

const fn request() -> Request {
    Request { trigger: Trigger::Manual, emergency: true, request_id: None, caller: None }
}

/// The shell says these only once the record has been unchanged for long enough.
const LONG: Duration = Duration::from_hours(1);

/// Stand for what is owed where there are no ids.
pub(crate) const OLD_KEY: Key = 250;
pub(crate) const PENDING_KEY: Key = 251;

pub(crate) fn key_id(key: Key) -> KeyId {
    match key {
        OLD_KEY => return KeyId::of_the_old_key(),
        PENDING_KEY => return KeyId::of_the_pending_key(),
        _ => {}
    }
    format!("k{key}").parse().unwrap()
}

fn created(keys: u32) -> Vec<Created> {
    let listed =
        (0..8).filter_map(|key| Some((key, (keys >> (4 * key)) & 15)).filter(|(_, maker)| *maker > 0));
    let made = |(key, maker): (u32, u32)| Created {
        key_id: key_id(u8::try_from(key).unwrap()),
        rotation_id: rotation_id(u8::try_from(maker).unwrap()),
    };
    listed.map(made).collect()
}

pub(crate) fn fingerprint(key: Key) -> Fingerprint {
    Fingerprint::from_text(key.to_string())
}
