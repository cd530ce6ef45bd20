//! One effect of the core, as `src/engine/act.rs` carries it out.

use keyturn::rotation::{Effect, Plan, Rotation, idle_slot};

use super::chores;
use super::engine::{Moved, advance, crash, holds_claim, look_after_leftovers, proceed, told};
use super::moves::Happens;
use super::mutation::{Mutation, Rules};
use super::properties;
use super::said::{Heard, Said, Seen, Shown, fingerprint};
use super::vault;
use super::world::{Hand, Key, Place, Run, Slot, World, number, open_number, small};

/// Where the effect does not succeed, the replica is left where it reads everything afresh.
pub(crate) fn run(world: &mut World, rules: &Rules, who: usize, mut run: Run, happens: Happens) -> Moved {
    let said = match run.next().clone() {
        Effect::Preflight { rotation_id, .. } => preflight(world, rules, who, number(rotation_id)),
        Effect::Save => {
            if !vault::save(world, rules, who, &run.state, happens) {
                return Ok(());
            }
            proceed(world, who, run.state, run.todo, run.done + 1);
            return Ok(());
        }
        Effect::Call => match call(world, rules, who, &mut run, happens)? {
            Some(heard) => Said::Called(heard),
            None => return Ok(()),
        },
        Effect::Read => Said::Read(read(world, rules, who, &run, happens)),
        Effect::Seal => {
            seal(world, who, happens);
            Said::Sealed
        }
        Effect::Publish => match vault::publish(world, rules, who, &mut run, happens)? {
            Some(version) => Said::Published(version),
            None => return Ok(()),
        },
        Effect::Fence => {
            if world.entry.stamp.is_some_and(|stamp| Some(stamp.rotation) == open_number(&run.state)) {
                return Ok(());
            }
            chores::fence(world, rules);
            Said::Fenced
        }
        Effect::Probe => {
            let Some(hand) = world.replicas[who].hand else { return Ok(()) };
            Said::Probed(probe(world, rules, hand.key, happens))
        }
        Effect::Verify => match verify(world, rules, who, &run, happens) {
            Some(seen) => Said::Probed(seen),
            None => return Ok(()),
        },
        Effect::Erase { rotation_id } => {
            world.replicas[who].hand = None;
            world.replicas[who].slots[usize::from(number(rotation_id))] = Slot::Missing;
            proceed(world, who, run.state, run.todo, run.done + 1);
            return Ok(());
        }
        Effect::Leave => {
            world.replicas[who].hand = None;
            look_after_leftovers(world, who, &run.state);
            proceed(world, who, run.state, run.todo, run.done + 1);
            return Ok(());
        }
        Effect::Wait { .. } => Said::Woke,
    };
    advance(world, rules, who, &run.state, said)
}

fn preflight(world: &mut World, rules: &Rules, who: usize, rotation: u8) -> Said {
    let entry = world.entry;
    world.replicas[who].entry = Some(entry);
    world.replicas[who].slots[usize::from(rotation)] = Slot::Unsent;
    let slot = slot_to_regenerate(world, rules, entry.key);
    Said::Preflighted {
        rotation,
        replica: who,
        epoch: world.replicas[who].version + 1,
        shown: rules.plan.read.or(rules.plan.marker).map(|_| world.provider.shown(slot.unwrap_or_default())),
        slot,
        entry: (entry.key, entry.version),
    }
}

/// Which of several named keys the real core chooses.
fn slot_to_regenerate(world: &World, rules: &Rules, entry: Key) -> Option<u8> {
    let named = rules.plan.slots.iter().zip(0..);
    let shown = named.map(|(name, slot)| keyturn::rotation::Slot {
        name: name.clone(),
        key: fingerprint(world.provider.shown(slot)),
    });
    let shown: Vec<_> = shown.collect();
    let in_use = |slot: &keyturn::rotation::Slot| slot.key == fingerprint(entry);
    let chosen = match rules.mutation {
        Mutation::RegeneratesTheSlotInUse => shown.iter().find(|slot| in_use(slot)),
        _ => idle_slot(&shown, Some(&fingerprint(entry))),
    };
    let chosen = &chosen?.name;
    rules.plan.slots.iter().position(|name| name == chosen).map(small)
}

fn call(
    world: &mut World,
    rules: &Rules,
    who: usize,
    run: &mut Run,
    happens: Happens,
) -> Result<Option<Heard>, properties::Broken> {
    let Some(open) = run.state.phase.rotation() else { return Ok(None) };
    let (id, calls) = (number(open.rotation_id), small(open.calls));
    if let Some(key) = run.answer_waits {
        return Ok(Some(arrived(world, who, open, key)));
    }
    if !holds_claim(world, rules, who, open) {
        if calls > 1 {
            world.replicas[who].heard = Some((id, calls, Heard::Unreachable));
        }
        return Ok(None);
    }
    let slot = &mut world.replicas[who].slots[usize::from(id)];
    if !matches!(slot, Slot::Sealed { .. }) && rules.mutation != Mutation::NeverMarksSent {
        *slot = Slot::Sent;
    }
    if happens == Happens::Unmarked {
        world.replicas[who].heard = Some((id, calls, Heard::Unreachable));
        return Ok(None);
    }
    let refused = match happens {
        Happens::Refused => Some(Heard::Unreachable),
        Happens::Forbidden => Some(Heard::Forbidden),
        _ => (!signs(world, rules, who)).then_some(Heard::Forbidden),
    };
    if let Some(heard) = refused {
        world.provider.turned_away |= heard == Heard::Forbidden;
        return Ok(Some(brought_nothing(world, who, open, heard)));
    }
    rules.of_interest(properties::sent_by_the_holder(world, who, &run.state))?;
    world.provider.sent[usize::from(id)] += 1;
    Ok(sent(world, rules, who, run, happens))
}

