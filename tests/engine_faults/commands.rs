//! People and programs ask while the task is busy, held up or at rest: everybody is answered.

use std::time::Duration;

use keyturn::engine::{Handle, RotateRequest};
use keyturn::ids::RotationId;
use keyturn::rotation::Decision;
use keyturn::testbed::Gate;
use keyturn::testbed::fake::{StoreCall, StoreFault};

use crate::world::{
    FIRST_KEY, World, ask, due_every, hours, minutes, plan_none, plan_read, plan_redo, seconds, staged,
};

/// How long anybody waits for an answer at most.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// Asks everything at once; gives each answer's code, `OK` where there is none.
async fn ask_everything(handle: &Handle, open: RotationId) -> Vec<&'static str> {
    let code = |done: Result<(), keyturn::engine::Rejection>| done.map_or_else(|why| why.code(), |()| "OK");
    let asked = async {
        let (rotate, cancel, resolve, plan, pause, resume) = tokio::join!(
            handle.rotate(ask(false)),
            handle.cancel(open),
            handle.resolve(open, Decision::KeepCurrent),
            handle.plan(false),
            handle.pause("a test".into()),
            handle.resume(),
        );
        vec![
            code(rotate.map(drop)),
            code(cancel),
            code(resolve),
            code(plan.map(drop)),
            code(pause),
            code(resume),
        ]
    };
    tokio::time::timeout(ANSWER_TIME_MAX, asked).await.expect("a command was never answered")
}

