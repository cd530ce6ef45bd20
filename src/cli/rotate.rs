//! `keyturn rotate`: ask for a rotation and, with `--wait`, stay until it has ended.

use tonic::Code;
use uuid::Uuid;

use super::arguments::RotateArguments;
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::follow;
use super::sentences::{verdict, way_out};
use super::view::{RotationView, Standing};
use crate::api::proto::RotateRequest;

pub(super) async fn rotate(
    arguments: RotateArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request_id = arguments.request_id.unwrap_or_else(|| Uuid::now_v7().to_string());
    let request = RotateRequest {
        credential: arguments.credential.to_string(),
        emergency: arguments.emergency,
        request_id: request_id.clone(),
    };
    let answer = session.rotations.rotate(request).await.map_err(|status| match status.code() {
        Code::Unavailable => {
            Failure::from(status).note(format!("it is safe to ask again with --request-id {request_id}"))
        }
        _ => status.into(),
    })?;
    let missing = || Failure::new(Exit::Unexpected, "keyturn answered without the rotation");
    let rotation = answer.into_inner().rotation.map(RotationView::new).ok_or_else(missing)?;
    if !arguments.wait {
        return started(&rotation, console);
    }
    let last = follow::to_the_end(rotation, session, console).await?;
    ended(&last, console)
}

fn started(rotation: &RotationView, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if console.is_table() {
        let RotationView { rotation_id, credential, state, .. } = rotation;
        console.say(&format!("rotation {rotation_id} of {credential} is {state}"))?;
        console.paint(Tone::Faint, &format!("follow it with: keyturn watch {credential}"))?;
    } else {
        console.document(rotation)?;
    }
    Ok(Exit::Done)
}

/// Says how a followed rotation stands at its end.
pub(super) fn ended(rotation: &RotationView, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (tone, exit) = match rotation.standing {
        Standing::Rotated => (Tone::Good, Exit::Done),
        Standing::PersonNeeded | Standing::Unknown => (Tone::Alarm, Exit::PersonNeeded),
        Standing::NotRotated => (Tone::Alarm, Exit::NotRotated),
        Standing::Open => (Tone::Caution, Exit::Unexpected),
    };
    if !console.is_table() {
        console.document(rotation)?;
        return Ok(exit);
    }
    let verdict = verdict(rotation, console.now());
    console.paint(tone, &verdict)?;
    if let Some(cause) = &rotation.cause {
        for line in way_out(rotation, cause) {
            console.say(&line)?;
        }
    }
    Ok(exit)
}
