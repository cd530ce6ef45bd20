//! A world as bytes: two worlds with the same bytes have the same future.

use super::book::Known;
use super::said::{Heard, Told};
use super::world::{Entry, Mail, Place, Replica, Slot, Stamp, World, seconds};

pub(crate) fn encode(world: &World) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend([world.tick, option(world.flight.map(|(id, _)| id)), world.requests, world.faults]);
    bytes.push(option(world.flight.map(|(_, slot)| slot)));
    bytes.extend([world.decisions, u8::from(world.kept_by_hand)]);
    state(&mut bytes, &world.record.state);
    bytes.extend([world.record.version, option(world.record.staged)]);
    entry(&mut bytes, world.entry);
    mail(&mut bytes, world.mail.as_ref());
    bytes.extend([world.provider.newest(), u8::from(world.provider.turned_away)]);
    for made in &world.provider.made {
        bytes.extend([made.rotation, made.slot, made.tick, option(made.revoked), option(made.left)]);
    }
    bytes.extend(&world.provider.sent);
    bytes.push(world.received.iter().fold(0, |mask, key| mask | 1 << key));
    for one in &world.replicas {
        replica(&mut bytes, one);
    }
    bytes.into_boxed_slice()
}

fn replica(bytes: &mut Vec<u8>, replica: &Replica) {
    bytes.extend([replica.version, replica.seen_at, option(replica.wanted)]);
    match replica.hand {
        None => bytes.push(0),
        Some(hand) => bytes.extend([
            1 + u8::from(hand.sealed) + 2 * u8::from(hand.refused_by_disk),
            hand.rotation,
            hand.call,
            hand.key,
        ]),
    }
    match replica.heard {
        None => bytes.push(0),
        Some((rotation, call, what)) => {
            bytes.extend([1, rotation, call]);
            heard(bytes, what);
        }
    }
    match replica.entry {
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
            Slot::Sealed { key, call } => bytes.extend([3, *key, *call]),
        }
    }
    place(bytes, &replica.place);
}

fn heard(bytes: &mut Vec<u8>, heard: Heard) {
    match heard {
        Heard::Key(Told { key, call, made_at }) => bytes.extend([0, key, call, made_at]),
        Heard::Unreachable => bytes.push(1),
        Heard::Forbidden => bytes.push(2),
        Heard::NoValue => bytes.push(3),
        Heard::Timeout => bytes.push(4),
    }
}

fn place(bytes: &mut Vec<u8>, place: &Place) {
    match place {
        Place::Dead => bytes.push(0),
        Place::Loading => bytes.push(1),
        Place::Running(run) => {
            bytes.extend([2, u8::from(run.compared), option(run.answer_waits), run.done]);
            bytes.extend(run.todo.number().to_le_bytes());
            state(bytes, &run.state);
        }
        Place::Waiting { state: held, until } => {
            bytes.push(3);
            bytes.extend(seconds(*until).to_le_bytes());
            state(bytes, held);
        }
        Place::Resting(held) => {
            bytes.push(4);
            state(bytes, held);
        }
    }
}

fn mail(bytes: &mut Vec<u8>, mail: Option<&Mail>) {
    match mail {
        None => bytes.push(0),
        Some(Mail::Record { state: sent, staged, version }) => {
            bytes.extend([1, option(*staged), *version]);
            state(bytes, sent);
        }
        Some(Mail::Entry { key, stamp: sent, version }) => {
            bytes.extend([2, *key, *version]);
            stamp(bytes, *sent);
        }
    }
}

fn entry(bytes: &mut Vec<u8>, entry: Entry) {
    bytes.extend([entry.key, entry.version]);
    match entry.stamp {
        None => bytes.push(0),
        Some(known) => {
            bytes.push(1);
            stamp(bytes, known);
        }
    }
}

fn stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.extend([stamp.rotation, stamp.epoch, stamp.call]);
}

fn state(bytes: &mut Vec<u8>, state: &Known) {
    bytes.extend(state.number().to_le_bytes());
}

fn option(key: Option<u8>) -> u8 {
    key.unwrap_or(255)
}
