//! From the engine's snapshots to the messages of the API; the only place that reads them.

mod rotation;

use std::time::Duration;

use jiff::Timestamp;

use super::proto;
use crate::engine::{Activity, Condition, Finding, Hold, PlanReport, Role, Snapshot};
use crate::rotation::{Pause, Retry, State};

pub(super) use rotation::{cancelled, is_final, queued, rotation, rotation_ids};

/// One credential as its task sees it now.
pub(super) fn credential(snapshot: &Snapshot) -> proto::Credential {
    let state = snapshot.state.as_deref();
    proto::Credential {
        name: snapshot.credential.to_string(),
        provider: snapshot.provider.clone(),
        store: snapshot.store.to_string(),
        loaded: state.is_some(),
        role: role(snapshot.role).into(),
        activity: activity(snapshot.activity).into(),
        current_rotation: rotation::current(snapshot),
        last_rotation: rotation::last(snapshot),
        last_success_time: state.and_then(State::last_rotated).map(|closed| time(closed.closed_at)),
        next_due_time: snapshot.next_due.map(time),
        pause: state.and_then(|state| state.pause.as_ref()).map(pause),
        hold: snapshot.hold.as_ref().map(hold),
        retry: state.and_then(|state| state.retry.as_ref()).map(retry),
        conditions: snapshot.conditions.iter().map(condition).collect(),
        previous_expire_time: state.and_then(State::grace_until).map(time),
        entry_version: snapshot.entry_version.unwrap_or_default().0,
        adopt_time: state.map(|state| time(state.adopted_at)),
        fields: snapshot.fields.clone(),
    }
}

/// What a rotation would do.
pub(super) fn plan(report: PlanReport) -> proto::PlanRotationResponse {
    proto::PlanRotationResponse {
        steps: report.steps,
        if_answer_is_lost: report.if_answer_is_lost,
        old_key: report.old_key,
        a_person_is_asked: report.a_person_is_asked,
        findings: report.findings.into_iter().map(finding).collect(),
    }
}

fn finding(finding: Finding) -> proto::Finding {
    proto::Finding { reason: finding.code.to_owned(), message: finding.message, blocking: finding.blocking }
}

const fn role(role: Role) -> proto::Role {
    match role {
        Role::Own => proto::Role::Own,
        Role::Follower => proto::Role::Follower,
    }
}

const fn activity(activity: Activity) -> proto::Activity {
    match activity {
        Activity::Loading => proto::Activity::Loading,
        Activity::Idle => proto::Activity::Idle,
        Activity::Preflight => proto::Activity::Preflight,
        Activity::Saving => proto::Activity::Saving,
        Activity::Calling => proto::Activity::Calling,
        Activity::Sealing => proto::Activity::Sealing,
        Activity::Reading => proto::Activity::Reading,
        Activity::Probing => proto::Activity::Probing,
        Activity::Publishing => proto::Activity::Publishing,
        Activity::Waiting => proto::Activity::Waiting,
        Activity::Held => proto::Activity::Held,
        Activity::Stopped => proto::Activity::Stopped,
    }
}

fn hold(hold: &Hold) -> proto::Hold {
    proto::Hold {
        reason: hold.code.to_owned(),
        message: hold.message.clone(),
        since_time: Some(time(hold.since)),
        next_try_time: Some(time(hold.next_try_at)),
    }
}

fn pause(pause: &Pause) -> proto::Pause {
    proto::Pause { since_time: Some(time(pause.since)), reason: pause.reason.clone() }
}

fn retry(retry: &Retry) -> proto::Retry {
    proto::Retry { next_try_time: Some(time(retry.not_before)), failures: retry.failures }
}

fn condition(condition: &Condition) -> proto::Condition {
    proto::Condition { reason: condition.code.to_owned(), message: condition.message.clone() }
}

fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }.normalized()
}

fn microseconds(microseconds: u64) -> prost_types::Duration {
    Duration::from_micros(microseconds).try_into().unwrap_or_default()
}
