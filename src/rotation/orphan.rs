//! Orphan answers: keys that arrived after their claim was lost, and what is done about them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::event::{Evidence, Verdict};
use super::history::{Closed, ClosedAs, Timings};
use super::plan::Plan;
use super::resolve::GRACE_MARGIN;
use super::resume::Claimant;
use super::revocation::{Created, is_as_recorded, owe_strays};
use super::state::{Answer, Baseline, Phase, Rotation, State};
use super::step::{Next, later, millis, probe_deadline};
use crate::ids::RotationId;
use crate::secret::Fingerprint;

/// An answer that came after its claim was lost, and that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The rotation that it belongs to.
    pub rotation_id: RotationId,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Since when it stands like this.
    pub since: Timestamp,
    /// How it stands.
    pub standing: Standing,
}

/// How an orphan stands to the published key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The provider accepts both; the next rotation's key will be newer than both.
    Contested,
    /// The published key is the newer, or the very same: its slot may be erased.
    Superseded,
}

/// How many orphans a record remembers; no more escrow identities are kept either.
const ORPHANS_MAX: usize = 8;

/// What was found: a key without an open rotation, and what the provider says of it and of the published one.
pub(super) struct Found {
    pub(super) rotation_id: RotationId,
    pub(super) answer: Answer,
    pub(super) evidence: Evidence,
    /// What the entry holds.
    pub(super) baseline: Baseline,
    /// How long the record has been unchanged, on the finder's monotonic clock.
    pub(super) unchanged_for: Duration,
}

/// How long a record must be unchanged before what the provider shows is the last word: every call that was sent
/// before has lost its power, and every key that was made before shows.
pub fn quiet_for(plan: &Plan) -> Duration {
    let probed = if plan.probe { probe_deadline(plan) } else { Duration::ZERO };
    let shows = plan.read.unwrap_or_default().max(probed);
    plan.call_timeout.saturating_add(plan.settle).saturating_add(shows)
}

/// When probes have told all that they can of an orphan: every grace window in which an older key is accepted, too,
/// is over.
pub fn tells_at(state: &State, orphan: &Answer) -> Option<Timestamp> {
    state.grace_until().max(orphan.previous_expires_at).map(|until| later(until, GRACE_MARGIN))
}

/// Settles what was found, as far as it is proven; what is not stays sealed.
pub(super) fn settle(plan: &Plan, state: State, found: Found, claimant: &Claimant, now: Timestamp) -> Next {
    let Phase::Idle = state.phase else { return None };
    if found.evidence == Evidence::Beside {
        return Some(stray(plan, state, &found, now));
    }
    // What a person has just decided is not undone.
    if found.unchanged_for < quiet_for(plan) || state.given_up() == Some(found.rotation_id) {
        return Some((state, Vec::new()));
    }
    Some(match proof(&state, &found, now) {
        Proof::Newest => match to_be_taken_up(&state, &found) {
            Some(closed) => reopen(plan, state, found, closed, claimant),
            None => (state, Vec::new()),
        },
        Proof::Superseded => remember(state, &found, Standing::Superseded, now),
        Proof::Either if !state.orphans.iter().any(|orphan| found.is(orphan)) => {
            remember(state, &found, Standing::Contested, now)
        }
        Proof::Either | Proof::Nothing => (state, Vec::new()),
    })
}

/// Where keys live side by side an orphan has killed nothing: it is revoked like any key that nobody needs.
fn stray(plan: &Plan, mut state: State, found: &Found, now: Timestamp) -> (State, Vec<Effect>) {
    let entry = found.baseline.entry.as_ref();
    let is_closed = state.history.iter().any(|closed| closed.rotation_id == found.rotation_id);
    let is_published = entry == Some(&found.answer.fingerprint);
    let is_early = found.unchanged_for < quiet_for(plan);
    if plan.creates.is_none() || !is_closed || is_published || is_early || !is_as_recorded(&state, entry) {
        return (state, Vec::new());
    }
    if let Some(key_id) = found.answer.key_id.clone() {
        owe_strays(plan, &mut state, vec![Created { key_id, rotation_id: found.rotation_id }], now);
    }
    remember(state, found, Standing::Superseded, now)
}

/// What the evidence proves.
enum Proof {
    /// The provider's key is the orphan, and the entry has another.
    Newest,
    /// The provider's key is the entry's: the orphan is an older one, or the very same.
    Superseded,
    /// Both are accepted; nobody can tell which is the newer.
    Either,
    /// Nothing.
    Nothing,
}