/// Whether the provider accepts what signs the call, as this replica read it.
fn signs(world: &World, rules: &Rules, who: usize) -> bool {
    let entry = world.replicas[who].entry.unwrap_or(world.entry);
    !rules.plan.self_authenticating || world.provider.accepts(&rules.plan, entry.key, world.tick)
}

/// The request has left.
fn sent(world: &mut World, rules: &Rules, who: usize, run: &mut Run, happens: Happens) -> Option<Heard> {
    let open = run.state.phase.rotation()?;
    let id = number(open.rotation_id);
    match happens {
        Happens::Lost | Happens::DiesUnapplied => {}
        Happens::Later | Happens::DiesLater => world.flight = Some((id, slot_of(&rules.plan, open))),
        _ => {
            let key = rules.apply(world, (id, slot_of(&rules.plan, open)));
            if happens == Happens::Slow {
                let waits = Run { answer_waits: Some(key), ..run.clone() };
                world.replicas[who].place = Place::Running(waits);
                return None;
            }
            if happens == Happens::Well {
                return Some(arrived(world, who, open, key));
            }
        }
    }
    if matches!(happens, Happens::DiesApplied | Happens::DiesUnapplied | Happens::DiesLater) {
        crash(world, who);
        return None;
    }
    world.provider.turned_away |= happens == Happens::NoValue;
    let heard = if happens == Happens::NoValue { Heard::NoValue } else { Heard::Timeout };
    Some(brought_nothing(world, who, open, heard))
}

fn arrived(world: &mut World, who: usize, open: &Rotation, key: u8) -> Heard {
    if !world.received.contains(&key) {
        world.received.push(key);
        world.received.sort_unstable();
    }
    take_in_hand(world, who, open, key);
    Heard::Key(told(world, key, small(open.calls)))
}

fn brought_nothing(world: &mut World, who: usize, open: &Rotation, heard: Heard) -> Heard {
    world.replicas[who].heard = Some((number(open.rotation_id), small(open.calls), heard));
    heard
}

fn take_in_hand(world: &mut World, who: usize, open: &Rotation, key: u8) {
    let (rotation, call) = (number(open.rotation_id), small(open.calls));
    world.replicas[who].hand = Some(Hand { rotation, call, key, sealed: false, refused_by_disk: false });
}

fn read(world: &mut World, rules: &Rules, who: usize, run: &Run, happens: Happens) -> Shown {
    let Some(open) = run.state.phase.rotation() else { return Shown::Unavailable };
    match happens {
        Happens::Unavailable => return Shown::Unavailable,
        Happens::Forbidden => {
            world.provider.turned_away = true;
            return Shown::Refused;
        }
        _ => {}
    }
    let (slot, stale) = (slot_of(&rules.plan, open), happens == Happens::Stale);
    if stale && !rules.plan.slots.is_empty() {
        return Shown::Unchanged;
    }
    let key = world.provider.shown(slot) - u8::from(stale);
    let baseline = &open.baseline;
    let before = baseline.provider.as_ref().or(baseline.marker.as_ref()).or(baseline.entry.as_ref());
    if before == Some(&fingerprint(key)) && rules.mutation != Mutation::TakesWhateverItReads {
        return Shown::Unchanged;
    }
    if rules.plan.marker.is_some() {
        return Shown::Replaced;
    }
    take_in_hand(world, who, open, key);
    Shown::Changed(told(world, key, small(open.calls)))
}

/// Which of several named keys a rotation makes anew.
fn slot_of(plan: &Plan, open: &Rotation) -> u8 {
    plan.slots
        .iter()
        .position(|name| Some(name) == open.baseline.slot.as_ref())
        .map(small)
        .unwrap_or_default()
}

fn seal(world: &mut World, who: usize, happens: Happens) {
    let replica = &mut world.replicas[who];
    let Some(hand) = replica.hand.as_mut().filter(|hand| !hand.sealed) else { return };
    if happens == Happens::DiskRefuses {
        hand.refused_by_disk = true;
        return;
    }
    hand.sealed = true;
    replica.slots[usize::from(hand.rotation)] = Slot::Sealed { key: hand.key, call: hand.call };
}

fn verify(world: &mut World, rules: &Rules, who: usize, run: &Run, happens: Happens) -> Option<Seen> {
    let id = open_number(&run.state)?;
    let expected = run.state.phase.answer().map(|answer| &answer.fingerprint);
    let entry = world.entry;
    let ours = entry.stamp.is_some_and(|stamp| stamp.rotation == id);
    if !ours || expected != Some(&fingerprint(entry.key)) {
        return None;
    }
    world.replicas[who].entry = Some(entry);
    if rules.plan.creates.is_some() && run.state.phase.rotation().is_some_and(|open| open.calls > 1) {
        chores::fence(world, rules);
    }
    Some(if rules.plan.probe { probe(world, rules, entry.key, happens) } else { Seen::NoProbe })
}

fn probe(world: &mut World, rules: &Rules, key: u8, happens: Happens) -> Seen {
    if happens == Happens::Unavailable {
        world.provider.turned_away = true;
        return Seen::Unavailable;
    }
    let accepted = world.provider.accepts(&rules.plan, key, world.tick);
    if accepted || rules.mutation == Mutation::BelievesEveryProbe {
        Seen::Accepted
    } else {
        Seen::NotAccepted
    }
}
