//! The shell's rules, as `src/engine` has them: load, run the effects in their order, rest.

use keyturn::ids::KvVersion;
use keyturn::rotation::{
    Baseline, ClosedAs, Doubt, Effect, Event, Holding, Outcome, Phase, Problem, Reading, Refusal,
    RefusalClass, Request, Rotation, State, Trigger, Verdict,
};

use super::moves::Happens;
use super::mutation::{Mutation, Rules};
use super::properties::Broken;
use super::world::{
    Hand, Heard, Number, Place, Run, Slot, Stamp, TICK_SECONDS, World, at, facts, fingerprint, is_halted,
    number, open_number, replica_id, rotation_id,
};

/// What a move came to where nothing was broken.
pub(crate) type Moved = Result<(), Broken>;

/// Lets one replica do the next thing that it has to do.
pub(crate) fn go(world: &mut World, rules: &Rules, who: usize, happens: Happens) -> Moved {
    match std::mem::replace(&mut world.replicas[who].place, Place::Loading) {
        Place::Dead => Ok(()),
        Place::Loading => load(world, rules, who),
        Place::Resting(state) => {
            if !looks_up(world, who, &state) {
                world.replicas[who].place = Place::Resting(state);
            }
            Ok(())
        }
        Place::Waiting { state, .. } => {
            let now = world.now();
            advance(world, rules, who, *state, Event::Woke { now })
        }
        Place::Running(run) => run_effect(world, rules, who, *run, happens),
    }
}

pub(crate) fn request(world: &mut World, rules: &Rules, who: usize) -> Moved {
    let Place::Resting(state) = world.replicas[who].place.clone() else { return Ok(()) };
    world.requests += 1;
    let request = Request { trigger: Trigger::Manual, emergency: true, request_id: None, caller: None };
    let event = Event::Requested { rotation_id: rotation_id(world.requests), request, now: world.now() };
    advance(world, rules, who, *state, event)
}

/// The process dies with all that it remembers.
pub(crate) fn crash(world: &mut World, who: usize) {
    let replica = &mut world.replicas[who];
    // No order of effects could save a key that dies between the socket and the disk, or on a disk that is full.
    let about_to_seal =
        matches!(&replica.place, Place::Running(run) if run.effects.first() == Some(&Effect::Seal));
    let only_in_memory = replica.hand.filter(|hand| !hand.sealed && (about_to_seal || hand.refused_by_disk));
    replica.place = Place::Dead;
    replica.hand = None;
    replica.heard = None;
    replica.entry = None;
    replica.version = 0;
    world.received.retain(|key| only_in_memory.is_none_or(|hand| hand.key != *key));
}

fn load(world: &mut World, rules: &Rules, who: usize) -> Moved {
    let state = world.record.state.clone();
    let replica = &mut world.replicas[who];
    if world.record.version != replica.version {
        replica.version = world.record.version;
        replica.seen_at = world.tick;
    }
    replica.entry = None;
    let Some(rotation) = state.phase.rotation().cloned() else {
        let_go(world, who);
        look_after_leftovers(world, who, &state);
        world.replicas[who].place = Place::Resting(Box::new(state));
        return Ok(());
    };
    let holding = holding(world, who, &state, &rotation);
    let published = published(world, who, &rotation);
    if let Some(outcome) = heard_already(world, who, &state) {
        let now = world.now();
        return advance(world, rules, who, state, Event::Called { outcome, now });
    }
    let event = Event::Resumed {
        replica: replica_id(who),
        lapsed: is_silent(world, who, &rotation),
        epoch: epoch(world, who),
        holding,
        published,
        now: world.now(),
    };
    advance(world, rules, who, state, event)
}

fn heard_already(world: &World, who: usize, state: &State) -> Option<Outcome<keyturn::rotation::Answer>> {
    let Phase::Intended { rotation } = &state.phase else { return None };
    let (id, calls, heard) = world.replicas[who].heard?;
    let same =
        id == number(rotation.rotation_id) && calls == rotation.calls && rotation.holder == replica_id(who);
    same.then(|| outcome_of(heard))
}

fn outcome_of(heard: Heard) -> Outcome<keyturn::rotation::Answer> {
    let refused =
        |class| Outcome::NotApplied(Refusal { class, problem: Problem::default(), retry_after: None });
    match heard {
        Heard::Refused => refused(RefusalClass::Unreachable),
        Heard::Forbidden => refused(RefusalClass::Unauthenticated),
        Heard::NoValue => Outcome::AppliedNoValue,
        Heard::Timeout => Outcome::Unknown(Doubt::Timeout),
    }
}

