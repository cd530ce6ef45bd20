//! Who asks for rotations, pauses and resumes, and settles what only a person can settle.

use std::time::Duration;

use futures_util::future::join_all;

use super::world::World;
use crate::engine::{Handle, RotateRequest};
use crate::ids::RotationId;
use crate::rotation::{Decision, Phase};
use crate::testbed::fake::Dice;

const SECOND: Duration = Duration::from_secs(1);
/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_mins(10);

/// Asks for things all day, for ever.
pub(super) async fn ask(world: &World, credential: usize, dice: Dice) {
    loop {
        tokio::time::sleep(dice.between(SECOND, SECOND * 2_400)).await;
        let Some(handle) = some_handle(world, credential, &dice) else { continue };
        let asked = ask_once(world, &handle, &dice);
        if tokio::time::timeout(PATIENCE, asked).await.is_err() {
            world.judge.count("people: gave up waiting");
        }
    }
}

fn some_handle(world: &World, credential: usize, dice: &Dice) -> Option<Handle> {
    let running: Vec<_> = world.replicas.iter().filter_map(|replica| replica.handle(credential)).collect();
    dice.pick(&running).cloned()
}

async fn ask_once(world: &World, handle: &Handle, dice: &Dice) {
    match dice.below(100) {
        0..40 => rotate(world, handle, false).await,
        40..58 => rotate(world, handle, true).await,
        58..61 => {
            world.judge.count("people: a hundred ask at once");
            let all = (0..100).map(|_| handle.rotate(request(false)));
            join_all(all).await;
        }
        61..73 => {
            world.judge.count("people: pause and resume");
            handle.pause("people".to_owned()).await.ok();
            tokio::time::sleep(dice.between(SECOND, SECOND * 400)).await;
            handle.resume().await.ok();
        }
        73..82 => {
            world.judge.count("people: rotate and cancel");
            if let Ok(id) = handle.rotate(request(false)).await {
                tokio::time::sleep(dice.between(Duration::from_millis(1), SECOND)).await;
                handle.cancel(id).await.ok();
            }
        }
        82..90 => {
            world.judge.count("people: plan");
            handle.plan(dice.happens(5_000)).await.ok();
        }
        _ => {
            let request =
                RotateRequest { request_id: Some(format!("ask-{}", dice.below(5))), ..request(false) };
            world.judge.count("people: the same request twice");
            join_all([handle.rotate(request.clone()), handle.rotate(request)]).await;
        }
    }
}

async fn rotate(world: &World, handle: &Handle, emergency: bool) {
    world.judge.count(if emergency { "people: emergency" } else { "people: rotate" });
    handle.rotate(request(emergency)).await.ok();
}

fn request(emergency: bool) -> RotateRequest {
    RotateRequest { emergency, request_id: None, caller: None }
}

/// Settles whatever halts, some time after it halted, for ever.
pub(super) async fn settle(world: &World, credential: usize, dice: Dice) {
    loop {
        tokio::time::sleep(SECOND * 60).await;
        let Some(halted) = halted(world, credential) else { continue };
        tokio::time::sleep(dice.between(SECOND * 120, SECOND * 600)).await;
        if self::halted(world, credential) != Some(halted) {
            continue;
        }
        let Some(handle) = some_handle(world, credential, &dice) else { continue };
        let Some(decision) = decide(world, credential, halted, &dice) else { continue };
        world.judge.say(|| format!("    a person decides about c{credential}: {}", decision.name()));
        if tokio::time::timeout(PATIENCE, handle.resolve(halted, decision))
            .await
            .is_ok_and(|done| done.is_ok())
        {
            world.judge.count(decision.name());
        }
    }
}

fn halted(world: &World, credential: usize) -> Option<RotationId> {
    match world.judge.state(credential)?.phase {
        Phase::Halted { rotation, .. } => Some(rotation.rotation_id),
        _ => None,
    }
}

/// Somebody looks at the provider's console, and decides what fits; a lost key is replaced by hand there.
fn decide(world: &World, credential: usize, id: RotationId, dice: &Dice) -> Option<Decision> {
    let account = world.accounts.get(credential)?;
    let state = world.judge.state(credential)?;
    let Phase::Halted { halt, .. } = &state.phase else { return None };
    let (newest, entry) = world.judge.docket(credential, |docket| (docket.newest(), docket.entry))?;
    if dice.happens(2_000) {
        return Some(Decision::TryAgain);
    }
    if halt.answer.is_some() && account.mint.maker_of(newest) == Some(id) {
        return Some(if dice.happens(5_000) { Decision::TryAgain } else { Decision::PublishAnyway });
    }
    if newest == entry {
        return Some(if dice.happens(7_000) { Decision::KeepCurrent } else { Decision::RotateAgain });
    }
    if account.plan.self_authenticating || dice.happens(4_000) {
        account.put_by_hand(&world.vault, &account.mint.newest_key());
        world.judge.docket(credential, |docket| docket.put_by_hand(newest));
        return Some(Decision::KeepCurrent);
    }
    Some(Decision::RotateAgain)
}
