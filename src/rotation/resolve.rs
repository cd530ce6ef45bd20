//! Settling an unknown outcome: by the strongest means that the provider declares, else it is left to a person.

use std::time::Duration;

use jiff::Timestamp;

use super::close::{self, Closing};
use super::effect::Effect;
use super::event::Reading;
use super::halt::{Halt, HaltReason};
use super::history::ClosedAs;
use super::orphan::quiet_for;
use super::outcome::{Doubt, Outcome, Refusal};
use super::plan::{Creates, Plan};
use super::revocation::discarded_after;
use super::state::{Answer, Marked, Phase, Rotation, State, Unknown};
use super::step::{Next, later, passed};

/// How many replays are made before a read is tried, where the provider has one.
const REPLAYS_MAX: u32 = 6;
/// The wait before the second replay; doubled each time, up to the longest.
const REPLAY_DELAY: Duration = Duration::from_secs(1);
const REPLAY_DELAY_MAX: Duration = Duration::from_mins(5);
/// How often a provider is asked again while its answer settles nothing.
const POLL: Duration = Duration::from_secs(5);
/// How many tries in a row whose answers were lost are followed by another, where keys live side by side.
const TRIES_MAX: u32 = 8;
/// What is kept free at the end of a grace window, for a call and for clocks that differ.
pub(super) const GRACE_MARGIN: Duration = Duration::from_mins(2);

/// The next thing to do about an unknown outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Means {
    /// Nothing yet.
    Wait(Timestamp),
    /// Make the same call with the same idempotency key.
    Replay,
    /// Read the current value.
    Read,
    /// Make a further call; the old key still signs.
    Redo,
    /// Nothing that keyturn could do.
    Halt(HaltReason),
}

/// Takes the next step towards settling; every step is preceded by a save, which also renews the claim.
pub(super) fn settle(
    plan: &Plan,
    state: State,
    mut rotation: Rotation,
    mut unknown: Unknown,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    unknown.since = passed(unknown.since, now);
    // A holder that was overtaken may call until its claim is over; what lies beyond was taken from a wrong clock.
    let claim_ends_at = later(now, Duration::from_millis(rotation.claim_ms));
    rotation.dispatched_at = rotation.dispatched_at.min(claim_ends_at);
    let action = match means(plan, &rotation, &unknown, now) {
        Means::Wait(until) => Effect::Wait { until },
        Means::Read => Effect::Read,
        Means::Replay => {
            unknown.replays += 1;
            rotation.dispatched_at = rotation.dispatched_at.max(now);
            Effect::Call
        }
        Means::Redo => {
            rotation.calls += 1;
            rotation.dispatched_at = now;
            let phase = Phase::Intended { rotation };
            return (State { phase, ..state }, vec![Effect::Save, Effect::Call]);
        }
        Means::Halt(_) if plan.creates.is_some() => Effect::Fence,
        Means::Halt(reason) => return halted(state, rotation, reason, now),
    };
    (State { phase: Phase::Unknown { rotation, unknown }, ..state }, vec![Effect::Save, action])
}

fn means(plan: &Plan, rotation: &Rotation, unknown: &Unknown, now: Timestamp) -> Means {
    let replays_left = plan.read.is_none() || unknown.replays < REPLAYS_MAX;
    if let Some(window) = plan.replay.filter(|_| !unknown.refused && replays_left) {
        let next_at = replay_at(unknown);
        if later(now.max(next_at), plan.call_timeout) < later(rotation.first_dispatched_at, window) {
            return if now < next_at { Means::Wait(next_at) } else { Means::Replay };
        }
    }
    if plan.read.is_some() && (!plan.supplies || rotation.calls >= REPEATS_MAX) {
        return Means::Read;
    }
    let marker = plan.marker.and(rotation.baseline.marker.as_ref());
    // A success without a key says as much as the marker could.
    if marker.is_some() && unknown.marker.is_none() && unknown.doubt != Doubt::NoValue {
        return Means::Read;
    }
    if plan.redo.is_some_and(|calls_max| !unknown.refused && rotation.calls < calls_max) {
        let again_at = again_at(plan, rotation, unknown);
        if old_key_signs_until(plan, rotation).is_none_or(|until| now.max(again_at) < until) {
            return if now < again_at { Means::Wait(again_at) } else { Means::Redo };
        }
    }
    if plan.read.is_some() { Means::Read } else { Means::Halt(no_means_left(plan, unknown)) }
}

/// When a further call may be made. Only one that makes another key in the old one's place has to come last.
fn again_at(plan: &Plan, rotation: &Rotation, unknown: &Unknown) -> Timestamp {
    match &plan.creates {
        Some(_) => refused_until(unknown),
        None if plan.supplies => {
            refused_until(unknown).max(later(unknown.since, repeat_delay(rotation.calls)))
        }
        None => quiet_at(plan, rotation, unknown),
    }
}