fn proof(state: &State, found: &Found, now: Timestamp) -> Proof {
    let orphan = &found.answer.fingerprint;
    let Some(published) = &found.baseline.entry else { return Proof::Nothing };
    match &found.evidence {
        Evidence::Shown(key) if key == published => Proof::Superseded,
        Evidence::Shown(key) if key == orphan => Proof::Newest,
        Evidence::Shown(_) | Evidence::Beside => Proof::Nothing,
        Evidence::Probed { orphan: of_orphan, published: of_published } => {
            let told_at = found.answer.previous_expires_at.map(|until| later(until, GRACE_MARGIN));
            match (of_orphan, of_published) {
                (Verdict::Accepted, Verdict::Accepted) if orphan == published => Proof::Superseded,
                // While the key before the orphan may be accepted, too, one that is refused may only be slow to work.
                _ if told_at.is_some_and(|told_at| now <= told_at) => Proof::Nothing,
                (Verdict::NotAccepted, Verdict::Accepted) => Proof::Superseded,
                (Verdict::Accepted, Verdict::NotAccepted) if was_never_accepted(state, found) => {
                    Proof::Nothing
                }
                (Verdict::Accepted, Verdict::NotAccepted) => Proof::Newest,
                (Verdict::Accepted, Verdict::Accepted)
                    if tells_at(state, &found.answer).is_none_or(|tells_at| now > tells_at) =>
                {
                    Proof::Either
                }
                _ => Proof::Nothing,
            }
        }
    }
}

/// Whether the provider was never seen to accept the published key: that it refuses it now says little.
fn was_never_accepted(state: &State, found: &Found) -> bool {
    state.history.iter().any(|closed| match &closed.outcome {
        ClosedAs::Rotated { answer, verified, .. } => {
            !verified && Some(&answer.fingerprint) == found.baseline.entry.as_ref()
        }
        _ => false,
    })
}

/// The orphan's rotation, unless a person settled it, or put another key into the entry than keyturn's last one:
/// what a person decided is not undone.
fn to_be_taken_up(state: &State, found: &Found) -> Option<Closed> {
    let closed = state.history.iter().find(|closed| closed.rotation_id == found.rotation_id)?;
    let last = state.last_rotated().and_then(|last| last.outcome.answer());
    let entry_by_hand = last.is_some_and(|last| Some(&last.fingerprint) != found.baseline.entry.as_ref());
    let by_hand = entry_by_hand || matches!(closed.outcome, ClosedAs::Resolved { .. });
    (!by_hand).then(|| closed.clone())
}

impl Found {
    fn is(&self, orphan: &Orphan) -> bool {
        orphan.rotation_id == self.rotation_id && orphan.fingerprint == self.answer.fingerprint
    }
}

/// Takes the answer's rotation up again where its answer was sealed; no call is made for it any more.
fn reopen(
    plan: &Plan,
    mut state: State,
    found: Found,
    closed: Closed,
    claimant: &Claimant,
) -> (State, Vec<Effect>) {
    state.orphans.retain(|orphan| !found.is(orphan));
    let rotation = Rotation {
        rotation_id: found.rotation_id,
        request: closed.request,
        holder: claimant.replica,
        epoch: claimant.epoch,
        claim_ms: millis(plan.claim),
        intended_at: closed.intended_at,
        first_dispatched_at: found.answer.received_at,
        dispatched_at: found.answer.received_at,
        calls: found.answer.call,
        baseline: found.baseline,
        timings: Timings::default(),
        reopened: true,
        released: false,
    };
    let phase = Phase::Answered { rotation, answer: found.answer };
    (State { phase, ..state }, vec![Effect::Save, Effect::Seal])
}

/// A rotation that was taken up again and whose answer is elsewhere: as no call was made, nothing is in doubt.
pub(super) fn abandon(state: State) -> (State, Vec<Effect>) {
    (State { phase: Phase::Idle, ..state }, vec![Effect::Save, Effect::Leave])
}

/// The record says how an orphan stands before a slot is erased, or another rotation is wanted.
fn remember(mut state: State, found: &Found, standing: Standing, now: Timestamp) -> (State, Vec<Effect>) {
    let (rotation_id, fingerprint) = (found.rotation_id, found.answer.fingerprint.clone());
    state.orphans.retain(|orphan| !found.is(orphan));
    state.orphans.insert(0, Orphan { rotation_id, fingerprint, since: now, standing });
    state.orphans.truncate(ORPHANS_MAX);
    (state, vec![Effect::Save, Effect::Leave])
}

/// Since when a rotation is wanted whose key is newer than two that are both accepted; once tried, no other is.
pub(super) fn wants_a_rotation_since(state: &State) -> Option<Timestamp> {
    let tried_since =
        |since: Timestamp| state.history.iter().any(|closed| !closed.reopened && closed.closed_at >= since);
    let contested = state.orphans.iter().filter(|orphan| orphan.standing == Standing::Contested);
    contested.map(|orphan| orphan.since).filter(|since| !tried_since(*since)).min()
}

/// A rotation that was intended after an orphan was found has made a newer key than the orphan.
pub(super) fn outdated_by_a_rotation(orphans: &mut [Orphan]) {
    for orphan in orphans {
        orphan.standing = Standing::Superseded;
    }
}
