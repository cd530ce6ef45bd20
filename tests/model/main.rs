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

mod book;
mod chores;
mod effects;
mod encode;
mod engine;
mod moves;
mod mutation;
mod plans;
mod properties;
mod provider;
mod removals;
mod rest;
mod said;
mod search;
mod vault;
mod world;

use moves::{Bounds, Happens};

/// Small enough for every run of the tests; `just model` goes further.
const QUICK: Bounds = Bounds { replicas: 2, requests: 1, faults: 1, ticks: 2, decisions: 0, among: &[] };

fn hold(class: &str, bounds: Bounds) {
    let (name, plan) = plans::all().into_iter().find(|(name, _)| *name == class).unwrap();
    assert_eq!(search::report(name, plan, bounds), search::Verdict::Holds, "{name}");
}

#[test]
fn promises_hold_where_the_provider_has_no_means() {
    hold("none", QUICK);
}

#[test]
fn promises_hold_where_the_provider_can_be_read() {
    hold("read, grace", QUICK);
}

#[test]
fn promises_hold_where_the_provider_shows_whether_its_key_has_changed() {
    hold("marked", QUICK);
    hold("marked, else redo", QUICK);
}

#[test]
fn promises_hold_where_the_provider_replays() {
    hold("replay", QUICK);
}

#[test]
fn promises_hold_where_the_provider_can_be_called_again() {
    hold("redo", QUICK);
    hold("redo, signing itself", QUICK);
}

#[test]
fn promises_hold_where_keyturn_chooses_the_key() {
    hold("supplied", QUICK);
    hold("supplied, read", QUICK);
}

#[test]
fn promises_hold_where_a_call_comes_after_the_rotation_that_it_was_made_for() {
    hold("supplied", Bounds { requests: 2, among: &[Happens::Later], ..QUICK });
}

#[test]
fn promises_hold_where_the_provider_has_two_named_keys() {
    hold("slots", QUICK);
    hold("slots", Bounds { faults: 0, requests: 2, ..QUICK });
}

#[test]
fn promises_hold_where_a_new_key_needs_time() {
    hold("staged", QUICK);
    hold("staged, probed", QUICK);
}

#[test]
fn promises_hold_where_the_published_key_is_probed() {
    hold("published, probed", QUICK);
}

#[test]
fn promises_hold_where_keys_live_side_by_side() {
    hold("created", QUICK);
    hold("created, called again", QUICK);
    hold("created, signing itself", QUICK);
}

#[test]
fn promises_hold_where_a_pending_key_is_activated() {
    hold("two phases", QUICK);
    hold("two phases", Bounds { faults: 0, ticks: 3, requests: 2, ..QUICK });
}

#[test]
fn promises_hold_where_a_replica_sleeps_while_its_key_is_cleared_away() {
    hold("created", Bounds { faults: 0, ticks: 5, ..QUICK });
    hold("created", Bounds { faults: 0, ticks: 3, requests: 2, ..QUICK });
}

#[test]
fn promises_hold_where_three_replicas_sleep_past_their_claims() {
    hold("none", Bounds { replicas: 3, faults: 0, ..QUICK });
}

#[test]
fn promises_hold_through_two_rotations_in_a_row() {
    hold("read", Bounds { requests: 2, faults: 0, ..QUICK });
}

#[test]
fn promises_hold_where_a_person_decides_while_another_replica_is_about_to_call() {
    let among = &[Happens::Lost];
    hold("replay, else read", Bounds { decisions: 1, among, ..QUICK });
}

#[test]
fn promises_hold_where_a_replay_leaves_late_and_its_sender_dies() {
    let among = &[Happens::Lost, Happens::DiesLater];
    hold("replay, else read", Bounds { faults: 2, among, ..QUICK });
}

#[test]
fn every_property_notices_that_a_safeguard_is_missing() {
    let mut unexpected = Vec::new();
    for removal in removals::all().iter().chain(&removals::second_lines()) {
        let explored = removal.search();
        println!("{}", removals::line(removal, &explored));
        if !removal.is_as_expected(&explored) {
            unexpected.push((removal.property, removal.mutation));
        }
    }
    assert!(unexpected.is_empty(), "noticed otherwise than the table says: {unexpected:?}");
}
