//! Waiting until a round's credential has come to rest, as record and sidecars both say.

use std::time::Duration;

use keyturn::api::proto::{Credential, RotationState};
use keyturn::rotation::owed_for_at_most;
use keyturn::testbed::CallOutcome;
use keyturn::testbed::Operation;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::stage::Stage;

/// Where a credential has come to.
#[derive(Debug, Clone)]
pub(crate) enum Rest {
    /// No rotation is open, nothing is pending.
    Idle(Box<Credential>),
    /// A person is asked.
    Halted(Box<Credential>),
    /// Nothing goes on before a person has looked.
    Held(Box<Credential>),
    /// It did not come to rest in time.
    Stuck(String),
}

/// How long a credential may take to come to rest once the fault is gone.
const PATIENCE: Duration = Duration::from_mins(1);
/// After each lost try its key is cleared away first, and as long a quiet follows; three tries may be lost.
const LOST_TRIES: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Holds that only a person ends.
const FOR_A_PERSON: &[&str] = &[
    "ESCROW_DAMAGED",
    "RECORD_BEHIND_ENTRY",
    "ESCROW_IDENTITY_WRONG",
    "ESCROW_FOREIGN",
    "FIRST_SECRET_MISSING",
    "ENTRY_IN_NO_SLOT",
];

/// Waits for it.
pub(crate) async fn settled(stage: &mut Stage<'_>) -> Rest {
    let deadline = Instant::now() + PATIENCE + owed_for_at_most(stage.provider.plan()) * LOST_TRIES;
    let mut last = String::from("nothing was seen");
    while Instant::now() < deadline {
        if let Some(death) = death(stage) {
            return Rest::Stuck(death);
        }
        match look(stage).await {
            Ok(rest) => return rest,
            Err(seen) => last = seen,
        }
        sleep(LOOK_EVERY).await;
    }
    Rest::Stuck(last)
}

/// A process that ended by itself.
fn death(stage: &mut Stage<'_>) -> Option<String> {
    stage.replicas.iter_mut().find_map(|replica| {
        let status = replica.sidecar.as_mut()?.ended_with().ok()??;
        Some(format!("keyturn ended with {status}"))
    })
}

/// The rest, if record, provider and a sidecar agree on it; else what was seen.
async fn look(stage: &Stage<'_>) -> Result<Rest, String> {
    if in_flight(stage) {
        return Err("the provider works on a call".into());
    }
    let record = stage.record().await.map_err(|error| format!("the record cannot be read: {error:#}"))?;
    let phase = record.as_ref().and_then(|record| record.pointer("/state/phase/phase"));
    let phase = phase.and_then(Value::as_str).unwrap_or("none").to_owned();
    let mut seen = format!("the record is {phase}");
    let mut rest = None;
    for sidecar in stage.sidecars() {
        let asked = timeout(Duration::from_secs(2), sidecar.credential(stage.provider.name())).await;
        let view = asked
            .map_err(|_| format!("{seen}; no answer"))?
            .map_err(|error| format!("{seen}; {}", error.to_string().lines().next().unwrap_or_default()))?;
        seen.push_str("; ");
        seen.push_str(&in_words(&view));
        let this = rest_of(view, &phase).ok_or_else(|| seen.clone())?;
        rest = Some(newer(rest, this));
    }
    rest.ok_or(seen)
}

/// A sidecar that rests may not know yet of what another did.
fn newer(known: Option<Rest>, this: Rest) -> Rest {
    match (known, &this) {
        (Some(known), Rest::Idle(view)) if last_id(&known) > last_id(&Rest::Idle(view.clone())) => known,
        (Some(known @ (Rest::Halted(_) | Rest::Held(_))), _) => known,
        _ => this,
    }
}

fn last_id(rest: &Rest) -> Option<String> {
    match rest {
        Rest::Idle(view) => view.last_rotation.as_ref().map(|last| last.rotation_id.clone()),
        _ => None,
    }
}

fn in_flight(stage: &Stage<'_>) -> bool {
    let operations = [
        Operation::Regenerate,
        Operation::Read,
        Operation::Probe,
        Operation::Token,
        Operation::List,
        Operation::Revoke,
    ];
    let calls = operations.into_iter().flat_map(|operation| stage.simulator.calls_of(operation));
    calls.into_iter().any(|call| call.outcome == CallOutcome::InFlight)
}

fn rest_of(view: Credential, phase: &str) -> Option<Rest> {
    let held = view.hold.as_ref().map(|hold| hold.reason.as_str());
    if held.is_some_and(|reason| FOR_A_PERSON.contains(&reason)) {
        return Some(Rest::Held(Box::new(view)));
    }
    if !view.loaded || held.is_some() {
        return None;
    }
    match (&view.current_rotation, phase) {
        (None, "idle") if view.retry.is_none() => Some(Rest::Idle(Box::new(view))),
        (Some(open), "halted") if open.state() == RotationState::Halted => Some(Rest::Halted(Box::new(view))),
        _ => None,
    }
}

/// What a sidecar says of its credential, shortly.
pub(crate) fn in_words(view: &Credential) -> String {
    let mut words = vec![view.activity().as_str_name().to_owned()];
    if !view.loaded {
        words.push("not loaded".into());
    }
    if let Some(open) = &view.current_rotation {
        words.push(open.state().as_str_name().to_owned());
        words.extend(open.unknown.as_ref().map(|unknown| unknown.reason.clone()));
    }
    words.extend(view.hold.as_ref().map(|hold| format!("held: {} ({})", hold.reason, hold.message)));
    words.extend(view.retry.as_ref().map(|retry| format!("failed {} times, tries again", retry.failures)));
    words.join(", ")
}
