//! A replica dies at each side of each of its operations, and starts again with what is on its disk.

use keyturn::rotation::Plan;
use keyturn::testbed::fake::{Death, Moment};

use crate::verdict::{assert_calls_within_capability, assert_cleared, assert_nothing_lost, assert_settled};
use crate::world::{World, ask, plan_none, plan_read, plan_redo, plan_replay, staged};

#[tokio::test(start_paused = true)]
async fn without_any_means_a_crash_anywhere_ends_with_the_live_key_or_with_a_person() {
    die_everywhere(plan_none()).await;
}

#[tokio::test(start_paused = true)]
async fn without_any_means_a_crash_anywhere_around_staging_ends_with_the_live_key_or_with_a_person() {
    die_everywhere(staged(plan_none())).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_read_a_crash_anywhere_ends_with_the_live_key() {
    die_everywhere(plan_read()).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_read_a_crash_anywhere_around_staging_ends_with_the_live_key() {
    die_everywhere(staged(plan_read())).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_replay_a_crash_anywhere_ends_with_the_live_key() {
    die_everywhere(plan_replay()).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_replay_a_crash_anywhere_around_staging_ends_with_the_live_key() {
    die_everywhere(staged(plan_replay())).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_redo_a_crash_anywhere_ends_with_the_live_key() {
    die_everywhere(plan_redo()).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_redo_a_crash_anywhere_around_staging_ends_with_the_live_key() {
    die_everywhere(staged(plan_redo())).await;
}

async fn die_everywhere(plan: Plan) {
    let operations = operations_of_a_rotation(&plan).await;
    for (operation, name) in operations.into_iter().enumerate() {
        for moment in [Moment::Before, Moment::After] {
            let what = format!("died {moment:?} operation {operation} ({name})");
            die(&plan, Death { operation, moment }, &what).await;
        }
    }
}

/// All operations from the start of a replica to the end of its first rotation.
async fn operations_of_a_rotation(plan: &Plan) -> Vec<&'static str> {
    let world = World::new(plan.clone());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
    assert_eq!(replica.disk.slots(), []);
    replica.life().operations()
}

async fn die(plan: &Plan, death: Death, what: &str) {
    let world = World::new(plan.clone());
    let mut replica = world.stopped_replica(1);
    replica.start_until(Some(death));
    tokio::select! {
        biased;
        () = replica.life().is_ended() => {}
        () = async {
            replica.until_at_rest().await;
            // It may die before it has answered.
            replica.handle().rotate(ask(false)).await.ok();
            std::future::pending::<()>().await;
        } => {}
    }
    replica.bury().await;
    replica.start();
    replica.until_at_rest().await;
    assert_settled(&world, what);
    assert_cleared(&world, &replica, what);
    assert_nothing_lost(&world, &replica, what);
    assert_calls_within_capability(&world, what);
}
