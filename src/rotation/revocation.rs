//! Keys that are to be revoked, where keys live side by side: owed in the record before anything is done about it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::history::ClosedAs;
use super::plan::{Creates, Plan};
use super::state::{Answer, Phase, Rotation, State};
use super::step::{Next, later};
use crate::ids::{KeyId, RotationId};
use crate::secret::Fingerprint;

/// A key that is to be revoked at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The provider's id of it.
    pub key_id: KeyId,
    /// The rotation that replaced it, or that it was made for in vain.
    pub rotation_id: RotationId,
    /// Not before this time.
    pub due_at: Timestamp,
}

/// A key that a call made, as the provider lists it or an escrow holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The provider's id of it.
    pub key_id: KeyId,
    /// The rotation that it was made for.
    pub rotation_id: RotationId,
}

/// How many keys may be owed at once.
const REVOCATIONS_MAX: usize = 20;

/// With so many owed no further rotation begins: its close owes two at most, the entry's key and keyturn's last one.
pub(super) const OWED_AT_MOST: usize = REVOCATIONS_MAX - 1;

/// Whether the entry holds the key that the record says. While somebody has put another there, nobody can tell which of
/// the provider's keys it is, and nothing is revoked.
pub fn is_as_recorded(state: &State, entry: Option<&Fingerprint>) -> bool {
    let published = state.last_rotated().and_then(|last| last.outcome.answer());
    let expected = match published {
        Some(answer) => Some(&answer.fingerprint),
        // Before the first success the entry has what it had when the newest rotation began.
        None => state.history.first().and_then(|newest| newest.entry.as_ref()),
    };
    entry.is_some() && entry == expected
}

/// Whether a list of the provider's keys shows the one that was published: else it lags, or names keys by other ids than the
/// answers do, and a key that is needed could not be told from a stray.
pub fn shows_the_published(state: &State, keys: &[Created]) -> bool {
    let published = state.last_rotated().and_then(|last| last.outcome.answer());
    let id = published.and_then(|published| published.key_id.as_ref());
    id.is_none_or(|id| keys.iter().any(|key| key.key_id == *id))
}

/// The keys among those that the provider made for rotations that nobody needs, and that are not owed yet.
///
/// A rotation that the record does not know as closed may be open, may be another credential's, or may have been
/// forgotten when Vault was restored: its keys are left alone.
pub fn strays(state: &State, keys: Vec<Created>) -> Vec<Created> {
    let published = state.last_rotated().and_then(|last| last.outcome.answer());
    let is_stray = |key: &Created| {
        let closed = state.history.iter().find(|closed| closed.rotation_id == key.rotation_id);
        // Of a rotation that published a key without an id nobody can tell which one that was.
        let told_apart =
            closed.is_some_and(|closed| closed.outcome.answer().is_none_or(|answer| answer.key_id.is_some()));
        let needed = published.is_some_and(|published| published.key_id.as_ref() == Some(&key.key_id));
        let owed = state.revocations.iter().any(|owed| owed.key_id == key.key_id);
        told_apart && !needed && !owed
    };
    keys.into_iter().filter(is_stray).collect()
}

/// Owes the strays among the keys that the provider lists.
pub(super) fn listed(
    plan: &Plan,
    mut state: State,
    keys: Vec<Created>,
    entry: Option<&Fingerprint>,
    now: Timestamp,
) -> Next {
    let Phase::Idle = state.phase else { return None };
    if !is_as_recorded(&state, entry) {
        return Some((state, Vec::new()));
    }
    let owed_before = state.revocations.len();
    owe_strays(plan, &mut state, keys, now);
    let effects = if state.revocations.len() > owed_before { vec![Effect::Save] } else { Vec::new() };
    Some((state, effects))
}

/// Owes the strays among these keys. Only one whose rotation was closed behind a fence was certainly never in the entry;
/// of any other applications may hold a copy, and it gets the time of an old one.
pub(super) fn owe_strays(plan: &Plan, state: &mut State, keys: Vec<Created>, now: Timestamp) {
    let Some(creates) = &plan.creates else { return };
    for Created { key_id, rotation_id } in strays(state, keys) {
        let fenced = state.history.iter().any(|closed| {
            closed.rotation_id == rotation_id && matches!(closed.outcome, ClosedAs::NotApplied { .. })
        });
        let due_at = if fenced { now } else { later(now, creates.revoke_after) };
        owe(state, Revocation { key_id, rotation_id, due_at });
    }
}

