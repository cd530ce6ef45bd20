//! What the API's messages come to, for tables, JSON and YAML alike. Its member names are a promise to scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::words::{plain, word};
use crate::api::proto;

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CredentialView {
    pub(super) name: String,
    pub(super) provider: String,
    pub(super) store: String,
    /// The entry's fields for what goes with the secret, by the definition's names.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) entry_version: Option<u64>,
    pub(super) loaded: bool,
    pub(super) follower: bool,
    pub(super) activity: String,
    pub(super) current_rotation: Option<RotationView>,
    pub(super) last_rotation: Option<RotationView>,
    pub(super) last_success_time: Option<Timestamp>,
    pub(super) next_due_time: Option<Timestamp>,
    pub(super) previous_expire_time: Option<Timestamp>,
    pub(super) adopt_time: Option<Timestamp>,
    pub(super) pause: Option<PauseView>,
    pub(super) hold: Option<HoldView>,
    pub(super) retry: Option<RetryView>,
    pub(super) conditions: Vec<ConditionView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PauseView {
    pub(super) since_time: Option<Timestamp>,
    pub(super) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct HoldView {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) since_time: Option<Timestamp>,
    pub(super) next_try_time: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RetryView {
    pub(super) next_try_time: Option<Timestamp>,
    pub(super) failures: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ConditionView {
    pub(super) reason: String,
    pub(super) message: String,
}

/// One rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RotationView {
    pub(super) rotation_id: String,
    pub(super) credential: String,
    pub(super) provider: String,
    pub(super) store: String,
    pub(super) state: String,
    pub(super) activity: String,
    pub(super) trigger: String,
    pub(super) emergency: bool,
    pub(super) caller: String,
    pub(super) create_time: Option<Timestamp>,
    pub(super) end_time: Option<Timestamp>,
    pub(super) calls: u32,
    pub(super) fingerprint: String,
    pub(super) entry_version: Option<u64>,
    pub(super) previous_expire_time: Option<Timestamp>,
    pub(super) verified: bool,
    pub(super) hold: Option<HoldView>,
    /// Why it failed, is unknown, or halted.
    pub(super) cause: Option<CauseView>,
    pub(super) decision: Option<String>,
    pub(super) seconds: Option<TimingsView>,
    #[serde(skip)]
    pub(super) standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CauseView {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) since_time: Option<Timestamp>,
    /// What the provider said, for its support desk.
    pub(super) provider_said: Option<String>,
    pub(super) way_out: Option<String>,
    pub(super) decisions: Vec<String>,
}

/// Where a rotation's time went, in seconds to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TimingsView {
    pub(super) provider: String,
    pub(super) vault: String,
    pub(super) escrow: String,
    pub(super) own: String,
    pub(super) waiting: String,
}

/// What a rotation's state means for who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Unknown,
    PersonNeeded,
    Rotated,
    NotRotated,
}

impl CredentialView {
    pub(super) fn new(credential: proto::Credential) -> Self {
        let activity = proto::Activity::try_from(credential.activity).unwrap_or_default();
        Self {
            name: plain(&credential.name),
            provider: plain(&credential.provider),
            store: plain(&credential.store),
            fields: credential.fields.iter().map(|(name, field)| (plain(name), plain(field))).collect(),
            entry_version: nonzero(credential.entry_version),
            loaded: credential.loaded,
            follower: credential.role == proto::Role::Follower as i32,
            activity: word(activity.as_str_name(), "ACTIVITY_"),
            current_rotation: credential.current_rotation.map(RotationView::new),
            last_rotation: credential.last_rotation.map(RotationView::new),
            last_success_time: time(credential.last_success_time),
            next_due_time: time(credential.next_due_time),
            previous_expire_time: time(credential.previous_expire_time),
            adopt_time: time(credential.adopt_time),
            pause: credential
                .pause
                .map(|pause| PauseView { since_time: time(pause.since_time), reason: plain(&pause.reason) }),
            hold: credential.hold.as_ref().map(hold),
            retry: credential.retry.map(|retry| RetryView {
                next_try_time: time(retry.next_try_time),
                failures: retry.failures,
            }),
            conditions: credential.conditions.iter().map(condition).collect(),
        }
    }
}

