//! A world as bytes: two worlds with the same bytes have the same future.

use jiff::Timestamp;
use keyturn::rotation::{Answer, ClosedAs, Doubt, Effect, HaltReason, Phase, Publication, Rotation, State};
use keyturn::secret::Fingerprint;

use super::world::{Entry, Heard, Place, Replica, Slot, World, at, number, replica_index};

pub(crate) fn encode(world: &World) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(160);
    bytes.extend([world.tick, world.flight.unwrap_or(0), world.requests, world.faults]);
    state(&mut bytes, &world.record.state);
    bytes.extend([low(world.record.version), option(world.record.staged)]);
    entry(&mut bytes, &world.entry);
    bytes.push(world.provider.newest());
    for made in &world.provider.made {
        bytes.extend([made.rotation, made.tick]);
    }
    bytes.extend(&world.provider.sent);
    bytes.push(world.received.iter().fold(0, |mask, key| mask | 1 << key));
    for one in &world.replicas {
        replica(&mut bytes, one);
    }
    bytes.into_boxed_slice()
}

fn replica(bytes: &mut Vec<u8>, replica: &Replica) {
    bytes.extend([low(replica.version), replica.seen_at]);
    match replica.hand {
        None => bytes.push(0),
        Some(hand) => bytes.extend([
            1 + u8::from(hand.sealed) + 2 * u8::from(hand.refused_by_disk),
            hand.rotation,
            byte(hand.call),
            hand.key,
        ]),
    }
    match replica.heard {
        None => bytes.push(0),
        Some((rotation, call, heard)) => {
            let heard = match heard {
                Heard::Refused => 1,
                Heard::Forbidden => 2,
                Heard::NoValue => 3,
                Heard::Timeout => 4,
            };
            bytes.extend([heard, rotation, byte(call)]);
        }
    }
    match &replica.entry {
        None => bytes.push(0),
        Some(read) => {
            bytes.push(1);
            entry(bytes, read);
        }
    }
    for slot in &replica.slots {
        match slot {
            Slot::Missing => bytes.push(0),
            Slot::Unsent => bytes.push(1),
            Slot::Sent => bytes.push(2),
            Slot::Sealed { key, call } => bytes.extend([3, *key, byte(*call)]),
        }
    }
    place(bytes, &replica.place);
}

fn place(bytes: &mut Vec<u8>, place: &Place) {
    match place {
        Place::Dead => bytes.push(0),
        Place::Loading => bytes.push(1),
        Place::Running(run) => {
            bytes.extend([2, u8::from(run.compared), option(run.answer_waits), byte(run.effects.len())]);
            state(bytes, &run.state);
            run.effects.iter().for_each(|one| effect(bytes, one));
        }
        Place::Waiting { state: held, until } => {
            bytes.push(3);
            time(bytes, *until);
            state(bytes, held);
        }
        Place::Resting(held) => {
            bytes.push(4);
            state(bytes, held);
        }
    }
}

fn effect(bytes: &mut Vec<u8>, effect: &Effect) {
    match effect {
        Effect::Preflight { rotation_id, .. } => bytes.extend([0, number(*rotation_id)]),
        Effect::Save => bytes.push(1),
        Effect::Call => bytes.push(2),
        Effect::Read => bytes.push(3),
        Effect::Seal => bytes.push(4),
        Effect::Probe => bytes.push(5),
        Effect::Publish => bytes.push(6),
        Effect::Verify => bytes.push(7),
        Effect::Erase { rotation_id } => bytes.extend([8, number(*rotation_id)]),
        Effect::Leave => bytes.push(9),
        Effect::Wait { until } => {
            bytes.push(10);
            time(bytes, *until);
        }
    }
}

