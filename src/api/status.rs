//! Errors as callers see them: a gRPC code, a stable reason, and the google.rpc details that help.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::engine::Rejection;
use crate::ids::{CredentialName, RotationId};
use crate::rotation::HISTORY_MAX;

/// The domain of every `google.rpc.ErrorInfo` that keyturn sends.
pub const ERROR_DOMAIN: &str = "keyturn.dev";

/// When somebody may ask again for whom there was no room.
const WATCH_RETRY_DELAY: Duration = Duration::from_secs(10);

/// A task's refusal. Nothing in here is UNAVAILABLE but the shutdown, because clients repeat that by themselves.
pub(super) fn rejected(rejection: &Rejection, credential: &CredentialName, now: Timestamp) -> Status {
    let message = rejection.to_string();
    let mut details = ErrorDetails::new();
    details.set_error_info(rejection.code(), ERROR_DOMAIN, metadata(rejection, credential));
    if let Some(until) = not_before(rejection) {
        details.set_retry_info(Some(now.duration_until(until).try_into().unwrap_or_default()));
    }
    let code = match rejection {
        Rejection::InProgress { .. } => Code::Aborted,
        Rejection::RequestIdReused { .. } => {
            details.add_bad_request_violation("request_id", "was used before for another request");
            Code::InvalidArgument
        }
        Rejection::Stopping => Code::Unavailable,
        Rejection::GraceWindowOpen { .. }
        | Rejection::TooSoon { .. }
        | Rejection::KeySlotsFull { .. }
        | Rejection::Paused { .. }
        | Rejection::NotOpen { .. }
        | Rejection::TooLateToCancel { .. }
        | Rejection::DecisionNotPossible { .. }
        | Rejection::Held { .. } => {
            details.add_precondition_failure_violation(rejection.code(), credential.as_str(), &message);
            Code::FailedPrecondition
        }
    };
    Status::with_error_details(code, message, details)
}

fn metadata(rejection: &Rejection, credential: &CredentialName) -> HashMap<String, String> {
    let mut metadata = HashMap::from([("credential".to_owned(), credential.to_string())]);
    if let Rejection::InProgress { rotation_id }
    | Rejection::NotOpen { rotation_id }
    | Rejection::TooLateToCancel { rotation_id } = rejection
    {
        metadata.insert("rotation_id".to_owned(), rotation_id.to_string());
    }
    if let Some(until) = not_before(rejection) {
        metadata.insert("until".to_owned(), until.to_string());
    }
    metadata
}

const fn not_before(rejection: &Rejection) -> Option<Timestamp> {
    match rejection {
        Rejection::GraceWindowOpen { until }
        | Rejection::TooSoon { until }
        | Rejection::KeySlotsFull { until } => Some(*until),
        _ => None,
    }
}

/// A task did not answer in time. The request may have been taken, so this is no code that clients repeat.
pub(super) fn no_answer(credential: &CredentialName) -> Status {
    let message = format!(
        "{credential} has not answered in time, and may have taken the request; look at it, or repeat the call with \
         the same request_id"
    );
    let metadata = HashMap::from([("credential".to_owned(), credential.to_string())]);
    let details = ErrorDetails::with_error_info("NO_ANSWER", ERROR_DOMAIN, metadata);
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// A field of the request that cannot be understood.
pub(super) fn invalid(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let message = format!("{field}: {description}");
    let mut details = ErrorDetails::with_bad_request_violation(field, description);
    details.set_error_info("INVALID_REQUEST", ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The request id was used before, for another request.
pub(super) fn request_id_reused(request_id: &str) -> Status {
    let rejection = Rejection::RequestIdReused { request_id: request_id.to_owned() };
    let mut details = ErrorDetails::with_error_info(rejection.code(), ERROR_DOMAIN, HashMap::new());
    details.add_bad_request_violation("request_id", "was used before for another request");
    Status::with_error_details(Code::InvalidArgument, rejection.to_string(), details)
}

/// No credential of that name is configured here.
pub(super) fn credential_not_found(name: &CredentialName) -> Status {
    not_found(
        "CREDENTIAL_NOT_FOUND",
        "credential",
        &name.to_string(),
        "no credential of that name is configured here",
    )
}

/// No credential remembers a rotation of that id.
pub(super) fn rotation_not_found(id: RotationId) -> Status {
    let description = format!(
        "no such rotation is queued or open here, and it is not among the last {HISTORY_MAX} that each \
         credential closed"
    );
    not_found("ROTATION_NOT_FOUND", "rotation_id", &id.to_string(), &description)
}

fn not_found(reason: &str, kind: &str, name: &str, description: &str) -> Status {
    let metadata = HashMap::from([(kind.to_owned(), name.to_owned())]);
    let resource = format!("keyturn.v1.{}", if kind == "credential" { "Credential" } else { "Rotation" });
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
    details.set_resource_info(resource, name, "", description);
    Status::with_error_details(Code::NotFound, format!("{name}: {description}"), details)
}

/// The caller may look and ask for ordinary rotations, and this is more.
pub(super) fn operators_only(caller: &str, act: &str) -> Status {
    let message = format!(
        "{act} is for operators, and {caller} is none; nothing was done. Call as one of the users in \
         `listen.operators` or with one of the certificates in `listen.tcp.tls.operators`, or have the owner of keyturn's configuration add this one"
    );
    let metadata = HashMap::from([("caller".to_owned(), caller.to_owned())]);
    let details = ErrorDetails::with_error_info("OPERATORS_ONLY", ERROR_DOMAIN, metadata);
    Status::with_error_details(Code::PermissionDenied, message, details)
}

/// The caller may look, and showed nothing by which it could be told from others.
pub(super) fn identity_needed(caller: &str, act: &str) -> Status {
    let message = format!(
        "{act} needs a caller that can be told from others, and {caller} showed no client certificate; nothing was \
         done. Call on the Unix socket, or have the owner of keyturn's configuration give `listen.tcp.tls.client_ca_file`"
    );
    let metadata = HashMap::from([("caller".to_owned(), caller.to_owned())]);
    let details = ErrorDetails::with_error_info("IDENTITY_NEEDED", ERROR_DOMAIN, metadata);
    Status::with_error_details(Code::Unauthenticated, message, details)
}

/// There is no room for another watch stream.
pub(super) fn too_many_watches() -> Status {
    let message = "this process has no room for another watch; end one, name the credentials to watch, or ask \
                   again later";
    let mut details = ErrorDetails::with_error_info("TOO_MANY_WATCHES", ERROR_DOMAIN, HashMap::new());
    details.set_retry_info(Some(WATCH_RETRY_DELAY));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The server shuts down, and a stream ends with it.
pub(super) fn stopping() -> Status {
    let details = ErrorDetails::with_error_info(Rejection::Stopping.code(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(Code::Unavailable, Rejection::Stopping.to_string(), details)
}