impl RotationView {
    pub(super) fn new(rotation: proto::Rotation) -> Self {
        let state = rotation.state();
        let decision = rotation.decision();
        Self {
            state: word(state.as_str_name(), "ROTATION_STATE_"),
            activity: match rotation.activity() {
                proto::Activity::Unspecified => String::new(),
                activity => word(activity.as_str_name(), "ACTIVITY_"),
            },
            trigger: word(rotation.trigger().as_str_name(), "TRIGGER_"),
            decision: (decision != proto::Decision::Unspecified).then(|| decision_word(decision)),
            standing: standing(state),
            emergency: rotation.emergency,
            create_time: time(rotation.create_time),
            end_time: time(rotation.end_time),
            calls: rotation.calls,
            entry_version: nonzero(rotation.entry_version),
            previous_expire_time: time(rotation.previous_expire_time),
            verified: rotation.verified,
            rotation_id: plain(&rotation.rotation_id),
            credential: plain(&rotation.credential),
            provider: plain(&rotation.provider),
            store: plain(&rotation.store),
            caller: plain(&rotation.caller),
            fingerprint: plain(&rotation.fingerprint),
            hold: rotation.hold.as_ref().map(hold),
            cause: cause(rotation.failure, rotation.unknown, rotation.halt),
            seconds: rotation.timings.map(timings),
        }
    }
}

pub(super) fn decision_word(decision: proto::Decision) -> String {
    word(decision.as_str_name(), "DECISION_")
}

const fn standing(state: proto::RotationState) -> Standing {
    use proto::RotationState as State;
    match state {
        State::Unknown => Standing::Unknown,
        State::Halted => Standing::PersonNeeded,
        State::Succeeded => Standing::Rotated,
        State::Failed | State::Resolved | State::Cancelled => Standing::NotRotated,
        State::Unspecified
        | State::Queued
        | State::Intended
        | State::Answered
        | State::Staged
        | State::Published => Standing::Open,
    }
}

fn cause(
    failure: Option<proto::Failure>,
    unknown: Option<proto::Unknown>,
    halt: Option<proto::Halt>,
) -> Option<CauseView> {
    let view = |reason: &str, message: &str| CauseView {
        reason: plain(reason),
        message: plain(message),
        since_time: None,
        provider_said: None,
        way_out: None,
        decisions: Vec::new(),
    };
    if let Some(failure) = failure {
        let provider_said = failure.problem.as_ref().map(problem);
        return Some(CauseView { provider_said, ..view(&failure.reason, &failure.message) });
    }
    let (reason, message, since, way_out) = match (unknown, halt) {
        (_, Some(halt)) => (halt.reason, halt.message, halt.since_time, halt.way_out),
        (Some(unknown), None) => (unknown.reason, unknown.message, unknown.since_time, unknown.way_out),
        (None, None) => return None,
    };
    let decisions = way_out.iter().flat_map(proto::WayOut::decisions).map(decision_word).collect();
    let way_out = way_out.as_ref().map(|way_out| plain(&way_out.message));
    Some(CauseView { since_time: time(since), way_out, decisions, ..view(&reason, &message) })
}

fn problem(problem: &proto::ProviderProblem) -> String {
    let mut parts = Vec::new();
    if problem.http_status != 0 {
        parts.push(format!("HTTP {}", problem.http_status));
    }
    parts.extend(
        [&problem.code, &problem.title, &problem.detail].into_iter().filter(|text| !text.is_empty()).cloned(),
    );
    if !problem.invalid_fields.is_empty() {
        parts.push(format!("invalid fields: {}", problem.invalid_fields.join(", ")));
    }
    if !problem.request_id.is_empty() {
        parts.push(format!("request id {}", problem.request_id));
    }
    plain(&parts.join(", "))
}

fn hold(hold: &proto::Hold) -> HoldView {
    HoldView {
        reason: plain(&hold.reason),
        message: plain(&hold.message),
        since_time: time(hold.since_time),
        next_try_time: time(hold.next_try_time),
    }
}

fn condition(condition: &proto::Condition) -> ConditionView {
    ConditionView { reason: plain(&condition.reason), message: plain(&condition.message) }
}

fn timings(timings: proto::Timings) -> TimingsView {
    let seconds = |length: Option<prost_types::Duration>| {
        let length = length.and_then(|length| Duration::try_from(length).ok()).unwrap_or_default();
        format!("{:.6}", length.as_secs_f64())
    };
    TimingsView {
        provider: seconds(timings.provider),
        vault: seconds(timings.vault),
        escrow: seconds(timings.escrow),
        own: seconds(timings.own),
        waiting: seconds(timings.waiting),
    }
}

fn time(time: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
}

fn nonzero(version: u64) -> Option<u64> {
    Some(version).filter(|version| *version != 0)
}
