//! Orphan answers: keys that arrived after their claim was lost, and what is done about them.

use std::time::Duration;

use jiff::Timestamp;

use super::close::default_request;
use super::effect::Effect;
use super::event::{Evidence, Verdict};
use super::history::Timings;
use super::plan::Plan;
use super::resume::Claimant;
use super::state::{Answer, Baseline, Orphan, Phase, Retry, Rotation, Standing, State};
use super::step::{Next, later, millis, probe_deadline};
use crate::ids::RotationId;

/// How many orphans a record remembers; no more escrow identities are kept either.
const ORPHANS_MAX: usize = 8;
/// What is waited for after a grace window's end, so that a look at the provider comes first.
const AFTER_GRACE: Duration = Duration::from_mins(1);

/// What was found: a key without an open rotation, and what the provider says of it and of the published one.
pub(super) struct Found {
    pub(super) rotation_id: RotationId,
    pub(super) answer: Answer,
    pub(super) evidence: Evidence,
    /// What the entry holds.
    pub(super) baseline: Baseline,
    /// The entry was published under a claim that the record has not reached: Vault's record was restored.
    pub(super) record_is_behind: bool,
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

/// Settles what was found, as far as it is proven; what is not stays sealed.
pub(super) fn settle(plan: &Plan, state: State, found: Found, claimant: &Claimant, now: Timestamp) -> Next {
    let Phase::Idle = state.phase else { return None };
    // What a person has just decided is not undone.
    if found.unchanged_for < quiet_for(plan) || state.given_up() == Some(found.rotation_id) {
        return Some((state, Vec::new()));
    }
    Some(match proof(&found) {
        // The same key is published once more, under a claim that the record knows.
        Proof::Published if found.record_is_behind => reopen(plan, state, found, claimant, now),
        Proof::Newest => reopen(plan, state, found, claimant, now),
        Proof::Published | Proof::Superseded => superseded(state, &found, now),
        Proof::Either if !state.orphans.iter().any(|orphan| found.is(orphan)) => {
            contested(state, &found, now)
        }
        Proof::Either | Proof::Nothing => (state, Vec::new()),
    })
}

/// What the evidence proves.
enum Proof {
    /// The provider's key is the orphan, and the entry has another.
    Newest,
    /// The provider's key is the orphan, and the entry has it.
    Published,
    /// The provider's key is the entry's, and the orphan is another.
    Superseded,
    /// Both are accepted; nobody can tell which is the newer.
    Either,
    /// Nothing.
    Nothing,
}

fn proof(found: &Found) -> Proof {
    let orphan = &found.answer.fingerprint;
    let Some(published) = &found.baseline.entry else { return Proof::Nothing };
    let same = orphan == published;
    match &found.evidence {
        Evidence::Shown(key) if key == orphan => {
            if same {
                Proof::Published
            } else {
                Proof::Newest
            }
        }
        Evidence::Shown(key) if key == published => Proof::Superseded,
        Evidence::Probed { orphan: Verdict::Accepted, published: Verdict::Accepted } if same => {
            Proof::Published
        }
        Evidence::Probed { orphan: Verdict::Accepted, published: Verdict::NotAccepted } => Proof::Newest,
        Evidence::Probed { orphan: Verdict::NotAccepted, published: Verdict::Accepted } => Proof::Superseded,
        Evidence::Probed { orphan: Verdict::Accepted, published: Verdict::Accepted } => Proof::Either,
        Evidence::Shown(_) | Evidence::Probed { .. } => Proof::Nothing,
    }
}

impl Found {
    fn is(&self, orphan: &Orphan) -> bool {
        orphan.rotation_id == self.rotation_id && orphan.fingerprint == self.answer.fingerprint
    }

    fn remembered(&self, standing: Standing, since: Timestamp) -> Orphan {
        let (rotation_id, fingerprint) = (self.rotation_id, self.answer.fingerprint.clone());
        Orphan { rotation_id, fingerprint, since, standing }
    }
}

/// Takes the answer's rotation up again where its answer was sealed; no call is made for it any more.
fn reopen(
    plan: &Plan,
    mut state: State,
    found: Found,
    claimant: &Claimant,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    state.orphans.retain(|orphan| !found.is(orphan));
    let closed = state.history.iter().find(|closed| closed.rotation_id == found.rotation_id);
    let rotation = Rotation {
        rotation_id: found.rotation_id,
        request: closed.map_or_else(default_request, |closed| closed.request.clone()),
        holder: claimant.replica,
        epoch: claimant.epoch,
        claim_ms: millis(plan.claim),
        intended_at: closed.map_or(now, |closed| closed.intended_at),
        first_dispatched_at: found.answer.received_at,
        dispatched_at: found.answer.received_at,
        calls: found.answer.call,
        baseline: found.baseline,
        timings: Timings::default(),
        reopened: true,
    };
    let phase = Phase::Answered { rotation, answer: found.answer };
    (State { phase, ..state }, vec![Effect::Save, Effect::Seal])
}

/// A rotation that was taken up again and whose answer is elsewhere: as no call was made, nothing is in doubt.
pub(super) fn abandon(state: State) -> (State, Vec<Effect>) {
    (State { phase: Phase::Idle, ..state }, vec![Effect::Save, Effect::Leave])
}

/// The record says so before the slot is erased.
fn superseded(mut state: State, found: &Found, now: Timestamp) -> (State, Vec<Effect>) {
    state.retry.take_if(|retry| is_for_an_orphan(retry));
    (remember(state, found, Standing::Superseded, now), vec![Effect::Save, Effect::Leave])
}

/// One rotation makes a key that is newer than both. Where a grace window is open, its end may tell first.
fn contested(mut state: State, found: &Found, now: Timestamp) -> (State, Vec<Effect>) {
    let open_until = state.grace_until().filter(|until| *until > now);
    let not_before = open_until.map_or(now, |until| later(until, AFTER_GRACE));
    state.retry.get_or_insert_with(|| Retry { not_before, failures: 0, request: default_request() });
    (remember(state, found, Standing::Contested, now), vec![Effect::Save, Effect::Leave])
}

fn remember(mut state: State, found: &Found, standing: Standing, now: Timestamp) -> State {
    state.orphans.retain(|orphan| !found.is(orphan));
    state.orphans.insert(0, found.remembered(standing, now));
    state.orphans.truncate(ORPHANS_MAX);
    state
}

/// Only a wish that no try has preceded is an orphan's, or a person's.
fn is_for_an_orphan(retry: &Retry) -> bool {
    retry.failures == 0 && retry.request == default_request()
}

/// A rotation that was intended after an orphan was found has made a newer key than the orphan.
pub(super) fn outdated_by_a_rotation(orphans: &mut [Orphan]) {
    for orphan in orphans {
        orphan.standing = Standing::Superseded;
    }
}
