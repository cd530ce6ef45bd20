//! Providers that show whether their key has changed, and not the key.

use std::time::Duration;

use keyturn::rotation::{ClosedAs, Phase, Plan, RefusalClass};
use keyturn::testbed::fake::{CallFault, Question, QuestionFault};

use crate::verdict::assert_calls_within_capability;
use crate::world::{FIRST_KEY, World, ask, minutes, plan_marked};

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_seen_to_have_done_nothing_and_another_try_follows_by_itself() {
    let world = World::new(plan_marked());
    let replica = world.replica(1).await;
    world.mint.next(CallFault::RequestLost);
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 2);
    let history = world.state().history;
    assert!(matches!(history[1].outcome, ClosedAs::NotApplied { .. }), "{history:?}");
    assert_calls_within_capability(&world, "the first call did nothing");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_seen_to_have_made_a_key_and_a_person_is_asked() {
    for loss in [CallFault::AnswerLost, CallFault::Garbled, CallFault::Late(Duration::from_secs(50))] {
        let what = format!("{loss:?}");
        let world = World::new(plan_marked());
        let replica = world.replica(1).await;
        world.mint.next(loss);
        replica.rotate().await;
        replica.until_phase("halted").await;
        let Phase::Halted { halt, .. } = world.state().phase else { panic!("{what}: not halted") };
        assert_eq!(halt.reason.code(), "ANSWER_LOST", "{what}");
        assert_eq!((world.published().as_str(), world.mint.calls().len()), (FIRST_KEY, 1), "{what}");
        minutes(60).await;
        assert_eq!(world.mint.calls().len(), 1, "{what}: nothing more is called by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_second_call_is_allowed_it_follows_only_a_key_that_was_made() {
    let plan = Plan { redo: Some(2), grace: Some(Duration::from_hours(1)), ..plan_marked() };
    for (loss, closed) in [(CallFault::AnswerLost, 1), (CallFault::RequestLost, 2)] {
        let what = format!("{loss:?}");
        let world = World::new(plan.clone());
        let replica = world.replica(1).await;
        world.mint.next(loss);
        replica.rotate().await;
        replica.until_rotated(1).await;
        let history = world.state().history;
        assert_eq!((history.len(), world.mint.calls().len()), (closed, 2), "{what}: {history:?}");
        assert!(world.mint.accepts(&world.published(), world.now()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_afterwards_is_not_begun() {
    for (fault, code) in [
        (QuestionFault::Refused(RefusalClass::Forbidden, None), "PROVIDER_FORBIDDEN"),
        (QuestionFault::Unavailable, "PROVIDER_UNREACHABLE"),
    ] {
        let world = World::new(plan_marked());
        let replica = world.replica(1).await;
        world.mint.next_question(Question::Read, fault);
        replica.rotate().await;
        replica.until_held(code).await;
        assert_eq!((world.mint.calls().len(), world.phase()), (0, "idle"), "{code}");
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
    }
}

#[tokio::test(start_paused = true)]
async fn right_after_a_rotation_another_marker_proves_nothing() {
    let world = World::new(plan_marked());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.mint.next(CallFault::AnswerLost);
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_phase("halted").await;
    let Phase::Halted { rotation, halt } = world.state().phase else { panic!("not halted") };
    assert_eq!((halt.reason.code(), rotation.baseline.marker), ("NO_WAY_TO_TELL", None));
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_fails_afterwards_does_not_keep_a_second_call_from_being_made() {
    let plan = Plan { redo: Some(2), grace: Some(Duration::from_hours(1)), ..plan_marked() };
    for fault in [QuestionFault::Refused(RefusalClass::Forbidden, None), QuestionFault::Unavailable] {
        let what = format!("{fault:?}");
        let world = World::new(plan.clone());
        let mut replica = world.replica(1).await;
        let lost = world.hold_next_answer();
        replica.rotate().await;
        lost.reached().await;
        replica.kill().await;
        // For longer than it is waited for.
        for _ in 0..200 {
            world.mint.next_question(Question::Read, fault);
        }
        replica.start();
        replica.until_rotated(1).await;
        assert_eq!(world.mint.calls().len(), 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_is_late_does_not_eat_the_time_in_which_the_old_key_can_sign() {
    let plan = Plan {
        self_authenticating: true,
        marker: Some(Duration::from_mins(10)),
        redo: Some(2),
        grace: Some(Duration::from_mins(6)),
        ..plan_marked()
    };
    let world = World::new(plan);
    let replica = world.replica(1).await;
    // The change shows when it is too late.
    world.mint.show_late(Duration::from_mins(9));
    world.mint.next(CallFault::AnswerLost);
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_shows_no_marker_is_rotated_and_says_so() {
    let world = World::new(plan_marked());
    let replica = world.replica(1).await;
    world.mint.hide_marker();
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.conditions(), ["MARKER_MISSING"]);
    world.mint.next(CallFault::AnswerLost);
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_phase("halted").await;
    let Phase::Halted { halt, .. } = world.state().phase else { panic!("not halted") };
    assert_eq!(halt.reason.code(), "NO_WAY_TO_TELL");
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_is_gone_after_the_call_is_a_persons() {
    let world = World::new(plan_marked());
    let mut replica = world.replica(1).await;
    let lost = world.hold_next_answer();
    replica.rotate().await;
    lost.reached().await;
    replica.kill().await;
    world.mint.hide_marker();
    replica.start();
    replica.until_phase("halted").await;
    let Phase::Halted { halt, .. } = world.state().phase else { panic!("not halted") };
    assert_eq!((halt.reason.code(), world.mint.calls().len()), ("READ_REFUSED", 1));
}
