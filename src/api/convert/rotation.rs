//! One rotation, wherever a snapshot holds it: queued, open, or among the closed ones.

use super::super::{proto, words};
use super::{activity, hold, microseconds, time};
use crate::engine::{Role, Snapshot, Withdrawn};
use crate::ids::RotationId;
use crate::rotation::{
    Answer, Closed, ClosedAs, Decision, Doubt, Halt, HaltReason, Phase, Problem, Publication, Refusal,
    Request, Rotation, Timings, Trigger, Unknown, possible_decisions,
};

/// A rotation of the snapshot, if it remembers it.
pub(in super::super) fn rotation(snapshot: &Snapshot, id: RotationId) -> Option<proto::Rotation> {
    if let Some((pending, request)) = &snapshot.pending
        && *pending == id
    {
        return Some(queued(snapshot, id, request));
    }
    if let Some(ended) = snapshot.withdrawn.iter().find(|ended| ended.rotation_id == id) {
        return Some(withdrawn(snapshot, ended));
    }
    let state = snapshot.state.as_ref()?;
    if state.phase.rotation().is_some_and(|rotation| rotation.rotation_id == id) {
        return open(snapshot, &state.phase);
    }
    state.history.iter().find(|past| past.rotation_id == id).map(|past| closed(snapshot, past))
}

/// The ids of all rotations that a snapshot remembers, in no order.
pub(in super::super) fn rotation_ids(snapshot: &Snapshot) -> impl Iterator<Item = RotationId> {
    let pending = snapshot.pending.as_ref().map(|(id, _)| *id);
    let state = snapshot.state.as_ref();
    let open = state.and_then(|state| state.phase.rotation()).map(|rotation| rotation.rotation_id);
    let closed = state.into_iter().flat_map(|state| &state.history).map(|closed| closed.rotation_id);
    let withdrawn = snapshot.withdrawn.iter().map(|ended| ended.rotation_id);
    pending.into_iter().chain(open).chain(closed).chain(withdrawn)
}

/// The open rotation, else the queued one.
pub(super) fn current(snapshot: &Snapshot) -> Option<proto::Rotation> {
    let open = snapshot.state.as_ref().and_then(|state| open(snapshot, &state.phase));
    open.or_else(|| snapshot.pending.as_ref().map(|(id, request)| queued(snapshot, *id, request)))
}

/// The newest closed rotation.
pub(super) fn last(snapshot: &Snapshot) -> Option<proto::Rotation> {
    let newest = snapshot.state.as_ref().and_then(|state| state.history.first());
    newest.map(|newest| closed(snapshot, newest))
}

/// A rotation that was asked for and has not written its intent.
pub(in super::super) fn queued(snapshot: &Snapshot, id: RotationId, request: &Request) -> proto::Rotation {
    proto::Rotation {
        state: proto::RotationState::Queued.into(),
        activity: activity(snapshot.activity).into(),
        hold: snapshot.hold.as_ref().map(hold),
        ..asked(snapshot, id, request)
    }
}

/// A rotation that was queued and is gone, though nothing remembers that it ran or was withdrawn.
pub(in super::super) fn cancelled(queued: proto::Rotation) -> proto::Rotation {
    let message = "It was dropped before it began; the key was not touched.".to_owned();
    proto::Rotation {
        state: proto::RotationState::Cancelled.into(),
        activity: proto::Activity::Unspecified.into(),
        hold: None,
        withdrawal: Some(proto::Withdrawal { reason: "CANCELLED".to_owned(), message }),
        ..queued
    }
}

fn withdrawn(snapshot: &Snapshot, ended: &Withdrawn) -> proto::Rotation {
    let (reason, message) = (ended.code.to_owned(), ended.message.clone());
    proto::Rotation {
        state: proto::RotationState::Cancelled.into(),
        end_time: Some(time(ended.at)),
        withdrawal: Some(proto::Withdrawal { reason, message }),
        ..asked(snapshot, ended.rotation_id, &ended.request)
    }
}

