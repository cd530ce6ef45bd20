//! What there is: replicas with their disks, one record, one entry, one provider, and a request on its way.

use jiff::Timestamp;
use keyturn::ids::{ReplicaId, RotationId};
use keyturn::rotation::{Answer, Effect, Phase, Plan, State};
use keyturn::secret::Fingerprint;
use uuid::Uuid;

/// A key, by the order in which the provider made it.
pub(crate) type Key = u8;
/// A rotation, by the order in which it was asked for.
pub(crate) type Number = u8;

/// The length of a tick: longer than a request can live, shorter than a claim.
pub(crate) const TICK_SECONDS: i64 = 60;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) tick: u8,
    pub(crate) record: Record,
    pub(crate) entry: Entry,
    pub(crate) provider: Provider,
    /// A request that nobody waits for any more and that may still take effect: the rotation that sent it.
    pub(crate) flight: Option<Number>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) requests: u8,
    pub(crate) faults: u8,
    /// Keys that reached a replica and that are not allowed to vanish.
    pub(crate) received: Vec<Key>,
}

#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) version: u64,
    pub(crate) staged: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) rotation: Number,
    pub(crate) epoch: u64,
    pub(crate) call: u32,
}

#[derive(Clone)]
pub(crate) struct Provider {
    /// Whose call made each key, and when; the first is nobody's.
    pub(crate) made: Vec<Made>,
    /// By rotation: requests that left and were not refused.
    pub(crate) sent: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub(crate) rotation: Number,
    pub(crate) tick: u8,
}

#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) place: Place,
    pub(crate) version: u64,
    pub(crate) seen_at: u8,
    pub(crate) hand: Option<Hand>,
    pub(crate) heard: Option<(Number, u32, Heard)>,
    pub(crate) entry: Option<Entry>,
    /// The disk, which outlives the process: by rotation.
    pub(crate) slots: Vec<Slot>,
}

#[derive(Clone)]
pub(crate) enum Place {
    Dead,
    Loading,
    Running(Box<Run>),
    Waiting { state: Box<State>, until: Timestamp },
    Resting(Box<State>),
}

#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) state: State,
    pub(crate) effects: Vec<Effect>,
    /// A publication compared the record's version already.
    pub(crate) compared: bool,
    /// The process sleeps while this answer waits in its socket.
    pub(crate) answer_waits: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hand {
    pub(crate) rotation: Number,
    pub(crate) call: u32,
    pub(crate) key: Key,
    pub(crate) sealed: bool,
    /// The disk refused it: memory is all there is until Vault has it.
    pub(crate) refused_by_disk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Refused,
    Forbidden,
    NoValue,
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Missing,
    Unsent,
    Sent,
    Sealed { key: Key, call: u32 },
}

impl World {
    /// Nothing was ever rotated; every replica has to start.
    pub(crate) fn new(replicas: usize, requests: u8) -> Self {
        let rotations = usize::from(requests) + 1;
        let replica = Replica {
            place: Place::Loading,
            version: 0,
            seen_at: 0,
            hand: None,
            heard: None,
            entry: None,
            slots: vec![Slot::Missing; rotations],
        };
        Self {
            tick: 0,
            record: Record { state: State::adopted(at(0)), version: 1, staged: None },
            entry: Entry { key: 0, stamp: None, version: 1 },
            provider: Provider { made: vec![Made { rotation: 0, tick: 0 }], sent: vec![0; rotations] },
            flight: None,
            replicas: vec![replica; replicas],
            requests: 0,
            faults: 0,
            received: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        at(self.tick)
    }

    /// Whether somebody still has the key, be it in a hand or a socket.
    pub(crate) fn holds(&self, key: Key) -> bool {
        let in_memory = |replica: &Replica| {
            let waits = match &replica.place {
                Place::Running(run) => run.answer_waits == Some(key),
                _ => false,
            };
            waits || replica.hand.is_some_and(|hand| hand.key == key)
        };
        self.keeps(key) || self.replicas.iter().any(in_memory)
    }

    /// Whether the key outlives every process: in the entry, the record or a slot.
    pub(crate) fn keeps(&self, key: Key) -> bool {
        let sealed = |slot: &Slot| matches!(slot, Slot::Sealed { key: held, .. } if *held == key);
        let on_disk = self.replicas.iter().any(|replica| replica.slots.iter().any(sealed));
        self.entry.key == key || self.record.staged == Some(key) || on_disk
    }
}

impl Provider {
    pub(crate) fn newest(&self) -> Key {
        u8::try_from(self.made.len() - 1).unwrap()
    }

    pub(crate) fn maker(&self, key: Key) -> Number {
        self.made[usize::from(key)].rotation
    }

    /// Whether the provider accepts the key: the newest, and one before it within its grace.
    pub(crate) fn accepts(&self, plan: &Plan, key: Key, tick: u8) -> bool {
        let Some(next) = self.made.get(usize::from(key) + 1) else { return true };
        let grace = plan.grace.map_or(0, |grace| i64::try_from(grace.as_secs()).unwrap());
        i64::from(tick - next.tick) * TICK_SECONDS < grace
    }

    /// A call takes effect; the same rotation id gives the same key where the provider replays.
    pub(crate) fn apply(&mut self, plan: &Plan, rotation: Number, tick: u8) -> Key {
        let known = self.made.iter().position(|made| made.rotation == rotation);
        match known.filter(|_| plan.replay.is_some()) {
            Some(index) => u8::try_from(index).unwrap(),
            None => {
                self.made.push(Made { rotation, tick });
                self.newest()
            }
        }
    }
}

pub(crate) fn at(tick: u8) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + TICK_SECONDS * i64::from(tick)).unwrap()
}

pub(crate) fn rotation_id(number: Number) -> RotationId {
    RotationId::from_uuid(Uuid::from_u128(u128::from(number)))
}

pub(crate) fn replica_id(index: usize) -> ReplicaId {
    ReplicaId::from_uuid(Uuid::from_u128(u128::try_from(index).unwrap() + 100))
}

pub(crate) fn replica_index(id: ReplicaId) -> u8 {
    (0..9).find(|index| replica_id(usize::from(*index)) == id).unwrap()
}

pub(crate) fn number(id: RotationId) -> Number {
    (0..9).find(|number| rotation_id(*number) == id).unwrap()
}

const FINGERPRINTS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

pub(crate) fn fingerprint(key: Key) -> Fingerprint {
    Fingerprint::from_text(FINGERPRINTS[usize::from(key)])
}

pub(crate) fn facts(key: Key, call: u32) -> Answer {
    Answer { fingerprint: fingerprint(key), previous_expires_at: None, received_at: at(0), call }
}

pub(crate) fn open_number(state: &State) -> Option<Number> {
    state.phase.rotation().map(|open| number(open.rotation_id))
}

pub(crate) fn is_halted(state: &State) -> bool {
    matches!(state.phase, Phase::Halted { .. })
}
