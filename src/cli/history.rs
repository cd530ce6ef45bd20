//! `keyturn history`: a credential's last rotations.

use jiff::Timestamp;

use super::arguments::HistoryArguments;
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::table;
use super::view::{RotationView, Standing};
use super::words::{moment, span};
use crate::api::proto::ListRotationsRequest;

pub(super) async fn history(
    arguments: HistoryArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request = ListRotationsRequest {
        credential: arguments.credential.to_string(),
        page_size: 200,
        page_token: String::new(),
    };
    let answer = session.rotations.list_rotations(request).await?.into_inner();
    let rotations: Vec<RotationView> = answer.rotations.into_iter().map(RotationView::new).collect();
    if !console.is_table() {
        console.document(&rotations)?;
    } else if rotations.is_empty() {
        console.say(&format!("{} was never rotated by keyturn", arguments.credential))?;
    } else {
        let header = ["STARTED", "ROTATION", "OUTCOME", "TRIGGER", "TOOK", "CALLS", "VERSION", "DETAIL"];
        let now = console.now();
        table::print(console, header, rotations.iter().map(|rotation| row(rotation, now)))?;
    }
    Ok(Exit::Done)
}

fn row(rotation: &RotationView, now: Timestamp) -> (Tone, [String; 8]) {
    let tone = match rotation.standing {
        Standing::Rotated => Tone::Plain,
        Standing::Open => Tone::Strong,
        Standing::NotRotated => Tone::Caution,
        Standing::Unknown | Standing::PersonNeeded => Tone::Alarm,
    };
    let took = rotation.create_time.map(|start| {
        let end = rotation.end_time.unwrap_or(now);
        span(end.duration_since(start).unsigned_abs())
    });
    let trigger = if rotation.emergency { "emergency".to_owned() } else { rotation.trigger.clone() };
    let row = [
        rotation.create_time.map_or_else(|| "-".to_owned(), moment),
        rotation.rotation_id.clone(),
        rotation.state.clone(),
        trigger,
        took.unwrap_or_else(|| "-".to_owned()),
        rotation.calls.to_string(),
        rotation.entry_version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
        detail(rotation),
    ];
    (tone, row)
}

fn detail(rotation: &RotationView) -> String {
    let cause = rotation.cause.as_ref().map(|cause| cause.reason.clone());
    let decision = rotation.decision.as_ref().map(|decision| format!("as {decision}"));
    let caller =
        Some(&rotation.caller).filter(|caller| !caller.is_empty()).map(|caller| format!("by {caller}"));
    let parts: Vec<String> = [cause, decision, caller].into_iter().flatten().collect();
    parts.join(", ")
}