fn state(bytes: &mut Vec<u8>, state: &State) {
    bytes.push(byte(state.history.len()));
    for closed in &state.history {
        bytes.extend([number(closed.rotation_id), byte(closed.calls)]);
        match &closed.outcome {
            ClosedAs::Rotated { answer: known, .. } => {
                bytes.push(1);
                answer(bytes, known);
            }
            ClosedAs::Failed { .. } => bytes.push(2),
            ClosedAs::NotApplied { .. } => bytes.push(3),
            ClosedAs::Resolved { .. } => bytes.push(4),
        }
    }
    match &state.phase {
        Phase::Idle => bytes.push(0),
        Phase::Intended { rotation: open } => {
            bytes.push(1);
            rotation(bytes, open);
        }
        Phase::Unknown { rotation: open, unknown } => {
            bytes.push(2);
            rotation(bytes, open);
            bytes.extend([doubt(&unknown.doubt), byte(unknown.replays), u8::from(unknown.refused)]);
            time(bytes, unknown.since);
        }
        Phase::Answered { rotation: open, answer: known } => {
            bytes.push(3);
            rotation(bytes, open);
            answer(bytes, known);
        }
        Phase::Staged { rotation: open, answer: known, staged_at } => {
            bytes.push(4);
            rotation(bytes, open);
            answer(bytes, known);
            time(bytes, *staged_at);
        }
        Phase::Published { rotation: open, answer: known, publication: published } => {
            bytes.push(5);
            rotation(bytes, open);
            answer(bytes, known);
            publication(bytes, published);
        }
        Phase::Halted { rotation: open, halt } => {
            bytes.extend([6, reason(&halt.reason)]);
            rotation(bytes, open);
            bytes.push(u8::from(halt.answer.is_some()));
            halt.answer.iter().for_each(|known| answer(bytes, known));
            bytes.push(u8::from(halt.publication.is_some()));
            halt.publication.iter().for_each(|published| publication(bytes, published));
        }
    }
}

fn rotation(bytes: &mut Vec<u8>, open: &Rotation) {
    bytes.extend([number(open.rotation_id), replica_index(open.holder), low(open.epoch.0), byte(open.calls)]);
    bytes.extend((open.claim_ms / 1000).to_le_bytes().iter().take(2));
    time(bytes, open.first_dispatched_at);
    time(bytes, open.dispatched_at);
    let print = |known: &Option<Fingerprint>| known.as_ref().map_or(255, key_of);
    bytes.extend([print(&open.baseline.provider), print(&open.baseline.entry)]);
}

fn answer(bytes: &mut Vec<u8>, known: &Answer) {
    bytes.extend([key_of(&known.fingerprint), byte(known.call)]);
}

fn publication(bytes: &mut Vec<u8>, published: &Publication) {
    bytes.push(low(published.version.0));
    time(bytes, published.published_at);
}

fn entry(bytes: &mut Vec<u8>, entry: &Entry) {
    bytes.extend([entry.key, low(entry.version)]);
    match entry.stamp {
        None => bytes.push(0),
        Some(stamp) => bytes.extend([1, stamp.rotation, low(stamp.epoch), byte(stamp.call)]),
    }
}

fn doubt(doubt: &Doubt) -> u8 {
    match doubt {
        Doubt::Timeout => 0,
        Doubt::ConnectionLost => 1,
        Doubt::Status { .. } => 2,
        Doubt::Unreadable { .. } => 3,
        Doubt::NoValue => 4,
        Doubt::Crashed => 5,
        Doubt::HolderLost => 6,
        Doubt::Refused { .. } => 7,
    }
}

fn reason(reason: &HaltReason) -> u8 {
    match reason {
        HaltReason::NoWayToTell { .. } => 0,
        HaltReason::MeansExhausted { .. } => 1,
        HaltReason::ReadRefused { .. } => 2,
        HaltReason::NewKeyRefused => 3,
        HaltReason::NewKeyNotProven => 4,
    }
}

fn time(bytes: &mut Vec<u8>, time: Timestamp) {
    let seconds = i16::try_from(time.as_second() - at(0).as_second()).unwrap();
    bytes.extend(seconds.to_le_bytes());
}

fn key_of(fingerprint: &Fingerprint) -> u8 {
    fingerprint.as_str().as_bytes()[0] - b'0'
}

fn low(version: u64) -> u8 {
    u8::try_from(version).unwrap()
}

fn option(key: Option<u8>) -> u8 {
    key.unwrap_or(255)
}

fn byte<T: TryInto<u8>>(number: T) -> u8
where
    T::Error: std::fmt::Debug,
{
    number.try_into().unwrap()
}