/// Owes the keys that a rotation has replaced: the one that was in the entry, and keyturn's last one, where somebody
/// had put another there. What applications are told of the old key's end is the same time.
pub(super) fn owe_old_keys(
    creates: &Creates,
    state: &mut State,
    rotation: &Rotation,
    answer: &mut Answer,
    now: Timestamp,
) {
    let due_at = later(now, creates.revoke_after);
    let last =
        state.last_rotated().and_then(|last| last.outcome.answer()).and_then(|last| last.key_id.clone());
    answer.previous_expires_at = rotation.baseline.key_id.as_ref().map(|_| due_at);
    let new = answer.key_id.as_ref();
    state.revocations.retain(|owed| Some(&owed.key_id) != new);
    for key_id in rotation.baseline.key_id.clone().into_iter().chain(last) {
        let owed = state.revocations.iter().any(|owed| owed.key_id == key_id);
        if !owed && Some(&key_id) != new {
            owe(state, Revocation { key_id, rotation_id: rotation.rotation_id, due_at });
        }
    }
}

/// The longest that anything is owed before it is due; more was told by a clock that is wrong.
pub fn owed_for_at_most(plan: &Plan) -> Duration {
    let Some(creates) = &plan.creates else { return Duration::ZERO };
    creates.revoke_after.max(creates.phases.map_or(Duration::ZERO, |_| discarded_after(plan)))
}

/// How long after its rotation a pending key that nobody got is discarded: by then no start can come any more.
pub(super) fn discarded_after(plan: &Plan) -> Duration {
    plan.claim.saturating_add(plan.call_timeout).saturating_add(plan.settle)
}

/// Owes what makes room again where an old key and a pending one have a place each: the activation of the one that was
/// published, which ends the old one's life; or the end of a pending one that nobody got. Neither before every start that was
/// sent has lost its power, for one that comes late makes another key pending.
///
/// Until it is done no rotation begins, and so nothing but these two can touch a published key that is not activated.
pub(super) fn owe_a_phase(
    plan: &Plan,
    state: &mut State,
    rotation_id: RotationId,
    outcome: &mut ClosedAs,
    now: Timestamp,
) {
    let Some(Creates { revoke_after, phases: Some(phases), .. }) = &plan.creates else { return };
    let lives_for = plan.call_timeout.saturating_add(plan.settle);
    let owed = match outcome {
        ClosedAs::Rotated { answer, .. } => {
            let due_at = later(now, (*revoke_after).max(lives_for));
            answer.previous_expires_at = Some(due_at);
            Some((KeyId::of_the_old_key(), due_at))
        }
        ClosedAs::NotApplied { .. } | ClosedAs::Resolved { .. } if phases.discards => {
            Some((KeyId::of_the_pending_key(), later(now, discarded_after(plan))))
        }
        ClosedAs::NotApplied { .. } | ClosedAs::Resolved { .. } | ClosedAs::Failed { .. } => None,
    };
    if let Some((key_id, due_at)) = owed {
        owe(state, Revocation { key_id, rotation_id, due_at });
    }
}

fn owe(state: &mut State, revocation: Revocation) {
    if state.revocations.len() < REVOCATIONS_MAX {
        state.revocations.push(revocation);
    }
}

/// The provider has done it.
pub(super) fn revoked(mut state: State, key_id: &KeyId) -> Next {
    let Phase::Idle = state.phase else { return None };
    let owed_before = state.revocations.len();
    state.revocations.retain(|owed| owed.key_id != *key_id);
    let effects = if state.revocations.len() < owed_before { vec![Effect::Save] } else { Vec::new() };
    Some((state, effects))
}

/// The provider's id of the key that the entry holds, where it is known.
pub(super) fn id_of_the_entrys_key(plan: &Plan, state: &State, entry: Option<&Fingerprint>) -> Option<KeyId> {
    let creates = plan.creates.as_ref()?;
    match state.last_rotated().and_then(|last| last.outcome.answer()) {
        Some(published) if Some(&published.fingerprint) == entry => published.key_id.clone(),
        Some(_) => None,
        None => {
            let is_first = state.history.is_empty() || is_as_recorded(state, entry);
            creates.first_key.clone().filter(|_| entry.is_some() && is_first)
        }
    }
}

/// Until when no further key can be made: the provider lets only so many live, and keyturn owes only so many.
pub(super) fn slots_full_until(plan: &Plan, state: &State) -> Option<Timestamp> {
    let creates = plan.creates.as_ref()?;
    let owed = state.revocations.len();
    // The published key and those that are owed live; the new one needs a place beside them.
    let full_at =
        creates.keys_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX).max(2) - 1);
    if owed == 0 || owed < full_at.min(OWED_AT_MOST) {
        return None;
    }
    state.revocations.iter().map(|owed| owed.due_at).min()
}
