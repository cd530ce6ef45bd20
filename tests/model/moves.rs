//! Everything that can happen next, each with its cost in faults.

use keyturn::rotation::{Effect, Phase, possible_decisions};

use super::chores;
use super::engine::{self, Moved};
use super::mutation::{Mutation, Rules};
use super::said::Decides;
use super::vault;
use super::world::{Place, Slot, World, small};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Request(u8),
    Decide(u8, Decides),
    Go(u8, Happens),
    Crash(u8),
    Restart(u8),
    TimePasses,
    /// The request on its way takes effect, and nobody hears of it.
    FlightLands,
    /// The write on its way reaches Vault, and nobody hears of it.
    MailArrives,
}

/// How an effect goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happens {
    Well,
    /// A write took effect, and neither its answer nor the read-back arrived.
    WrittenUnheard,
    /// A write did not take effect, or it was not possible.
    NotWritten,
    /// The sender gave up, and the write still is on its way.
    WrittenLater,
    /// No request left.
    Refused,
    /// The provider refuses, and would again.
    Forbidden,
    /// It acted, and the answer has no value.
    NoValue,
    /// It acted, and the answer is lost.
    AnswerLost,
    /// It did not act, and nobody can tell.
    Lost,
    /// The sender gave up, and the request still is on its way.
    Later,
    /// It acted, and the process sleeps before it reads the answer.
    Slow,
    /// The disk failed while the slot was marked: it may say "sent".
    Unmarked,
    DiesApplied,
    DiesUnapplied,
    DiesLater,
    /// A read shows what was true a moment ago.
    Stale,
    Unavailable,
    DiskRefuses,
}

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) replicas: usize,
    pub(crate) requests: u8,
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    pub(crate) decisions: u8,
    /// The faults that happen; all, where none is named.
    pub(crate) among: &'static [Happens],
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { replicas, requests, faults, ticks, decisions, .. } = self;
        write!(
            f,
            "{replicas} replicas, {requests} rotations, {faults} faults, {ticks} ticks, {decisions} decisions"
        )
    }
}

pub(crate) fn possible(world: &World, rules: &Rules, bounds: &Bounds) -> Vec<Move> {
    let mut moves = Vec::with_capacity(24);
    for who in 0..world.replicas.len() {
        of_replica(world, rules, bounds, who, &mut moves);
    }
    if world.tick < bounds.ticks {
        moves.push(Move::TimePasses);
    }
    if world.flight.is_some() {
        moves.push(Move::FlightLands);
    }
    if world.mail.is_some() {
        moves.push(Move::MailArrives);
    }
    moves
}

fn of_replica(world: &World, rules: &Rules, bounds: &Bounds, who: usize, moves: &mut Vec<Move>) {
    let index = small(who);
    if let Some(next) = by_itself(world, rules, who) {
        moves.push(next);
    }
    // Replicas differ in nothing but their number: the first request is the first one's.
    let may_ask = world.requests < bounds.requests && (who == 0 || world.requests > 0);
    if may_ask && is_free(world, who) {
        moves.push(Move::Request(index));
    }
    if world.decisions < bounds.decisions {
        let possible = decisions(world, who).into_iter();
        moves.extend(possible.map(|decision| Move::Decide(index, decision)));
    }
    if world.faults >= bounds.faults {
        return;
    }
    if let Place::Running(run) = &world.replicas[who].place
        && run.answer_waits.is_none()
        && (*run.next() != Effect::Publish || run.compared)
    {
        let faults = faults_of(world, rules, run.next());
        let among = |fault: &&Happens| bounds.among.is_empty() || bounds.among.contains(fault);
        moves.extend(faults.iter().filter(among).map(|fault| Move::Go(index, *fault)));
    }
    if bounds.among.is_empty() && has_something_to_lose(world, who) {
        moves.push(Move::Crash(index));
    }
}

