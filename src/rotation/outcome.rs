//! What one provider call came to: four outcomes, and no fifth.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The outcome of one call to a provider's regenerate endpoint.
///
/// `S` is what an applied call hands over: the answer with its secret in the shell, its facts in the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<S> {
    /// The provider did not act; the old key still stands.
    NotApplied(Refusal),
    /// The provider acted and showed the new key.
    Applied(S),
    /// The provider acted and did not show the new key.
    AppliedNoValue,
    /// Nobody can tell yet whether the provider acted.
    Unknown(Doubt),
}

impl<S> Outcome<S> {
    /// The same outcome with another view of the answer.
    pub fn map<T>(self, view: impl FnOnce(S) -> T) -> Outcome<T> {
        match self {
            Self::NotApplied(refusal) => Outcome::NotApplied(refusal),
            Self::Applied(answer) => Outcome::Applied(view(answer)),
            Self::AppliedNoValue => Outcome::AppliedNoValue,
            Self::Unknown(doubt) => Outcome::Unknown(doubt),
        }
    }
}

/// Why the provider certainly did not act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal it is; decides whether trying later can help.
    pub class: RefusalClass,
    /// What the provider said about it, or what failed before it could say anything.
    pub problem: Problem,
    /// How long the provider asked us to stay away.
    pub retry_after: Option<Duration>,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalClass {
    /// The call was not made: name resolution, connect or TLS failed, or no access token could be had now.
    Unreachable,
    /// 429: the provider limits the rate.
    RateLimited,
    /// An earlier request with the same idempotency key is still being worked on.
    InProgress,
    /// 401: the credential that signs the call is not accepted.
    Unauthenticated,
    /// 403: it is accepted, but may not do this.
    Forbidden,
    /// 404: what should be regenerated does not exist.
    NotFound,
    /// 409: the provider's state does not allow it.
    Conflict,
    /// 400, 422 and other 4xx: the request is wrong.
    Invalid,
}

impl RefusalClass {
    /// Whether the cause can go away without a person; a refused 4xx is never tried again by itself.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::RateLimited | Self::InProgress)
    }

    /// The stable name of the class in metrics, status details and documentation.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "PROVIDER_UNREACHABLE",
            Self::RateLimited => "PROVIDER_RATE_LIMITED",
            Self::InProgress => "PROVIDER_IN_PROGRESS",
            Self::Unauthenticated => "PROVIDER_UNAUTHENTICATED",
            Self::Forbidden => "PROVIDER_FORBIDDEN",
            Self::NotFound => "PROVIDER_NOT_FOUND",
            Self::Conflict => "PROVIDER_CONFLICT",
            Self::Invalid => "PROVIDER_INVALID_REQUEST",
        }
    }
}

/// What is safe to show of a provider's error: parsed members, bounded, never the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The provider's own code or problem type.
    pub code: Option<String>,
    /// A short summary.
    pub title: Option<String>,
    /// An explanation of this occurrence.
    pub detail: Option<String>,
    /// The provider's reference for the request, for its support desk.
    pub request_id: Option<String>,
    /// The names of the fields that the provider found invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid_fields: Vec<String>,
}

impl Problem {
    /// A problem that keyturn found itself, before or after HTTP.
    pub fn local(title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..Self::default() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.status.map(|status| format!("HTTP {status}")));
        parts.extend(self.code.clone());
        parts.extend(self.title.clone());
        parts.extend(self.detail.clone());
        if !self.invalid_fields.is_empty() {
            parts.push(format!("invalid fields: {}", self.invalid_fields.join(", ")));
        }
        parts.extend(self.request_id.as_ref().map(|id| format!("request id {id}")));
        f.write_str(&parts.join(", "))
    }
}

/// Why it is not known whether the provider acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "snake_case")]
pub enum Doubt {
    /// No answer came in time after the request was sent.
    Timeout,
    /// The connection broke after the request was sent.
    ConnectionLost,
    /// The provider answered with a status that does not say whether it acted (5xx, 3xx, 1xx).
    Status {
        /// What it said.
        problem: Problem,
    },
    /// The provider reported success, but the body was cut, too large or not what its contract says.
    Unreadable {
        /// What is wrong with it, without a byte of it.
        problem: Problem,
    },
    /// The provider reported success without a value.
    NoValue,
    /// keyturn died between sending the request and sealing the answer.
    Crashed,
    /// The replica that sent the request was lost, and with it what it heard.
    HolderLost,
    /// An earlier call of this rotation is in doubt, and the one that should settle it was refused.
    Refused {
        /// The refusal.
        refusal: Refusal,
    },
}

impl Doubt {
    /// The stable name in metrics, status details and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "ANSWER_TIMEOUT",
            Self::ConnectionLost => "ANSWER_CONNECTION_LOST",
            Self::Status { .. } => "ANSWER_STATUS",
            Self::Unreadable { .. } => "ANSWER_UNREADABLE",
            Self::NoValue => "ANSWER_WITHOUT_VALUE",
            Self::Crashed => "CRASHED_BEFORE_ANSWER",
            Self::HolderLost => "HOLDER_LOST",
            Self::Refused { .. } => "SETTLING_CALL_REFUSED",
        }
    }
}
