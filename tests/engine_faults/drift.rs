//! Between rotations: provider and Vault are compared, and a Vault that was restored is noticed and mended.

use std::time::Duration;

use keyturn::engine::Condition;
use keyturn::rotation::{Plan, RefusalClass};
use keyturn::testbed::fake::{Death, Moment, StoreCall};
use keyturn::vault::Error;

use crate::world::{FIRST_KEY, Replica, World, ask, due_every, hours, minutes, plan_none, plan_read, store};

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
async fn a_record_that_went_back_alone_is_mended_once_the_provider_accepts_the_published_key() {
    for plan in [plan_read(), plan_probe()] {
        let world = World::new(due_every(Duration::from_hours(24 * 30), plan));
        let replica = world.replica(1).await;
        let before = world.vault.snapshot();
        replica.rotate().await;
        replica.until_rotated(1).await;
        replica.rotate().await;
        replica.until_rotated(2).await;
        world.vault.restore_records(&before);
        replica.until("the restore", |seen| !seen.conditions.is_empty()).await;
        assert_eq!(replica.conditions(), ["RECORD_WENT_BACK"]);
        minutes(30).await;
        world.assert_rotated("key-2", 2);
        assert_eq!(replica.conditions(), Vec::<&str>::new());
        replica.rotate().await;
        replica.until("a further rotation", |_| world.mint.calls().len() == 3).await;
        minutes(5).await;
        world.assert_rotated("key-3", 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_its_entry_is_mended_by_a_replica_that_has_just_started() {
    let world = World::new(plan_read());
    let mut replica = world.replica(1).await;
    let before = world.vault.snapshot();
    replica.rotate().await;
    replica.until_rotated(1).await;
    replica.kill().await;
    world.vault.restore_records(&before);
    replica.start();
    replica.until_at_rest().await;
    replica.rotate().await;
    replica.until_held("RECORD_BEHIND_ENTRY").await;
    assert_eq!(world.mint.calls().len(), 1);
    minutes(30).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.snapshot().hold, None);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_while_it_mends_a_record_mends_it_after_its_next_start() {
    let plan = plan_read();
    // Before an operation the world is as it was after the one before it.
    for operation in 0..MENDING_OPERATIONS {
        die_while_mending(&plan, Death { operation, moment: Moment::After }).await;
    }
}

/// More than a replica makes from its start to the end of mending and of the rotation after it.
const MENDING_OPERATIONS: usize = 60;

async fn die_while_mending(plan: &Plan, death: Death) {
    let world = World::new(plan.clone());
    let mut replica = world.replica(1).await;
    let before = world.vault.snapshot();
    for times in 1..=3 {
        replica.rotate().await;
        replica.until_rotated(times).await;
    }
    replica.kill().await;
    world.vault.restore_records(&before);
    replica.start_until(Some(death));
    tokio::select! {
        biased;
        () = replica.life().is_ended() => {}
        () = async {
            replica.until_at_rest().await;
            // It may die before it has answered.
            replica.handle().rotate(ask(false)).await.ok();
            minutes(10).await;
        } => {}
    }
    if replica.life().is_over() {
        replica.bury().await;
        replica.start();
        replica.until_at_rest().await;
        replica.handle().rotate(ask(false)).await.ok();
    }
    minutes(20).await;
    assert_eq!((world.phase(), world.published()), ("idle", world.mint.newest_key()), "{death:?}");
    assert!(world.mint.calls().len() >= 4, "{death:?}: held for ever");
    assert_eq!((replica.disk.slots(), replica.snapshot().hold), (vec![], None), "{death:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_an_entry_whose_key_is_not_proven_stays_held() {
    let world = World::new(plan_probe());
    let replica = world.replica(1).await;
    let before = world.vault.snapshot();
    replica.rotate().await;
    replica.until_rotated(1).await;
    let plan = world.plan.clone();
    world.mint.mint_by_hand(&plan, world.now());
    world.vault.restore_records(&before);
    minutes(10).await;
    replica.rotate().await;
    replica.until_held("RECORD_BEHIND_ENTRY").await;
    hours(3).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), ("key-1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_was_restored_whole_is_noticed_within_a_poll_and_the_schedule_waits_for_the_provider() {
    for plan in [plan_read(), plan_probe()] {
        let world = World::new(due_every(Duration::from_hours(5), plan));
        let replica = world.replica(1).await;
        let before = world.vault.snapshot();
        replica.until_rotated(1).await;
        hours(1).await;
        world.vault.restore(&before);
        let held = replica.until_held("RECORD_WENT_BACK").await;
        assert!(held.conditions.iter().any(|condition| condition.code == "RECORD_WENT_BACK"));
        minutes(1).await;
        assert_eq!((world.mint.calls().len(), world.published().as_str()), (1, FIRST_KEY));
        // The provider was asked; now nothing is blind any more, and the rotation that is due mends the key.
        minutes(30).await;
        world.assert_rotated("key-2", 2);
        assert_eq!((replica.conditions(), replica.snapshot().hold), (vec![], None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_vault_without_means_keeps_the_schedule_back_until_a_person_asks() {
    let world = World::new(due_every(Duration::from_hours(5), plan_none()));
    let replica = world.replica(1).await;
    let before = world.vault.snapshot();
    replica.until_rotated(1).await;
    world.vault.restore(&before);
    replica.until_held("RECORD_WENT_BACK").await;
    hours(6).await;
    assert_eq!((world.published().as_str(), world.mint.calls().len()), (FIRST_KEY, 1));
    replica.handle().cancel(replica.snapshot().pending.unwrap().0).await.unwrap();
    replica.rotate().await;
    replica.until_rotated(1).await;
    world.assert_rotated("key-2", 2);
    assert_eq!(replica.conditions(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_sealed_when_vault_was_restored_is_opened_and_published() {
    let world = World::new(plan_read());
    let replica = world.replica(1).await;
    let before = world.vault.snapshot();
    let gate = world.hold_next_answer();
    replica.rotate().await;
    gate.reached().await;
    world.vault.restore(&before);
    gate.release();
    minutes(30).await;
    world.assert_rotated("key-1", 1);
    assert_eq!((replica.conditions(), replica.disk.slots()), (vec![], vec![]));
}
