//! What there is: replicas with their disks, one record, one entry, one provider, and what is still on its way.

use jiff::Timestamp;
use keyturn::ids::{ReplicaId, RotationId};
use keyturn::rotation::{Effect, Phase, Rotation, State};
use uuid::Uuid;

use super::book::{Known, Todo};
use super::provider::Provider;
use super::said::Heard;

/// A key, by the order in which the provider made it.
pub(crate) type Key = u8;
/// A rotation, by the order in which it was asked for.
pub(crate) type Number = u8;

/// The length of a tick: longer than a request can live, shorter than a claim.
pub(crate) const TICK_SECONDS: u64 = 60;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) tick: u8,
    pub(crate) record: Record,
    pub(crate) entry: Entry,
    pub(crate) provider: Provider,
    /// A request that nobody waits for any more and that may still take effect: the rotation that sent it, and which of
    /// several named keys it is about.
    pub(crate) flight: Option<(Number, u8)>,
    /// A write to Vault that nobody waits for any more and that may still take effect.
    pub(crate) mail: Option<Mail>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) requests: u8,
    pub(crate) faults: u8,
    pub(crate) decisions: u8,
    /// A person said that the entry is right as it is.
    pub(crate) kept_by_hand: bool,
    /// The provider's keys live side by side.
    pub(crate) lives_side_by_side: bool,
    /// Keys that reached a replica and that are not allowed to vanish.
    pub(crate) received: Vec<Key>,
}

#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) state: Known,
    pub(crate) version: u8,
    pub(crate) staged: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) rotation: Number,
    pub(crate) epoch: u8,
    pub(crate) call: u8,
}

/// A check-and-set on its way: it takes effect only while the version is the one that its sender knew.
#[derive(Clone)]
pub(crate) enum Mail {
    Record { state: Known, staged: Option<Key>, version: u8 },
    Entry { key: Key, stamp: Stamp, version: u8 },
}

#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) place: Place,
    pub(crate) version: u8,
    pub(crate) seen_at: u8,
    /// A rotation that somebody asked for here, until its intent is written.
    pub(crate) wanted: Option<Number>,
    pub(crate) hand: Option<Hand>,
    pub(crate) heard: Option<(Number, u8, Heard)>,
    pub(crate) entry: Option<Entry>,
    /// The disk, which outlives the process: by rotation.
    pub(crate) slots: [Slot; ROTATIONS_MAX],
}

pub(crate) const ROTATIONS_MAX: usize = 3;

#[derive(Clone)]
pub(crate) enum Place {
    Dead,
    Loading,
    Running(Run),
    Waiting { state: Known, until: Timestamp },
    Resting(Known),
}

#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) state: Known,
    pub(crate) todo: Todo,
    pub(crate) done: u8,
    /// A publication compared the record's version already.
    pub(crate) compared: bool,
    /// The process sleeps while this answer waits in its socket.
    pub(crate) answer_waits: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hand {
    pub(crate) rotation: Number,
    pub(crate) call: u8,
    pub(crate) key: Key,
    pub(crate) sealed: bool,
    /// The disk refused it: memory is all there is until Vault has it.
    pub(crate) refused_by_disk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Missing,
    Unsent,
    Sent,
    Sealed { key: Key, call: u8 },
}

impl World {
    /// Nothing was ever rotated; every replica has to start.
    pub(crate) fn new(replicas: usize, adopted: Known) -> Self {
        let replica = Replica {
            place: Place::Loading,
            version: 0,
            seen_at: 0,
            wanted: None,
            hand: None,
            heard: None,
            entry: None,
            slots: [Slot::Missing; ROTATIONS_MAX],
        };
        Self {
            tick: 0,
            record: Record { state: adopted, version: 1, staged: None },
            entry: Entry { key: 0, stamp: None, version: 1 },
            provider: Provider::new(),
            flight: None,
            mail: None,
            replicas: vec![replica; replicas],
            requests: 0,
            faults: 0,
            decisions: 0,
            kept_by_hand: false,
            lives_side_by_side: false,
            received: Vec::new(),
        }
    }

    /// Whether somebody still has the key, be it in a hand or a socket.
    pub(crate) fn holds(&self, key: Key) -> bool {
        self.keeps(key) || self.replicas.iter().any(|replica| replica.remembers(key))
    }

    /// Whether the key outlives every process: in the entry, the record or a slot.
    pub(crate) fn keeps(&self, key: Key) -> bool {
        let on_disk = self.replicas.iter().any(|replica| replica.has_sealed(key));
        self.entry.key == key || self.record.staged == Some(key) || on_disk
    }
}

impl Replica {
    pub(crate) fn remembers(&self, key: Key) -> bool {
        let waits = matches!(&self.place, Place::Running(run) if run.answer_waits == Some(key));
        waits || self.hand.is_some_and(|hand| hand.key == key)
    }

    pub(crate) fn has_sealed(&self, key: Key) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Sealed { key: held, .. } if *held == key))
    }

    /// The answer of the open rotation's newest call, in memory or on the disk.
    pub(crate) fn answer_to(&self, open: &Rotation) -> Option<Key> {
        let id = number(open.rotation_id);
        let held = self.hand.filter(|hand| hand.rotation == id).map(|hand| (hand.key, hand.call));
        let sealed = match self.slots[usize::from(id)] {
            Slot::Sealed { key, call } => Some((key, call)),
            _ => None,
        };
        held.or(sealed).filter(|(_, call)| u32::from(*call) == open.calls).map(|(key, _)| key)
    }
}

impl Run {
    pub(crate) fn next(&self) -> &Effect {
        &self.todo[usize::from(self.done)]
    }
}

pub(crate) fn at(tick: u8) -> Timestamp {
    let passed = i64::try_from(TICK_SECONDS * u64::from(tick)).unwrap();
    Timestamp::from_second(STARTED_AT + passed).unwrap()
}

/// The seconds since the first tick.
pub(crate) fn seconds(time: Timestamp) -> i16 {
    i16::try_from(time.as_second() - STARTED_AT).unwrap()
}

const STARTED_AT: i64 = 1_800_000_000;

pub(crate) fn rotation_id(number: Number) -> RotationId {
    RotationId::from_uuid(Uuid::from_u128(u128::from(number)))
}

pub(crate) fn replica_id(index: usize) -> ReplicaId {
    ReplicaId::from_uuid(Uuid::from_u128(u128::try_from(index).unwrap() + 100))
}

pub(crate) fn number(id: RotationId) -> Number {
    (0..9).find(|number| rotation_id(*number) == id).unwrap()
}

pub(crate) fn open_number(state: &State) -> Option<Number> {
    state.phase.rotation().map(|open| number(open.rotation_id))
}

pub(crate) fn is_halted(state: &State) -> bool {
    matches!(state.phase, Phase::Halted { .. })
}

pub(crate) fn small<T: TryInto<u8>>(number: T) -> u8
where
    T::Error: std::fmt::Debug,
{
    number.try_into().unwrap()
}