/// So many calls with the same key are made where a read can tell too.
const REPEATS_MAX: u32 = 6;

/// How long the same call waits after `made` of them: the first is repeated at once, the others ever more rarely.
fn repeat_delay(made: u32) -> Duration {
    match made.checked_sub(2) {
        None => Duration::ZERO,
        Some(earlier) => REPLAY_DELAY.saturating_mul(1 << earlier.min(10)).min(REPLAY_DELAY_MAX),
    }
}

fn replay_at(unknown: &Unknown) -> Timestamp {
    match unknown.replays {
        0 => unknown.since,
        made => later(unknown.since, replay_delay(made)),
    }
}

/// The time from the first doubt to the replay after `made` ones.
fn replay_delay(made: u32) -> Duration {
    (0..made).map(|index| REPLAY_DELAY.saturating_mul(1 << index.min(10)).min(REPLAY_DELAY_MAX)).sum()
}

/// When the newest call can no longer take effect behind our back. What another replica's clock said of its
/// call is not relied on.
fn quiet_at(plan: &Plan, rotation: &Rotation, unknown: &Unknown) -> Timestamp {
    let sent_at = match unknown.doubt {
        Doubt::HolderLost => rotation.dispatched_at.max(unknown.since),
        _ => rotation.dispatched_at,
    };
    let asked = asked_for(&unknown.doubt).unwrap_or_default();
    // A process can stall between the save and the first byte, so the doubt itself is waited out too.
    later(sent_at, plan.call_timeout.saturating_add(plan.settle))
        .max(later(unknown.since, plan.settle.max(asked)))
}

/// A provider that asked for time gets it.
const fn asked_for(doubt: &Doubt) -> Option<Duration> {
    match doubt {
        Doubt::Refused { refusal } => refusal.retry_after,
        _ => None,
    }
}

/// A call that kills nothing waits for no other, only for a provider that refused one.
fn refused_until(unknown: &Unknown) -> Timestamp {
    match &unknown.doubt {
        Doubt::Refused { refusal } => later(unknown.since, refusal.retry_after.unwrap_or(POLL).max(POLL)),
        _ => unknown.since,
    }
}

/// Until when a self-authenticating credential's old key can sign a further call, if any call took effect.
fn old_key_signs_until(plan: &Plan, rotation: &Rotation) -> Option<Timestamp> {
    (plan.self_authenticating && plan.creates.is_none()).then(|| {
        later(rotation.first_dispatched_at, plan.grace.unwrap_or_default().saturating_sub(GRACE_MARGIN))
    })
}

fn no_means_left(plan: &Plan, unknown: &Unknown) -> HaltReason {
    let doubt = unknown.doubt.clone();
    if unknown.marker == Some(Marked::Replaced) || doubt == Doubt::NoValue {
        HaltReason::AnswerLost { doubt }
    } else if plan.replay.is_none() && plan.redo.is_none() {
        HaltReason::NoWayToTell { doubt }
    } else {
        HaltReason::MeansExhausted { doubt }
    }
}

/// Keys live side by side, so that the lost call took nothing, and its key can reach the entry no more: another try is a
/// rotation of its own, by itself only where the key that this one may have made is found. A full provider gets the time
/// to be cleared before it.
pub(super) fn fenced(plan: &Plan, state: State, now: Timestamp) -> Next {
    let Phase::Unknown { rotation, unknown } = state.phase.clone() else { return None };
    let creates = plan.creates.as_ref().filter(|creates| creates.clears_strays());
    let cleared_in = |creates: &Creates| match creates.phases {
        Some(_) => Some(discarded_after(plan)),
        None => creates.keys_max.map(|_| quiet_for(plan).saturating_mul(2)),
    };
    let asked = asked_for(&unknown.doubt);
    let retry = creates
        .map(|creates| close::retry_later(&state, &rotation.request, cleared_in(creates).max(asked), now))
        .filter(|retry| retry.failures <= TRIES_MAX);
    let outcome = ClosedAs::NotApplied { doubt: unknown.doubt };
    plan.creates.as_ref().map(|_| close::close(plan, state, rotation, Closing { outcome, retry }, now))
}

fn halted(state: State, rotation: Rotation, reason: HaltReason, now: Timestamp) -> (State, Vec<Effect>) {
    let halt = Halt { reason, since: now, answer: None, publication: None };
    (State { phase: Phase::Halted { rotation, halt }, ..state }, vec![Effect::Save])
}

