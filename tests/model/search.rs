//! Breadth first through every reachable world, with the shortest way to what is broken.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use keyturn::rotation::Phase;

use super::encode::encode;
use super::moves::{self, Bounds, Happens, Move};
use super::mutation::Rules;
use super::properties::{Broken, Property};
use super::world::{Place, World, is_halted};

pub(crate) struct Explored {
    pub(crate) worlds: usize,
    pub(crate) moves: usize,
    pub(crate) deepest: usize,
    pub(crate) took: Duration,
    pub(crate) broken: Option<(Broken, String)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a search takes is worth knowing, and decides nothing"
)]
pub(crate) fn explore(rules: &Rules, bounds: &Bounds) -> Explored {
    let started = Instant::now();
    let mut search = Search::new(rules, bounds);
    let broken = search.run().map(|(broken, way)| {
        let told = tell(rules, bounds, &way);
        (broken, told)
    });
    Explored {
        worlds: search.seen.len(),
        moves: search.moves,
        deepest: search.deepest,
        took: started.elapsed(),
        broken,
    }
}

struct Search<'a> {
    rules: &'a Rules,
    bounds: &'a Bounds,
    seen: HashMap<Box<[u8]>, u32>,
    /// By number: where each world was come from, and how.
    came: Vec<(u32, Option<Move>)>,
    /// Worlds from which one replica alone comes to rest, by replica.
    restful: Vec<HashSet<Box<[u8]>>>,
    moves: usize,
    deepest: usize,
}

impl<'a> Search<'a> {
    fn new(rules: &'a Rules, bounds: &'a Bounds) -> Self {
        let restful = vec![HashSet::new(); bounds.replicas];
        Self { rules, bounds, seen: HashMap::new(), came: Vec::new(), restful, moves: 0, deepest: 0 }
    }

    fn run(&mut self) -> Option<(Broken, Vec<Move>)> {
        let first = World::new(self.bounds.replicas, self.bounds.requests);
        let mut open = VecDeque::new();
        self.add(&first, 0, None);
        open.push_back((first, 0_u32, 0_usize));
        while let Some((world, index, depth)) = open.pop_front() {
            self.deepest = depth;
            if let Err((broken, mut more)) = self.comes_to_rest(&world) {
                let mut way = self.way_to(index);
                way.append(&mut more);
                return Some((broken, way));
            }
            for next in moves::possible(&world, self.rules, self.bounds) {
                self.moves += 1;
                let mut after = world.clone();
                if let Err(broken) = moves::make(&mut after, self.rules, next) {
                    let mut way = self.way_to(index);
                    way.push(next);
                    return Some((broken, way));
                }
                if let Some(number) = self.add(&after, index, Some(next)) {
                    open.push_back((after, number, depth + 1));
                }
            }
        }
        None
    }

    fn add(&mut self, world: &World, from: u32, by: Option<Move>) -> Option<u32> {
        let number = u32::try_from(self.came.len()).unwrap();
        let bytes = encode(world);
        if self.seen.contains_key(&bytes) {
            return None;
        }
        self.seen.insert(bytes, number);
        self.came.push((from, by));
        Some(number)
    }

    fn way_to(&self, index: u32) -> Vec<Move> {
        let mut way = Vec::new();
        let mut at = index;
        while let (from, Some(by)) = self.came[usize::try_from(at).unwrap()] {
            way.push(by);
            at = from;
        }
        way.reverse();
        way
    }

    /// Without further faults, any one replica alone brings the rotation to its end, or to a person.
    fn comes_to_rest(&mut self, world: &World) -> Result<(), (Broken, Vec<Move>)> {
        if self.rules.only.is_some_and(|only| only != Property::AlwaysResumes) {
            return Ok(());
        }
        for who in 0..self.bounds.replicas {
            self.comes_to_rest_by(world.clone(), who)?;
        }
        Ok(())
    }

    fn comes_to_rest_by(&mut self, mut world: World, who: usize) -> Result<(), (Broken, Vec<Move>)> {
        let (mut passed, mut way) = (Vec::new(), Vec::new());
        while !is_at_rest(&world, who) {
            let bytes = encode(&world);
            if self.restful[who].contains(&bytes) {
                break;
            }
            passed.push(bytes);
            if way.len() > LONGEST_WAY_TO_REST {
                let what = format!("replica {who} alone does not come to rest");
                return Err((Broken::new(Property::AlwaysResumes, what), way));
            }
            let next = only_move(&world, self.rules, self.bounds, who);
            way.push(next);
            moves::make(&mut world, self.rules, next).map_err(|broken| (broken, way.clone()))?;
        }
        self.restful[who].extend(passed);
        Ok(())
    }
}

const LONGEST_WAY_TO_REST: usize = 100;

fn is_at_rest(world: &World, who: usize) -> bool {
    let idle = world.record.state.phase == Phase::Idle && world.entry.key == world.provider.newest();
    let resting = matches!(world.replicas[who].place, Place::Resting(_));
    is_halted(&world.record.state) || (idle && resting)
}

fn only_move(world: &World, rules: &Rules, bounds: &Bounds, who: usize) -> Move {
    let faultless = Bounds { faults: 0, requests: 0, ticks: 0, ..*bounds };
    let index = u8::try_from(who).unwrap();
    let own = |next: &Move| matches!(next, Move::Go(by, Happens::Well) | Move::Restart(by) if *by == index);
    moves::possible(world, rules, &faultless).into_iter().find(own).unwrap_or(Move::TimePasses)
}

/// The way again, with what everybody holds after each move.
fn tell(rules: &Rules, bounds: &Bounds, way: &[Move]) -> String {
    let mut world = World::new(bounds.replicas, bounds.requests);
    let mut told = String::new();
    for next in way {
        let doing = doing(&world, *next);
        let end = moves::make(&mut world, rules, *next);
        writeln!(
            told,
            "  tick {} {next:?} {doing}-> record {} v{} staged {:?}, entry {:?}, newest {}, flight {:?}",
            world.tick,
            world.record.state.phase.name(),
            world.record.version,
            world.record.staged,
            world.entry,
            world.provider.newest(),
            world.flight,
        )
        .unwrap();
        for (index, replica) in world.replicas.iter().enumerate() {
            writeln!(told, "      {index}: hand {:?}, slots {:?}", replica.hand, replica.slots).unwrap();
        }
        if end.is_err() {
            break;
        }
    }
    told
}

fn doing(world: &World, next: Move) -> String {
    let Move::Go(who, _) = next else { return String::new() };
    match &world.replicas[usize::from(who)].place {
        Place::Running(run) => format!("{:?} of {} ", run.effects, run.state.phase.name()),
        Place::Loading => "loads ".to_owned(),
        Place::Waiting { .. } => "wakes ".to_owned(),
        Place::Resting(_) => "looks up ".to_owned(),
        Place::Dead => "is dead ".to_owned(),
    }
}
