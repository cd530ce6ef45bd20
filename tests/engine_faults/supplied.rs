//! Keys that keyturn chooses: in the record before the call, and the same in every call of a rotation.

use std::time::Duration;

use keyturn::rotation::{Decision, Plan, RefusalClass};
use keyturn::testbed::Gate;
use keyturn::testbed::fake::CallFault;

use crate::verdict::assert_settled;
use crate::world::{FIRST_KEY, World, ask, hasty, minutes, name, plan_supplied, seconds};

#[tokio::test(start_paused = true)]
async fn the_chosen_key_is_in_the_record_before_the_call_and_gone_after_the_rotation() {
    let world = World::new(plan_supplied());
    let replica = world.replica(1).await;
    let answer = world.hold_next_answer();
    replica.rotate().await;
    replica.until_phase("intended").await;
    seconds(5).await;
    let chosen = world.vault.supplied(&name()).unwrap();
    assert_eq!(chosen, world.mint.newest_key());
    answer.release();
    replica.until_rotated(1).await;
    world.assert_rotated(&chosen, 1);
    assert_eq!((world.vault.supplied(&name()), replica.disk.slots()), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_the_same_call_with_the_same_key() {
    let losses = [
        CallFault::AnswerLost,
        CallFault::RequestLost,
        CallFault::Unclear { acts: true },
        CallFault::Unclear { acts: false },
    ];
    for loss in losses {
        let what = format!("{loss:?}");
        let world = World::new(plan_supplied());
        let replica = world.replica(1).await;
        for _ in 0..9 {
            world.mint.next(loss.clone());
        }
        replica.rotate().await;
        replica.until_rotated(1).await;
        world.assert_rotated("chosen-1", 10);
        assert_eq!((world.mint.minted(), world.newest_closed().calls), (1, 10), "{what}");
        assert_settled(&world, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_takes_over_sends_the_very_same_key() {
    let world = World::new(hasty(plan_supplied()));
    let (mut a, b) = (world.replica(1).await, world.replica(2).await);
    let answer = world.hold_next_answer();
    a.rotate().await;
    a.until_phase("intended").await;
    seconds(1).await;
    a.kill().await;
    b.until_rotated(1).await;
    world.assert_rotated("chosen-1", 2);
    assert_eq!(world.mint.minted(), 1);
    answer.release();
}

#[tokio::test(start_paused = true)]
async fn a_late_call_of_the_rotation_before_never_replaces_the_next_ones_key() {
    for emergency in [false, true] {
        let world = World::new(plan_supplied());
        let replica = world.replica(1).await;
        world.mint.next(CallFault::Late(Duration::from_secs(55)));
        replica.rotate().await;
        replica.until_rotated(1).await;
        let closed_at = world.now();
        replica.handle().rotate(ask(emergency)).await.unwrap();
        replica.until_rotated(2).await;
        assert!(world.now().duration_since(closed_at).as_secs() >= 60, "it waited for no late call");
        world.assert_rotated("chosen-2", 3);
        minutes(5).await;
        assert_settled(&world, "after every late call");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_first_call_was_answered_holds_the_next_one_up_for_nothing() {
    let world = World::new(plan_supplied());
    let replica = world.replica(1).await;
    replica.rotate().await;
    replica.until_rotated(1).await;
    let closed_at = world.now();
    replica.rotate().await;
    replica.until_rotated(2).await;
    assert!(world.now().duration_since(closed_at).as_secs() < 5);
    world.assert_rotated("chosen-2", 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_call_that_is_refused_asks_a_person_and_try_again_sends_the_same_key() {
    let world = World::new(plan_supplied());
    let replica = world.replica(1).await;
    world.mint.next(CallFault::AnswerLost);
    world.mint.next(CallFault::Refused(RefusalClass::Forbidden));
    let id = replica.rotate().await;
    replica.until_phase("halted").await;
    assert_eq!(
        (world.published().as_str(), world.vault.supplied(&name())),
        (FIRST_KEY, Some("chosen-1".into()))
    );
    replica.handle().resolve(id, Decision::TryAgain).await.unwrap();
    replica.until_rotated(1).await;
    world.assert_rotated("chosen-1", 3);
    assert_eq!(world.mint.minted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chosen_key_that_a_person_gives_up_in_doubt_is_kept_in_escrow() {
    for decision in [Decision::KeepCurrent, Decision::RotateAgain] {
        let world = World::new(plan_supplied());
        let replica = world.replica(1).await;
        world.mint.next(CallFault::AnswerLost);
        world.mint.next(CallFault::Refused(RefusalClass::Forbidden));
        let id = replica.rotate().await;
        replica.until_phase("halted").await;
        replica.handle().resolve(id, decision).await.unwrap();
        replica.until_at_rest().await;
        assert_eq!(replica.disk.residues(), ["chosen-1"], "{decision:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_first_call_leaves_no_chosen_key_behind() {
    let world = World::new(plan_supplied());
    let replica = world.replica(1).await;
    world.mint.next(CallFault::Refused(RefusalClass::Forbidden));
    replica.rotate().await;
    replica.until_at_rest().await;
    assert_eq!((world.phase(), world.published().as_str()), ("idle", FIRST_KEY));
    assert_eq!(world.vault.supplied(&name()), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_brings_an_older_key_back_is_kept_and_where_it_shows_published_again() {
    for read in [Some(Duration::from_secs(5)), None] {
        let world = World::new(Plan { read, ..plan_supplied() });
        let (a, b) = (world.replica(1).await, world.replica(2).await);
        let gate = Gate::new();
        world.mint.next(CallFault::Frozen(gate.clone()));
        a.rotate().await;
        gate.reached().await;
        b.until_rotated(1).await;
        let first = world.published();
        minutes(5).await;
        b.rotate().await;
        b.until_rotated(2).await;
        assert_ne!(world.published(), first);
        minutes(5).await;
        // The first holder wakes, and its call takes effect now.
        gate.release();
        minutes(30).await;
        match read {
            Some(_) => assert_eq!(world.published(), first, "the provider has it again"),
            None => {
                assert_eq!(a.sealed_keys(), [first], "nobody can tell, and a person is told");
                assert!(a.conditions().contains(&"ORPHAN_ANSWER"), "{:?}", a.conditions());
            }
        }
    }
}
