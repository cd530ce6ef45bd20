//! The shell's rules, as `src/engine` has them: load, run the effects in their order, rest.

use keyturn::rotation::{ClosedAs, Effect, Phase, Request, Rotation, Trigger, admit, quiet_before_the_next};

use super::book::{Known, Todo};
use super::chores;
use super::effects;
use super::moves::Happens;
use super::mutation::{Mutation, Rules};
use super::properties::{Broken, Property};
use super::said::{Decides, Heard, Holds, Said, Told, fingerprint};
use super::vault;
use super::world::{
    Hand, Number, Place, Run, Slot, TICK_SECONDS, World, at, is_halted, number, open_number, replica_id,
    small,
};

/// What a move came to where nothing was broken.
pub(crate) type Moved = Result<(), Broken>;

/// Lets one replica do the next thing that it has to do.
pub(crate) fn go(world: &mut World, rules: &Rules, who: usize, happens: Happens) -> Moved {
    match std::mem::replace(&mut world.replicas[who].place, Place::Loading) {
        Place::Dead => Ok(()),
        Place::Loading => load(world, rules, who),
        Place::Resting(state) => match world.replicas[who].wanted {
            Some(wanted) if may_begin(world, rules, who, &state) => {
                advance(world, rules, who, &state, Said::Requested(wanted))
            }
            _ if looks_up(world, rules, who, &state) && !acts_blindly(rules) => Ok(()),
            _ => match chores::next(world, rules, who, &state) {
                Some(chore) => {
                    world.replicas[who].place = Place::Resting(state.clone());
                    chores::run(world, rules, who, &state, chore)
                }
                None => Ok(()),
            },
        },
        Place::Waiting { state, .. } => advance(world, rules, who, &state, Said::Woke),
        Place::Running(run) => effects::run(world, rules, who, run, happens),
    }
}

const fn acts_blindly(rules: &Rules) -> bool {
    matches!(rules.mutation, Mutation::RevokesKeysOfOpenRotations)
}

pub(crate) fn request(world: &mut World, rules: &Rules, who: usize) -> Moved {
    world.requests += 1;
    world.replicas[who].wanted = Some(world.requests);
    match &world.replicas[who].place {
        Place::Resting(state) if may_begin(world, rules, who, state) => go(world, rules, who, Happens::Well),
        _ => Ok(()),
    }
}

/// Whether no call of the rotation before can come any more.
pub(crate) fn may_begin(world: &World, rules: &Rules, who: usize, state: &Known) -> bool {
    let quiet_ms = u64::try_from(quiet_before_the_next(&rules.plan, state).as_millis()).unwrap();
    let is_quiet = unchanged_ms(world, who) >= quiet_ms || rules.mutation == Mutation::BeginsBeforeItIsQuiet;
    // Whatever else is said is no reason for an emergency to wait.
    let emergency = Request { trigger: Trigger::Manual, emergency: true, request_id: None, caller: None };
    let has_room = admit(&rules.plan, state, &emergency, at(world.tick)).is_ok();
    is_quiet && (has_room || state.phase == Phase::Idle && rules.mutation == Mutation::BeginsWithoutRoom)
}

/// A person decides, by way of this replica.
pub(crate) fn decide(world: &mut World, rules: &Rules, who: usize, decision: Decides) -> Moved {
    let state = match &world.replicas[who].place {
        Place::Resting(state) | Place::Waiting { state, .. } => state.clone(),
        _ => return Ok(()),
    };
    world.decisions += 1;
    world.kept_by_hand |= decision == Decides::KeepCurrent;
    let epoch = world.replicas[who].version + 1;
    advance(world, rules, who, &state, Said::Resolved { decision, replica: who, epoch })
}

/// The process is asked to stop: it lets its claim go, and is no more.
pub(crate) fn stop(world: &mut World, rules: &Rules, who: usize, happens: Happens) -> Moved {
    let Place::Waiting { state, .. } = &world.replicas[who].place else { return Ok(()) };
    let released = rules.next(&state.clone(), Said::Released(who), world.tick);
    let (state, _) = released.map_err(|illegal| Broken::new(Property::LegalEvents, illegal))?;
    vault::save(world, rules, who, &state, happens);
    crash(world, who);
    Ok(())
}

