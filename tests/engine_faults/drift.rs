//! Between rotations provider and Vault are compared; of a Vault that was restored no key is touched.

use std::time::Duration;

use keyturn::engine::Condition;
use keyturn::rotation::{Plan, RefusalClass};
use keyturn::testbed::Gate;
use keyturn::testbed::fake::{StoreCall, StoreFault};
use keyturn::vault::Error;

use crate::world::{FIRST_KEY, Replica, World, ask, hours, minutes, plan_none, plan_read, store};

fn plan_probe() -> Plan {
    Plan { probe: true, ..plan_none() }
}

fn messages(replica: &Replica) -> String {
    let conditions: Vec<Condition> = replica.snapshot().conditions;
    format!("{conditions:?}")
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_replaced_behind_keyturns_back_is_told_and_nothing_is_rotated_by_itself() {
    for (plan, code) in [(plan_read(), "DRIFT"), (plan_probe(), "PUBLISHED_KEY_REFUSED")] {
        let world = World::new(plan.clone());
        let replica = world.replica(1).await;
        hours(12).await;
        assert_eq!(replica.conditions(), Vec::<&str>::new());
        let by_hand = world.mint.mint_by_hand(&plan, world.now());
        hours(8).await;
        assert_eq!(replica.conditions(), [code]);
        assert!(!messages(&replica).contains(&by_hand) && !messages(&replica).contains(FIRST_KEY));
        assert_eq!((world.published().as_str(), world.mint.calls().len()), (FIRST_KEY, 0));
        assert_eq!(replica.snapshot().hold, None);

        world.vault.put(&store(), &by_hand);
        hours(1).await;
        assert_eq!(replica.conditions(), Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_ends_what_a_comparison_had_shown() {
    for plan in [plan_read(), plan_probe()] {
        let world = World::new(plan.clone());
        let replica = world.replica(1).await;
        world.mint.mint_by_hand(&plan, world.now());
        hours(8).await;
        assert_eq!(replica.conditions().len(), 1);
        replica.rotate().await;
        replica.until_rotated(1).await;
        hours(1).await;
        world.assert_rotated("key-2", 1);
        assert_eq!(replica.conditions(), Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn the_comparison_is_rare_silent_while_the_provider_is_down_and_holds_nothing_up() {
    let world = World::new(plan_read());
    let replica = world.replica(1).await;
    hours(48).await;
    let asked = world.mint.reads();
    assert!((6..=12).contains(&asked), "{asked} reads in two days");
    world.mint.go_down(RefusalClass::Unreachable);
    hours(24).await;
    assert_eq!((replica.conditions(), replica.snapshot().hold), (vec![], None));
    world.mint.recover();
    world.vault.refuse(StoreCall::ReadEntry, Error::Sealed);
    hours(24).await;
    assert_eq!((replica.conditions(), replica.snapshot().hold), (vec![], None));
}

#[tokio::test(start_paused = true)]
async fn replicas_compare_at_different_times() {
    let world = World::new(plan_read());
    let (_a, _b) = (world.replica(1).await, world.replica(2).await);
    let mut times = Vec::new();
    for minute in 0..6 * 60 {
        let before = world.mint.reads();
        minutes(1).await;
        times.extend((before..world.mint.reads()).map(|_| minute));
    }
    assert!(times.len() >= 2, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[0] != pair[1]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_restore_that_put_the_record_behind_its_entry_no_key_is_touched() {
    for plan in [plan_read(), plan_probe(), plan_none()] {
        let world = World::new(plan);
        let mut replica = world.replica(1).await;
        let before = world.vault.snapshot();
        replica.rotate().await;
        replica.until_rotated(1).await;
        world.vault.restore_records(&before);
        let record = world.state();
        replica.until("the older record", |seen| seen.state.as_deref() == Some(&record)).await;
        hours(24).await;
        assert_eq!((replica.conditions(), replica.snapshot().hold), (vec![], None));
        for restarted in [false, true] {
            if restarted {
                replica.kill().await;
                replica.start();
                replica.until_at_rest().await;
            }
            replica.rotate().await;
            replica.until_held("RECORD_BEHIND_ENTRY").await;
            hours(24).await;
            replica.until_held("RECORD_BEHIND_ENTRY").await;
            assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 1));
            assert_eq!(world.state(), record);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restore_of_record_and_entry_the_comparison_tells_and_no_key_is_touched() {
    for (plan, code) in [(plan_read(), "DRIFT"), (plan_probe(), "PUBLISHED_KEY_REFUSED")] {
        let world = World::new(plan);
        let replica = world.replica(1).await;
        let before = world.vault.snapshot();
        replica.rotate().await;
        replica.until_rotated(1).await;
        world.vault.restore(&before);
        hours(10).await;
        assert_eq!(replica.conditions(), [code]);
        assert_eq!((world.published().as_str(), world.mint.calls().len()), (FIRST_KEY, 1));
        assert_eq!(replica.snapshot().hold, None);
    }
}

/// A comparison that gets no answer from the provider.
async fn hanging_comparison() -> (World, Replica, Gate) {
    let world = World::new(plan_probe());
    let replica = world.replica(1).await;
    let gate = Gate::new();
    world.mint.stall(&gate);
    gate.reached().await;
    (world, replica, gate)
}

#[tokio::test(start_paused = true)]
async fn an_emergency_does_not_wait_for_a_comparison_that_hangs() {
    let (world, replica, gate) = hanging_comparison().await;
    let asked_at = world.now();
    replica.handle().rotate(ask(true)).await.unwrap();
    replica.until_phase("published").await;
    assert_eq!(world.published(), "key-1");
    assert!(world.now().duration_since(asked_at).as_secs() < 1);
    gate.release();
    replica.until_rotated(1).await;
    world.assert_rotated("key-1", 1);
}

#[tokio::test(start_paused = true)]
async fn neither_a_person_nor_a_shutdown_waits_for_a_comparison_that_hangs() {
    let (_world, mut replica, _gate) = hanging_comparison().await;
    let served = async {
        replica.handle().pause("a test".into()).await.unwrap();
        replica.handle().resume().await.unwrap();
        replica.handle().plan(false).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(1), served).await.unwrap();

    let (_world, mut other, _gate) = hanging_comparison().await;
    tokio::time::timeout(Duration::from_secs(1), other.shut_down()).await.unwrap();
    replica.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_comparison_during_which_another_replica_rotates_tells_nothing() {
    let world = World::new(plan_probe());
    let (a, b) = (world.replica(1).await, world.replica(2).await);
    let gate = Gate::new();
    a.link.next(StoreCall::ReadSecret, StoreFault::Held(gate.clone()));
    gate.reached().await;
    b.rotate().await;
    b.until_rotated(1).await;
    gate.release();
    minutes(1).await;
    assert_eq!(a.conditions(), Vec::<&str>::new());
}
