//! Breadth first through every reachable world, with the shortest way to what is broken.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use keyturn::rotation::Plan;

use super::encode::encode;
use super::moves::{self, Bounds, Move};
use super::mutation::Rules;
use super::properties::{Broken, Property};
use super::rest::Rest;
use super::world::{Place, World};

pub(crate) struct Explored {
    pub(crate) worlds: usize,
    pub(crate) moves: usize,
    pub(crate) deepest: usize,
    /// Different questions that the core was asked.
    pub(crate) asked: usize,
    pub(crate) took: Duration,
    /// There was no end within the most worlds that were allowed.
    pub(crate) cut: bool,
    pub(crate) broken: Option<(Broken, String)>,
}

/// The most worlds of one search, so that its memory has a bound.
pub(crate) const WORLDS_MAX: usize = 12_000_000;

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
        asked: rules.asked(),
        took: started.elapsed(),
        cut: search.cut,
        broken,
    }
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    /// Nothing was broken in as many worlds as a search may have; there are more.
    CutOff,
    Broken,
}

/// Searches, tells how far it went, and whether every promise was kept.
pub(crate) fn report(name: &str, plan: Plan, bounds: Bounds) -> Verdict {
    let explored = explore(&Rules::faithful(plan), &bounds);
    let Explored { worlds, moves, deepest, asked, took, cut, broken } = explored;
    let more = if cut { ", CUT OFF" } else { "" };
    println!(
        "{name:<28} {worlds:>9} worlds {moves:>9} moves {deepest:>3} deep {asked:>6} questions {took:>8.1?}  {bounds}{more}"
    );
    if let Some((broken, way)) = &broken {
        println!("{:?}: {}\n{way}", broken.property, broken.what);
    }
    match broken {
        Some(_) => Verdict::Broken,
        None if cut => Verdict::CutOff,
        None => Verdict::Holds,
    }
}

struct Search<'a> {
    rules: &'a Rules,
    bounds: &'a Bounds,
    seen: HashSet<Box<[u8]>>,
    /// By number: where each world was come from, and how.
    came: Vec<(u32, Option<Move>)>,
    rests: Vec<Rest>,
    moves: usize,
    deepest: usize,
    cut: bool,
}

impl<'a> Search<'a> {
    fn new(rules: &'a Rules, bounds: &'a Bounds) -> Self {
        let rests = (0..bounds.replicas).map(Rest::of).collect();
        let (seen, came) = (HashSet::new(), Vec::new());
        Self { rules, bounds, seen, came, rests, moves: 0, deepest: 0, cut: false }
    }

    fn run(&mut self) -> Option<(Broken, Vec<Move>)> {
        let first = self.rules.first_world(self.bounds.replicas);
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
            if self.seen.len() > WORLDS_MAX {
                self.cut = true;
                return None;
            }
        }
        None
    }

    fn add(&mut self, world: &World, from: u32, by: Option<Move>) -> Option<u32> {
        let number = u32::try_from(self.came.len()).unwrap();
        if !self.seen.insert(encode(world)) {
            return None;
        }
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
        let ends = [Property::AlwaysResumes, Property::NoOutage, Property::AsksOnlyWhenItMust];
        if self.rules.only.is_some_and(|only| !ends.contains(&only)) {
            return Ok(());
        }
        self.rests.iter_mut().try_for_each(|rest| rest.comes(world, self.rules))
    }
}

/// The way again, with what everybody holds after each move.
fn tell(rules: &Rules, bounds: &Bounds, way: &[Move]) -> String {
    let mut world = rules.first_world(bounds.replicas);
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
        Place::Running(run) => format!("{:?} of {} ", run.next(), run.state.phase.name()),
        Place::Loading => "loads ".to_owned(),
        Place::Waiting { .. } => "wakes ".to_owned(),
        Place::Resting(_) => "looks up ".to_owned(),
        Place::Dead => "is dead ".to_owned(),
    }
}