fn holding(world: &mut World, who: usize, state: &State, rotation: &Rotation) -> Holding {
    let id = number(rotation.rotation_id);
    if let (Some(key), Some(known)) = (world.record.staged, state.phase.answer()) {
        let call = known.call;
        world.replicas[who].hand =
            Some(Hand { rotation: id, call, key, sealed: true, refused_by_disk: false });
    }
    if let Some(hand) = world.replicas[who].hand.filter(|hand| hand.rotation == id) {
        return Holding::Answer(facts(hand.key, hand.call));
    }
    let_go(world, who);
    match world.replicas[who].slots[usize::from(id)] {
        Slot::Missing => Holding::Nothing,
        Slot::Unsent => Holding::Unsent,
        Slot::Sent => Holding::Sent,
        Slot::Sealed { key, call } => {
            world.replicas[who].hand =
                Some(Hand { rotation: id, call, key, sealed: true, refused_by_disk: false });
            Holding::Answer(facts(key, call))
        }
    }
}

/// Drops a key that is not the open rotation's, once the escrow has it.
fn let_go(world: &mut World, who: usize) {
    if let Some(hand) = world.replicas[who].hand.take().filter(|hand| !hand.sealed) {
        world.replicas[who].slots[usize::from(hand.rotation)] =
            Slot::Sealed { key: hand.key, call: hand.call };
    }
}

fn published(
    world: &mut World,
    who: usize,
    rotation: &Rotation,
) -> Option<(keyturn::rotation::Answer, KvVersion)> {
    let entry = world.entry;
    let replica = &mut world.replicas[who];
    replica.entry = Some(entry);
    let stamp = entry.stamp.filter(|stamp| stamp.rotation == number(rotation.rotation_id))?;
    let held = replica.hand.filter(|hand| hand.rotation == stamp.rotation);
    let ours = stamp.call == rotation.calls && held.is_none_or(|hand| hand.key == entry.key);
    ours.then(|| (facts(entry.key, stamp.call), KvVersion(entry.version)))
}

fn look_after_leftovers(world: &mut World, who: usize, state: &State) {
    for (id, slot) in world.replicas[who].slots.iter_mut().enumerate() {
        let closed = state.history.iter().find(|closed| usize::from(number(closed.rotation_id)) == id);
        let published = closed.and_then(|closed| match &closed.outcome {
            ClosedAs::Rotated { answer, .. } => Some(&answer.fingerprint),
            _ => None,
        });
        let erased = match *slot {
            Slot::Missing => false,
            Slot::Unsent => true,
            Slot::Sent => closed.is_some(),
            Slot::Sealed { key, .. } => published == Some(&fingerprint(key)),
        };
        if erased {
            *slot = Slot::Missing;
        }
    }
}

fn advance(world: &mut World, rules: &Rules, who: usize, state: State, event: Event) -> Moved {
    let (state, effects) = rules.step(state, event).map_err(Broken::illegal)?;
    proceed(world, who, state, effects);
    Ok(())
}

fn proceed(world: &mut World, who: usize, state: State, effects: Vec<Effect>) {
    world.replicas[who].place = match effects.first() {
        Some(Effect::Wait { until }) => Place::Waiting { state: Box::new(state), until: *until },
        Some(_) => Place::Running(Box::new(Run { state, effects, compared: false, answer_waits: None })),
        None => match state.phase.rotation() {
            Some(open) if open.holder == replica_id(who) && !is_halted(&state) => Place::Loading,
            _ => Place::Resting(Box::new(state)),
        },
    };
}

/// Whether a resting replica finds something to do.
pub(crate) fn looks_up(world: &World, who: usize, state: &State) -> bool {
    if world.record.version != world.replicas[who].version {
        return true;
    }
    let others = state.phase.rotation().filter(|open| open.holder != replica_id(who));
    others.is_some_and(|open| is_silent(world, who, open)) && !is_halted(state)
}

fn is_silent(world: &World, who: usize, rotation: &Rotation) -> bool {
    let claim_ms = i64::try_from(rotation.claim_ms).unwrap();
    unchanged_ms(world, who) >= claim_ms + claim_ms / 4
}

fn holds_claim(world: &World, who: usize, rotation: &Rotation) -> bool {
    unchanged_ms(world, who) <= i64::try_from(rotation.claim_ms).unwrap()
}

fn unchanged_ms(world: &World, who: usize) -> i64 {
    i64::from(world.tick - world.replicas[who].seen_at) * TICK_SECONDS * 1000
}

fn epoch(world: &World, who: usize) -> KvVersion {
    KvVersion(world.replicas[who].version + 1)
}

