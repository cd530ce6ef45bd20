//! Keys live side by side: a lost answer costs nothing, and no key is revoked that anybody needs.

use std::time::Duration;

use keyturn::rotation::{ClosedAs, Creates, Decision, Plan, RefusalClass};
use keyturn::testbed::Gate;
use keyturn::testbed::fake::{CallFault, Death, Moment, Question, QuestionFault, StoreCall, StoreFault};
use keyturn::vault::Error;

use crate::verdict::{assert_calls_within_capability, assert_nothing_lost, assert_settled};
use crate::world::{
    FIRST_KEY, Replica, World, ask, at_most, hasty, hours, minutes, plan_created, plan_none, seconds, staged,
    store,
};

const YEAR_SECONDS: i64 = 365 * 24 * 3_600;

fn with_redo(plan: Plan) -> Plan {
    Plan { redo: Some(3), ..plan }
}

/// The published key signs what is done between rotations.
fn signing_itself(plan: Plan) -> Plan {
    Plan { self_authenticating: true, ..plan }
}

fn with_creates(change: impl FnOnce(Creates) -> Creates) -> Plan {
    let plan = plan_created();
    Plan { creates: plan.creates.map(change), ..plan }
}

/// Nothing is left at the provider but the key in Vault, nothing is owed, and nothing lies in escrow.
fn assert_cleared_away(world: &World, replicas: &[&Replica], what: &str) {
    assert_eq!(world.live_keys(), [world.published()], "{what}");
    assert_eq!((world.phase(), world.state().revocations), ("idle", vec![]), "{what}");
    for replica in replicas {
        assert_eq!(replica.disk.slots(), [], "{what}");
        assert_eq!(replica.conditions(), Vec::<&str>::new(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_key_lives_for_its_time_and_is_revoked_then() {
    for plan in
        [plan_created(), signing_itself(plan_created()), staged(plan_created()), at_most(2, plan_created())]
    {
        let world = World::new(plan);
        let replica = world.replica(1).await;
        replica.rotate().await;
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
        let told = world.newest_closed().outcome.previous_expires_at().unwrap();
        minutes(59).await;
        assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
        assert_eq!(world.state().revocations[0].due_at, told);
        assert_eq!(
            replica.handle().rotate(ask(false)).await.unwrap_err().code(),
            match &world.plan.creates {
                Some(Creates { keys_max: Some(_), .. }) => "KEY_SLOTS_FULL",
                _ => "GRACE_WINDOW_OPEN",
            }
        );
        minutes(4).await;
        assert_cleared_away(&world, &[&replica], "after its time");
        replica.rotate().await;
        replica.until_rotated(2).await;
        hours(2).await;
        assert_cleared_away(&world, &[&replica], "after the second");
        world.assert_rotated("key-2", 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_emergency_goes_on_and_each_old_key_has_its_own_time() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    minutes(30).await;
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_rotated(2).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1", "key-2"]);
    minutes(35).await;
    assert_eq!(world.live_keys(), ["key-1", "key-2"]);
    minutes(30).await;
    assert_cleared_away(&world, &[&replica], "after both");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_another_call_and_its_key_is_found_and_revoked() {
    let losses = [CallFault::AnswerLost, CallFault::RequestLost, CallFault::Garbled, CallFault::NoValue];
    for plan in [plan_created(), with_redo(plan_created()), signing_itself(plan_created())] {
        for loss in losses.clone() {
            let what = format!("{loss:?}, redo {:?}", plan.redo);
            let world = World::new(plan.clone());
            let replica = world.replica(1).await;
            world.mint.next(loss);
            replica.rotate().await;
            replica.until_rotated(1).await;
            seconds(30).await;
            assert_eq!(world.mint.calls().len(), 2, "{what}");
            assert_eq!(world.published(), world.mint.newest_key(), "{what}");
            assert!(world.mint.accepts(FIRST_KEY, world.now()), "{what}");
            hours(3).await;
            assert_cleared_away(&world, &[&replica], &what);
            assert_calls_within_capability(&world, &what);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_asked_for_at_the_second_call_counts_after_the_close_too() {
    let world = World::new(Plan { redo: Some(2), ..plan_created() });
    let replica = world.replica(1).await;
    world.mint.next(CallFault::AnswerLost);
    world.mint.next(CallFault::RefusedFor(RefusalClass::Forbidden, Duration::from_hours(1)));
    replica.rotate().await;
    replica.until("the close", |seen| seen.state.as_ref().is_some_and(|it| !it.history.is_empty())).await;
    let closed = world.newest_closed();
    assert!(matches!(closed.outcome, ClosedAs::NotApplied { .. }), "{closed:#?}");
    minutes(59).await;
    assert_eq!(replica.handle().rotate(ask(false)).await.unwrap_err().code(), "TOO_SOON");
    assert_eq!(world.mint.calls().len(), 2, "nobody insisted");
    replica.until_rotated(1).await;
    world.assert_rotated("key-2", 3);
}

#[tokio::test(start_paused = true)]
async fn where_only_two_keys_live_a_lost_one_is_cleared_away_before_the_next_try() {
    let world = World::new(at_most(2, plan_created()));
    let replica = world.replica(1).await;
    world.mint.next(CallFault::AnswerLost);
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-2"]);
    assert_eq!(replica.handle().rotate(ask(true)).await.unwrap_err().code(), "KEY_SLOTS_FULL");
    hours(2).await;
    assert_cleared_away(&world, &[&replica], "after its time");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_effect_after_its_rotation_was_closed_is_cleared_away_all_the_same() {
    let world = World::new(plan_created());
    world.mint.show_late(Duration::from_mins(10));
    let replica = world.replica(1).await;
    world.mint.next(CallFault::Late(Duration::from_mins(20)));
    replica.rotate().await;
    replica.until_rotated(1).await;
    assert_eq!((world.published().as_str(), world.mint.minted()), ("key-1", 1));
    minutes(40).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1", "key-2"]);
    hours(8).await;
    assert_cleared_away(&world, &[&replica], "after the next listing");
    world.mint.calls().iter().for_each(|call| assert!(world.mint.minted_for(call.rotation_id) <= 1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_revokes_nothing_early() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    minutes(58).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    minutes(5).await;
    assert_cleared_away(&world, &[&replica], "after its time");
}

#[tokio::test(start_paused = true)]
async fn a_due_time_of_a_clock_of_next_year_is_the_usual_one() {
    let world = World::new(plan_created());
    let mut replica = world.stopped_replica(1);
    replica.clock.set_skew(YEAR_SECONDS);
    replica.start();
    replica.rotate().await;
    replica.until_rotated(1).await;
    replica.kill().await;
    replica.clock.set_skew(0);
    replica.start();
    minutes(58).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    minutes(5).await;
    assert_cleared_away(&world, &[&replica], "after its time");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_is_told_and_made_again() {
    let refused = QuestionFault::Refused(RefusalClass::Forbidden, None);
    for (fault, code) in [
        (refused, Some("REVOCATION_REFUSED")),
        (QuestionFault::Unavailable, Some("REVOCATION_HELD")),
        (QuestionFault::AnswerLost, None),
        (QuestionFault::Late(Duration::from_mins(2)), None),
    ] {
        let world = World::new(plan_created());
        let replica = world.replica(1).await;
        world.mint.next_question(Question::Revoke, fault);
        replica.rotate().await;
        replica.until_rotated(1).await;
        minutes(60).await;
        seconds(50).await;
        if let Some(code) = code {
            assert_eq!(replica.conditions(), [code], "{fault:?}");
            assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"], "{fault:?}");
        }
        minutes(10).await;
        assert_cleared_away(&world, &[&replica], &format!("{fault:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_for_good_keeps_no_rotation_from_being_made() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    for _ in 0..40 {
        let refused = QuestionFault::Refused(RefusalClass::Forbidden, None);
        world.mint.next_question(Question::Revoke, refused);
    }
    for rotation in 1..4 {
        replica.rotate().await;
        replica.until_rotated(rotation).await;
        hours(2).await;
        assert_eq!(replica.conditions(), ["REVOCATION_REFUSED"]);
    }
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1", "key-2", "key-3"]);
    hours(90).await;
    assert_cleared_away(&world, &[&replica], "once it is allowed");
}

#[tokio::test(start_paused = true)]
async fn while_somebody_has_put_another_key_into_the_entry_nothing_is_revoked() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    world.mint.next(CallFault::AnswerLost);
    replica.rotate().await;
    replica.until_rotated(1).await;
    // The key whose answer was lost, as somebody else may have got it.
    world.vault.put(&store(), "key-1");
    hours(8).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1", "key-2"]);
    assert_eq!(replica.conditions(), ["REVOCATION_HELD"]);
    replica.rotate().await;
    replica.until_rotated(2).await;
    assert_eq!(world.published(), "key-3");
    minutes(50).await;
    assert!(world.mint.accepts("key-2", world.now()), "it was keyturn's last");
    hours(8).await;
    assert_eq!(world.live_keys(), ["key-3"], "the one by hand was a stray of the record's");
    assert_eq!(replica.conditions(), ["OLD_KEY_UNKNOWN"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_key_whose_id_nobody_knows_is_left_alone_and_told() {
    let world = World::new(with_creates(|creates| Creates { first_key: None, ..creates }));
    let mut replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    hours(8).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    replica.kill().await;
    replica.start();
    replica.until_at_rest().await;
    assert_eq!(replica.conditions(), ["OLD_KEY_UNKNOWN"]);
    replica.rotate().await;
    replica.until_rotated(2).await;
    hours(2).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-2"]);
    assert_eq!(replica.conditions(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_revoked_before_the_provider_accepts_the_published_key() {
    let world = World::new(Plan { probe: true, ..plan_created() });
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    for _ in 0..5 {
        world.mint.next_question(Question::Probe, QuestionFault::Unavailable);
    }
    minutes(65).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    assert_eq!(replica.conditions(), ["REVOCATION_HELD"]);
    hours(3).await;
    assert_cleared_away(&world, &[&replica], "once it was asked");
}

#[tokio::test(start_paused = true)]
async fn without_a_listing_a_lost_answer_is_tried_again_by_nobody_and_the_old_key_stands() {
    let world = World::new(with_creates(|creates| Creates { lists: false, ..creates }));
    let replica = world.replica(1).await;
    world.mint.next(CallFault::AnswerLost);
    replica.rotate().await;
    hours(8).await;
    assert!(matches!(world.newest_closed().outcome, ClosedAs::NotApplied { .. }));
    assert_eq!((world.phase(), world.published().as_str(), world.mint.calls().len()), ("idle", FIRST_KEY, 1));
    assert!(world.mint.accepts(FIRST_KEY, world.now()));
    replica.rotate().await;
    replica.until_rotated(1).await;
    assert_eq!(world.published(), "key-2");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_made_late_and_held_by_a_sleeping_replica_is_never_published_once_it_is_owed() {
    let world = World::new(at_most(2, plan_created()));
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    let gate = Gate::new();
    // A sleeps between its last look and the write of the entry.
    a.link.next(StoreCall::Publish, StoreFault::Held(gate.clone()));
    a.rotate().await;
    gate.reached().await;
    // B takes over, closes without the key, finds it at the provider and revokes it; the next try is held back.
    while world.phase() != "idle" {
        seconds(1).await;
    }
    seconds(1).await;
    b.handle().pause("for the night".into()).await.unwrap();
    minutes(30).await;
    assert_eq!((world.live_keys(), world.mint.calls().len()), (vec![FIRST_KEY.to_owned()], 1));
    gate.release();
    minutes(1).await;
    assert_eq!(world.published(), FIRST_KEY);
    b.handle().resume().await.unwrap();
    b.until_rotated(1).await;
    hours(3).await;
    assert_cleared_away(&world, &[&a, &b], "in the end");
}

#[tokio::test(start_paused = true)]
async fn a_person_who_keeps_the_current_key_is_told_if_a_sleeping_replica_has_published_another_meanwhile() {
    for publishes_before in [true, false] {
        let world = World::new(with_redo(plan_created()));
        let (a, b) = (world.replica(1).await, world.replica(2).await);
        let gate = Gate::new();
        a.link.next(StoreCall::Publish, StoreFault::Held(gate.clone()));
        let id = a.rotate().await;
        gate.reached().await;
        // B takes over, and its own call has to wait.
        let hour = Duration::from_hours(1);
        world.mint.next(CallFault::RefusedFor(RefusalClass::RateLimited, hour));
        b.until_phase("unknown").await;
        if publishes_before {
            gate.release();
            while world.published() != "key-1" {
                seconds(1).await;
            }
            let told = b.handle().resolve(id, Decision::KeepCurrent).await.unwrap_err();
            assert_eq!(told.code(), "RECORD_CHANGED");
            b.until_rotated(1).await;
            assert_eq!(world.published(), "key-1");
        } else {
            b.handle().resolve(id, Decision::KeepCurrent).await.unwrap();
            gate.release();
            minutes(1).await;
            assert_eq!(world.published(), FIRST_KEY, "its write finds another version");
        }
        hours(3).await;
        assert_cleared_away(&world, &[&a, &b], "in the end");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_rotation_was_closed_is_revoked_and_erased() {
    for lists in [true, false] {
        let world = World::new(with_creates(|creates| Creates { lists, ..creates }));
        let a = world.replica(1).await;
        let gate = world.hold_next_answer();
        a.rotate().await;
        gate.reached().await;
        a.link.cut();
        gate.release();
        a.until_held("VAULT_UNAVAILABLE").await;
        let b = world.replica(2).await;
        minutes(5).await;
        if !lists {
            b.rotate().await;
        }
        b.until_rotated(1).await;
        assert_eq!(world.published(), "key-2");
        a.link.mend();
        hours(8).await;
        assert_cleared_away(&world, &[&a, &b], "in the end");
        assert_eq!(a.disk.erased().last().map(|sealed| sealed.key.clone()), Some("key-1".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn two_replicas_clear_away_together() {
    let world = World::new(plan_created());
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    world.mint.next(CallFault::AnswerLost);
    a.rotate().await;
    a.until_rotated(1).await;
    hours(3).await;
    assert_cleared_away(&world, &[&a, &b], "in the end");
}

/// Short times, for a task at rest looks up all day.
fn brisk(plan: Plan) -> Plan {
    let creates =
        plan.creates.clone().map(|creates| Creates { revoke_after: Duration::from_mins(2), ..creates });
    Plan { creates, ..hasty(plan) }
}

#[tokio::test(start_paused = true)]
async fn a_death_anywhere_ends_with_the_published_key_alone() {
    die_everywhere(plan_created()).await;
    die_everywhere(at_most(2, plan_created())).await;
}

#[tokio::test(start_paused = true)]
async fn a_death_anywhere_ends_so_where_the_call_is_made_again_or_the_key_signs_or_needs_time() {
    die_everywhere(with_redo(plan_created())).await;
    die_everywhere(signing_itself(plan_created())).await;
    die_everywhere(staged(plan_created())).await;
}

async fn die_everywhere(plan: Plan) {
    let plan = brisk(plan);
    for lost in [false, true] {
        let operations = operations_until_cleared(&plan, lost).await;
        for (operation, name) in operations.into_iter().enumerate() {
            // A task at rest looks at the record all day, and has nothing to lose then.
            let moments = if name == "record version" { vec![] } else { vec![Moment::Before, Moment::After] };
            for moment in moments {
                let what = format!("{moment:?} {operation} ({name}), lost {lost}, redo {:?}", plan.redo);
                die(&plan, lost, Death { operation, moment }, &what).await;
            }
        }
    }
}

async fn operations_until_cleared(plan: &Plan, lost: bool) -> Vec<&'static str> {
    let world = World::new(plan.clone());
    let replica = world.replica(1).await;
    begin(&world, &replica, lost).await;
    replica.until_rotated(1).await;
    until_cleared(&world).await;
    replica.life().operations()
}

async fn begin(world: &World, replica: &Replica, lost: bool) {
    if lost {
        world.lose_next_answer();
    }
    // It may die before it has answered.
    replica.handle().rotate(ask(false)).await.ok();
}

async fn until_cleared(world: &World) {
    for _ in 0..120 {
        let state = world.state();
        let rests = state.phase.name() == "idle" && state.retry.is_none() && state.revocations.is_empty();
        if rests && world.live_keys() == [world.published()] {
            break;
        }
        seconds(15).await;
    }
}

async fn die(plan: &Plan, lost: bool, death: Death, what: &str) {
    let world = World::new(plan.clone());
    let mut replica = world.stopped_replica(1);
    replica.start_until(Some(death));
    tokio::select! {
        biased;
        () = replica.life().is_ended() => {}
        () = async {
            replica.until_at_rest().await;
            begin(&world, &replica, lost).await;
            std::future::pending::<()>().await;
        } => {}
    }
    replica.bury().await;
    replica.start();
    replica.until_at_rest().await;
    assert_settled(&world, what);
    assert_nothing_lost(&world, &replica, what);
    assert_calls_within_capability(&world, what);
    until_cleared(&world).await;
    assert_cleared_away(&world, &[&replica], what);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_went_back_with_its_vault_costs_no_key_that_it_does_not_know() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    let snapshot = world.vault.snapshot();
    minutes(90).await;
    replica.rotate().await;
    replica.until_rotated(2).await;
    world.vault.restore(&snapshot);
    minutes(30).await;
    // The restored record knows nothing of the second rotation, nor whose its key is.
    assert_eq!((world.published().as_str(), world.state().history.len()), ("key-1", 1));
    assert_eq!(world.live_keys(), ["key-1", "key-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_replaces_keys_owes_nothing_and_lists_nothing() {
    let world = World::new(plan_none());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    hours(8).await;
    assert_eq!(world.state().revocations, []);
    let asked = |name: &&&str| ["list keys", "revoke"].contains(*name);
    assert_eq!(replica.life().operations().iter().filter(asked).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_vault_at_the_due_time_holds_the_revocation_up_and_no_longer() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    minutes(59).await;
    world.vault.go_down(Error::Sealed);
    hours(3).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    world.vault.recover();
    hours(3).await;
    assert_cleared_away(&world, &[&replica], "once it is back");
}