/// What a replica does next of its own accord, without a fault.
pub(crate) fn by_itself(world: &World, rules: &Rules, who: usize) -> Option<Move> {
    let index = small(who);
    let ready = match &world.replicas[who].place {
        Place::Dead => return Some(Move::Restart(index)),
        Place::Loading | Place::Running(_) => true,
        Place::Waiting { until, .. } => {
            super::world::at(world.tick) >= *until && rules.mutation != Mutation::NeverWakes
        }
        Place::Resting(state) => {
            let begins = world.replicas[who].wanted.is_some() && engine::may_begin(world, rules, who, state);
            let chore = || chores::next(world, rules, who, state).is_some();
            begins || engine::looks_up(world, rules, who, state) || chore()
        }
    };
    ready.then_some(Move::Go(index, Happens::Well))
}

fn decisions(world: &World, who: usize) -> Vec<Decides> {
    let (Place::Resting(state) | Place::Waiting { state, .. }) = &world.replicas[who].place else {
        return Vec::new();
    };
    let possible = possible_decisions(&state.phase);
    let both = [Decides::KeepCurrent, Decides::TryAgain];
    both.into_iter().filter(|decides| possible.contains(&decides.decision())).collect()
}

fn is_free(world: &World, who: usize) -> bool {
    let replica = &world.replicas[who];
    matches!(&replica.place, Place::Resting(state) if state.phase == Phase::Idle) && replica.wanted.is_none()
}

/// A replica that holds nothing and does nothing is the same after a crash.
fn has_something_to_lose(world: &World, who: usize) -> bool {
    let replica = &world.replicas[who];
    let busy = matches!(replica.place, Place::Running(_) | Place::Waiting { .. });
    busy || replica.hand.is_some()
        || replica.heard.is_some()
        || replica.wanted.is_some()
        || replica.slots.iter().any(|slot| *slot != Slot::Missing)
}

fn faults_of(world: &World, rules: &Rules, effect: &Effect) -> Vec<Happens> {
    use Happens as H;
    match effect {
        Effect::Save | Effect::Publish => {
            let mut faults = vec![H::WrittenUnheard, H::NotWritten];
            faults.extend(world.mail.is_none().then_some(H::WrittenLater));
            faults
        }
        Effect::Call => {
            let mut faults = vec![H::Refused, H::Forbidden, H::NoValue, H::AnswerLost, H::Lost, H::Slow];
            faults.extend([H::Unmarked, H::DiesApplied, H::DiesUnapplied]);
            if world.flight.is_none() {
                faults.extend([H::Later, H::DiesLater]);
            }
            faults
        }
        Effect::Read => {
            let newest = world.provider.newest();
            let fresh = newest > 0 && world.provider.made_at(newest) == world.tick;
            let mut faults = vec![H::Unavailable, H::Forbidden];
            faults.extend(fresh.then_some(H::Stale));
            faults
        }
        Effect::Seal => vec![H::DiskRefuses],
        Effect::Probe => vec![H::Unavailable],
        Effect::Verify if rules.plan.probe => vec![H::Unavailable],
        _ => Vec::new(),
    }
}

pub(crate) fn make(world: &mut World, rules: &Rules, next: Move) -> Moved {
    match next {
        Move::Request(who) => engine::request(world, rules, usize::from(who))?,
        Move::Decide(who, decision) => engine::decide(world, rules, usize::from(who), decision)?,
        Move::Go(who, happens) => {
            world.faults += u8::from(happens != Happens::Well);
            engine::go(world, rules, usize::from(who), happens)?;
        }
        Move::Crash(who) => {
            world.faults += 1;
            engine::crash(world, usize::from(who));
        }
        Move::Restart(who) => world.replicas[usize::from(who)].place = Place::Loading,
        Move::TimePasses => {
            world.tick += 1;
            world.flight = None;
        }
        Move::FlightLands => {
            if let Some(sent) = world.flight.take() {
                rules.apply(world, sent);
            }
        }
        Move::MailArrives => vault::deliver(world, rules)?,
    }
    rules.watch(world)
}
