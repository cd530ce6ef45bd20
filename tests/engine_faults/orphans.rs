//! An answer arrives after its claim was lost: keyturn finds out which key lives, and does what is proven.

use keyturn::provider::Account;
use keyturn::rotation::{ClosedAs, Decision, Plan, RefusalClass};
use keyturn::testbed::Gate;
use keyturn::testbed::fake::{CallFault, Death, Moment, StoreCall, StoreFault};

use crate::world::{
    FIRST_KEY, Replica, World, ask, hasty, hours, minutes, name, plan_none, plan_read, plan_redo, seconds,
    staged, store,
};

/// The provider cannot show its key, but says which keys it accepts.
fn plan_probe() -> Plan {
    Plan { probe: true, ..plan_none() }
}

/// A froze before its last byte; B took over and made another key. Then A thaws: its key is the newer one.
async fn thaw_after_a_takeover(world: &World) -> (Replica, Replica) {
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    let frozen = Gate::new();
    world.mint.next(CallFault::Frozen(frozen.clone()));
    let id = a.rotate().await;
    frozen.reached().await;
    if world.plan.read.is_none() {
        b.until_phase("halted").await;
        b.handle().resolve(id, Decision::RotateAgain).await.unwrap();
    }
    b.until_rotated(1).await;
    assert_eq!(world.published(), "key-1");
    frozen.release();
    a.until("its own answer", |_| !a.disk.sealed().is_empty()).await;
    assert_eq!((world.published().as_str(), world.mint.newest_key().as_str()), ("key-1", "key-2"));
    assert_eq!(a.sealed_keys(), ["key-2"]);
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn an_orphan_that_the_provider_shows_as_its_key_is_published() {
    for plan in [plan_read(), staged(plan_read())] {
        let world = World::new(plan);
        let (a, b) = thaw_after_a_takeover(&world).await;
        minutes(30).await;
        world.assert_rotated("key-2", 2);
        assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
        assert_eq!(world.state().history.len(), 2, "a rotation has one end");
        b.until("what A did", |seen| seen.state.as_deref() == Some(&world.state())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_that_a_person_had_given_up_stays_sealed_and_told_though_it_alone_is_accepted() {
    let world = World::new(plan_probe());
    let (a, _b) = thaw_after_a_takeover(&world).await;
    assert!(!world.mint.accepts("key-1", world.now()));
    hours(24).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 2));
    assert_eq!(a.sealed_keys(), ["key-2"]);
    assert_eq!(a.conditions(), ["ORPHAN_ANSWER", "PUBLISHED_KEY_REFUSED"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_somebody_put_into_the_entry_is_not_overwritten_by_an_orphan() {
    let world = World::new(plan_read());
    let (a, _b) = thaw_after_a_takeover(&world).await;
    let reopened = Gate::new();
    a.link.next(StoreCall::WriteRecord, StoreFault::Held(reopened.clone()));
    reopened.reached().await;
    world.vault.put(&store(), "by hand");
    reopened.release();
    hours(24).await;
    assert_eq!((world.published().as_str(), world.phase()), ("by hand", "idle"));
    assert_eq!((a.sealed_keys(), world.mint.calls().len()), (vec!["key-2".into()], 2));
    assert_eq!(a.snapshot().hold, None);
    assert!(a.conditions().contains(&"ORPHAN_ANSWER") && a.conditions().contains(&"DRIFT"));
}

/// A froze before its last byte; B made a key with the old one; A thaws twenty minutes later, inside the grace window.
async fn thaw_inside_the_grace_window(world: &World) -> (Replica, Replica) {
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    let frozen = Gate::new();
    world.mint.next(CallFault::Frozen(frozen.clone()));
    a.rotate().await;
    frozen.reached().await;
    b.until_rotated(1).await;
    minutes(20).await;
    frozen.release();
    a.until("its own answer", |_| !a.disk.sealed().is_empty()).await;
    assert_eq!((world.published().as_str(), world.mint.newest_key().as_str()), ("key-1", "key-2"));
    // The window of B's key is over, that of A's is not.
    minutes(50).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 2));
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-2".into()], vec!["ORPHAN_ANSWER"]));
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_orphans_own_grace_window_tells_without_a_further_rotation() {
    let world = World::new(plan_redo());
    let (a, _b) = thaw_inside_the_grace_window(&world).await;
    minutes(20).await;
    world.assert_rotated("key-2", 2);
    let closed = world.newest_closed();
    assert_eq!((closed.calls, closed.reopened, world.state().history.len()), (2, true, 1));
    assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn two_keys_that_outlive_every_grace_window_are_settled_by_one_rotation_and_no_second() {
    let world = World::new(plan_redo());
    world.mint.keep_old_keys();
    let (a, _b) = thaw_inside_the_grace_window(&world).await;
    minutes(30).await;
    world.assert_rotated("key-3", 3);
    assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
    hours(12).await;
    world.assert_rotated("key-3", 3);
}

#[tokio::test(start_paused = true)]
async fn the_one_rotation_is_not_repeated_where_it_is_refused() {
    let world = World::new(plan_probe());
    world.mint.keep_old_keys();
    let (a, _b) = thaw_after_a_takeover(&world).await;
    world.mint.next(CallFault::Refused(RefusalClass::Forbidden));
    hours(24).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 3));
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-2".into()], vec!["ORPHAN_ANSWER"]));
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_is_not_believed_before_everything_sent_has_lost_its_power() {
    let world = World::new(plan_read());
    let (a, _b) = thaw_after_a_takeover(&world).await;
    a.until("the orphan", |seen| !seen.conditions.is_empty()).await;
    let reads = world.mint.reads();
    minutes(1).await;
    assert_eq!((world.published().as_str(), world.mint.reads()), ("key-1", reads));
    assert_eq!(a.conditions(), ["ORPHAN_ANSWER"]);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_kept_while_the_provider_cannot_be_asked_and_settled_afterwards() {
    let world = World::new(plan_read());
    let (a, _b) = thaw_after_a_takeover(&world).await;
    world.mint.go_down(RefusalClass::Unreachable);
    hours(5).await;
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-2".into()], vec!["ORPHAN_ANSWER"]));
    assert_eq!(a.snapshot().hold, None);
    world.mint.recover();
    hours(6).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_provider_has_no_means_is_kept_and_told() {
    let world = World::new(plan_none());
    let (a, _b) = thaw_after_a_takeover(&world).await;
    hours(8).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 2));
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-2".into()], vec!["ORPHAN_ANSWER"]));
}

#[tokio::test(start_paused = true)]
async fn two_keys_that_are_both_accepted_are_settled_by_one_rotation_and_no_second() {
    let world = World::new(plan_probe());
    world.mint.keep_old_keys();
    let (a, _b) = thaw_after_a_takeover(&world).await;
    minutes(30).await;
    world.assert_rotated("key-3", 3);
    assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
    hours(12).await;
    world.assert_rotated("key-3", 3);
}

#[tokio::test(start_paused = true)]
async fn the_one_rotation_waits_for_a_person_who_paused_the_credential() {
    let world = World::new(plan_probe());
    world.mint.keep_old_keys();
    let (a, _b) = thaw_after_a_takeover(&world).await;
    a.until("rest", |seen| seen.activity == keyturn::engine::Activity::Idle).await;
    a.handle().pause("a test".into()).await.unwrap();
    hours(8).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 2));
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-2".into()], vec!["ORPHAN_ANSWER"]));
    a.handle().resume().await.unwrap();
    minutes(10).await;
    world.assert_rotated("key-3", 3);
    assert_eq!(a.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_grace_window_tells_which_key_is_the_older_without_a_further_rotation() {
    let world = World::new(plan_redo());
    let a = world.replica(1).await;
    let gate = world.hold_next_answer();
    a.rotate().await;
    gate.reached().await;
    a.link.cut();
    gate.release();
    a.until_held("VAULT_UNAVAILABLE").await;
    let b = world.replica(2).await;
    b.until_rotated(1).await;
    a.link.mend();
    a.until_rotated(1).await;
    minutes(10).await;
    assert_eq!((a.sealed_keys(), a.conditions()), (vec!["key-1".into()], vec!["ORPHAN_ANSWER"]));
    hours(2).await;
    world.assert_rotated("key-2", 2);
    assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
    hours(8).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_person_has_just_given_up_is_left_alone_whatever_the_provider_says() {
    let world = World::new(plan_probe());
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    let frozen = Gate::new();
    world.mint.next(CallFault::Frozen(frozen.clone()));
    let id = a.rotate().await;
    frozen.reached().await;
    b.until_phase("halted").await;
    b.handle().resolve(id, Decision::KeepCurrent).await.unwrap();
    frozen.release();
    hours(8).await;
    assert_eq!((world.published().as_str(), world.phase()), (FIRST_KEY, "idle"));
    let outcome = ClosedAs::Resolved { decision: Decision::KeepCurrent };
    assert_eq!(world.newest_closed().outcome, outcome);
    assert_eq!(a.sealed_keys(), ["key-1"]);
    assert_eq!(a.conditions(), ["ORPHAN_ANSWER", "PUBLISHED_KEY_REFUSED"]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_while_it_settles_an_orphan_ends_it_after_its_next_start() {
    for plan in [plan_read(), plan_redo()] {
        for operation in 0..operations_of_settling(&plan).await {
            // Before an operation the world is as it was after the one before it.
            die_while_settling(&plan, Death { operation, moment: Moment::After }, false).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_takes_over_an_orphan_from_a_dead_one_leaves_it_to_who_has_the_answer() {
    for plan in [plan_read(), plan_redo()] {
        for operation in 0..operations_of_settling(&plan).await {
            die_while_settling(&plan, Death { operation, moment: Moment::After }, true).await;
        }
    }
}

/// An orphan that a read settles, or probes do once its grace window is over.
async fn left_by_a_takeover(world: &World) -> (Replica, Replica) {
    match world.plan.read {
        Some(_) => thaw_after_a_takeover(world).await,
        None => thaw_inside_the_grace_window(world).await,
    }
}

/// How long such an orphan takes to be settled.
const SETTLED_IN_MINUTES: u64 = 25;

/// How many operations a replica makes from its start until its orphan is published.
async fn operations_of_settling(plan: &Plan) -> usize {
    let world = World::new(plan.clone());
    let (mut a, _b) = left_by_a_takeover(&world).await;
    a.kill().await;
    a.start();
    let done = |seen: &keyturn::engine::Snapshot| {
        seen.activity == keyturn::engine::Activity::Idle && seen.conditions.is_empty() && seen.state.is_some()
    };
    a.until("the end", |seen| done(seen) && world.published() == "key-2").await;
    a.life().operations().len()
}

/// A restarts with its orphan and dies again; the others have time to take over, or there are none.
async fn die_while_settling(plan: &Plan, death: Death, with_others: bool) {
    let what = format!("{death:?}, with others: {with_others}, read: {:?}", plan.read);
    let world = World::new(plan.clone());
    let (mut a, mut b) = left_by_a_takeover(&world).await;
    a.kill().await;
    if !with_others {
        b.kill().await;
    }
    a.start_until(Some(death));
    minutes(SETTLED_IN_MINUTES).await;
    if a.life().is_over() {
        a.bury().await;
        minutes(if with_others { 20 } else { 1 }).await;
        a.start();
    }
    minutes(SETTLED_IN_MINUTES).await;
    assert_eq!(world.published(), "key-2", "{what}");
    assert_eq!((world.phase(), world.mint.calls().len()), ("idle", 2), "{what}");
    assert_eq!(a.disk.slots(), [], "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_outlives_the_close_of_its_rotation_by_the_very_replica_that_has_it() {
    let world = World::new(staged(plan_redo()));
    let (a, mut b) = (world.replica(1).await, world.replica(2).await);
    let frozen = Gate::new();
    world.mint.next(CallFault::Frozen(frozen.clone()));
    a.rotate().await;
    frozen.reached().await;
    b.until_phase("staged").await;
    frozen.release();
    a.until("its own answer", |_| !a.disk.sealed().is_empty()).await;
    assert_eq!(a.sealed_keys(), ["key-2"]);
    b.kill().await;
    // A takes the rotation over, and publishes the key of B's call, which the record has.
    a.until_rotated(1).await;
    assert_eq!((world.published().as_str(), a.sealed_keys()), ("key-1", vec!["key-2".into()]));
    hours(3).await;
    world.assert_rotated("key-2", 2);
    assert_eq!((a.conditions(), a.disk.slots()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_outlives_a_person_who_gives_up_the_staged_key_of_another_call() {
    let world = World::new(hasty(staged(plan_redo())));
    let (a, mut b) = (world.replica(1).await, world.replica(2).await);
    let frozen = Gate::new();
    world.mint.next(CallFault::Frozen(frozen.clone()));
    let id = a.rotate().await;
    frozen.reached().await;
    b.until_phase("staged").await;
    world.mint.go_down(RefusalClass::Unreachable);
    b.kill().await;
    world.mint.recover();
    frozen.release();
    a.until("its own answer", |_| !a.disk.sealed().is_empty()).await;
    world.mint.go_down(RefusalClass::Unreachable);
    a.until_phase("halted").await;
    assert_eq!(world.vault.staged(&name()), Some("key-1".into()));
    // However often the decision has to be written, the key is kept once.
    a.link.next(StoreCall::WriteRecord, StoreFault::RequestLost);
    a.handle().resolve(id, Decision::KeepCurrent).await.unwrap_err();
    a.until_at_rest().await;
    a.handle().resolve(id, Decision::KeepCurrent).await.unwrap();
    a.until_phase("idle").await;
    assert_eq!((a.sealed_keys(), a.disk.residues()), (vec!["key-2".into()], vec!["key-1".into()]));
}

#[tokio::test(start_paused = true)]
async fn what_one_credential_is_told_keeps_the_others_of_the_account_away_before_they_begin() {
    let world = World::new(plan_none());
    let account = Account::default();
    let mut replica = world.stopped_replica(1);
    replica.start_with(account.clone());
    replica.until_at_rest().await;
    account.asks(std::time::Duration::from_mins(30), keyturn::clock::Clock::monotonic(&world.clock));
    replica.rotate().await;
    replica.until_held("PROVIDER_RATE_LIMITED").await;
    minutes(29).await;
    assert_eq!((world.phase(), world.mint.calls().len(), world.state().history.len()), ("idle", 0, 0));
    minutes(2).await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    seconds(1).await;
    assert_eq!(replica.snapshot().hold, None);
}

#[tokio::test(start_paused = true)]
async fn an_emergency_and_a_further_call_inside_a_grace_window_go_out_whatever_the_account_was_told() {
    let world = World::new(plan_redo());
    let account = Account::default();
    let mut replica = world.stopped_replica(1);
    replica.start_with(account.clone());
    replica.until_at_rest().await;
    let (asked_at, now) = (world.now(), keyturn::clock::Clock::monotonic(&world.clock));
    account.asks(std::time::Duration::from_hours(24), now);
    world.lose_next_answer();
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_rotated(1).await;
    world.assert_rotated("key-2", 2);
    assert!(world.now().duration_since(asked_at).as_mins() < 5);
}
