//! A wall clock is set wrong, and set right again.

use std::time::Duration;

use keyturn::rotation::{Decision, Plan};
use keyturn::testbed::fake::CallFault;

use crate::world::{World, ask, due_every, minutes, plan_none, plan_read, plan_redo, seconds, staged};

const YEAR_SECONDS: i64 = 365 * 24 * 3_600;

#[tokio::test(start_paused = true)]
async fn a_key_that_was_staged_by_a_clock_of_next_year_is_published_in_time() {
    let world = World::new(staged(plan_read()));
    let replica = world.replica(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    replica.rotate().await;
    replica.until_phase("staged").await;
    seconds(1).await;
    replica.clock.set_skew(0);
    minutes(15).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_staged_by_a_clock_of_next_year_is_published_in_time_by_another_replica() {
    let world = World::new(staged(plan_read()));
    let mut a = world.replica(1).await;
    a.clock.set_skew(YEAR_SECONDS);
    a.rotate().await;
    a.until_phase("staged").await;
    a.kill().await;
    let b = world.replica(2).await;
    minutes(40).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(b.disk.slots(), []);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_of_a_clock_of_next_year_is_settled_in_time() {
    let world = World::new(plan_redo());
    let replica = world.replica(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    world.mint.next(CallFault::AnswerLost);
    replica.rotate().await;
    replica.until_phase("unknown").await;
    seconds(1).await;
    replica.clock.set_skew(0);
    minutes(10).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_in_a_doubt_does_not_cut_the_wait_short_for_a_late_call() {
    let world = World::new(plan_read());
    let replica = world.replica(1).await;
    // The request takes effect after its sender has given up, and a read is made before that.
    world.mint.next(CallFault::Late(world.plan.call_timeout + Duration::from_secs(20)));
    replica.rotate().await;
    replica.until_phase("unknown").await;
    replica.clock.set_skew(YEAR_SECONDS);
    seconds(10).await;
    assert_eq!(world.phase(), "unknown", "nothing was believed before its time");
    minutes(10).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_that_jumps_ahead_between_two_lives() {
    let world = World::new(plan_read());
    let mut replica = world.replica(1).await;
    world.mint.next(CallFault::Late(world.plan.call_timeout + Duration::from_secs(20)));
    replica.rotate().await;
    replica.until_phase("unknown").await;
    replica.kill().await;
    replica.clock.set_skew(YEAR_SECONDS);
    replica.start();
    seconds(10).await;
    assert_eq!(world.phase(), "unknown", "nothing was believed before its time");
    minutes(10).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_needs_time_is_not_published_early_by_a_clock_that_jumps_ahead() {
    let world = World::new(staged(plan_read()));
    let replica = world.replica(1).await;
    replica.rotate().await;
    let staged_at = replica.until_phase("staged").await.state.map(|_| world.now());
    seconds(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    // After an order everything is read afresh; that must not count by the wrong clock either.
    replica.handle().pause("the night".into()).await.unwrap();
    while world.phase() == "staged" {
        seconds(1).await;
    }
    let delay = world.plan.propagation.unwrap().delay;
    let waited = Duration::try_from(world.now().duration_since(staged_at.unwrap())).unwrap();
    assert!(waited >= delay, "published after {waited:?}, though the provider needs {delay:?}");
    minutes(15).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn no_rotation_begins_while_a_call_of_the_one_that_a_person_gave_up_may_take_effect() {
    for decision in [Decision::RotateAgain, Decision::KeepCurrent] {
        for skew in [0, YEAR_SECONDS] {
            let world = World::new(plan_none());
            let replica = world.replica(1).await;
            world.mint.next(CallFault::Late(world.plan.call_timeout + Duration::from_secs(20)));
            let id = replica.rotate().await;
            replica.until_phase("halted").await;
            replica.handle().resolve(id, decision).await.unwrap();
            replica.clock.set_skew(skew);
            replica.handle().rotate(ask(true)).await.unwrap();
            minutes(10).await;
            assert_eq!(
                world.mint.minted(),
                2,
                "{decision:?}: the late call made a key, and so did the emergency"
            );
            world.assert_rotated("key-2", 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_a_clock_of_next_year_closed_holds_nothing_back_for_a_year() {
    let hour = Duration::from_hours(1);
    let plan = Plan { grace: Some(hour), lock: Some(hour), ..plan_read() };
    let world = World::new(due_every(hour * 2, plan));
    let mut replica = world.replica(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    replica.until_rotated(1).await;
    replica.shut_down().await;
    replica.clock.set_skew(0);
    replica.start();
    minutes(30).await;
    assert_eq!(world.mint.calls().len(), 1, "the lock and the grace window still count");
    minutes(120).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_grace_window_that_a_clock_of_next_year_began_ends_in_time() {
    let plan = Plan { grace: Some(Duration::from_hours(1)), ..plan_read() };
    let world = World::new(due_every(Duration::from_hours(2), plan));
    let mut replica = world.replica(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    world.lose_next_answer();
    replica.until_phase("unknown").await;
    replica.kill().await;
    replica.clock.set_skew(0);
    replica.start();
    replica.until_rotated(1).await;
    assert!(world.state().grace_until().unwrap() <= world.now() + Duration::from_hours(1));
    minutes(150).await;
    world.assert_rotated("key-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_a_clock_of_next_year_put_off_is_made_in_time() {
    for restarts in [true, false] {
        let world = World::new(plan_read());
        let mut replica = world.replica(1).await;
        replica.clock.set_skew(YEAR_SECONDS);
        world.mint.next(CallFault::RequestLost);
        replica.rotate().await;
        while world.state().retry.is_none() {
            seconds(1).await;
        }
        replica.clock.set_skew(0);
        if restarts {
            replica.kill().await;
            replica.start();
        }
        minutes(5).await;
        world.assert_rotated("key-1", 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_a_person_asks_for_again_does_not_wait_for_a_clock_of_next_year() {
    let world = World::new(plan_none());
    let mut replica = world.replica(1).await;
    replica.clock.set_skew(YEAR_SECONDS);
    world.lose_next_answer();
    let id = replica.rotate().await;
    replica.until_phase("halted").await;
    replica.kill().await;
    replica.clock.set_skew(0);
    replica.start();
    replica.until_phase("halted").await;
    replica.handle().resolve(id, Decision::RotateAgain).await.unwrap();
    minutes(10).await;
    world.assert_rotated("key-2", 2);
}