/// One effect; where it does not succeed, the replica is left where it reads everything afresh.
fn run_effect(world: &mut World, rules: &Rules, who: usize, mut run: Run, happens: Happens) -> Moved {
    let now = world.now();
    let event = match run.effects[0].clone() {
        Effect::Preflight { rotation_id, request } => {
            world.replicas[who].entry = Some(world.entry);
            world.replicas[who].slots[usize::from(number(rotation_id))] = Slot::Unsent;
            let baseline = Baseline {
                provider: rules.plan.read.map(|_| fingerprint(world.provider.newest())),
                entry: Some(fingerprint(world.entry.key)),
                entry_version: KvVersion(world.entry.version),
            };
            let (replica, epoch) = (replica_id(who), epoch(world, who));
            Some(Event::Preflighted { rotation_id, request, replica, epoch, baseline, now })
        }
        Effect::Save if save(world, who, &run.state, happens) => None,
        Effect::Save => return Ok(()),
        Effect::Call => match call(world, rules, who, &mut run, happens) {
            Some(event) => Some(event),
            None => return Ok(()),
        },
        Effect::Read => Some(Event::Read { reading: read(world, who, &run.state, happens), now }),
        Effect::Seal => {
            seal(world, who, happens);
            Some(Event::Sealed { now })
        }
        Effect::Publish => match publish(world, rules, who, &mut run, happens)? {
            Some(event) => Some(event),
            None => return Ok(()),
        },
        Effect::Probe => {
            let Some(hand) = world.replicas[who].hand else { return Ok(()) };
            Some(Event::Probed { verdict: verdict(world, rules, hand.key, happens), now })
        }
        Effect::Verify => match verify(world, rules, who, &run.state, happens) {
            Some(event) => Some(event),
            None => return Ok(()),
        },
        Effect::Erase { rotation_id } => {
            world.replicas[who].hand = None;
            world.replicas[who].slots[usize::from(number(rotation_id))] = Slot::Missing;
            None
        }
        Effect::Leave => {
            world.replicas[who].hand = None;
            None
        }
        Effect::Wait { .. } => None,
    };
    run.effects.remove(0);
    match event {
        Some(event) => advance(world, rules, who, run.state, event),
        None => {
            proceed(world, who, run.state, run.effects);
            Ok(())
        }
    }
}

/// Writes the record; `false` where it was not written, or nobody heard that it was.
fn save(world: &mut World, who: usize, state: &State, happens: Happens) -> bool {
    let secret = if state.phase.keeps_secret_in_record() {
        match world.replicas[who].hand.filter(|hand| Some(hand.rotation) == open_number(state)) {
            Some(hand) => Some(hand.key),
            None => return false,
        }
    } else {
        None
    };
    if world.record.version != world.replicas[who].version || happens == Happens::NotWritten {
        return false;
    }
    world.record.state = state.clone();
    world.record.staged = secret;
    world.record.version += 1;
    if happens == Happens::WrittenUnheard {
        return false;
    }
    let replica = &mut world.replicas[who];
    (replica.version, replica.seen_at, replica.heard) = (world.record.version, world.tick, None);
    true
}

fn call(world: &mut World, rules: &Rules, who: usize, run: &mut Run, happens: Happens) -> Option<Event> {
    let rotation = run.state.phase.rotation()?.clone();
    let id = number(rotation.rotation_id);
    if let Some(key) = run.answer_waits {
        return Some(applied(world, who, &rotation, key));
    }
    if !holds_claim(world, who, &rotation) {
        if rotation.calls > 1 {
            world.replicas[who].heard = Some((id, rotation.calls, Heard::Refused));
        }
        return None;
    }
    let slot = &mut world.replicas[who].slots[usize::from(id)];
    if !matches!(slot, Slot::Sealed { .. }) {
        *slot = Slot::Sent;
    }
    if happens == Happens::Unmarked {
        world.replicas[who].heard = Some((id, rotation.calls, Heard::Refused));
        return None;
    }
    let signs =
        !rules.plan.self_authenticating || world.provider.accepts(&rules.plan, world.entry.key, world.tick);
    if happens == Happens::Refused || !signs {
        let heard = if signs { Heard::Refused } else { Heard::Forbidden };
        return Some(brought_nothing(world, who, &rotation, heard));
    }
    world.provider.sent[usize::from(id)] += 1;
    sent(world, rules, who, run, happens)
}

/// The request has left.
fn sent(world: &mut World, rules: &Rules, who: usize, run: &mut Run, happens: Happens) -> Option<Event> {
    let rotation = run.state.phase.rotation()?.clone();
    let id = number(rotation.rotation_id);
    match happens {
        Happens::Lost | Happens::DiesUnapplied => {}
        Happens::Later | Happens::DiesLater => world.flight = Some(id),
        _ => {
            let key = world.provider.apply(&rules.plan, id, world.tick);
            if happens == Happens::Slow {
                let waits = Run { answer_waits: Some(key), ..run.clone() };
                world.replicas[who].place = Place::Running(Box::new(waits));
                return None;
            }
            if happens == Happens::Well {
                return Some(applied(world, who, &rotation, key));
            }
        }
    }
    if matches!(happens, Happens::DiesApplied | Happens::DiesUnapplied | Happens::DiesLater) {
        crash(world, who);
        return None;
    }
    let heard = if happens == Happens::NoValue { Heard::NoValue } else { Heard::Timeout };
    Some(brought_nothing(world, who, &rotation, heard))
}

