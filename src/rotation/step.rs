//! The one transition function: what a credential's state becomes, and what is to be done, after an event.

use jiff::Timestamp;

use super::close::{self, Closing};
use super::decide;
use super::effect::Effect;
use super::event::{Event, Verdict};
use super::halt::{Halt, HaltReason};
use super::history::{ClosedAs, Timings};
use super::orphan;
use super::outcome::{Doubt, Outcome, Refusal};
use super::plan::Plan;
use super::resolve;
use super::resume;
use super::revocation;
use super::state::{Answer, Baseline, Pause, Phase, Publication, Request, Rotation, State, Unknown};
use crate::ids::{KvVersion, ReplicaId, RotationId};

/// A state and an event that cannot meet; the shell has a defect, or the record was changed behind its back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event {event} cannot happen while a rotation is {phase}")]
pub struct IllegalEvent {
    /// The event's name.
    pub event: &'static str,
    /// The phase's name.
    pub phase: &'static str,
}

/// What follows from an event: the next state, and the effects to run in their order.
pub type Step = Result<(State, Vec<Effect>), IllegalEvent>;

/// Decides what follows when `event` meets `state`.
///
/// The shell keeps the new state only once the effects' [`Effect::Save`] has succeeded, and stops at the first
/// effect that does not succeed; it then reads everything afresh and says [`Event::Resumed`].
pub fn step(plan: &Plan, state: State, event: Event) -> Step {
    let illegal = IllegalEvent { event: event.name(), phase: state.phase.name() };
    let next = match event {
        Event::Requested { rotation_id, request, now: _ } => requested(state, rotation_id, request),
        Event::Preflighted { rotation_id, request, replica, epoch, baseline, now } => {
            let intent = Intent { rotation_id, request, replica, epoch, baseline };
            intended(plan, state, intent, now)
        }
        Event::Called { outcome, now } => called(plan, state, outcome, now),
        Event::Read { reading, now } => resolve::read(plan, state, reading, now),
        Event::Sealed { now } => sealed(plan, state, now),
        Event::Probed { verdict, now } => probed(plan, state, &verdict, now),
        Event::Published { version, now } => published(state, version, now),
        Event::Fenced { now } => resolve::fenced(plan, state, now),
        Event::Woke { now } => woke(plan, state, now),
        Event::Resumed { replica, lapsed, epoch, holding, published, now } => {
            let found = resume::Found { replica, lapsed, epoch, holding, published };
            Some(resume::resumed(plan, state, found, now))
        }
        Event::Resolved { decision, replica, epoch, now } => {
            decide::decided(plan, state, decision, &resume::Claimant { replica, epoch }, now)
        }
        Event::Orphaned { rotation_id, answer, evidence, baseline, unchanged_for, replica, epoch, now } => {
            let found = orphan::Found { rotation_id, answer, evidence, baseline, unchanged_for };
            orphan::settle(plan, state, found, &resume::Claimant { replica, epoch }, now)
        }
        Event::Listed { keys, entry, now } => revocation::listed(plan, state, keys, entry.as_ref(), now),
        Event::Revoked { key_id } => revocation::revoked(state, &key_id),
        Event::Released { replica } => Some(resume::released(state, replica)),
        Event::Paused { reason, now } => Some(paused(state, Some(Pause { since: now, reason }))),
        Event::Unpaused => Some(paused(state, None)),
        Event::Measured { timings } => measured(state, timings),
    };
    next.ok_or(illegal)
}

/// A next state with its effects, where the event was legal.
pub(super) type Next = Option<(State, Vec<Effect>)>;

fn requested(state: State, rotation_id: RotationId, request: Request) -> Next {
    matches!(state.phase, Phase::Idle).then(|| (state, vec![Effect::Preflight { rotation_id, request }]))
}

struct Intent {
    rotation_id: RotationId,
    request: Request,
    replica: ReplicaId,
    epoch: KvVersion,
    baseline: Baseline,
}

fn intended(plan: &Plan, state: State, mut intent: Intent, now: Timestamp) -> Next {
    let Phase::Idle = state.phase else { return None };
    intent.baseline.key_id = revocation::id_of_the_entrys_key(plan, &state, intent.baseline.entry.as_ref());
    let rotation = Rotation {
        rotation_id: intent.rotation_id,
        request: intent.request,
        holder: intent.replica,
        epoch: intent.epoch,
        claim_ms: millis(plan.claim),
        intended_at: now,
        first_dispatched_at: now,
        dispatched_at: now,
        calls: 1,
        baseline: intent.baseline,
        timings: Timings::default(),
        reopened: false,
        released: false,
    };
    Some((State { phase: Phase::Intended { rotation }, ..state }, vec![Effect::Save, Effect::Call]))
}