#[tokio::test(start_paused = true)]
async fn everybody_who_asks_during_the_call_is_answered() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    let id = replica.rotate().await;
    gate.reached().await;
    let release = async {
        seconds(20).await;
        gate.release();
    };
    let (codes, ()) = tokio::join!(ask_everything(replica.handle(), id), release);
    assert_eq!(codes[..2], ["ROTATION_IN_PROGRESS", "TOO_LATE_TO_CANCEL"]);
    assert!(codes[2..].iter().all(|code| ["OK", "ROTATION_NOT_OPEN"].contains(code)), "{codes:?}");
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn everybody_who_asks_while_vault_is_sealed_is_answered() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    let id = replica.rotate().await;
    gate.reached().await;
    world.seal();
    gate.release();
    replica.until_held("VAULT_SEALED").await;
    for _ in 0..20 {
        let codes = ask_everything(replica.handle(), id).await;
        assert_eq!(codes[..2], ["ROTATION_IN_PROGRESS", "TOO_LATE_TO_CANCEL"]);
        assert!(codes[2..].iter().all(|code| *code == "VAULT_SEALED"), "{codes:?}");
    }
    world.vault.recover();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn everybody_who_asks_at_rest_is_answered() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let id = replica.rotate().await;
    replica.until_rotated(1).await;
    seconds(10).await;
    let codes = ask_everything(replica.handle(), id).await;
    assert_eq!(codes, ["OK", "ROTATION_NOT_OPEN", "ROTATION_NOT_OPEN", "OK", "OK", "OK"]);
    replica.until_rotated(2).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_while_vault_is_sealed_never_reaches_the_provider() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    world.seal();
    replica.until_held("VAULT_SEALED").await;
    let id = replica.rotate().await;
    minutes(1).await;
    replica.handle().cancel(id).await.unwrap();
    world.vault.recover();
    minutes(10).await;
    assert_eq!((world.published().as_str(), world.phase(), world.mint.calls().len()), (FIRST_KEY, "idle", 0));
    assert_eq!(replica.snapshot().withdrawn[0].code, "CANCELLED");
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_in_its_preflight_never_reaches_the_provider() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    let gate = replica.hold_next_preflight();
    let id = replica.rotate().await;
    gate.reached().await;
    replica.handle().cancel(id).await.unwrap();
    gate.release();
    minutes(10).await;
    assert_eq!((world.published().as_str(), world.phase(), world.mint.calls().len()), (FIRST_KEY, "idle", 0));
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_while_vault_is_sealed_is_carried_out_once_it_is_not() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    world.seal();
    replica.until_held("VAULT_SEALED").await;
    let request = RotateRequest { request_id: Some("mine".into()), ..ask(false) };
    let id = replica.handle().rotate(request.clone()).await.unwrap();
    minutes(60).await;
    assert_eq!(replica.handle().rotate(request).await, Ok(id));
    assert_eq!(world.mint.calls().len(), 0);

    world.vault.recover();
    seconds(15).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(world.newest_closed().rotation_id, id);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_intent_lost_to_another_replica_leaves_no_sign_of_an_intent_behind() {
    let world = World::new(due_every(Duration::from_hours(1), plan_none()));
    let (loser, winner) = (world.replica(1).await, world.replica(2).await);
    let gate = Gate::new();
    loser.link.next(StoreCall::WriteRecord, StoreFault::Held(gate.clone()));
    gate.reached().await;
    winner.until_rotated(1).await;
    gate.release();
    loser.until("the withdrawal", |seen| !seen.withdrawn.is_empty()).await;
    world.assert_rotated("key-1", 1);

    // What is asked for next has written nothing yet, so it can be cancelled.
    let gate = loser.hold_next_preflight();
    let id = loser.handle().rotate(ask(true)).await.unwrap();
    gate.reached().await;
    loser.handle().cancel(id).await.unwrap();
    gate.release();
    minutes(10).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_plans_does_not_keep_a_due_rotation_from_starting() {
    let world = World::new(due_every(Duration::from_hours(1), plan_none()));
    let replica = world.replica(1).await;
    seconds(3590).await;
    let flood: Vec<_> = (0..20).map(|_| tokio::spawn(plan_for_ever(replica.handle().clone()))).collect();
    seconds(20).await;
    world.assert_rotated("key-1", 1);
    for planner in flood {
        planner.abort();
    }
    assert_eq!(replica.disk.slots(), []);
}

async fn plan_for_ever(handle: Handle) {
    while handle.plan(false).await.is_ok_and(|report| !report.steps.is_empty()) {}
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_a_resume_while_the_key_is_staged_do_not_park_the_rotation() {
    let world = World::new(staged(plan_read()));
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_phase("staged").await;
    pause_and_resume(replica.handle()).await;
    assert_eq!((world.phase(), world.published().as_str()), ("staged", FIRST_KEY));
    minutes(6).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_a_resume_while_the_outcome_is_unknown_do_not_park_the_rotation() {
    let world = World::new(plan_redo());
    let replica = world.replica(1).await;
    world.lose_next_answer();
    replica.rotate().await;
    replica.until_phase("unknown").await;
    pause_and_resume(replica.handle()).await;
    assert_eq!((world.phase(), world.published().as_str()), ("unknown", FIRST_KEY));
    minutes(2).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_a_resume_while_the_published_key_is_not_proven_do_not_park_the_rotation() {
    let world = World::new(plan_redo());
    let replica = world.replica(1).await;
    let gate = world.hold_next_answer();
    replica.rotate().await;
    gate.reached().await;
    world.mint.go_down(keyturn::rotation::RefusalClass::Unreachable);
    gate.release();
    replica.until_phase("published").await;
    pause_and_resume(replica.handle()).await;
    assert_eq!(
        (replica.snapshot().state.unwrap().phase.name(), world.published().as_str()),
        ("published", "key-1")
    );
    world.mint.recover();
    minutes(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

/// Pauses and resumes twice, within seconds.
async fn pause_and_resume(handle: &Handle) {
    for _ in 0..2 {
        handle.pause("a test".into()).await.unwrap();
        seconds(3).await;
        handle.resume().await.unwrap();
        seconds(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_credential_ends_its_open_rotation_and_starts_no_other() {
    let world = World::new(due_every(Duration::from_hours(1), staged(plan_read())));
    let replica = world.replica(1).await;
    replica.until_phase("staged").await;
    replica.handle().pause("a test".into()).await.unwrap();
    hours(5).await;
    world.assert_rotated("key-1", 1);
    replica.handle().resume().await.unwrap();
    minutes(10).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.disk.slots(), []);
}
