//! Providers of several named keys: only one that nobody uses is made anew.

use std::time::Duration;

use keyturn::testbed::Gate;
use keyturn::testbed::fake::{CallFault, StoreCall, StoreFault};

use crate::verdict::{assert_calls_within_capability, assert_settled};
use crate::world::{FIRST_KEY, World, ask, hasty, hours, minutes, plan_slots, seconds, store};

#[tokio::test(start_paused = true)]
async fn the_two_keys_take_turns_and_the_one_in_use_always_lives() {
    let world = World::new(plan_slots());
    let replica = world.replica(1).await;
    for (number, slot) in [(1, "second"), (2, "first"), (3, "second")] {
        replica.rotate().await;
        replica.until_rotated(number).await;
        let published = format!("key-{number}");
        world.assert_rotated(&published, number);
        assert_eq!(world.live_keys(), [format!("key-{}", number - 1), published], "{slot} was made anew");
        assert_eq!(replica.handle().rotate(ask(false)).await.unwrap_err().code(), "GRACE_WINDOW_OPEN");
        hours(25).await;
        assert_eq!(replica.conditions(), Vec::<&str>::new(), "the comparison looks at the key in use");
    }
}

#[tokio::test(start_paused = true)]
async fn the_choice_is_part_of_the_intent_and_whoever_goes_on_keeps_to_it() {
    let world = World::new(hasty(plan_slots()));
    let (mut a, b) = (world.replica(1).await, world.replica(2).await);
    let answer = world.hold_next_answer();
    a.rotate().await;
    a.until_phase("intended").await;
    let chosen = world.state().phase.rotation().unwrap().baseline.slot.clone().unwrap();
    assert_eq!(chosen.as_str(), "second");
    seconds(1).await;
    a.kill().await;
    b.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert!(world.mint.accepts(FIRST_KEY, world.now()));
    answer.release();
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_came_into_use_before_the_call_left_is_not_made_anew() {
    let world = World::new(plan_slots());
    let mut replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    hours(25).await;
    // The intent is written, and the process stops before the call.
    let gate = Gate::new();
    replica.link.next(StoreCall::WriteRecord, StoreFault::Held(gate.clone()));
    replica.rotate().await;
    gate.reached().await;
    tokio::join!(replica.shut_down(), async { gate.release() });
    assert_eq!((world.phase(), world.mint.calls().len()), ("intended", 1));
    // Meanwhile somebody goes back to the other key.
    world.vault.put(&store(), FIRST_KEY);
    replica.start();
    replica.until_rotated(2).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-2", 2));
    assert_eq!(world.live_keys(), [FIRST_KEY, "key-2"], "the key in use lives");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_harms_nobody_and_the_read_of_that_very_key_settles_it() {
    for (loss, published) in [
        (CallFault::AnswerLost, "key-1"),
        (CallFault::NoValue, "key-1"),
        (CallFault::RequestLost, FIRST_KEY),
        (CallFault::Late(Duration::from_secs(50)), "key-1"),
    ] {
        let what = format!("{loss:?}");
        let world = World::new(plan_slots());
        let replica = world.replica(1).await;
        world.mint.next(loss);
        replica.rotate().await;
        replica
            .until("its end", |seen| seen.state.as_ref().is_some_and(|state| !state.history.is_empty()))
            .await;
        assert_eq!(world.published(), published, "{what}");
        assert!(world.mint.accepts(FIRST_KEY, world.now()), "{what}");
        assert_calls_within_capability(&world, &what);
        minutes(30).await;
        assert_settled(&world, &what);
        assert!(world.mint.accepts(FIRST_KEY, world.now()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_is_made_anew_while_nobody_knows_which_one_applications_use() {
    for entry in ["a key of nobody's", ""] {
        let world = World::new(plan_slots());
        let replica = world.replica(1).await;
        world.vault.put(&store(), entry);
        replica.handle().rotate(ask(true)).await.unwrap();
        let seen = replica.until_held("ENTRY_IN_NO_SLOT").await;
        assert!(seen.hold.unwrap().message.contains("put the one that they use there"));
        minutes(10).await;
        assert_eq!((world.mint.calls().len(), world.phase()), (0, "idle"));
        world.vault.put(&store(), FIRST_KEY);
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_that_is_made_anew_by_hand_is_reported_as_drift() {
    let world = World::new(plan_slots());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    // The first slot is nobody's by now; the second has the key in use.
    world.mint.mint_by_hand(&world.plan, world.now());
    hours(7).await;
    assert_eq!(replica.conditions(), Vec::<&str>::new());
    world.mint.mint_by_hand(&world.plan, world.now());
    hours(7).await;
    assert_eq!(replica.conditions(), ["DRIFT"]);
}
