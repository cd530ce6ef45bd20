//! After the last fault everything comes to rest by itself.

use std::time::Duration;

use super::world::World;
use crate::clock::Clock as _;
use crate::engine::{Activity, Handle, Snapshot};
use crate::rotation::{Phase, State};

/// The longest time that it may take: a schedule's window may be closed for most of a day.
const LOOKS_MAX: u32 = 26 * 60 * 6;
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Waits until each credential was seen at rest, and judges it then.
pub(super) async fn come_to_rest(world: &World) {
    let mut waiting: Vec<_> = (0..world.accounts.len()).collect();
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        world.inspect();
        waiting.retain(|credential| !rests(world, *credential));
        if waiting.is_empty() || world.judge.broken().is_some() {
            return;
        }
    }
    for credential in waiting {
        let state = world.judge.state(credential);
        let seen: Vec<_> = world.replicas.iter().filter_map(|replica| replica.handle(credential)).collect();
        let seen: Vec<_> = seen.iter().map(Handle::snapshot).collect();
        let doing: Vec<_> = seen.iter().map(|seen| (seen.activity, &seen.hold, &seen.pending)).collect();
        let phase = state.as_ref().map(|state| (&state.phase, &state.retry));
        world.judge.judge(credential, Err(format!("P8: it never came to rest: {phase:?}, {doing:?}")));
    }
}

fn rests(world: &World, credential: usize) -> bool {
    let Some(state) = world.judge.state(credential) else { return false };
    let handles: Vec<_> = world.replicas.iter().filter_map(|replica| replica.handle(credential)).collect();
    let all_run = handles.len() == world.replicas.len();
    let is_calm = |handle: &Handle| is_calm(&handle.snapshot(), waits_for_room(world, credential));
    let is_a_persons = |handle: &Handle| is_a_persons(&handle.snapshot(), world, credential);
    if !all_run || !is_settled(&state) || !handles.iter().all(|it| is_calm(it) || is_a_persons(it)) {
        return false;
    }
    if state.phase == Phase::Idle
        && world.judge.docket(credential, |docket| docket.is_cleared(world.clock.now())) == Some(false)
    {
        return false;
    }
    let kept = world.newest_kept(credential);
    let verdict = world.judge.docket(credential, |docket| {
        if state.phase == Phase::Idle {
            docket.holds_the_newest()?;
        }
        docket.nothing_lost(kept)
    });
    world.judge.judge(credential, verdict.unwrap_or(Ok(())));
    for handle in &handles {
        world.judge.judge(credential, grew_only_so_far(&handle.snapshot()));
    }
    true
}

fn is_settled(state: &State) -> bool {
    let done = state.retry.is_none() || state.pause.is_some();
    matches!(state.phase, Phase::Halted { .. }) || (state.phase == Phase::Idle && done)
}

fn is_calm(seen: &Snapshot, may_wait: bool) -> bool {
    seen.activity == Activity::Idle && seen.hold.is_none() && (seen.pending.is_none() || may_wait)
}

/// A request that outlived its sender made the published key's slot anew: nobody but a person knows which key is in use.
fn is_a_persons(seen: &Snapshot, world: &World, credential: usize) -> bool {
    let is_held = seen.hold.as_ref().is_some_and(|hold| hold.code == "ENTRY_IN_NO_SLOT");
    is_held && world.judge.docket(credential, |docket| docket.late() > 0) == Some(true)
}

/// A schedule can ask for the next rotation before there is room for a pending key, again and again.
fn waits_for_room(world: &World, credential: usize) -> bool {
    let creates = world.accounts.get(credential).and_then(|account| account.plan.creates.as_ref());
    creates.is_some_and(|creates| creates.phases.is_some())
}

/// What a snapshot lists has bounds; what it says of files in escrow is one line for each.
fn grew_only_so_far(seen: &Snapshot) -> Result<(), String> {
    let files = seen.conditions.iter().filter(|condition| condition.code.starts_with("ORPHAN")).count();
    let others = seen.conditions.len() - files;
    if others > 10 || seen.withdrawn.len() > 20 {
        return Err(format!("growth: {others} conditions, {} withdrawn requests", seen.withdrawn.len()));
    }
    Ok(())
}
