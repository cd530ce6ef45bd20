//! What must be true in the end, whatever was broken on the way.

use keyturn::rotation::{Phase, Plan};
use keyturn::testbed::fake::MintCall;

use crate::world::{FIRST_KEY, Replica, World};

/// The live key is published; or a person is asked, where nothing else could be done.
pub fn assert_settled(world: &World, what: &str) {
    match world.state().phase {
        Phase::Idle if world.plan.creates.is_some() => {
            assert!(world.mint.accepts(&world.published(), world.now()), "{what}: the key in Vault is dead");
        }
        Phase::Idle => {
            assert_eq!(world.published(), world.mint.newest_key(), "{what}: the live key is not in Vault");
            assert!(world.mint.accepts(&world.published(), world.now()), "{what}: the key in Vault is dead");
        }
        phase => {
            assert!(!has_means(&world.plan), "{what}: a person is asked, though there are means; {phase:?}");
            assert_eq!(phase.name(), "halted", "{what}");
            assert_eq!(world.published(), FIRST_KEY, "{what}: a key was published by guess");
        }
    }
}

fn has_means(plan: &Plan) -> bool {
    plan.creates.is_some() || plan.read.is_some() || plan.replay.is_some() || plan.redo.is_some()
}

/// Nothing is left in escrow of a rotation that is closed.
pub fn assert_cleared(world: &World, replica: &Replica, what: &str) {
    if world.state().phase == Phase::Idle {
        assert_eq!(replica.disk.slots(), [], "{what}: the escrow is not empty");
    }
}

/// No key was thrown away that is the provider's newest, unless Vault has it.
pub fn assert_nothing_lost(world: &World, replica: &Replica, what: &str) {
    let newest = world.mint.newest_key();
    let owed = !world.state().revocations.is_empty();
    if world.plan.creates.is_some() && (owed || !world.mint.accepts(&newest, world.now())) {
        return;
    }
    let erased = replica.disk.erased().into_iter().any(|sealed| sealed.key == newest);
    assert!(!erased || world.published() == newest, "{what}: the live key was erased");
}

pub fn assert_calls_within_capability(world: &World, what: &str) {
    let World { plan, mint, .. } = world;
    let calls = mint.calls();
    for MintCall { rotation_id, .. } in &calls {
        let made = calls.iter().filter(|call| call.rotation_id == *rotation_id).count();
        let minted = mint.minted_for(*rotation_id);
        let (calls_max, minted_max) = match (plan.replay, plan.redo) {
            _ if plan.supplies => (3, 1),
            (Some(_), _) => (3, 1),
            (None, Some(redo)) => (redo as usize, redo as usize),
            (None, None) => (1, 1),
        };
        assert!(made <= calls_max, "{what}: {made} calls were made for one rotation");
        assert!(minted <= minted_max, "{what}: {minted} keys were made for one rotation");
    }
}
