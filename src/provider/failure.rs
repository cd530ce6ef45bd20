//! Why a request has no answer, and what that means for what was asked.

use super::transport::innermost;
use super::{Answer, Listing, Probe, Reading, Revoking};
use crate::rotation::{Doubt, Outcome, Problem, Refusal, RefusalClass};

/// Why there is no answer.
pub(super) enum Failure {
    /// Certainly no byte of the request left.
    NotSent(Box<Refusal>),
    /// It may have been sent; no answer came in time.
    TimedOut,
    /// It may have been sent; the connection broke before an answer.
    ConnectionLost,
}

impl Failure {
    /// Only a connection that never came about counts as "not sent"; every other failure may have come after
    /// the last byte.
    pub(super) fn of(error: &reqwest::Error, url: &url::Url) -> Self {
        let site = format!("{}:{}", url.host_str().unwrap_or("?"), url.port_or_known_default().unwrap_or(0));
        if error.is_connect() {
            let what = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
            let reason = format!("cannot connect to {site}: {what}");
            Self::NotSent(Box::new(refusal(RefusalClass::Unreachable, reason)))
        } else if error.is_builder() {
            Self::NotSent(Box::new(refusal(RefusalClass::Invalid, "the request cannot be built".to_owned())))
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::ConnectionLost
        }
    }

    /// The same before a call: however the request for a token ended, the call itself was not made.
    pub(super) fn before_the_call(self) -> Self {
        let reason = match self {
            Self::NotSent(refusal) => return Self::NotSent(refusal),
            Self::TimedOut => "no access token: the provider did not answer in time",
            Self::ConnectionLost => "no access token: the connection broke before an answer",
        };
        Self::NotSent(Box::new(refusal(RefusalClass::Unreachable, reason.to_owned())))
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::NotSent(refusal) => refusal.class.code(),
            Self::TimedOut => Doubt::Timeout.code(),
            Self::ConnectionLost => Doubt::ConnectionLost.code(),
        }
    }

    pub(super) fn into_outcome(self) -> Outcome<Answer> {
        match self {
            Self::NotSent(refusal) => Outcome::NotApplied(*refusal),
            Self::TimedOut => Outcome::Unknown(Doubt::Timeout),
            Self::ConnectionLost => Outcome::Unknown(Doubt::ConnectionLost),
        }
    }

    pub(super) fn into_reading<T>(self) -> Reading<T> {
        match self {
            Self::NotSent(refusal) if !refusal.class.is_passing() => Reading::Refused(*refusal),
            other => Reading::Unavailable(other.into_problem()),
        }
    }

    /// A key that gives no access token is not accepted.
    pub(super) fn into_probe(self) -> Probe {
        match self {
            Self::NotSent(refusal) if refusal.class == RefusalClass::Unauthenticated => {
                Probe::NotAccepted(refusal.problem)
            }
            other => Probe::Unavailable(other.into_problem()),
        }
    }

    pub(super) fn into_listing(self) -> Listing {
        match self {
            Self::NotSent(refusal) if !refusal.class.is_passing() => Listing::Refused(*refusal),
            other => Listing::Unavailable(other.into_problem()),
        }
    }

    pub(super) fn into_revoking(self) -> Revoking {
        match self {
            Self::NotSent(refusal) => Revoking::Refused(*refusal),
            other => Revoking::Unavailable(other.into_problem()),
        }
    }

    fn into_problem(self) -> Problem {
        match self {
            Self::NotSent(refusal) => refusal.problem,
            Self::TimedOut => Problem::local("the provider did not answer in time"),
            Self::ConnectionLost => Problem::local("the connection to the provider broke before an answer"),
        }
    }
}

/// A refusal that did not come from the provider.
pub(super) fn refusal(class: RefusalClass, reason: String) -> Refusal {
    Refusal { class, problem: Problem::local(reason), retry_after: None }
}