/// Whether a rotation can still change.
pub(in super::super) fn is_final(rotation: &proto::Rotation) -> bool {
    use proto::RotationState as S;
    matches!(rotation.state(), S::Succeeded | S::Failed | S::Resolved | S::Cancelled)
}

fn asked(snapshot: &Snapshot, id: RotationId, request: &Request) -> proto::Rotation {
    proto::Rotation {
        rotation_id: id.to_string(),
        credential: snapshot.credential.to_string(),
        provider: snapshot.provider.clone(),
        store: snapshot.store.to_string(),
        trigger: trigger(request.trigger).into(),
        emergency: request.emergency,
        request_id: request.request_id.clone().unwrap_or_default(),
        caller: request.caller.clone().unwrap_or_default(),
        ..proto::Rotation::default()
    }
}

fn open(snapshot: &Snapshot, phase: &Phase) -> Option<proto::Rotation> {
    use proto::RotationState as S;
    Some(match phase {
        Phase::Idle => return None,
        Phase::Intended { rotation } => begun(snapshot, rotation, S::Intended),
        Phase::Unknown { rotation, unknown } => proto::Rotation {
            unknown: Some(unknown_of(snapshot, phase, unknown)),
            ..begun(snapshot, rotation, S::Unknown)
        },
        Phase::Answered { rotation, answer } => with_answer(begun(snapshot, rotation, S::Answered), answer),
        Phase::Staged { rotation, answer, .. } => with_answer(begun(snapshot, rotation, S::Staged), answer),
        Phase::Published { rotation, answer, publication } => {
            let begun = with_answer(begun(snapshot, rotation, S::Published), answer);
            with_publication(begun, publication)
        }
        Phase::Halted { rotation, halt } => halted(snapshot, phase, rotation, halt),
    })
}

fn begun(snapshot: &Snapshot, rotation: &Rotation, state: proto::RotationState) -> proto::Rotation {
    let own = snapshot.role == Role::Own;
    let doing = if own { activity(snapshot.activity) } else { proto::Activity::Unspecified };
    proto::Rotation {
        state: state.into(),
        activity: doing.into(),
        create_time: Some(time(rotation.intended_at)),
        calls: rotation.calls,
        holder: rotation.holder.to_string(),
        epoch: rotation.epoch.0,
        timings: Some(timings(&rotation.timings)),
        hold: snapshot.hold.as_ref().map(hold),
        ..asked(snapshot, rotation.rotation_id, &rotation.request)
    }
}

fn halted(snapshot: &Snapshot, phase: &Phase, rotation: &Rotation, halt: &Halt) -> proto::Rotation {
    let mut message = begun(snapshot, rotation, proto::RotationState::Halted);
    message.halt = Some(proto::Halt {
        reason: halt.reason.code().to_owned(),
        message: words::halt(halt, &snapshot.store),
        since_time: Some(time(halt.since)),
        way_out: Some(way_out(phase, words::way_out_of_halt(halt, snapshot))),
        doubt: doubt(&halt.reason).map(Doubt::code).unwrap_or_default().to_owned(),
    });
    if let Some(answer) = &halt.answer {
        message = with_answer(message, answer);
    }
    if let Some(publication) = &halt.publication {
        message = with_publication(message, publication);
    }
    message
}

const fn doubt(reason: &HaltReason) -> Option<&Doubt> {
    match reason {
        HaltReason::NoWayToTell { doubt }
        | HaltReason::MeansExhausted { doubt }
        | HaltReason::AnswerLost { doubt } => Some(doubt),
        HaltReason::ReadRefused { .. } | HaltReason::NewKeyRefused | HaltReason::NewKeyNotProven => None,
    }
}

