//! Going on after a start, a hold or a lost check-and-set: from record, entry and escrow, and nothing else.

use jiff::Timestamp;

use super::effect::Effect;
use super::event::Holding;
use super::orphan;
use super::outcome::Doubt;
use super::plan::Plan;
use super::resolve;
use super::state::{Answer, Phase, Publication, Rotation, State};
use super::step::{doubted, passed, staged_next};
use crate::ids::{KvVersion, ReplicaId};

/// Who claims, and the version that the claim will have.
pub(super) struct Claimant {
    pub(super) replica: ReplicaId,
    pub(super) epoch: KvVersion,
}

/// What was found.
pub(super) struct Found {
    pub(super) replica: ReplicaId,
    pub(super) lapsed: bool,
    pub(super) epoch: KvVersion,
    pub(super) holding: Holding,
    pub(super) published: Option<(Answer, KvVersion)>,
}

/// Goes on with an open rotation that is this replica's, or whose holder was silent for too long.
///
/// Whatever is done is preceded by a save: it renews or takes the claim, and fails if somebody else has it.
pub(super) fn resumed(plan: &Plan, state: State, found: Found, now: Timestamp) -> (State, Vec<Effect>) {
    let Some(open) = state.phase.rotation() else { return (state, Vec::new()) };
    let mine = open.holder == found.replica;
    if !mine && !found.lapsed && !open.released && !settles(plan, &state.phase, &found.holding) {
        return (state, Vec::new());
    }
    let mut state = state;
    if let Some(rotation) = state.phase.rotation_mut() {
        let epoch = if mine { rotation.epoch } else { found.epoch };
        claim(rotation, &Claimant { replica: found.replica, epoch });
    }
    if is_elsewhere(&state.phase, &found) {
        return orphan::abandon(state);
    }
    match found.published {
        Some((answer, version)) if !matches!(state.phase, Phase::Halted { .. }) => {
            already_published(state, answer, version, now)
        }
        _ => from_phase(plan, state, found.holding, mine, now),
    }
}

/// Whether a rotation that was taken up again cannot go on here: neither replica nor entry has its very answer.
fn is_elsewhere(phase: &Phase, found: &Found) -> bool {
    let (Some(open), Some(answer)) = (phase.rotation(), phase.answer()) else { return false };
    let held = matches!(&found.holding, Holding::Answer(held) if held.fingerprint == answer.fingerprint);
    let published =
        found.published.as_ref().is_some_and(|(entry, _)| entry.fingerprint == answer.fingerprint);
    open.reopened && !matches!(phase, Phase::Halted { .. }) && !held && !published
}

/// Whether this replica holds the very answer that everybody misses; then it need not wait for its turn.
fn settles(plan: &Plan, phase: &Phase, holding: &Holding) -> bool {
    let missing = match phase {
        Phase::Unknown { rotation, .. } => Some(rotation),
        Phase::Halted { rotation, halt } if halt.answer.is_none() => Some(rotation),
        _ => None,
    };
    matches!((missing, holding), (Some(open), Holding::Answer(answer)) if is_wanted(plan, open, answer))
}

/// Only the newest call's key is sure to live; where keys live side by side each does, and where keyturn chose the key
/// every call brings the same.
pub fn is_wanted(plan: &Plan, open: &Rotation, answer: &Answer) -> bool {
    answer.call == open.calls || plan.creates.is_some() || plan.supplies
}

/// Makes `claimant` the holder.
pub(super) fn claim(rotation: &mut Rotation, claimant: &Claimant) {
    rotation.holder = claimant.replica;
    rotation.epoch = claimant.epoch;
    rotation.released = false;
}

/// Lets go of a staged key: the record has it, and to publish it or to wait on is anybody's. In any other phase the next
/// step depends on what this replica alone knows or has sent, and its claim has to run out.
pub(super) fn released(mut state: State, replica: ReplicaId) -> (State, Vec<Effect>) {
    match &mut state.phase {
        Phase::Staged { rotation, .. } if rotation.holder == replica => {
            rotation.released = true;
            (state, vec![Effect::Save])
        }
        _ => (state, Vec::new()),
    }
}

fn from_phase(
    plan: &Plan,
    state: State,
    holding: Holding,
    mine: bool,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let settles = settles(plan, &state.phase, &holding);
    match (state.phase.clone(), holding) {
        (Phase::Halted { rotation, .. }, Holding::Answer(answer)) if settles => {
            with_answer(state, rotation, answer)
        }
        (Phase::Idle | Phase::Halted { .. }, _) => (state, Vec::new()),
        (Phase::Staged { rotation, answer, staged_at }, _) => {
            let staged_at = passed(staged_at, now);
            let next = staged_next(plan, staged_at, now);
            (
                State { phase: Phase::Staged { rotation, answer, staged_at }, ..state },
                vec![Effect::Save, next],
            )
        }
        (
            Phase::Intended { rotation }
            | Phase::Unknown { rotation, .. }
            | Phase::Answered { rotation, .. }
            | Phase::Published { rotation, .. },
            Holding::Answer(answer),
        ) if is_wanted(plan, &rotation, &answer) => with_answer(state, rotation, answer),
        (Phase::Intended { mut rotation }, Holding::Unsent) if mine => {
            if rotation.calls <= 1 {
                rotation.first_dispatched_at = now;
            }
            rotation.dispatched_at = now;
            (State { phase: Phase::Intended { rotation }, ..state }, vec![Effect::Save, Effect::Call])
        }
        (
            Phase::Intended { rotation }
            | Phase::Answered { rotation, .. }
            | Phase::Published { rotation, .. },
            _,
        ) => {
            let doubt = if mine { Doubt::Crashed } else { Doubt::HolderLost };
            doubted(plan, state, rotation, doubt, now)
        }
        (Phase::Unknown { mut rotation, unknown }, _) => {
            // When the last call was sent is known by another holder's clock alone, or by that of an earlier life;
            // and a replay can leave long after its save, at once before its sender dies.
            rotation.dispatched_at = rotation.dispatched_at.max(now);
            resolve::settle(plan, state, rotation, unknown, now)
        }
    }
}

/// The answer is known: it is sealed, if it is not yet, and goes on to Vault.
fn with_answer(state: State, rotation: Rotation, answer: Answer) -> (State, Vec<Effect>) {
    (State { phase: Phase::Answered { rotation, answer }, ..state }, vec![Effect::Save, Effect::Seal])
}

fn already_published(
    mut state: State,
    answer: Answer,
    version: KvVersion,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    if let Some(rotation) = state.phase.rotation().cloned() {
        let published_at = match &state.phase {
            Phase::Published { publication, .. } => publication.published_at,
            _ => now,
        };
        let publication = Publication { version, published_at };
        state.phase = Phase::Published { rotation, answer, publication };
    }
    (state, vec![Effect::Save, Effect::Verify])
}