fn called(plan: &Plan, state: State, outcome: Outcome<Answer>, now: Timestamp) -> Next {
    match (state.phase.clone(), outcome) {
        (Phase::Intended { rotation } | Phase::Unknown { rotation, .. }, Outcome::Applied(answer)) => {
            Some((State { phase: Phase::Answered { rotation, answer }, ..state }, vec![Effect::Seal]))
        }
        (Phase::Intended { rotation }, Outcome::NotApplied(refusal)) if rotation.calls <= 1 => {
            let retry = refusal
                .class
                .is_passing()
                .then(|| close::retry_later(&state, &rotation.request, refusal.retry_after, now));
            let closing = Closing { outcome: ClosedAs::Failed { refusal }, retry };
            Some(close::close(plan, state, rotation, closing, now))
        }
        (Phase::Intended { rotation }, Outcome::NotApplied(refusal)) => {
            Some(further_call_refused(plan, state, rotation, refusal, now))
        }
        (Phase::Intended { rotation }, Outcome::AppliedNoValue) => {
            Some(doubted(plan, state, rotation, Doubt::NoValue, now))
        }
        (Phase::Intended { rotation }, Outcome::Unknown(doubt)) => {
            Some(doubted(plan, state, rotation, doubt, now))
        }
        (Phase::Unknown { rotation, unknown }, outcome) => {
            Some(resolve::replayed(plan, state, (rotation, unknown), outcome, now))
        }
        _ => None,
    }
}

/// The outcome became unknown: that is durable before anything is done about it.
pub(super) fn doubted(
    plan: &Plan,
    state: State,
    rotation: Rotation,
    doubt: Doubt,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let unknown = Unknown::begun(doubt, now);
    resolve::settle(plan, state, rotation, unknown, now)
}

/// A second or later call was refused: it did nothing, but the calls before it are still in doubt.
fn further_call_refused(
    plan: &Plan,
    state: State,
    mut rotation: Rotation,
    refusal: Refusal,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let refused = !refusal.class.is_passing();
    rotation.calls -= 1;
    let unknown = Unknown { refused, ..Unknown::begun(Doubt::Refused { refusal }, now) };
    resolve::settle(plan, state, rotation, unknown, now)
}

fn sealed(plan: &Plan, state: State, now: Timestamp) -> Next {
    let Phase::Answered { rotation, answer } = state.phase.clone() else { return None };
    Some(store(plan, state, rotation, answer, now))
}

/// Brings a known answer towards the application: staged where the provider needs time, published where not.
pub(super) fn store(
    plan: &Plan,
    state: State,
    rotation: Rotation,
    answer: Answer,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    match plan.propagation {
        None => (State { phase: Phase::Answered { rotation, answer }, ..state }, vec![Effect::Publish]),
        Some(_) => stage(plan, state, rotation, answer, now),
    }
}

/// Stages an answer; the claim is made long enough for the wait that follows.
pub(super) fn stage(
    plan: &Plan,
    state: State,
    mut rotation: Rotation,
    answer: Answer,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let wait = plan.propagation.map(|times| if plan.probe { times.deadline } else { times.delay });
    rotation.claim_ms = millis(plan.claim.saturating_add(wait.unwrap_or_default()));
    let effects = vec![Effect::Save, staged_next(plan, now, now)];
    (State { phase: Phase::Staged { rotation, answer, staged_at: now }, ..state }, effects)
}

/// What a staged answer waits for.
pub(super) fn staged_next(plan: &Plan, staged_at: Timestamp, now: Timestamp) -> Effect {
    let usable_at = later(staged_at, plan.propagation.map(|times| times.delay).unwrap_or_default());
    if now < usable_at {
        Effect::Wait { until: usable_at }
    } else if plan.probe {
        Effect::Probe
    } else {
        Effect::Publish
    }
}

fn probed(plan: &Plan, state: State, verdict: &Verdict, now: Timestamp) -> Next {
    match state.phase.clone() {
        Phase::Staged { rotation, answer, staged_at } => {
            Some(staged_probed(plan, state, (rotation, answer, staged_at), verdict, now))
        }
        Phase::Published { rotation, answer, publication } => {
            Some(published_probed(plan, state, (rotation, answer, publication), verdict, now))
        }
        _ => None,
    }
}

