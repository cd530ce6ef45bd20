//! Closing a rotation, and when the next may begin.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::Effect;
use super::history::{Closed, ClosedAs};
use super::plan::Plan;
use super::schedule;
use super::state::{HISTORY_MAX, Phase, Request, Retry, Rotation, State, Trigger};
use super::step::later;
use crate::ids::{CredentialName, RotationId};

/// How a rotation closes.
pub(super) struct Closing {
    /// Its end.
    pub(super) outcome: ClosedAs,
    /// When it is tried again by itself, if the cause was passing.
    pub(super) retry: Option<Retry>,
}

/// Closes the open rotation: remembered first, and only then is its escrow erased.
pub(super) fn close(
    mut state: State,
    rotation: Rotation,
    closing: Closing,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let rotation_id = rotation.rotation_id;
    state.history.insert(
        0,
        Closed {
            rotation_id,
            request: rotation.request,
            intended_at: rotation.intended_at,
            closed_at: now,
            calls: rotation.calls,
            outcome: closing.outcome,
            timings: rotation.timings,
        },
    );
    state.history.truncate(HISTORY_MAX);
    state.phase = Phase::Idle;
    state.retry = closing.retry;
    (state, vec![Effect::Save, Effect::Erase { rotation_id }])
}

/// The first wait after a passing failure.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(5);
/// The longest wait between tries.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(15);

/// When to try again after a passing cause: the provider's own word, else twice as long each time.
pub(super) fn retry_later(state: &State, asked: Option<Duration>, now: Timestamp) -> Retry {
    let failures = state.retry.as_ref().map_or(0, |retry| retry.failures).saturating_add(1);
    let backoff = RETRY_DELAY_MIN.saturating_mul(1 << (failures - 1).min(10)).min(RETRY_DELAY_MAX);
    let delay = asked.map_or(backoff, |asked| asked.max(RETRY_DELAY_MIN));
    Retry { not_before: later(now, delay), failures }
}

/// Why a rotation may not begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNow {
    /// One is open.
    InProgress {
        /// It.
        rotation_id: RotationId,
    },
    /// A person paused the credential.
    Paused {
        /// What the person wrote.
        reason: String,
    },
    /// The provider still accepts a replaced key; applications may hold it.
    GraceWindowOpen {
        /// Until when.
        until: Timestamp,
    },
    /// The provider's lock, or the configured minimum interval, is not over.
    TooSoon {
        /// Until when.
        until: Timestamp,
    },
}

/// Whether a rotation may begin now.
pub fn admit(plan: &Plan, state: &State, request: &Request, now: Timestamp) -> Result<(), NotNow> {
    if let Some(open) = state.phase.rotation() {
        return Err(NotNow::InProgress { rotation_id: open.rotation_id });
    }
    if request.emergency {
        return Ok(());
    }
    if let Some(pause) = &state.pause {
        return Err(NotNow::Paused { reason: pause.reason.clone() });
    }
    if let Some(until) = state.grace_until().filter(|until| *until > now) {
        return Err(NotNow::GraceWindowOpen { until });
    }
    match too_soon_until(plan, state).filter(|until| *until > now) {
        Some(until) => Err(NotNow::TooSoon { until }),
        None => Ok(()),
    }
}

/// When the schedule starts the next rotation; `None` while paused, open, or where only a request does.
pub fn next_due(plan: &Plan, state: &State, name: &CredentialName, now: Timestamp) -> Option<Timestamp> {
    if state.pause.is_some() || state.phase != Phase::Idle {
        return None;
    }
    let due = match &state.retry {
        Some(retry) => Some(retry.not_before),
        None => {
            let last = state.history.iter().find(|closed| !resolved_by_hand(closed));
            schedule::next_due(
                &plan.schedule,
                name,
                state.adopted_at,
                last.map(|closed| closed.closed_at),
                now,
            )
        }
    }?;
    let earliest = [state.grace_until(), too_soon_until(plan, state)].into_iter().flatten().max();
    Some(earliest.map_or(due, |earliest| due.max(earliest)))
}

/// The request that the schedule makes.
pub fn scheduled_request() -> Request {
    Request { trigger: Trigger::Scheduled, emergency: false, request_id: None, caller: None }
}

fn too_soon_until(plan: &Plan, state: &State) -> Option<Timestamp> {
    let interval = plan.schedule.min_interval.max(plan.lock.unwrap_or_default());
    state.last_rotated().map(|closed| later(closed.closed_at, interval))
}

fn resolved_by_hand(closed: &Closed) -> bool {
    matches!(closed.outcome, ClosedAs::Resolved { .. })
}
