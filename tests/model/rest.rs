//! Any one replica alone, without further faults: what it brings the rotation to.

use std::collections::HashMap;

use keyturn::rotation::Phase;

use super::chores;
use super::encode::encode;
use super::engine;
use super::moves::{self, Move};
use super::mutation::Rules;
use super::properties::{self, Broken, Property};
use super::world::{Place, TICK_SECONDS, World, is_halted, small};

/// How the runs of one replica alone end, by the world in which they begin.
pub(crate) struct Rest {
    who: usize,
    /// The tick from which an application's key is dead, on the way to rest.
    outages: HashMap<Box<[u8]>, Option<u8>>,
}

const LONGEST_WAY: usize = 120;

impl Rest {
    pub(crate) fn of(who: usize) -> Self {
        Self { who, outages: HashMap::new() }
    }

    /// Lets the replica go on alone; the way is given where a promise is broken on it.
    pub(crate) fn comes(&mut self, world: &World, rules: &Rules) -> Result<(), (Broken, Vec<Move>)> {
        let (mut world, mut passed, mut way) = (world.clone(), Vec::new(), Vec::new());
        let outage = loop {
            let bytes = encode(&world);
            if let Some(outage) = self.outages.get(&bytes) {
                break *outage;
            }
            passed.push((bytes, world.tick, is_dead(&world, rules, self.who), left_ticks(&world, rules)));
            if is_at_rest(&world, rules, self.who) {
                let ended = self
                    .ends_well(&world, rules)
                    .and_then(|()| rules.of_interest(properties::is_cleared_away(&world)));
                ended.map_err(|broken| (broken, way.clone()))?;
                break None;
            }
            if way.len() > LONGEST_WAY {
                let what = format!("replica {} alone does not come to rest", self.who);
                let found = rules.of_interest(Err(Broken::new(Property::AlwaysResumes, what)));
                found.map_err(|broken| (broken, way.clone()))?;
                break None;
            }
            let next = moves::by_itself(&world, rules, self.who).unwrap_or(Move::TimePasses);
            way.push(next);
            moves::make(&mut world, rules, next).map_err(|broken| (broken, way.clone()))?;
        };
        self.remember(passed, outage, rules).map_err(|broken| (broken, way))
    }

    fn remember(
        &mut self,
        passed: Vec<(Box<[u8]>, u8, bool, u8)>,
        mut outage: Option<u8>,
        rules: &Rules,
    ) -> Result<(), Broken> {
        for (bytes, tick, dead, left) in passed.into_iter().rev() {
            if dead {
                outage = Some(tick);
            }
            if let Some(outage) = outage.filter(|_| !dead && left >= needed_ticks(rules)) {
                let what =
                    format!("the entry's key is dead at tick {outage}, {left} ticks after it was in hand");
                rules.of_interest(Err(Broken::new(Property::NoOutage, what)))?;
            }
            self.outages.insert(bytes, outage);
        }
        Ok(())
    }

    /// At the end a person was not asked for what this very replica has.
    fn ends_well(&self, world: &World, rules: &Rules) -> Result<(), Broken> {
        let Phase::Halted { rotation, halt } = &world.record.state.phase else { return Ok(()) };
        let missing = world.replicas[self.who].answer_to(rotation).filter(|_| halt.answer.is_none());
        let Some(key) = missing else { return Ok(()) };
        let what = format!("replica {} has key {key}, and a person is asked for it", self.who);
        rules.of_interest(Err(Broken::new(Property::AsksOnlyWhenItMust, what)))
    }
}

fn is_at_rest(world: &World, rules: &Rules, who: usize) -> bool {
    let Place::Resting(state) = &world.replicas[who].place else { return false };
    let right = world.entry.key == world.provider.newest() || world.kept_by_hand || world.lives_side_by_side;
    let idle = world.record.state.phase == Phase::Idle && right;
    let done =
        !engine::looks_up(world, rules, who, state) && !chores::is_anything_left(world, rules, who, state);
    (idle || is_halted(&world.record.state)) && done
}

/// An application holds a dead key, although the newest is within this replica's reach and no person is asked.
fn is_dead(world: &World, rules: &Rules, who: usize) -> bool {
    let Some(open) = world.record.state.phase.rotation() else { return false };
    let newest = world.provider.newest();
    let in_reach = rules.plan.read.is_some()
        || world.record.staged == Some(newest)
        || world.replicas[who].answer_to(open) == Some(newest);
    let works = world.provider.accepts(&rules.plan, world.entry.key, world.tick);
    rules.plan.grace.is_some() && in_reach && !works && !is_halted(&world.record.state)
}

/// How long the entry's key will still be accepted.
fn left_ticks(world: &World, rules: &Rules) -> u8 {
    let dies_at = world.provider.dies_at(&rules.plan, world.entry.key);
    dies_at.map_or(u8::MAX, |dies_at| dies_at.saturating_sub(world.tick))
}

/// What the protocol needs at most, from a world in which everything is well: a whole claim with its margin until
/// another may go on, the time until a new key works, and a tick to act in.
fn needed_ticks(rules: &Rules) -> u8 {
    let wait =
        rules.plan.propagation.map(|times| if rules.plan.probe { times.deadline } else { times.delay });
    let wait = wait.unwrap_or_default();
    let claim = rules.plan.claim + wait;
    let ticks = (claim + claim / 4).as_secs().div_ceil(TICK_SECONDS) + wait.as_secs().div_ceil(TICK_SECONDS);
    small(ticks + 1)
}
