//! Vault, provider or disk fail for a while, or for long, and the rotation goes on by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyturn::rotation::{Decision, RefusalClass};
use keyturn::testbed::fake::{Accident, CallFault, DiskCall, Draw, Moment, Passed, StoreCall, StoreFault};
use keyturn::vault::Error;

use crate::world::{FIRST_KEY, World, ask, due_every, minutes, plan_none, plan_read, seconds};

#[tokio::test(start_paused = true)]
async fn a_preflight_that_fails_for_long_asks_ever_more_rarely_and_goes_on_by_itself() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let error = Error::PermissionDenied { action: "update", path: "secret/data/app".into() };
    world.vault.refuse(StoreCall::Preflight, error);
    replica.rotate().await;
    replica.until_held("VAULT_PERMISSION_DENIED").await;
    minutes(10).await;
    for call in [StoreCall::Preflight, StoreCall::ReadRecord, StoreCall::RecordVersion, StoreCall::ReadEntry]
    {
        assert!(world.vault.requests(call) < 120, "{call:?}: {}", world.vault.requests(call));
    }
    assert_eq!((world.published().as_str(), world.phase(), world.mint.calls().len()), (FIRST_KEY, "idle", 0));
    assert_eq!(replica.disk.slots(), []);

    world.vault.recover();
    seconds(15).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_sealed_between_answer_and_publication_costs_no_second_call() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    replica.rotate().await;
    gate.reached().await;
    world.seal();
    gate.release();
    replica.until_held("VAULT_SEALED").await;
    minutes(60).await;
    assert_eq!((world.published().as_str(), replica.sealed_keys()), (FIRST_KEY, vec!["key-1".into()]));

    world.vault.recover();
    seconds(15).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn an_intent_whose_answer_was_lost_is_too_late_to_cancel_and_goes_on() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    replica.link.next(StoreCall::WriteRecord, StoreFault::AnswerLost);
    let id = replica.rotate().await;
    replica.until_held("VAULT_UNAVAILABLE").await;
    world.vault.go_down(Error::Standby);
    replica.until_held("VAULT_STANDBY").await;
    assert_eq!(replica.handle().cancel(id).await.unwrap_err().code(), "TOO_LATE_TO_CANCEL");
    minutes(10).await;
    assert_eq!((world.phase(), world.mint.calls().len()), ("intended", 0));

    world.vault.recover();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(world.newest_closed().rotation_id, id);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_reached_is_asked_ever_more_rarely_and_the_request_stays_an_emergency() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    world.mint.go_down(RefusalClass::Unreachable);
    replica.handle().rotate(ask(true)).await.unwrap();
    minutes(60).await;
    let calls = world.mint.calls();
    assert!((5..20).contains(&calls.len()), "{} calls", calls.len());
    let gaps: Vec<_> = calls.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    let shrinks = gaps.windows(2).any(|pair| pair[1].as_secs() < pair[0].as_secs());
    assert!(!shrinks, "{gaps:?}");
    assert_eq!((world.published().as_str(), world.phase()), (FIRST_KEY, "idle"));
    assert_eq!(replica.disk.slots(), []);

    world.mint.recover();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", calls.len() + 1);
    assert!(world.newest_closed().request.emergency);
    minutes(60).await;
    world.assert_rotated("key-1", calls.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_before_the_call_keeps_the_provider_from_being_called() {
    for call in [DiskCall::Prepare, DiskCall::MarkSent] {
        let world = World::new(plan_none());
        let replica = world.replica(1).await;
        replica.disk.fill_up(call);
        replica.rotate().await;
        replica.until_held("ESCROW_DISK_FULL").await;
        minutes(10).await;
        assert_eq!((world.published().as_str(), world.mint.calls().len()), (FIRST_KEY, 0));

        replica.disk.recover();
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
        assert_eq!(replica.disk.slots(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_the_answer_does_not_keep_it_from_vault() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    replica.disk.fill_up(DiskCall::Seal);
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_disk_refused_reaches_vault_after_an_hour_of_being_sealed() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    replica.disk.fill_up(DiskCall::Seal);
    replica.rotate().await;
    gate.reached().await;
    world.seal();
    gate.release();
    replica.until_held("VAULT_SEALED").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.vault.recover();
    seconds(15).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_call_waits_for_the_answer_and_seals_it_for_the_next_start() {
    let world = World::new(plan_none());
    let mut replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    replica.rotate().await;
    gate.reached().await;
    world.seal();
    let release = async {
        seconds(5).await;
        gate.release();
    };
    tokio::join!(replica.shut_down(), release);
    assert_eq!((world.published().as_str(), replica.sealed_keys()), (FIRST_KEY, vec!["key-1".into()]));

    world.vault.recover();
    replica.start();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_publication_is_settled_by_reading_it_back_whether_it_was_lost_or_only_its_answer() {
    for fault in [StoreFault::AnswerLost, StoreFault::RequestLost, StoreFault::Conflict] {
        let world = World::new(plan_none());
        let replica = world.replica(1).await;
        replica.link.next(StoreCall::Publish, fault);
        replica.rotate().await;
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
        assert_eq!(replica.disk.slots(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_disk_refused_is_sealed_once_it_can_be_while_vault_is_away() {
    let world = World::new(plan_none());
    let mut replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    replica.disk.fill_up(DiskCall::Seal);
    replica.rotate().await;
    gate.reached().await;
    world.seal();
    gate.release();
    replica.until_held("VAULT_SEALED").await;
    minutes(30).await;
    assert_eq!(replica.sealed_keys(), Vec::<String>::new());
    replica.disk.recover();
    minutes(30).await;
    assert_eq!(replica.sealed_keys(), ["key-1"]);
    replica.kill().await;
    replica.start();
    world.vault.recover();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_lags_behind_the_last_rotation_is_not_taken_for_the_new_key() {
    let world = World::new(plan_read());
    world.mint.show_late(Duration::from_secs(50));
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.lose_next_answer();
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_rotated(2).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_answered_before_the_process_froze_is_not_believed_after_it() {
    let world = World::new(plan_read());
    let replica = world.replica(1).await;
    // The first read is the baseline; the second one stands still with its answer, and meanwhile the call takes effect.
    let reads = AtomicUsize::new(0);
    replica.life().suffer(Draw::new(move |passed: Passed| {
        let answered = passed.operation == "read" && passed.moment == Moment::After;
        let second = answered && reads.fetch_add(1, Ordering::Relaxed) == 1;
        second.then_some(Accident::Freezes(Duration::from_mins(10)))
    }));
    world.mint.next(CallFault::Late(Duration::from_secs(40)));
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_asked_for_outlasts_an_emergency_that_did_not_wait_and_the_person_who_settled_it() {
    let world = World::new(due_every(Duration::from_mins(1), plan_none()));
    world.mint.next(CallFault::RefusedFor(RefusalClass::RateLimited, Duration::from_mins(30)));
    let replica = world.replica(1).await;
    replica.until("the refusal", |shown| shown.state.as_ref().is_some_and(|it| it.retry.is_some())).await;
    world.lose_next_answer();
    let id = replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_phase("halted").await;
    replica.handle().resolve(id, Decision::KeepCurrent).await.unwrap();
    minutes(29).await;
    assert_eq!(world.mint.calls().len(), 2, "nobody insisted");
    minutes(3).await;
    assert!(world.mint.calls().len() > 2, "the schedule goes on");
}
