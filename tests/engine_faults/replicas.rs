//! Two replicas on one credential: takeovers, late holders, and answers that arrive after the claim was lost.

use std::time::Duration;

use keyturn::ids::ReplicaId;
use keyturn::rotation::{ClosedAs, Decision};
use keyturn::testbed::fake::StoreCall;

use crate::world::{
    FIRST_KEY, Replica, World, due_every, minutes, plan_none, plan_read, plan_redo, plan_replay, seconds,
    staged,
};

/// A has the answer of its first call sealed, and cannot reach Vault.
async fn cut_off_with_an_answer(world: &World) -> Replica {
    let a = world.replica(1).await;
    let gate = world.hold_next_answer();
    a.rotate().await;
    gate.reached().await;
    a.link.cut();
    gate.release();
    a.until_held("VAULT_UNAVAILABLE").await;
    assert_eq!(a.sealed_keys(), ["key-1"]);
    a
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_cut_off_with_its_answer_publishes_it_after_another_has_halted() {
    let world = World::new(plan_none());
    let a = cut_off_with_an_answer(&world).await;
    let b = world.stopped_replica(2);
    let b = started(b);
    b.until_phase("halted").await;
    assert_eq!((world.published().as_str(), world.phase()), (FIRST_KEY, "halted"));
    assert_eq!(a.sealed_keys(), ["key-1"]);
    assert_eq!(a.disk.erased(), []);

    a.link.mend();
    a.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!((a.disk.slots(), b.disk.slots()), (vec![], vec![]));
    b.until_rotated(1).await;
}

/// A rotates, and B follows; both know that the key is staged.
async fn staged_by_one_of_two(world: &World) -> (Replica, Replica) {
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    a.rotate().await;
    a.until_phase("staged").await;
    b.until_phase("staged").await;
    (a, b)
}

fn holder(world: &World) -> Option<ReplicaId> {
    world.state().phase.rotation().map(|open| open.holder)
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_asked_to_stop_lets_a_staged_key_go_at_once() {
    let world = World::new(staged(plan_none()));
    let (mut a, b) = staged_by_one_of_two(&world).await;
    a.shut_down().await;
    seconds(2).await;
    assert_eq!(holder(&world), Some(b.id), "the claim had to run out");
    assert!(!world.state().phase.rotation().unwrap().released);
    a.start();
    a.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_say_that_it_stops_keeps_its_claim_until_it_runs_out() {
    let world = World::new(staged(plan_none()));
    let (mut a, b) = staged_by_one_of_two(&world).await;
    a.link.cut();
    a.shut_down().await;
    minutes(7).await;
    assert_eq!(holder(&world), Some(a.id));
    b.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_asked_to_stop_with_a_call_under_way_lets_go_only_of_its_staged_answer() {
    let world = World::new(staged(plan_none()));
    let (mut a, b) = (world.replica(1).await, world.replica(2).await);
    let answer = world.hold_next_answer();
    a.rotate().await;
    answer.reached().await;
    let stopping = a.shut_down();
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => panic!("it did not wait for the answer"),
        () = seconds(10) => {}
    }
    assert_ne!(holder(&world), Some(b.id));
    answer.release();
    stopping.await;
    // It had nothing to follow yet, and looks up now and then.
    minutes(1).await;
    assert_eq!((holder(&world), world.phase()), (Some(b.id), "staged"));
    b.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
}

fn started(mut replica: Replica) -> Replica {
    replica.start();
    replica
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_an_earlier_call_is_never_published_as_the_newest() {
    let world = World::new(plan_redo());
    let a = cut_off_with_an_answer(&world).await;
    let second = world.hold_next_answer();
    let mut b = started(world.stopped_replica(2));
    second.reached().await;
    b.kill().await;
    assert_eq!(world.state().phase.rotation().unwrap().calls, 2);
    assert_eq!(world.published(), FIRST_KEY);

    a.link.mend();
    a.until_rotated(1).await;
    world.assert_rotated("key-3", 3);
    assert!(world.mint.accepts(&world.published(), world.now()));
    assert_eq!(a.disk.slots(), []);
    let erased: Vec<_> = a.disk.erased().into_iter().map(|sealed| sealed.key).collect();
    assert!(!erased.contains(&"key-2".into()), "{erased:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_another_replica_closed_the_rotation_is_kept_and_told() {
    let world = World::new(plan_redo());
    let a = cut_off_with_an_answer(&world).await;
    let b = started(world.stopped_replica(2));
    b.until_rotated(1).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(b.disk.slots(), []);

    a.link.mend();
    a.until_rotated(1).await;
    minutes(10).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(a.sealed_keys(), ["key-1"]);
    assert_eq!(a.conditions(), ["ORPHAN_ANSWER"]);
    assert_eq!(a.disk.erased(), []);
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_are_due_at_the_same_moment_make_one_call() {
    let world = World::new(due_every(Duration::from_hours(1), plan_none()));
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    a.until_rotated(1).await;
    b.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    minutes(30).await;
    world.assert_rotated("key-1", 1);
    assert_eq!((a.disk.slots(), b.disk.slots()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_held_up_when_the_rotation_was_due_does_not_make_it_again() {
    let world = World::new(due_every(Duration::from_hours(1), plan_none()));
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    b.link.cut();
    a.until_rotated(1).await;
    b.until_held("VAULT_UNAVAILABLE").await;
    minutes(10).await;
    b.link.mend();
    b.until_rotated(1).await;
    minutes(30).await;
    world.assert_rotated("key-1", 1);
    assert_eq!((a.disk.slots(), b.disk.slots()), (vec![], vec![]));
    a.until_rotated(2).await;
    b.until_rotated(2).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_settled_while_a_replay_was_in_flight_is_not_undone_by_its_answer() {
    let world = World::new(plan_replay());
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    world.lose_next_answer();
    let replay = world.hold_next_answer();
    let id = a.rotate().await;
    replay.reached().await;
    b.until_phase("unknown").await;
    b.handle().resolve(id, Decision::KeepCurrent).await.unwrap();
    replay.release();
    a.until_phase("idle").await;
    minutes(5).await;

    assert_eq!((world.published().as_str(), world.phase()), (FIRST_KEY, "idle"));
    let outcome = ClosedAs::Resolved { decision: Decision::KeepCurrent };
    assert_eq!(world.newest_closed().outcome, outcome);
    assert_eq!(world.mint.calls().len(), 2);
    assert_eq!(a.sealed_keys(), ["key-1"]);
    assert!(a.conditions().contains(&"ORPHAN_ANSWER"), "{:?}", a.conditions());
}

#[tokio::test(start_paused = true)]
async fn a_lost_holder_is_followed_by_another_replica_that_reads_the_key_back() {
    let world = World::new(plan_read());
    let (mut a, b) = (world.replica(1).await, world.replica(2).await);
    let gate = world.hold_next_answer();
    a.rotate().await;
    gate.reached().await;
    a.kill().await;
    b.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    seconds(1).await;
    a.start();
    a.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!((a.disk.slots(), b.disk.slots()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_follows_a_halted_rotation_looks_up_about_once_a_second() {
    let world = World::new(plan_none());
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    world.lose_next_answer();
    a.rotate().await;
    b.until_phase("halted").await;
    minutes(10).await;
    let before = world.vault.requests(StoreCall::RecordVersion);
    minutes(1).await;
    let made = world.vault.requests(StoreCall::RecordVersion) - before;
    assert!(made < 80, "{made} requests in a minute");
    assert_eq!((world.phase(), world.mint.calls().len()), ("halted", 1));
    assert_eq!((a.disk.slots().len(), b.disk.slots().len()), (1, 0));
}
