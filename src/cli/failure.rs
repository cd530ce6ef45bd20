//! Why a command did not do what was asked, in words and as an exit code.

use std::io;
use std::path::Path;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::connect::root_cause;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::words::{plain, span};
use crate::mistake::Mistake;

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) exit: Exit,
    pub(super) what: String,
    pub(super) notes: Vec<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), notes: Vec::new() }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn mistakes(file: &Path, mistakes: &[Mistake]) -> Self {
        let count = mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        let mut failure = Self::new(Exit::Usage, format!("{} has {count} {noun}", file.display()));
        failure.notes.extend(mistakes.iter().map(Mistake::to_string));
        failure
    }

    /// Writes it where errors go, and gives its exit code.
    pub fn report(&self, console: &mut Console<'_>) -> Exit {
        let label = console.painted(Tone::Alarm, "error:");
        console.remark(&format!("{label} {}", self.what));
        for note in &self.notes {
            console.remark(&format!("  {note}"));
        }
        self.exit
    }
}

/// The output is lost, on a full disk say; a reader who has gone is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Unexpected, format!("the output cannot be written: {error}"))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| plain(&info.reason));
        // What broke on the way here has a source; what keyturn answers has none.
        if let Some(source) = std::error::Error::source(&status) {
            let what = format!("the connection to keyturn broke: {}", plain(&root_cause(source)));
            return Self::new(Exit::Unreachable, what).note("`keyturn status` shows where things are").note(
                "over TLS it may be that keyturn asks for a certificate: --cert-file FILE --key-file FILE",
            );
        }
        let message = plain(status.message());
        let what = match &reason {
            Some(reason) => format!("{message} [{reason}]"),
            None => format!("{message} ({})", status.code()),
        };
        let mut failure = Self::new(exit_of(status.code()), what);
        if let Some(precondition) = details.precondition_failure() {
            let texts = precondition.violations.iter().map(|violation| plain(&violation.description));
            failure.notes.extend(texts.filter(|text| *text != message && !text.is_empty()));
        }
        if let Some(bad_request) = details.bad_request() {
            let texts = bad_request.field_violations.iter();
            let texts =
                texts.map(|violation| plain(&format!("{}: {}", violation.field, violation.description)));
            failure.notes.extend(texts.filter(|text| *text != message));
        }
        if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            failure.notes.push(format!("possible again in {}", span(delay)));
        }
        let name = details.error_info().and_then(|info| info.metadata.get("credential"));
        let name = name.map_or_else(|| "NAME".to_owned(), |name| plain(name));
        failure.notes.extend(reason.as_deref().and_then(|reason| advice(reason, &name)));
        if reason.is_none() && status.code() == Code::Unavailable {
            failure
                .notes
                .push("the connection to keyturn broke; `keyturn status` shows where things are".into());
        }
        failure
    }
}

const fn exit_of(code: Code) -> Exit {
    match code {
        Code::Unavailable => Exit::Unreachable,
        Code::InvalidArgument | Code::NotFound => Exit::Usage,
        Code::FailedPrecondition
        | Code::Aborted
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted => Exit::Refused,
        _ => Exit::Unexpected,
    }
}

/// What helps, as a command, where the server's message cannot name one.
fn advice(reason: &str, name: &str) -> Option<String> {
    Some(match reason {
        "ROTATION_IN_PROGRESS" => format!("follow it with `keyturn watch {name}`"),
        "GRACE_WINDOW_OPEN" | "TOO_SOON" => {
            "`--emergency` goes ahead all the same; applications that still use the old key may break"
                .to_owned()
        }
        "CREDENTIAL_PAUSED" => format!("`keyturn resume {name}` ends the pause"),
        "CREDENTIAL_NOT_FOUND" => "`keyturn status` lists the credentials".to_owned(),
        "ROTATION_NOT_FOUND" => format!("`keyturn history {name}` lists the rotations"),
        "DECISION_NOT_POSSIBLE" => format!("`keyturn status {name}` lists the possible decisions"),
        "STOPPING" => "try again when keyturn is back; nothing is lost".to_owned(),
        _ => return None,
    })
}