fn applied(world: &mut World, who: usize, rotation: &Rotation, key: u8) -> Event {
    if !world.received.contains(&key) {
        world.received.push(key);
    }
    let answer = take_in_hand(world, who, rotation, key);
    Event::Called { outcome: Outcome::Applied(answer), now: world.now() }
}

fn brought_nothing(world: &mut World, who: usize, rotation: &Rotation, heard: Heard) -> Event {
    world.replicas[who].heard = Some((number(rotation.rotation_id), rotation.calls, heard));
    Event::Called { outcome: outcome_of(heard), now: world.now() }
}

fn take_in_hand(world: &mut World, who: usize, rotation: &Rotation, key: u8) -> keyturn::rotation::Answer {
    let (id, call) = (number(rotation.rotation_id), rotation.calls);
    world.replicas[who].hand = Some(Hand { rotation: id, call, key, sealed: false, refused_by_disk: false });
    facts(key, call)
}

fn read(world: &mut World, who: usize, state: &State, happens: Happens) -> Reading {
    let Some(rotation) = state.phase.rotation().cloned() else {
        return Reading::Unavailable(Problem::default());
    };
    if happens == Happens::Unavailable {
        return Reading::Unavailable(Problem::default());
    }
    let key = world.provider.newest() - u8::from(happens == Happens::Stale);
    let before = rotation.baseline.provider.as_ref().or(rotation.baseline.entry.as_ref());
    if before == Some(&fingerprint(key)) {
        return Reading::Unchanged;
    }
    Reading::Changed(take_in_hand(world, who, &rotation, key))
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

/// Compares the record's version first, and writes in a step of its own.
fn publish(
    world: &mut World,
    rules: &Rules,
    who: usize,
    run: &mut Run,
    happens: Happens,
) -> Result<Option<Event>, Broken> {
    let Some(rotation) = run.state.phase.rotation().cloned() else { return Ok(None) };
    if !run.compared {
        let may = holds_claim(world, who, &rotation) && world.record.version == world.replicas[who].version;
        if may || rules.mutation == Mutation::PublishesBlindly {
            run.compared = true;
            world.replicas[who].place = Place::Running(Box::new(run.clone()));
        }
        return Ok(None);
    }
    let entry = match world.replicas[who].entry {
        Some(entry) if rules.mutation != Mutation::PublishesBlindly => entry,
        _ => world.entry,
    };
    let Some(hand) = world.replicas[who].hand else { return Ok(None) };
    let newer = entry.stamp.is_some_and(|stamp| stamp.epoch > rotation.epoch.0);
    if newer && rules.mutation != Mutation::PublishesBlindly {
        return Ok(None);
    }
    world.replicas[who].entry = None;
    if entry.version != world.entry.version || happens == Happens::NotWritten {
        return Ok(None);
    }
    let rotation_number: Number = number(rotation.rotation_id);
    let stamp = Stamp { rotation: rotation_number, epoch: rotation.epoch.0, call: hand.call };
    let before = world.entry;
    world.entry.key = hand.key;
    world.entry.stamp = Some(stamp);
    world.entry.version += 1;
    rules.watch_entry(world, before)?;
    if happens == Happens::WrittenUnheard {
        return Ok(None);
    }
    Ok(Some(Event::Published { version: KvVersion(world.entry.version), now: at(world.tick) }))
}

fn verify(world: &mut World, rules: &Rules, who: usize, state: &State, happens: Happens) -> Option<Event> {
    let id = open_number(state)?;
    let expected = world.replicas[who].hand.filter(|hand| hand.rotation == id).map(|hand| hand.key);
    let entry = world.entry;
    let ours = entry.stamp.is_some_and(|stamp| stamp.rotation == id);
    if !ours || expected.is_some_and(|key| key != entry.key) {
        return None;
    }
    world.replicas[who].entry = Some(entry);
    let verdict = if rules.plan.probe { verdict(world, rules, entry.key, happens) } else { Verdict::NoProbe };
    Some(Event::Probed { verdict, now: world.now() })
}

fn verdict(world: &World, rules: &Rules, key: u8, happens: Happens) -> Verdict {
    let made = world.provider.made[usize::from(key)].tick;
    let propagated = rules.plan.propagation.is_none() || world.tick > made;
    if happens == Happens::Unavailable {
        Verdict::Unavailable
    } else if propagated && world.provider.accepts(&rules.plan, key, world.tick) {
        Verdict::Accepted
    } else {
        Verdict::NotAccepted
    }
}