/// What a replay came to, when it did not bring the answer.
pub(super) fn replayed(
    plan: &Plan,
    state: State,
    (mut rotation, mut unknown): (Rotation, Unknown),
    outcome: Outcome<Answer>,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    match outcome {
        Outcome::Applied(answer) => {
            return (State { phase: Phase::Answered { rotation, answer }, ..state }, vec![Effect::Seal]);
        }
        Outcome::NotApplied(refusal) if refusal.class.is_passing() => {
            // It was no replay: an outage must not use them up.
            unknown.replays = unknown.replays.saturating_sub(1);
            return (keep(state, rotation, unknown), vec![wait_for(&refusal, now)]);
        }
        Outcome::NotApplied(refusal) => {
            unknown.refused = true;
            unknown.doubt = Doubt::Refused { refusal };
        }
        Outcome::AppliedNoValue => {
            unknown.refused = true;
            unknown.doubt = Doubt::NoValue;
        }
        Outcome::Unknown(doubt) => {
            rotation.dispatched_at = rotation.dispatched_at.max(now);
            unknown.doubt = doubt;
        }
    }
    settle(plan, state, rotation, unknown, now)
}

/// What a reconcile read found.
pub(super) fn read(plan: &Plan, state: State, reading: Reading, now: Timestamp) -> Next {
    let Phase::Unknown { rotation, unknown } = state.phase.clone() else { return None };
    Some(match reading {
        Reading::Changed(answer) => {
            (State { phase: Phase::Answered { rotation, answer }, ..state }, vec![Effect::Seal])
        }
        Reading::Replaced if plan.marker.is_none() => return None,
        Reading::Replaced => {
            settle(plan, state, rotation, Unknown { marker: Some(Marked::Replaced), ..unknown }, now)
        }
        Reading::Unchanged | Reading::Unavailable(_) | Reading::Refused(_)
            if goes_on_without_the_marker(plan, &rotation, &unknown, &reading, now) =>
        {
            settle(plan, state, rotation, Unknown { marker: Some(Marked::Silent), ..unknown }, now)
        }
        Reading::Unchanged => unchanged(plan, state, rotation, unknown, now),
        Reading::Unavailable(_) => (state, vec![Effect::Wait { until: later(now, POLL) }]),
        Reading::Refused(refusal) if refusal.class.is_passing() => (state, vec![wait_for(&refusal, now)]),
        Reading::Refused(refusal) => halted(state, rotation, HaltReason::ReadRefused { refusal }, now),
    })
}

/// A marker that is refused, silent for as long as it may take to change, or not done when the old key's time to sign is running
/// out, is no reason not to make a further call where one is safe.
fn goes_on_without_the_marker(
    plan: &Plan,
    rotation: &Rotation,
    unknown: &Unknown,
    reading: &Reading,
    now: Timestamp,
) -> bool {
    let is_refused = matches!(reading, Reading::Refused(refusal) if !refusal.class.is_passing());
    let is_silent = *reading != Reading::Unchanged && now >= believed_at(plan, rotation, unknown);
    let is_last_chance = old_key_signs_until(plan, rotation)
        .is_some_and(|until| later(now, POLL) >= until && quiet_at(plan, rotation, unknown) <= now);
    let is_allowed = plan.redo.is_some_and(|calls_max| !unknown.refused && rotation.calls < calls_max);
    plan.marker.is_some() && is_allowed && (is_refused || is_silent || is_last_chance)
}

/// From when on "unchanged" means that no call takes effect any more.
fn believed_at(plan: &Plan, rotation: &Rotation, unknown: &Unknown) -> Timestamp {
    let lag = plan.read.or(plan.marker).unwrap_or_default();
    later(quiet_at(plan, rotation, unknown), lag)
}

/// The provider still shows the value from before the call: wait out request and lag, then believe it.
fn unchanged(
    plan: &Plan,
    state: State,
    rotation: Rotation,
    unknown: Unknown,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let believed_at = believed_at(plan, &rotation, &unknown);
    if now < believed_at {
        let until = later(now, POLL).min(believed_at);
        return (keep(state, rotation, unknown), vec![Effect::Wait { until }]);
    }
    if unknown.doubt == Doubt::NoValue {
        return halted(state, rotation, HaltReason::MeansExhausted { doubt: unknown.doubt }, now);
    }
    let retry = Some(close::retry_later(&state, &rotation.request, None, now));
    let outcome = ClosedAs::NotApplied { doubt: unknown.doubt };
    close::close(plan, state, rotation, Closing { outcome, retry }, now)
}

fn keep(state: State, rotation: Rotation, unknown: Unknown) -> State {
    State { phase: Phase::Unknown { rotation, unknown }, ..state }
}

fn wait_for(refusal: &Refusal, now: Timestamp) -> Effect {
    Effect::Wait { until: later(now, refusal.retry_after.unwrap_or(POLL).max(POLL)) }
}