fn unknown_of(snapshot: &Snapshot, phase: &Phase, unknown: &Unknown) -> proto::Unknown {
    proto::Unknown {
        reason: unknown.doubt.code().to_owned(),
        message: words::unknown(&unknown.doubt),
        since_time: Some(time(unknown.since)),
        way_out: Some(way_out(phase, words::way_out_of_unknown(snapshot))),
    }
}

fn way_out(phase: &Phase, message: String) -> proto::WayOut {
    let decisions = possible_decisions(phase).iter().map(|decided| decision(*decided).into()).collect();
    proto::WayOut { message, decisions }
}

fn closed(snapshot: &Snapshot, closed: &Closed) -> proto::Rotation {
    let ended = proto::Rotation {
        create_time: Some(time(closed.intended_at)),
        end_time: Some(time(closed.closed_at)),
        calls: closed.calls,
        timings: Some(timings(&closed.timings)),
        ..asked(snapshot, closed.rotation_id, &closed.request)
    };
    match &closed.outcome {
        ClosedAs::Rotated { answer, publication, verified } => proto::Rotation {
            state: proto::RotationState::Succeeded.into(),
            verified: *verified,
            ..with_publication(with_answer(ended, answer), publication)
        },
        ClosedAs::Failed { refusal } => failed(ended, refused(refusal)),
        ClosedAs::NotApplied { doubt } => failed(
            ended,
            proto::Failure {
                reason: doubt.code().to_owned(),
                message: words::not_applied(doubt),
                problem: words::said(doubt).map(problem),
            },
        ),
        ClosedAs::Resolved { decision: decided } => proto::Rotation {
            state: proto::RotationState::Resolved.into(),
            decision: decision(*decided).into(),
            ..ended
        },
    }
}

fn failed(ended: proto::Rotation, failure: proto::Failure) -> proto::Rotation {
    proto::Rotation { state: proto::RotationState::Failed.into(), failure: Some(failure), ..ended }
}

fn refused(refusal: &Refusal) -> proto::Failure {
    proto::Failure {
        reason: refusal.class.code().to_owned(),
        message: words::failure(refusal),
        problem: Some(problem(&refusal.problem)),
    }
}

fn problem(problem: &Problem) -> proto::ProviderProblem {
    proto::ProviderProblem {
        http_status: problem.status.unwrap_or_default().into(),
        code: problem.code.clone().unwrap_or_default(),
        title: problem.title.clone().unwrap_or_default(),
        detail: problem.detail.clone().unwrap_or_default(),
        request_id: problem.request_id.clone().unwrap_or_default(),
        invalid_fields: problem.invalid_fields.clone(),
    }
}

fn with_answer(rotation: proto::Rotation, answer: &Answer) -> proto::Rotation {
    proto::Rotation {
        fingerprint: answer.fingerprint.to_string(),
        previous_expire_time: answer.previous_expires_at.map(time),
        ..rotation
    }
}

fn with_publication(rotation: proto::Rotation, publication: &Publication) -> proto::Rotation {
    proto::Rotation {
        entry_version: publication.version.0,
        publish_time: Some(time(publication.published_at)),
        ..rotation
    }
}

fn timings(timings: &Timings) -> proto::Timings {
    proto::Timings {
        provider: Some(microseconds(timings.provider_us)),
        vault: Some(microseconds(timings.vault_us)),
        escrow: Some(microseconds(timings.escrow_us)),
        own: Some(microseconds(timings.own_us)),
        waiting: Some(microseconds(timings.waiting_us)),
    }
}

const fn trigger(trigger: Trigger) -> proto::Trigger {
    match trigger {
        Trigger::Scheduled => proto::Trigger::Scheduled,
        Trigger::Manual => proto::Trigger::Manual,
    }
}

const fn decision(decision: Decision) -> proto::Decision {
    match decision {
        Decision::KeepCurrent => proto::Decision::KeepCurrent,
        Decision::PublishAnyway => proto::Decision::PublishAnyway,
        Decision::TryAgain => proto::Decision::TryAgain,
        Decision::RotateAgain => proto::Decision::RotateAgain,
    }
}