fn staged_probed(
    plan: &Plan,
    state: State,
    (rotation, answer, staged_at): (Rotation, Answer, Timestamp),
    verdict: &Verdict,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    match verdict {
        Verdict::Accepted | Verdict::NoProbe => (state, vec![Effect::Publish]),
        Verdict::NotAccepted if now >= later(staged_at, probe_deadline(plan)) => {
            halt(state, rotation, HaltReason::NewKeyRefused, (answer, None), now)
        }
        Verdict::Unavailable if now >= proof_needed_by(plan, &answer, staged_at) => {
            halt(state, rotation, HaltReason::NewKeyNotProven, (answer, None), now)
        }
        Verdict::NotAccepted | Verdict::Unavailable => (state, vec![poll(plan, now)]),
    }
}

fn published_probed(
    plan: &Plan,
    state: State,
    (rotation, answer, publication): (Rotation, Answer, Publication),
    verdict: &Verdict,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let overdue = now >= later(publication.published_at, probe_deadline(plan));
    match verdict {
        Verdict::NotAccepted if overdue => {
            halt(state, rotation, HaltReason::NewKeyRefused, (answer, Some(publication)), now)
        }
        Verdict::Unavailable if !overdue => (state, vec![poll(plan, now)]),
        Verdict::NotAccepted => (state, vec![poll(plan, now)]),
        Verdict::Accepted | Verdict::NoProbe | Verdict::Unavailable => {
            let verified = matches!(verdict, Verdict::Accepted);
            let outcome = ClosedAs::Rotated { answer, publication, verified };
            close::close(plan, state, rotation, Closing { outcome, retry: None }, now)
        }
    }
}

/// An outage is waited out for half of the time in which the old key lives; then a person should know.
fn proof_needed_by(plan: &Plan, answer: &Answer, staged_at: Timestamp) -> Timestamp {
    let deadline = later(staged_at, probe_deadline(plan));
    let old_key_lives = answer.previous_expires_at.map(|dies_at| dies_at.duration_since(staged_at));
    let half = old_key_lives.and_then(|lives| std::time::Duration::try_from(lives / 2).ok());
    half.map_or(deadline, |half| deadline.max(later(staged_at, half)))
}

fn halt(
    state: State,
    rotation: Rotation,
    reason: HaltReason,
    (answer, publication): (Answer, Option<Publication>),
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let halt = Halt { reason, since: now, answer: Some(answer), publication };
    (State { phase: Phase::Halted { rotation, halt }, ..state }, vec![Effect::Save])
}

fn published(state: State, version: KvVersion, now: Timestamp) -> Next {
    match state.phase.clone() {
        Phase::Answered { rotation, answer } | Phase::Staged { rotation, answer, .. } => {
            let publication = Publication { version, published_at: now };
            let phase = Phase::Published { rotation, answer, publication };
            Some((State { phase, ..state }, vec![Effect::Verify]))
        }
        _ => None,
    }
}

fn woke(plan: &Plan, state: State, now: Timestamp) -> Next {
    match state.phase.clone() {
        Phase::Staged { rotation, answer, staged_at } => {
            let staged_at = passed(staged_at, now);
            let phase = Phase::Staged { rotation, answer, staged_at };
            Some((State { phase, ..state }, vec![staged_next(plan, staged_at, now)]))
        }
        Phase::Published { .. } => Some((state, vec![Effect::Verify])),
        Phase::Unknown { rotation, unknown } => Some(resolve::settle(plan, state, rotation, unknown, now)),
        _ => None,
    }
}

fn paused(state: State, pause: Option<Pause>) -> (State, Vec<Effect>) {
    (State { pause, ..state }, vec![Effect::Save])
}

fn measured(mut state: State, timings: Timings) -> Next {
    state.phase.rotation_mut()?.timings = timings;
    Some((state, Vec::new()))
}

/// How long a provider without a declared propagation time may still refuse a published key.
const PROBE_DEADLINE_DEFAULT: std::time::Duration = std::time::Duration::from_mins(1);
/// How often such a provider is asked.
const PROBE_POLL_DEFAULT: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) fn probe_deadline(plan: &Plan) -> std::time::Duration {
    plan.propagation.map_or(PROBE_DEADLINE_DEFAULT, |times| times.deadline)
}

fn poll(plan: &Plan, now: Timestamp) -> Effect {
    let every = plan.propagation.map_or(PROBE_POLL_DEFAULT, |times| times.poll);
    Effect::Wait { until: later(now, every) }
}

/// A time that has passed. One in the future was taken from a clock that was wrong; the wait counts from now instead.
pub(super) fn passed(time: Timestamp, now: Timestamp) -> Timestamp {
    time.min(now)
}

/// `time` plus `delay`, at the latest the end of time.
pub(super) fn later(time: Timestamp, delay: std::time::Duration) -> Timestamp {
    time.saturating_add(jiff::SignedDuration::try_from(delay).unwrap_or(jiff::SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