/// The process dies with all that it remembers.
pub(crate) fn crash(world: &mut World, who: usize) {
    let replica = &mut world.replicas[who];
    // No order of effects could save a key that dies between the socket and the disk, or on a disk that is full.
    let about_to_seal = matches!(&replica.place, Place::Running(run) if *run.next() == Effect::Seal);
    let only_in_memory = replica.hand.filter(|hand| !hand.sealed && (about_to_seal || hand.refused_by_disk));
    replica.place = Place::Dead;
    replica.wanted = None;
    replica.hand = None;
    replica.heard = None;
    replica.entry = None;
    (replica.version, replica.seen_at) = (0, 0);
    world.received.retain(|key| only_in_memory.is_none_or(|hand| hand.key != *key));
}

fn load(world: &mut World, rules: &Rules, who: usize) -> Moved {
    let state = world.record.state.clone();
    let replica = &mut world.replicas[who];
    if world.record.version != replica.version {
        (replica.version, replica.seen_at) = (world.record.version, world.tick);
    }
    replica.entry = None;
    let known = |wanted: &mut Number| {
        let closed = state.history.iter().map(|closed| number(closed.rotation_id));
        closed.chain(open_number(&state)).any(|known| known == *wanted)
    };
    replica.wanted.take_if(known);
    let Some(open) = state.phase.rotation() else {
        let_go(world, who);
        look_after_leftovers(world, who, &state);
        world.replicas[who].place = Place::Resting(state);
        return Ok(());
    };
    let holding = holding(world, who, &state, open);
    let published = published(world, rules, who, open);
    if let Some(heard) = heard_already(world, who, &state) {
        return advance(world, rules, who, &state, Said::Called(heard));
    }
    let said = Said::Resumed {
        replica: who,
        lapsed: is_silent(world, rules, who, open),
        epoch: world.replicas[who].version + 1,
        holding,
        published,
    };
    advance(world, rules, who, &state, said)
}

fn heard_already(world: &World, who: usize, state: &Known) -> Option<Heard> {
    let Phase::Intended { rotation } = &state.phase else { return None };
    let (id, calls, heard) = world.replicas[who].heard?;
    let same = id == number(rotation.rotation_id)
        && u32::from(calls) == rotation.calls
        && rotation.holder == replica_id(who);
    same.then_some(heard)
}

fn holding(world: &mut World, who: usize, state: &Known, open: &Rotation) -> Holds {
    let id = number(open.rotation_id);
    if let (Some(key), Some(known)) = (world.record.staged, state.phase.answer()) {
        if world.replicas[who].hand.is_some_and(|hand| hand.key != key) {
            let_go(world, who);
        }
        world.replicas[who].hand = Some(durable(id, small(known.call), key));
    }
    if let Some(hand) = world.replicas[who].hand.filter(|hand| hand.rotation == id) {
        return Holds::Answer(told(world, hand.key, hand.call));
    }
    let_go(world, who);
    match world.replicas[who].slots[usize::from(id)] {
        Slot::Missing => Holds::Nothing,
        Slot::Unsent => Holds::Unsent,
        Slot::Sent => Holds::Sent,
        Slot::Sealed { key, call } => {
            world.replicas[who].hand = Some(durable(id, call, key));
            Holds::Answer(told(world, key, call))
        }
    }
}

/// A key in the hand that record or escrow have, too.
const fn durable(rotation: Number, call: u8, key: u8) -> Hand {
    Hand { rotation, call, key, sealed: true, refused_by_disk: false }
}

pub(crate) fn told(world: &World, key: u8, call: u8) -> Told {
    Told { key, call, made_at: world.provider.made_at(key) }
}

/// Drops a key that is not the open rotation's, once the escrow has it.
fn let_go(world: &mut World, who: usize) {
    if let Some(hand) = world.replicas[who].hand.take().filter(|hand| !hand.sealed) {
        world.replicas[who].slots[usize::from(hand.rotation)] =
            Slot::Sealed { key: hand.key, call: hand.call };
    }
}

