//! Closing a rotation, and when the next may begin.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::Effect;
use super::history::{Closed, ClosedAs, Decision};
use super::orphan;
use super::outcome::Doubt;
use super::plan::{Creates, Plan};
use super::revocation;
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
///
/// What a person settled, or what was taken up again, keeps its slot: it may hold the only copy of another key; so does
/// one of several calls where keys live side by side.
pub(super) fn close(
    plan: &Plan,
    mut state: State,
    rotation: Rotation,
    mut closing: Closing,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let rotation_id = rotation.rotation_id;
    match (&plan.creates, &mut closing.outcome) {
        (Some(Creates { phases: Some(_), .. }), outcome) => {
            revocation::owe_a_phase(plan, &mut state, rotation_id, outcome, now);
        }
        (Some(creates), ClosedAs::Rotated { answer, .. }) => {
            revocation::owe_old_keys(creates, &mut state, &rotation, answer, now);
        }
        _ => {}
    }
    let settled_by_hand = matches!(closing.outcome, ClosedAs::Resolved { .. });
    let reopened = rotation.reopened;
    let may_hold_another = plan.creates.is_some() && rotation.calls > 1;
    if matches!(closing.outcome, ClosedAs::Rotated { .. }) && !reopened {
        orphan::outdated_by_a_rotation(&mut state.orphans);
    }
    // A rotation has one end: that of a rotation that was taken up again takes the place of its first.
    let first_end = state.history.iter().find(|closed| closed.rotation_id == rotation_id);
    let calls = first_end.map_or(0, |closed| closed.calls).max(rotation.calls);
    state.history.retain(|closed| closed.rotation_id != rotation_id);
    state.history.insert(
        0,
        Closed {
            rotation_id,
            request: rotation.request,
            intended_at: rotation.intended_at,
            closed_at: now,
            calls,
            outcome: closing.outcome,
            entry: rotation.baseline.entry,
            timings: rotation.timings,
            reopened,
        },
    );
    forget_the_oldest(&mut state.history);
    state.phase = Phase::Idle;
    state.retry = closing.retry;
    let slot = if settled_by_hand || reopened || may_hold_another {
        Effect::Leave
    } else {
        Effect::Erase { rotation_id }
    };
    (state, vec![Effect::Save, slot])
}

/// Keeps the history bounded. Refused tries go first, for they left nothing; the last success never goes.
fn forget_the_oldest(history: &mut Vec<Closed>) {
    let failed = |closed: &Closed| matches!(closed.outcome, ClosedAs::Failed { .. });
    let rotated = |closed: &Closed| matches!(closed.outcome, ClosedAs::Rotated { .. });
    while history.len() > HISTORY_MAX {
        let refused = history.iter().rposition(failed).filter(|index| *index > 0);
        let last_success = history.iter().position(rotated);
        let oldest = history.len() - 1;
        let oldest = if last_success == Some(oldest) { oldest - 1 } else { oldest };
        history.remove(refused.unwrap_or(oldest));
    }
}

/// The first wait after a passing failure.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(5);
/// The longest wait between tries.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(15);

/// When to try again after a passing cause: the provider's own word, else twice as long each time.
pub(super) fn retry_later(
    state: &State,
    request: &Request,
    asked: Option<Duration>,
    now: Timestamp,
) -> Retry {
    let failures = state.retry.as_ref().map_or(0, |retry| retry.failures).saturating_add(1);
    let backoff = RETRY_DELAY_MIN.saturating_mul(1 << (failures - 1).min(10)).min(RETRY_DELAY_MAX);
    let delay = asked.map_or(backoff, |asked| asked.max(RETRY_DELAY_MIN));
    // The retry is a rotation of its own, and must not be found under the first one's request id.
    let request = Request { request_id: None, ..request.clone() };
    Retry { not_before: later(now, delay), failures, request }
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
    /// The provider lets no further key live before an old one is revoked.
    KeySlotsFull {
        /// When the first old key is due to be revoked.
        until: Timestamp,
    },
}

