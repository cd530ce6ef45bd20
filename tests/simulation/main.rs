//! Worlds that a seed draws, around the real engine: a few seconds of what `just simulate` does for as long as wanted.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells how far it went"
)]

mod judge;
mod storms;

use std::time::Duration;

use keyturn::clock::{Clock as _, SystemClock};
use keyturn::testbed::simulation::{Options, Tally, simulate};

/// Worlds that every run looks at, and how long it goes on with others.
const SEEDS: std::ops::Range<u64> = 0..4;
const BUDGET: Duration = Duration::from_secs(3);
/// Short worlds: the test is not optimised, and shall take seconds.
const SHORT: Options = Options { keeps_trail: false, defect: None, hours_max: Some(3), class: None };

#[test]
fn every_promise_holds_in_every_world() {
    let clock = SystemClock::start();
    let mut tally = Tally::default();
    for seed in (SEEDS.start..).take_while(|seed| SEEDS.contains(seed) || clock.monotonic() < BUDGET) {
        let concluded = simulate(seed, SHORT).unwrap();
        assert_eq!(
            concluded.broken, None,
            "see it: cargo run --release --example simulate --features testbed -- --seed {seed} --hours-max 3"
        );
        tally.add(&concluded.tally);
    }
    println!("{tally}");
    assert!(tally.of("rotated") > 0 && tally.faults.len() > 10, "{tally}");
}

#[test]
fn a_seed_gives_the_same_world_operation_by_operation() {
    let once = simulate(100, SHORT).unwrap();
    let again = simulate(100, Options { keeps_trail: true, ..SHORT }).unwrap();
    assert_eq!((once.trace, &once.tally), (again.trace, &again.tally));
    assert_ne!(once.trace, simulate(101, SHORT).unwrap().trace);
    assert!(again.trail.len() > 100);
}
