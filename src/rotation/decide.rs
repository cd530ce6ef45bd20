//! What a person decides about a rotation that cannot settle itself: keep, rotate again, publish anyway, or try again.

use std::time::Duration;

use jiff::Timestamp;

use super::close::{self, Closing};
use super::effect::Effect;
use super::halt::HaltReason;
use super::history::{ClosedAs, Decision};
use super::outcome::Doubt;
use super::plan::Plan;
use super::resolve::settle;
use super::resume::{Claimant, claim};
use super::state::{Phase, Publication, Request, Retry, Rotation, State, Trigger, Unknown};
use super::step::{Next, later, passed, staged_next};

/// The decisions that make sense for a phase, strongest first.
pub fn possible_decisions(phase: &Phase) -> Vec<Decision> {
    match phase {
        Phase::Halted { halt, .. } if halt.answer.is_some() => {
            vec![Decision::TryAgain, Decision::PublishAnyway, Decision::KeepCurrent, Decision::RotateAgain]
        }
        Phase::Unknown { .. } | Phase::Halted { .. } => {
            vec![Decision::TryAgain, Decision::KeepCurrent, Decision::RotateAgain]
        }
        Phase::Idle
        | Phase::Intended { .. }
        | Phase::Answered { .. }
        | Phase::Staged { .. }
        | Phase::Published { .. } => Vec::new(),
    }
}

/// Carries out a person's decision; whoever serves the person becomes the holder.
pub(super) fn decided(
    plan: &Plan,
    mut state: State,
    decision: Decision,
    claimant: &Claimant,
    now: Timestamp,
) -> Next {
    if !possible_decisions(&state.phase).contains(&decision) {
        return None;
    }
    take_from_the_holder(&mut state.phase, claimant, now)?;
    let rotation = state.phase.rotation()?.clone();
    Some(match decision {
        Decision::KeepCurrent => keep_current(plan, state, rotation, now),
        Decision::RotateAgain => {
            // A key that is pending and published is activated before anything else happens to it.
            let has_phases = plan.creates.as_ref().is_some_and(|creates| creates.phases.is_some());
            let outcome = match published_unproven(&state.phase).filter(|_| has_phases) {
                Some(rotated) => rotated,
                None => ClosedAs::Resolved { decision },
            };
            // Not before a call that may still be on its way has lost its power.
            let claim_ends_at = later(now, Duration::from_millis(rotation.claim_ms));
            let may_be_sent_at = match state.phase {
                Phase::Unknown { .. } => rotation.dispatched_at.max(now).min(claim_ends_at),
                _ => passed(rotation.dispatched_at, now),
            };
            let not_before = later(may_be_sent_at, plan.call_timeout.saturating_add(plan.settle)).max(now);
            let request = Request { request_id: None, trigger: Trigger::Manual, ..rotation.request.clone() };
            let retry = Some(Retry { not_before, failures: 0, request });
            close::close(plan, state, rotation, Closing { outcome, retry }, now)
        }
        Decision::PublishAnyway => publish_anyway(plan, state, rotation, now)?,
        Decision::TryAgain => try_again(plan, state, rotation, now)?,
    })
}

/// Makes the claimant the holder at once. One that was about to call may still do so until its claim is over.
fn take_from_the_holder(phase: &mut Phase, claimant: &Claimant, now: Timestamp) -> Option<()> {
    let may_call = matches!(phase, Phase::Unknown { rotation, .. } if rotation.holder != claimant.replica);
    let rotation = phase.rotation_mut()?;
    if may_call {
        let claim_ends_at = later(now, Duration::from_millis(rotation.claim_ms));
        rotation.dispatched_at = rotation.dispatched_at.max(claim_ends_at);
    }
    claim(rotation, claimant);
    Some(())
}

fn keep_current(plan: &Plan, state: State, rotation: Rotation, now: Timestamp) -> (State, Vec<Effect>) {
    let outcome =
        published_unproven(&state.phase).unwrap_or(ClosedAs::Resolved { decision: Decision::KeepCurrent });
    close::close(plan, state, rotation, Closing { outcome, retry: None }, now)
}

/// The end of a rotation whose key is in the entry, though the provider was not seen to accept it.
fn published_unproven(phase: &Phase) -> Option<ClosedAs> {
    let Phase::Halted { halt, .. } = phase else { return None };
    let (answer, publication) = halt.answer.clone().zip(halt.publication.clone())?;
    Some(ClosedAs::Rotated { answer, publication, verified: false })
}

fn publish_anyway(plan: &Plan, state: State, rotation: Rotation, now: Timestamp) -> Next {
    let Phase::Halted { halt, .. } = state.phase.clone() else { return None };
    let answer = halt.answer?;
    Some(match halt.publication {
        Some(publication) => {
            let outcome = ClosedAs::Rotated { answer, publication, verified: false };
            close::close(plan, state, rotation, Closing { outcome, retry: None }, now)
        }
        None => {
            let phase = Phase::Staged { rotation, answer, staged_at: now };
            (State { phase, ..state }, vec![Effect::Save, Effect::Publish])
        }
    })
}

fn try_again(plan: &Plan, state: State, rotation: Rotation, now: Timestamp) -> Next {
    match state.phase.clone() {
        Phase::Unknown { unknown, .. } => {
            let unknown = Unknown::begun(unknown.doubt, unknown.since);
            Some(settle(plan, state, rotation, unknown, now))
        }
        Phase::Halted { halt, .. } => match (halt.answer, halt.publication) {
            (Some(answer), Some(publication)) => {
                let publication = Publication { published_at: now, ..publication };
                let phase = Phase::Published { rotation, answer, publication };
                Some((State { phase, ..state }, vec![Effect::Save, Effect::Verify]))
            }
            (Some(answer), None) => {
                let next = staged_next(plan, now, now);
                let phase = Phase::Staged { rotation, answer, staged_at: now };
                Some((State { phase, ..state }, vec![Effect::Save, next]))
            }
            (None, _) => {
                let doubt = doubt_of(halt.reason);
                let unknown = Unknown::begun(doubt, now);
                Some(settle(plan, state, rotation, unknown, now))
            }
        },
        _ => None,
    }
}

fn doubt_of(reason: HaltReason) -> Doubt {
    match reason {
        HaltReason::NoWayToTell { doubt }
        | HaltReason::MeansExhausted { doubt }
        | HaltReason::AnswerLost { doubt } => doubt,
        HaltReason::ReadRefused { refusal } => Doubt::Refused { refusal },
        HaltReason::NewKeyRefused | HaltReason::NewKeyNotProven => Doubt::NoValue,
    }
}
