//! A secret of several fields is one secret, to whoever reads it and to whoever compares it.

use keyturn::testbed::Gate;
use keyturn::testbed::fake::{StoreCall, StoreFault};

use crate::world::{Replica, World, hours, pair, plan_created, plan_none, staged};

#[tokio::test(start_paused = true)]
async fn a_field_that_somebody_overwrites_alone_is_published_again_with_its_key() {
    for plan in [plan_none(), staged(plan_none())] {
        let world = World::new(plan);
        let replica = world.replica(1).await;
        let (publishes, verifies) = (Gate::new(), Gate::new());
        replica.link.next(StoreCall::Publish, StoreFault::Held(publishes.clone()));
        replica.rotate().await;
        publishes.reached().await;
        replica.link.next(StoreCall::ReadEntry, StoreFault::Held(verifies.clone()));
        publishes.release();
        verifies.reached().await;
        world.vault.put(&pair(), "somebody's");
        verifies.release();
        replica.until_rotated(1).await;
        world.assert_rotated("key-1", 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_beside_somebody_elses_field_is_not_what_the_record_says() {
    let world = World::new(plan_created());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.vault.put(&pair(), "somebody's");
    hours(2).await;
    assert!(replica.conditions().contains(&"REVOCATION_HELD"), "{:?}", replica.conditions());
    assert_eq!(world.live_keys(), ["key-0", "key-1"]);
    world.vault.put(&pair(), "pair-of-key-1");
    hours(7).await;
    assert_eq!((world.live_keys(), world.published()), (vec!["key-1".to_owned()], "key-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_field_somebody_took_away_is_no_publication_to_who_takes_over() {
    let world = World::new(plan_none());
    let second = taken_over_with_half_a_secret(&world).await;
    second.until_phase("halted").await;
    assert_eq!(world.state().history, []);
}

#[tokio::test(start_paused = true)]
async fn no_fence_is_built_around_half_a_secret() {
    let world = World::new(plan_created());
    let second = taken_over_with_half_a_secret(&world).await;
    second.until_held("ENTRY_INCOMPLETE").await;
    world.vault.put(&pair(), "pair-of-key-1");
    second.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
}

/// One replica published, and died before it closed; a field of what it published is gone.
async fn taken_over_with_half_a_secret(world: &World) -> Replica {
    let mut first = world.replica(1).await;
    let (publishes, verifies) = (Gate::new(), Gate::new());
    first.link.next(StoreCall::Publish, StoreFault::Held(publishes.clone()));
    first.rotate().await;
    publishes.reached().await;
    first.link.next(StoreCall::ReadEntry, StoreFault::Held(verifies.clone()));
    publishes.release();
    verifies.reached().await;
    first.kill().await;
    world.vault.take_away(&pair());
    let mut second = world.stopped_replica(2);
    second.start();
    second
}
