//! Writes to Vault: each is one attempt by check-and-set, whose answer can be lost or whose effect come late.

use keyturn::rotation::Phase;

use super::book::Known;
use super::chores::fence;
use super::engine::{Moved, holds_claim};
use super::moves::Happens;
use super::mutation::{Mutation, Rules};
use super::properties::Broken;
use super::world::{Entry, Mail, Place, Run, Slot, Stamp, World, number, open_number, small};

/// Writes the record; `false` where it was not written, or nobody heard that it was.
pub(crate) fn save(world: &mut World, rules: &Rules, who: usize, state: &Known, happens: Happens) -> bool {
    seal_for_keeping(world, who, state);
    if !fence_off(world, rules, state) {
        return false;
    }
    let mut staged = None;
    if state.phase.keeps_secret_in_record() {
        match world.replicas[who].hand.filter(|hand| Some(hand.rotation) == open_number(state)) {
            Some(hand) => staged = Some(hand.key),
            None => return false,
        }
    }
    let known = world.replicas[who].version;
    if happens == Happens::WrittenLater {
        world.mail = Some(Mail::Record { state: state.clone(), staged, version: known });
    }
    let blind = rules.mutation == Mutation::SavesWithoutCheckAndSet;
    let written = !matches!(happens, Happens::NotWritten | Happens::WrittenLater)
        && (world.record.version == known || blind);
    if written {
        world.record.state = state.clone();
        world.record.staged = staged;
        world.record.version += 1;
    }
    if !written || happens == Happens::WrittenUnheard {
        if rules.mutation == Mutation::RestsAfterALostWrite {
            world.replicas[who].place = Place::Resting(state.clone());
        }
        return false;
    }
    let replica = &mut world.replicas[who];
    (replica.version, replica.seen_at, replica.heard) = (world.record.version, world.tick, None);
    replica.wanted.take_if(|wanted| Some(*wanted) == open_number(state));
    true
}

/// The key of a rotation that a person gives up is sealed before its close takes it out of the record.
fn seal_for_keeping(world: &mut World, who: usize, state: &Known) {
    let given_up = state.given_up().map(number);
    let replica = &mut world.replicas[who];
    if let Some(hand) = replica.hand.filter(|hand| Some(hand.rotation) == given_up) {
        replica.slots[usize::from(hand.rotation)] = Slot::Sealed { key: hand.key, call: hand.call };
    }
}

/// Where keys live side by side, a rotation that a person gives up in doubt publishes nothing afterwards; what it has published is
/// seen.
fn fence_off(world: &mut World, rules: &Rules, state: &Known) -> bool {
    let in_doubt = matches!(world.record.state.phase, Phase::Unknown { .. });
    let open = open_number(&world.record.state).filter(|_| in_doubt);
    let given_up = state.given_up().map(number).filter(|given_up| Some(*given_up) == open);
    if given_up.is_none() || rules.plan.creates.is_none() {
        return true;
    }
    if world.entry.stamp.map(|stamp| stamp.rotation) == given_up {
        return false;
    }
    fence(world, rules);
    true
}

/// Compares the record's version first, and writes the entry in a step of its own.
pub(crate) fn publish(
    world: &mut World,
    rules: &Rules,
    who: usize,
    run: &mut Run,
    happens: Happens,
) -> Result<Option<u8>, Broken> {
    let Some(open) = run.state.phase.rotation() else { return Ok(None) };
    let blind = |removed: Mutation| [removed, Mutation::PublishesBlindly].contains(&rules.mutation);
    if !run.compared {
        // The entry that the write is based on is read before the record is compared.
        let entry = world.entry;
        world.replicas[who].entry.get_or_insert(entry);
        let same = world.record.version == world.replicas[who].version;
        if same && holds_claim(world, rules, who, open) || blind(Mutation::PublishesWithoutAskingTheRecord) {
            run.compared = true;
            world.replicas[who].place = Place::Running(run.clone());
        }
        return Ok(None);
    }
    let entry = match world.replicas[who].entry {
        Some(entry) => entry,
        None => world.entry,
    };
    let Some(hand) = world.replicas[who].hand else { return Ok(None) };
    let epoch = small(open.epoch.0);
    let newer = entry.stamp.is_some_and(|stamp| stamp.epoch > epoch);
    if newer && !blind(Mutation::PublishesOverANewerEpoch) {
        return Ok(None);
    }
    world.replicas[who].entry = None;
    let stamp = Stamp { rotation: number(open.rotation_id), epoch, call: hand.call };
    if happens == Happens::WrittenLater {
        world.mail = Some(Mail::Entry { key: hand.key, stamp, version: entry.version });
        return Ok(None);
    }
    let same = entry.version == world.entry.version || blind(Mutation::PublishesWithoutCheckAndSet);
    if !same || happens == Happens::NotWritten {
        return Ok(None);
    }
    write_entry(world, rules, hand.key, stamp)?;
    Ok((happens != Happens::WrittenUnheard).then_some(world.entry.version))
}

/// The write on its way arrives.
pub(crate) fn deliver(world: &mut World, rules: &Rules) -> Moved {
    match world.mail.take() {
        Some(Mail::Record { state, staged, version }) if version == world.record.version => {
            world.record.state = state;
            world.record.staged = staged;
            world.record.version += 1;
            Ok(())
        }
        Some(Mail::Entry { key, stamp, version }) if version == world.entry.version => {
            write_entry(world, rules, key, stamp)
        }
        _ => Ok(()),
    }
}

fn write_entry(world: &mut World, rules: &Rules, key: u8, stamp: Stamp) -> Moved {
    let before = world.entry;
    world.provider.made[usize::from(before.key)].left = (before.key != key).then_some(world.tick);
    world.entry = Entry { key, stamp: Some(stamp), version: before.version + 1 };
    rules.watch_entry(world, before)
}