fn published(world: &mut World, rules: &Rules, who: usize, open: &Rotation) -> Option<(Told, u8)> {
    let entry = world.entry;
    let replica = &mut world.replicas[who];
    replica.entry = Some(entry);
    let stamp = entry.stamp.filter(|stamp| stamp.rotation == number(open.rotation_id))?;
    let held = replica.hand.filter(|hand| hand.rotation == stamp.rotation);
    let newest = u32::from(stamp.call) == open.calls
        || rules.plan.creates.is_some()
        || rules.plan.supplies
        || rules.mutation == Mutation::BelievesEarlierAnswers;
    if rules.plan.creates.is_some() && held.is_some_and(|hand| hand.call != stamp.call) {
        let_go(world, who);
        return Some((told(world, entry.key, stamp.call), entry.version));
    }
    let ours = newest && held.is_none_or(|hand| hand.key == entry.key);
    ours.then(|| (told(world, entry.key, stamp.call), entry.version))
}

pub(crate) fn look_after_leftovers(world: &mut World, who: usize, state: &Known) {
    let replica = &mut world.replicas[who];
    let wanted = replica.wanted;
    for (id, slot) in replica.slots.iter_mut().enumerate().filter(|(id, _)| wanted != Some(small(*id))) {
        let closed = state.history.iter().find(|closed| usize::from(number(closed.rotation_id)) == id);
        let published = closed.and_then(|closed| match &closed.outcome {
            ClosedAs::Rotated { answer, .. } => Some(&answer.fingerprint),
            _ => None,
        });
        let erased = match *slot {
            Slot::Missing => false,
            Slot::Unsent => true,
            Slot::Sent => closed.is_some(),
            Slot::Sealed { key, .. } => {
                let superseded = state.orphans.iter().any(|orphan| {
                    usize::from(number(orphan.rotation_id)) == id && orphan.fingerprint == fingerprint(key)
                });
                superseded || published == Some(&fingerprint(key))
            }
        };
        if erased {
            *slot = Slot::Missing;
        }
    }
}

pub(crate) fn advance(world: &mut World, rules: &Rules, who: usize, state: &Known, said: Said) -> Moved {
    let followed = rules.next(state, said, world.tick);
    let (state, todo) = followed.map_err(|illegal| Broken::new(Property::LegalEvents, illegal))?;
    proceed(world, who, state, todo, 0);
    Ok(())
}

pub(crate) fn proceed(world: &mut World, who: usize, state: Known, todo: Todo, done: u8) {
    let replica = &mut world.replicas[who];
    replica.place = match todo.get(usize::from(done)) {
        Some(Effect::Wait { until }) => Place::Waiting { state, until: *until },
        Some(_) => Place::Running(Run { state, todo, done, compared: false, answer_waits: None }),
        None => match state.phase.rotation() {
            Some(open) if open.holder == replica_id(who) && !is_halted(&state) => Place::Loading,
            Some(_) => {
                replica.wanted = None;
                Place::Resting(state)
            }
            None => Place::Resting(state),
        },
    };
}

/// Whether a resting replica finds something to do.
pub(crate) fn looks_up(world: &World, rules: &Rules, who: usize, state: &Known) -> bool {
    if world.record.version != world.replicas[who].version {
        return true;
    }
    let others = state.phase.rotation().filter(|open| open.holder != replica_id(who));
    others.is_some_and(|open| is_silent(world, rules, who, open)) && !is_halted(state)
}

fn is_silent(world: &World, rules: &Rules, who: usize, open: &Rotation) -> bool {
    match rules.mutation {
        Mutation::NeverTakesOver => false,
        Mutation::TakesOverAtOnce => true,
        _ => unchanged_ms(world, who) >= open.claim_ms + open.claim_ms / 4,
    }
}

pub(crate) fn holds_claim(world: &World, rules: &Rules, who: usize, open: &Rotation) -> bool {
    let lapsed = unchanged_ms(world, who) > open.claim_ms;
    !lapsed || rules.mutation == Mutation::ActsOnALapsedClaim
}

pub(crate) fn unchanged_ms(world: &World, who: usize) -> u64 {
    u64::from(world.tick - world.replicas[who].seen_at) * TICK_SECONDS * 1000
}
