//! What a replica at rest does where keys live side by side, as `src/engine/revoking.rs` has it.

use keyturn::rotation::{Created, Phase, is_as_recorded, quiet_for, strays};

use super::book::Known;
use super::engine::{Moved, advance, told, unchanged_ms};
use super::mutation::{Mutation, Rules};
use super::properties;
use super::said::{OLD_KEY, PENDING_KEY, Said, fingerprint, key_id};
use super::world::{Key, Number, Slot, World, at, number, rotation_id, small};

#[derive(Clone, Copy)]
pub(crate) enum Chore {
    Revoke(Key),
    /// With what the provider shows of its keys.
    Owe(u32),
    /// A sealed answer of a closed rotation.
    GiveUp(Number, Key, u8),
}

/// What there is to do now.
pub(crate) fn next(world: &World, rules: &Rules, who: usize, state: &Known) -> Option<Chore> {
    let quiet_ms = u64::try_from(quiet_for(&rules.plan).as_millis()).unwrap();
    let quiet = unchanged_ms(world, who) >= quiet_ms;
    let next = some_day(world, rules, who, state, |due_at| due_at <= at(world.tick));
    next.filter(|chore| quiet || !matches!(chore, Chore::GiveUp(..)))
}

/// What there is to do, now or later, where nothing else comes in between.
pub(crate) fn is_anything_left(world: &World, rules: &Rules, who: usize, state: &Known) -> bool {
    some_day(world, rules, who, state, |_| true).is_some()
}

fn some_day(
    world: &World,
    rules: &Rules,
    who: usize,
    state: &Known,
    is_due: impl Fn(jiff::Timestamp) -> bool,
) -> Option<Chore> {
    let recorded = is_as_recorded(state, Some(&fingerprint(world.entry.key)));
    let looks = rules.mutation != Mutation::RevokesWithoutLooking;
    if rules.plan.creates.is_none() || state.phase != Phase::Idle || looks && !recorded {
        return None;
    }
    let due = state.revocations.iter().find(|owed| is_due(owed.due_at));
    if let Some(owed) = due {
        let works = world.provider.accepts(&rules.plan, world.entry.key, world.tick);
        if rules.plan.probe && !works && rules.mutation != Mutation::RevokesWithoutLooking {
            return None;
        }
        let mut all = (0..9).chain([OLD_KEY, PENDING_KEY]);
        return all.find(|key| key_id(*key) == owed.key_id).map(Chore::Revoke);
    }
    if !recorded {
        return None;
    }
    let lists = rules.plan.creates.as_ref().is_some_and(|creates| creates.lists);
    let shown = if lists { shown(world, rules, state) } else { 0 };
    if shown > 0 {
        return Some(Chore::Owe(shown));
    }
    sealed(world, who, state)
}

/// The keys that would be owed, as the provider lists them.
fn shown(world: &World, rules: &Rules, state: &Known) -> u32 {
    let live = world.provider.made.iter().enumerate().filter(|(_, made)| made.revoked.is_none());
    let labelled = live.filter(|(_, made)| made.rotation > 0);
    let stray = |key: Key, maker: Number| {
        let created = Created { key_id: key_id(key), rotation_id: rotation_id(maker) };
        let known = !strays(state, vec![created]).is_empty();
        known || rules.mutation == Mutation::RevokesKeysOfOpenRotations && key != world.entry.key
    };
    let strays = labelled.filter(|(key, made)| stray(small(*key), made.rotation));
    strays.fold(0, |shown, (key, made)| shown | u32::from(made.rotation) << (4 * key))
}

fn sealed(world: &World, who: usize, state: &Known) -> Option<Chore> {
    let mut slots = world.replicas[who].slots.iter().enumerate();
    slots.find_map(|(id, slot)| match *slot {
        Slot::Sealed { key, call } if key != world.entry.key && closed(state, small(id)) => {
            Some(Chore::GiveUp(small(id), key, call))
        }
        _ => None,
    })
}

fn closed(state: &Known, id: Number) -> bool {
    state.history.iter().any(|closed| number(closed.rotation_id) == id)
}

pub(crate) fn run(world: &mut World, rules: &Rules, who: usize, state: &Known, chore: Chore) -> Moved {
    let entry = world.entry.key;
    match chore {
        Chore::Revoke(owed @ (OLD_KEY | PENDING_KEY)) => {
            if let Some(pending) = world.provider.pending() {
                let dying = if owed == OLD_KEY { world.provider.living()[0] } else { pending };
                rules.of_interest(properties::is_not_needed(world, rules, dying))?;
                world.provider.end(dying, world.tick);
            }
            advance(world, rules, who, state, Said::Revoked(owed))
        }
        Chore::Revoke(key) => {
            rules.of_interest(properties::is_not_needed(world, rules, key))?;
            world.provider.made[usize::from(key)].revoked.get_or_insert(world.tick);
            advance(world, rules, who, state, Said::Revoked(key))
        }
        Chore::Owe(keys) if rules.mutation == Mutation::RevokesKeysOfOpenRotations => {
            let key = (0..8).rfind(|key| (keys >> (4 * key)) & 15 > 0).unwrap();
            rules.of_interest(properties::is_not_needed(world, rules, key))?;
            world.provider.made[usize::from(key)].revoked.get_or_insert(world.tick);
            Ok(())
        }
        Chore::Owe(keys) => {
            fence(world, rules);
            advance(world, rules, who, state, Said::Listed { keys, entry })
        }
        Chore::GiveUp(rotation, key, call) => {
            fence(world, rules);
            let told = told(world, key, call);
            advance(world, rules, who, state, Said::Beside { rotation, told, entry, replica: who })
        }
    }
}

/// The entry is written again as it is, so that no write that is based on it takes effect any more.
pub(crate) fn fence(world: &mut World, rules: &Rules) {
    world.entry.version += u8::from(rules.mutation != Mutation::NeverFencesTheEntry);
}
