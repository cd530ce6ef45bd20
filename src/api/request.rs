//! What callers send, checked at the edge: every mistake names its field.

use tonic::Status;

use super::{proto, status};
use crate::engine::{Fleet, Handle};
use crate::ids::{CredentialName, RotationId};
use crate::rotation::Decision;

/// The longest request id, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// The longest pause reason, in characters.
const PAUSE_REASON_MAX: usize = 500;

/// A required credential's name.
pub(super) fn credential_name(text: &str, field: &str) -> Result<CredentialName, Status> {
    text.parse().map_err(|error| status::invalid(field, format!("{error}")))
}

/// The handle of a required credential.
pub(super) fn credential(fleet: &Fleet, text: &str, field: &str) -> Result<(CredentialName, Handle), Status> {
    let name = credential_name(text, field)?;
    let handle = fleet.get(&name).ok_or_else(|| status::credential_not_found(&name))?;
    Ok((name, handle))
}

/// A credential's name that may be left out.
pub(super) fn optional_credential(
    fleet: &Fleet,
    text: &str,
) -> Result<Option<(CredentialName, Handle)>, Status> {
    if text.is_empty() { Ok(None) } else { credential(fleet, text, "credential").map(Some) }
}

/// A required rotation id.
pub(super) fn rotation_id(text: &str) -> Result<RotationId, Status> {
    text.parse().map_err(|error| status::invalid("rotation_id", format!("{error}")))
}

/// A request id; `None` where the caller gave none.
pub(super) fn request_id(text: String) -> Result<Option<String>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > REQUEST_ID_MAX || !text.chars().all(|c| c.is_ascii_graphic()) {
        let rule = format!("is 1 to {REQUEST_ID_MAX} visible ASCII characters, such as a UUID");
        return Err(status::invalid("request_id", rule));
    }
    Ok(Some(text))
}

/// Why a person pauses a credential.
pub(super) fn pause_reason(text: String) -> Result<String, Status> {
    if text.chars().count() > PAUSE_REASON_MAX || text.chars().any(char::is_control) {
        let rule =
            format!("is at most {PAUSE_REASON_MAX} characters without line breaks or control characters");
        return Err(status::invalid("reason", rule));
    }
    Ok(text)
}

/// A person's decision.
pub(super) fn decision(number: i32) -> Result<Decision, Status> {
    match proto::Decision::try_from(number) {
        Ok(proto::Decision::KeepCurrent) => Ok(Decision::KeepCurrent),
        Ok(proto::Decision::PublishAnyway) => Ok(Decision::PublishAnyway),
        Ok(proto::Decision::TryAgain) => Ok(Decision::TryAgain),
        Ok(proto::Decision::RotateAgain) => Ok(Decision::RotateAgain),
        Ok(proto::Decision::Unspecified) => Err(status::invalid("decision", "is required")),
        Err(_) => Err(status::invalid("decision", "is not a decision that this server knows")),
    }
}