/// Whether a rotation may begin now.
pub fn admit(plan: &Plan, state: &State, request: &Request, now: Timestamp) -> Result<(), NotNow> {
    if let Some(open) = state.phase.rotation() {
        return Err(NotNow::InProgress { rotation_id: open.rotation_id });
    }
    if let Some(until) = revocation::slots_full_until(plan, state)
        && !(request.emergency && may_find_room(plan, state) && later(until, HELD_FOR) <= now)
    {
        return Err(NotNow::KeySlotsFull { until });
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
    let retry_at = state.retry.as_ref().map(|retry| retry.not_before);
    match too_soon_until(plan, state).max(retry_at).filter(|until| *until > now) {
        Some(until) => Err(NotNow::TooSoon { until }),
        None => Ok(()),
    }
}

/// How long what is owed has been due when an emergency is let through all the same: by then something holds it up, a person
/// may have made room by hand, and only another rotation ends it.
const HELD_FOR: Duration = Duration::from_hours(1);

/// A call for which the provider has no room does nothing; but one that makes another key pending can end the published one. And
/// the record has no room of which keyturn knows nothing: a key that it cannot owe would live for ever.
fn may_find_room(plan: &Plan, state: &State) -> bool {
    let takes_nothing = plan.creates.as_ref().is_some_and(|creates| creates.phases.is_none());
    takes_nothing && state.revocations.len() < revocation::OWED_AT_MOST
}

/// How long the record must have been unchanged before the next rotation begins: a call of the one before, which a person
/// has just settled or whose doubt the same call settled, may still be on its way, and would kill the next one's key.
///
/// Where keys live side by side a call kills none, and nothing is waited for. But a pending key has only one place: a late start
/// makes another one pending, and a late copy of an activation or a discard would meet the next one before it is published.
pub fn quiet_before_the_next(plan: &Plan, state: &State) -> Duration {
    let lives_for = plan.call_timeout.saturating_add(plan.settle);
    let longest = plan.claim.saturating_add(lives_for);
    let newest = state.history.first();
    match &plan.creates {
        Some(Creates { phases: None, .. }) => return Duration::ZERO,
        Some(_) => {
            return newest
                .map_or(Duration::ZERO, |newest| if is_clear(newest) { lives_for } else { longest });
        }
        None => {}
    }
    if plan.supplies && newest.is_some_and(was_repeated) {
        return lives_for;
    }
    let Some(settled) = state.given_up().and(newest) else { return Duration::ZERO };
    match &state.retry {
        // What the decision itself asked for, whatever clocks say by now; no more, if a call was sent by a wrong one.
        Some(retry) => {
            let asked = Duration::try_from(retry.not_before.duration_since(settled.closed_at));
            asked.unwrap_or_default().min(longest)
        }
        None => longest,
    }
}

/// When the schedule starts the next rotation; `None` while paused, open, or where only a request does.
pub fn next_due(plan: &Plan, state: &State, name: &CredentialName, now: Timestamp) -> Option<Timestamp> {
    if state.phase != Phase::Idle || revocation::slots_full_until(plan, state).is_some() {
        return None;
    }
    let request = due_request(state);
    if state.pause.is_some() && !request.emergency {
        return None;
    }
    let due = match &state.retry {
        Some(retry) => retry.not_before,
        None => {
            let last = state.history.iter().find(|closed| !to_be_repeated(closed));
            let last = last.map(|closed| closed.closed_at);
            let scheduled = schedule::next_due(&plan.schedule, name, state.adopted_at, last, now);
            [scheduled, orphan::wants_a_rotation_since(state)].into_iter().flatten().min()?
        }
    };
    if request.emergency {
        return Some(due);
    }
    let earliest = [state.grace_until(), too_soon_until(plan, state)].into_iter().flatten().max();
    let due = earliest.map_or(due, |earliest| due.max(earliest));
    // What a person asked for is not held back to the schedule's hours.
    match request.trigger {
        Trigger::Manual => Some(due),
        Trigger::Scheduled => schedule::in_window(&plan.schedule, name, due, now),
    }
}

/// The request that is made at the due time: the schedule's own, or the one that is tried again.
pub fn due_request(state: &State) -> Request {
    match &state.retry {
        Some(retry) => retry.request.clone(),
        None => default_request(),
    }
}

/// A request of keyturn's own.
pub(super) const fn default_request() -> Request {
    Request { trigger: Trigger::Scheduled, emergency: false, request_id: None, caller: None }
}

fn too_soon_until(plan: &Plan, state: &State) -> Option<Timestamp> {
    let interval = plan.schedule.min_interval.max(plan.lock.unwrap_or_default());
    let rotated = state.last_rotated().map(|closed| later(closed.closed_at, interval));
    // A provider that refuses is not asked again at once, whoever insists.
    let refused =
        |closed: &&Closed| matches!(closed.outcome, ClosedAs::Failed { .. } | ClosedAs::NotApplied { .. });
    let newest = state.history.first().filter(refused).map(|closed| later(closed.closed_at, RETRY_DELAY_MIN));
    // What it asked for outlasts the emergency that did not wait, and the person who settled that one.
    let asked = state.history.iter().filter_map(|closed| asked_until(plan, closed)).max();
    rotated.max(newest).max(asked)
}

/// Until when the provider that refused asked to be left alone. A doubt waits that out before it is closed, but for one that
/// took nothing.
fn asked_until(plan: &Plan, closed: &Closed) -> Option<Timestamp> {
    let refusal = match &closed.outcome {
        ClosedAs::Failed { refusal } => refusal,
        ClosedAs::NotApplied { doubt: Doubt::Refused { refusal } } if plan.creates.is_some() => refusal,
        _ => return None,
    };
    refusal.retry_after.map(|asked| later(closed.closed_at, asked))
}

/// An earlier call's answer was lost, and the last one did not wait for it.
fn was_repeated(closed: &Closed) -> bool {
    closed.calls > 1 && !matches!(closed.outcome, ClosedAs::Resolved { .. })
}

/// Its call was answered, and no other is on its way.
const fn is_clear(closed: &Closed) -> bool {
    matches!(closed.outcome, ClosedAs::Rotated { .. } | ClosedAs::Failed { .. })
}

/// A person gave the rotation up to make another: it neither counts as one nor holds the next one back.
fn to_be_repeated(closed: &Closed) -> bool {
    matches!(closed.outcome, ClosedAs::Resolved { decision: Decision::RotateAgain })
}
