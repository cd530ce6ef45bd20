//! A replica dies at each side of each of its operations, and starts again with what is on its disk.

use keyturn::rotation::{Phase, Plan};
use keyturn::testbed::fake::{Death, MintCall, Moment};

use crate::world::{FIRST_KEY, Replica, World, ask, plan_none, plan_read, plan_redo, plan_replay, staged};

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
    assert_settled(&world, &replica, what);
    assert_calls_within_capability(&world, what);
}

/// The live key is published and the escrow empty; or a person is asked, where nothing else could be done.
fn assert_settled(world: &World, replica: &Replica, what: &str) {
    let plan = &world.plan;
    match world.state().phase {
        Phase::Idle => {
            assert_eq!(world.published(), world.mint.newest_key(), "{what}: the live key is not in Vault");
            assert!(world.mint.accepts(&world.published(), world.now()), "{what}: the key in Vault is dead");
            assert_eq!(replica.disk.slots(), [], "{what}: the escrow is not empty");
        }
        phase => {
            let has_means = plan.read.is_some() || plan.replay.is_some() || plan.redo.is_some();
            assert!(!has_means, "{what}: a person is asked, though there are means; {phase:?}");
            assert_eq!(phase.name(), "halted", "{what}");
            assert_eq!(world.published(), FIRST_KEY, "{what}: a key was published by guess");
        }
    }
}

fn assert_calls_within_capability(world: &World, what: &str) {
    let World { plan, mint, .. } = world;
    for MintCall { rotation_id, .. } in mint.calls() {
        let calls = mint.calls().iter().filter(|call| call.rotation_id == rotation_id).count();
        let minted = mint.minted_for(rotation_id);
        let (calls_max, minted_max) = match (plan.replay, plan.redo) {
            (Some(_), _) => (2, 1),
            (None, Some(_)) => (2, 2),
            (None, None) => (1, 1),
        };
        assert!(calls <= calls_max, "{what}: {calls} calls were made for one rotation");
        assert!(minted <= minted_max, "{what}: {minted} keys were made for one rotation");
    }
}
