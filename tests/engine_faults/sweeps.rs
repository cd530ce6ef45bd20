//! One fault at each request to Vault in turn, and a second replica that takes over wherever the first one fails.

use std::ops::Range;

use keyturn::rotation::Plan;
use keyturn::testbed::fake::{Death, Moment, StoreFault};
use keyturn::vault::Error;

use crate::verdict::{assert_calls_within_capability, assert_nothing_lost, assert_settled};
use crate::world::{
    World, ask, hasty, plan_marked, plan_none, plan_read, plan_redo, plan_replay, plan_slots, plan_supplied,
    seconds, staged,
};

/// Every capability, with and without staging, with short times: a follower that looks up each second is slow work.
fn plans() -> Vec<(&'static str, Plan)> {
    let capabilities = [
        ("none", plan_none()),
        ("read", plan_read()),
        ("replay", plan_replay()),
        ("redo", plan_redo()),
        ("supplied", plan_supplied()),
        ("slots", plan_slots()),
        ("marked", plan_marked()),
    ];
    capabilities
        .into_iter()
        .flat_map(|(name, plan)| [(name, hasty(plan.clone())), (name, hasty(staged(plan)))])
        .collect()
}

/// Which requests to Vault, and which operations in all, a replica makes from a rotation's preflight to its end.
struct Course {
    requests: Range<usize>,
    operations: Range<usize>,
}

async fn course_of_a_rotation(plan: &Plan) -> Course {
    let world = World::new(plan.clone());
    let replica = world.replica(1).await;
    let before = (replica.link.requests(), replica.life().operations().len());
    replica.rotate().await;
    replica.until_rotated(1).await;
    let after = (replica.link.requests(), replica.life().operations().len());
    Course { requests: before.0..after.0, operations: before.1..after.1 }
}

#[tokio::test(start_paused = true)]
async fn a_single_failed_request_to_vault_costs_neither_the_key_nor_a_second_call() {
    for (name, plan) in plans() {
        let Course { requests, .. } = course_of_a_rotation(&plan).await;
        for request in requests {
            for fault in [
                StoreFault::Refused(Error::Sealed),
                StoreFault::AnswerLost,
                StoreFault::RequestLost,
                StoreFault::Conflict,
            ] {
                fail_one_request(&plan, request, fault, name).await;
            }
        }
    }
}

async fn fail_one_request(plan: &Plan, request: usize, fault: StoreFault, name: &str) {
    let what = format!("{name}: {fault:?} at request {request}");
    let world = World::new(plan.clone());
    let mut replica = world.stopped_replica(1);
    replica.link.at(request, fault);
    replica.start();
    replica.until_at_rest().await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    seconds(30).await;
    assert_settled(&world, &what);
    assert_eq!(world.mint.calls().len(), 1, "{what}");
    assert_eq!(replica.disk.slots(), [], "{what}");
}

#[tokio::test(start_paused = true)]
async fn another_replica_takes_over_wherever_the_holder_died() {
    for (name, plan) in plans() {
        let Course { operations, .. } = course_of_a_rotation(&plan).await;
        for operation in operations {
            let what = format!("{name}: died before operation {operation}");
            take_over(&plan, Death { operation, moment: Moment::Before }, &what).await;
        }
    }
}

async fn take_over(plan: &Plan, death: Death, what: &str) {
    let world = World::new(plan.clone());
    let (mut a, mut b) = (world.stopped_replica(1), world.stopped_replica(2));
    a.start_until(Some(death));
    tokio::select! {
        biased;
        () = a.life().is_ended() => {}
        () = async {
            a.until_at_rest().await;
            a.handle().rotate(ask(false)).await.ok();
            std::future::pending::<()>().await;
        } => {}
    }
    a.bury().await;
    b.start();
    b.until_at_rest().await;
    assert_settled(&world, what);
    let published = world.published();

    // What the dead one brings back changes nothing for the worse.
    a.start();
    a.until_at_rest().await;
    seconds(30).await;
    assert_settled(&world, what);
    assert!(published == world.published() || world.phase() == "idle", "{what}");
    assert_calls_within_capability(&world, what);
    assert_nothing_lost(&world, &a, what);
    assert_nothing_lost(&world, &b, what);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_cut_off_for_a_while_and_its_follower_end_with_the_live_key() {
    for (name, plan) in plans() {
        let Course { requests, .. } = course_of_a_rotation(&plan).await;
        for request in requests {
            for seconds in [30, 60] {
                let what = format!("{name}: cut off at request {request} for {seconds} seconds");
                cut_off(&plan, request, seconds, &what).await;
            }
        }
    }
}

async fn cut_off(plan: &Plan, request: usize, for_seconds: u64, what: &str) {
    let world = World::new(plan.clone());
    let (mut a, b) = (world.stopped_replica(1), world.replica(2).await);
    a.link.cut_at(request);
    a.start();
    let asked = async {
        a.until_at_rest().await;
        a.handle().rotate(ask(false)).await.ok();
    };
    tokio::join!(asked, async {
        a.link.until_cut().await;
        seconds(for_seconds).await;
        a.link.mend();
    });
    seconds(60).await;
    a.until_at_rest().await;
    b.until_at_rest().await;
    assert_eq!(world.phase(), "idle", "{what}");
    assert_settled(&world, what);
    assert_calls_within_capability(&world, what);
    assert_nothing_lost(&world, &a, what);
    assert_nothing_lost(&world, &b, what);
    assert!(world.mint.minted() >= 1, "{what}");
}
