//! The long search of `tests/model`: every capability class, further than a test has time for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::use_debug,
    reason = "a search fails by panicking, and tells how far it went"
)]

#[path = "../../tests/model/book.rs"]
mod book;
#[path = "../../tests/model/chores.rs"]
mod chores;
#[path = "../../tests/model/effects.rs"]
mod effects;
#[path = "../../tests/model/encode.rs"]
mod encode;
#[path = "../../tests/model/engine.rs"]
mod engine;
#[path = "../../tests/model/moves.rs"]
mod moves;
#[path = "../../tests/model/mutation.rs"]
mod mutation;
#[path = "../../tests/model/plans.rs"]
mod plans;
#[path = "../../tests/model/properties.rs"]
mod properties;
#[path = "../../tests/model/provider.rs"]
mod provider;
#[path = "../../tests/model/removals.rs"]
mod removals;
#[path = "../../tests/model/rest.rs"]
mod rest;
#[path = "../../tests/model/said.rs"]
mod said;
#[path = "../../tests/model/search.rs"]
mod search;
#[path = "../../tests/model/vault.rs"]
mod vault;
#[path = "../../tests/model/world.rs"]
mod world;

use moves::Bounds;

/// Without arguments everything; with some, the searches whose line contains one of them.
fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let (mut broken, mut cut_off) = (0, 0);
    for (title, bounds) in SEARCHES {
        for (name, plan) in plans::all() {
            let name = format!("{title}: {name}");
            if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted)) {
                let verdict = search::report(&name, plan, bounds);
                broken += usize::from(verdict == search::Verdict::Broken);
                cut_off += usize::from(verdict == search::Verdict::CutOff);
            }
        }
    }
    if wanted.is_empty() || wanted.iter().any(|wanted| "removals".contains(wanted)) {
        for removal in removals::all().iter().chain(&removals::second_lines()) {
            let explored = removal.search();
            println!("{}", removals::line(removal, &explored));
            broken += usize::from(!removal.is_as_expected(&explored));
        }
    }
    if cut_off > 0 {
        println!("{cut_off} cut off after {} worlds, with nothing broken up to there", search::WORLDS_MAX);
    }
    assert_eq!(broken, 0, "promises are broken");
}

const ONE: Bounds = Bounds { replicas: 2, requests: 1, faults: 1, ticks: 3, decisions: 0, among: &[] };

const SEARCHES: [(&str, Bounds); 6] = [
    ("short", Bounds { ticks: 2, ..ONE }),
    ("person", Bounds { decisions: 1, ..ONE }),
    ("time", Bounds { ticks: 5, ..ONE }),
    ("faults", Bounds { faults: 2, ..ONE }),
    ("rotations", Bounds { requests: 2, ..ONE }),
    ("replicas", Bounds { replicas: 3, ticks: 2, ..ONE }),
];
