//! A pending key beside the old one: activated once it is published and proven, discarded where nobody got it.

use std::time::Duration;

use keyturn::engine::Snapshot;
use keyturn::rotation::Plan;
use keyturn::testbed::fake::{CallFault, Question, QuestionFault};

use crate::world::{FIRST_KEY, World, ask, due_every, hours, minutes, plan_phases, seconds, store};

fn signing_itself() -> Plan {
    Plan { self_authenticating: true, ..plan_phases() }
}

#[tokio::test(start_paused = true)]
async fn the_published_key_is_activated_after_its_time_and_no_rotation_begins_before() {
    for plan in [plan_phases(), signing_itself()] {
        let world = World::new(plan);
        let replica = world.replica(1).await;
        for (number, old) in [(1, FIRST_KEY), (2, "key-1")] {
            replica.rotate().await;
            replica.until_rotated(number).await;
            let new = format!("key-{number}");
            assert_eq!(
                (world.published(), world.live_keys()),
                (new.clone(), vec![old.to_owned(), new.clone()])
            );
            for emergency in [false, true] {
                let refused = replica.handle().rotate(ask(emergency)).await.unwrap_err();
                assert_eq!(refused.code(), "KEY_SLOTS_FULL");
            }
            minutes(59).await;
            assert_eq!(world.live_keys().len(), 2, "applications still have the old key");
            minutes(3).await;
            assert_eq!((world.live_keys(), world.state().revocations), (vec![new], vec![]));
        }
        world.assert_rotated("key-2", 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_start_is_discarded_and_made_again_once_it_cannot_come_any_more() {
    for loss in [CallFault::AnswerLost, CallFault::RequestLost, CallFault::NoValue, CallFault::Garbled] {
        let what = format!("{loss:?}");
        let world = World::new(plan_phases());
        let replica = world.replica(1).await;
        world.mint.next(loss);
        replica.rotate().await;
        replica
            .until("its end", |seen| seen.state.as_ref().is_some_and(|state| !state.history.is_empty()))
            .await;
        assert_eq!((world.published().as_str(), world.phase()), (FIRST_KEY, "idle"), "{what}");
        seconds(100).await;
        assert_eq!(world.state().revocations.len(), 1, "{what}: a start may still come");
        replica.until_rotated(1).await;
        assert_eq!(world.published(), world.mint.newest_key(), "{what}");
        hours(2).await;
        assert_eq!(world.live_keys(), [world.published()], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_activated_while_the_provider_refuses_the_published_key() {
    let world = World::new(plan_phases());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    // Somebody discards the pending key at the provider.
    world.mint.lose_pending_key(world.now());
    hours(5).await;
    assert_eq!(world.live_keys(), [FIRST_KEY], "the old key is all that works");
    assert!(replica.conditions().contains(&"REVOCATION_HELD"), "{:?}", replica.conditions());
    assert_eq!(world.state().revocations.len(), 1);

    // Nor does an emergency: its start could meet a pending key that applications have.
    let refused = replica.handle().rotate(ask(true)).await.unwrap_err();
    assert_eq!(refused.code(), "KEY_SLOTS_FULL");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_activation_is_settled_by_asking_again() {
    let world = World::new(plan_phases());
    let replica = world.replica(1).await;
    world.mint.next_question(Question::Revoke, QuestionFault::AnswerLost);
    replica.rotate().await;
    replica.until_rotated(1).await;
    hours(2).await;
    assert_eq!((world.live_keys(), world.state().revocations), (vec!["key-1".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_somebody_put_into_the_entry_keeps_the_old_one_alive() {
    let world = World::new(plan_phases());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.vault.put(&store(), FIRST_KEY);
    hours(3).await;
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-1"]);
    assert!(replica.conditions().contains(&"REVOCATION_HELD"));
    world.vault.put(&store(), "key-1");
    hours(7).await;
    assert_eq!(world.live_keys(), ["key-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_copy_of_an_activation_does_not_meet_the_next_rotation() {
    let world = World::new(plan_phases());
    let first = world.replica(1).await;
    let _second = world.replica(2).await;
    first.rotate().await;
    first.until_rotated(1).await;
    // Both activate it; what one of them sent arrives when the other's is long done.
    world.mint.next_question(Question::Revoke, QuestionFault::Late(Duration::from_secs(55)));
    first.until("the activation", is_clear).await;
    first.rotate().await;
    first.until_rotated(2).await;
    minutes(30).await;
    assert_eq!(world.live_keys(), ["key-1", "key-2"], "applications still have the old key");
}

#[tokio::test(start_paused = true)]
async fn vault_is_left_alone_while_a_rotation_that_is_due_waits_for_quiet() {
    let world = World::new(due_every(Duration::from_mins(30), plan_phases()));
    let replica = world.replica(1).await;
    replica.until_rotated(1).await;
    replica.until("the activation", is_clear).await;
    seconds(2).await;
    let before = replica.link.requests();
    seconds(50).await;
    assert!(replica.link.requests() - before < 10, "{}", replica.link.requests() - before);
    assert_eq!(world.phase(), "idle");
    replica.until_rotated(2).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_knows_of_an_earlier_debt_is_not_taken_for_a_later_one() {
    let world = World::new(plan_phases());
    let first = world.replica(1).await;
    let second = world.replica(2).await;
    first.rotate().await;
    first.until_rotated(1).await;
    second.until("the first debt", |seen| !is_clear(seen)).await;
    // It sees nothing of what follows until the next debt is there, which has the same name.
    second.link.cut();
    first.until("the activation", is_clear).await;
    first.rotate().await;
    first.until_rotated(2).await;
    second.link.mend();
    minutes(50).await;
    assert_eq!(world.live_keys(), ["key-1", "key-2"], "applications still have the old key");
}

fn is_clear(seen: &Snapshot) -> bool {
    seen.state.as_ref().is_some_and(|state| state.revocations.is_empty())
}
