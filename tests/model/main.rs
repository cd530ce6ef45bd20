//! Every interleaving of replicas, crashes and lost answers within small bounds, around the real core.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::use_debug,
    reason = "a test fails by panicking, and tells how far it went"
)]

mod encode;
mod engine;
mod moves;
mod mutation;
mod plans;
mod properties;
mod search;
mod world;

use keyturn::rotation::Plan;
use moves::Bounds;
use mutation::{Mutation, Rules};
use properties::Property;
use search::explore;

const TWO: Bounds = Bounds { replicas: 2, requests: 1, faults: 1, ticks: 3 };

fn holds(name: &str, plan: Plan, bounds: Bounds) {
    let explored = explore(&Rules::faithful(plan), &bounds);
    println!(
        "{name}: {} worlds, {} moves, {} deep, {:.1?}; {bounds:?}",
        explored.worlds, explored.moves, explored.deepest, explored.took
    );
    if let Some((broken, way)) = explored.broken {
        panic!("{name}: {:?}: {}\n{way}", broken.property, broken.what);
    }
}

#[test]
fn a_provider_without_means_keeps_every_promise() {
    holds("none", plans::none(), TWO);
}

#[test]
fn a_provider_that_can_be_read_keeps_every_promise() {
    holds("read", plans::read(), TWO);
}

#[test]
fn a_provider_that_replays_keeps_every_promise() {
    holds("replay", plans::replay(), Bounds { ticks: 2, ..TWO });
}

#[test]
fn a_provider_that_redoes_keeps_every_promise() {
    holds("redo", plans::redo(), TWO);
}

#[test]
fn a_provider_whose_key_signs_its_own_redo_keeps_every_promise() {
    holds("redo, signing itself", plans::redo_signing_itself(), TWO);
}

#[test]
fn a_provider_that_needs_time_keeps_every_promise() {
    holds("staged", plans::staged(), Bounds { ticks: 2, ..TWO });
}

#[test]
fn a_provider_that_needs_time_and_can_be_probed_keeps_every_promise() {
    holds("staged, probed", plans::staged_and_probed(), TWO);
}

#[test]
fn three_replicas_that_sleep_past_their_claims_keep_every_promise() {
    holds("none, three replicas", plans::none(), Bounds { replicas: 3, faults: 0, ticks: 2, ..TWO });
}

#[test]
fn two_rotations_in_a_row_keep_every_promise() {
    holds("read, two rotations", plans::read(), Bounds { requests: 2, faults: 0, ticks: 2, ..TWO });
}

#[test]
fn every_property_notices_a_defect() {
    use Mutation as M;
    use Property as P;
    let paused = Bounds { requests: 2, faults: 0, ticks: 2, ..TWO };
    let table = [
        (P::NothingLost, M::NeverSeals, plans::none(), TWO),
        (P::NothingLost, M::ErasesWhenSealed, plans::none(), TWO),
        (P::NeverTorn, M::PublishesBlindly, plans::read(), paused),
        (P::NeverTwice, M::TakesSentForUnsent, plans::none(), TWO),
        (P::NeverGuessed, M::CallsBeforeTheIntentIsSaved, plans::read(), TWO),
        (P::NeverGuessed, M::BelievesAnUnchangedReadAtOnce, plans::read(), TWO),
        (P::NeverGuessed, M::RedoesAtOnce, plans::redo(), TWO),
        (P::NeverGuessed, M::ClosesUnpublished, plans::none(), TWO),
        (P::OneHand, M::PublishesBlindly, plans::read(), paused),
        (P::AlwaysResumes, M::NeverTakesOver, plans::none(), TWO),
    ];
    for (property, mutation, plan, bounds) in table {
        let explored = explore(&Rules { plan, mutation, only: Some(property) }, &bounds);
        let noticed = explored.broken.as_ref().map(|(broken, _)| broken.what.as_str());
        println!(
            "{property:?} {mutation:?}: {noticed:?} after {} worlds, {:.1?}",
            explored.worlds, explored.took
        );
        assert!(noticed.is_some(), "{property:?} does not notice {mutation:?}");
    }
}
