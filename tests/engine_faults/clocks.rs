//! A wall clock is set wrong, and set right again.

use keyturn::testbed::fake::CallFault;

use crate::world::{World, minutes, plan_read, plan_redo, seconds, staged};

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
