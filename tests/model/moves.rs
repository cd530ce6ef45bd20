//! Everything that can happen next, each with its cost in faults.

use keyturn::rotation::Effect;

use super::engine::{self, Moved};
use super::mutation::Rules;
use super::world::{Place, Slot, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Request(u8),
    Go(u8, Happens),
    Crash(u8),
    Restart(u8),
    TimePasses,
    /// The request on its way takes effect, and nobody hears of it.
    FlightLands,
}

/// How an effect goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happens {
    Well,
    /// A write took effect, and neither its answer nor the read-back arrived.
    WrittenUnheard,
    /// A write did not take effect, or it was not possible.
    NotWritten,
    /// The provider certainly did not act.
    Refused,
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
}

pub(crate) fn possible(world: &World, rules: &Rules, bounds: &Bounds) -> Vec<Move> {
    let mut moves = Vec::with_capacity(16);
    for who in 0..world.replicas.len() {
        of_replica(world, rules, bounds, who, &mut moves);
    }
    if world.tick < bounds.ticks {
        moves.push(Move::TimePasses);
    }
    if world.flight.is_some() {
        moves.push(Move::FlightLands);
    }
    moves
}

fn of_replica(world: &World, rules: &Rules, bounds: &Bounds, who: usize, moves: &mut Vec<Move>) {
    let index = u8::try_from(who).unwrap();
    let faulty = world.faults < bounds.faults;
    match &world.replicas[who].place {
        Place::Dead => {
            moves.push(Move::Restart(index));
            return;
        }
        Place::Loading => moves.push(Move::Go(index, Happens::Well)),
        Place::Waiting { until, .. } => {
            if world.now() >= *until {
                moves.push(Move::Go(index, Happens::Well));
            }
        }
        Place::Resting(state) => {
            if engine::looks_up(world, who, state) {
                moves.push(Move::Go(index, Happens::Well));
            }
            // Replicas differ in nothing but their number: the first request is the first one's.
            let may_ask = world.requests < bounds.requests && (who == 0 || world.requests > 0);
            if state.phase.rotation().is_none() && may_ask {
                moves.push(Move::Request(index));
            }
        }
        Place::Running(run) => {
            moves.push(Move::Go(index, Happens::Well));
            if faulty && run.answer_waits.is_none() && (run.effects[0] != Effect::Publish || run.compared) {
                let ways = faults_of(world, rules, &run.effects[0]).into_iter();
                moves.extend(ways.map(|fault| Move::Go(index, fault)));
            }
        }
    }
    if faulty && has_something_to_lose(world, who) {
        moves.push(Move::Crash(index));
    }
}

/// A replica that holds nothing and does nothing is the same after a crash.
fn has_something_to_lose(world: &World, who: usize) -> bool {
    let replica = &world.replicas[who];
    let busy = matches!(replica.place, Place::Running(_) | Place::Waiting { .. });
    busy || replica.hand.is_some()
        || replica.heard.is_some()
        || replica.slots.iter().any(|slot| *slot != Slot::Missing)
}

fn faults_of(world: &World, rules: &Rules, effect: &Effect) -> Vec<Happens> {
    use Happens as H;
    let free = world.flight.is_none();
    match effect {
        Effect::Save | Effect::Publish => vec![H::WrittenUnheard, H::NotWritten],
        Effect::Call => {
            let mut faults = vec![
                H::Refused,
                H::AnswerLost,
                H::Lost,
                H::Slow,
                H::Unmarked,
                H::DiesApplied,
                H::DiesUnapplied,
                H::NoValue,
            ];
            if free {
                faults.extend([H::Later, H::DiesLater]);
            }
            faults
        }
        Effect::Read => {
            let fresh = world.provider.made.last().is_some_and(|made| made.tick == world.tick);
            let mut faults = vec![H::Unavailable];
            if fresh && world.provider.newest() > 0 {
                faults.push(H::Stale);
            }
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
            if let Some(rotation) = world.flight.take() {
                world.provider.apply(&rules.plan, rotation, world.tick);
            }
        }
    }
    rules.watch(world)
}
