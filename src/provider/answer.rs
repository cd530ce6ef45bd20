//! What an HTTP answer means: pure functions of status, headers and body.

use std::time::Duration;

use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::Value;
use zeroize::Zeroizing;

use super::json::{Found, SecretJson};
use super::sent::Sent;
use super::template::Pointer;
use super::wire::{AnswerFacts, ProbeCall};
use super::{Answer, Probe, Reading, Response, problem, retry_after};
use crate::rotation::{Doubt, Outcome, Problem, Refusal, RefusalClass};
use crate::secret::SecretValue;

/// An answer whose head arrived, with as much of its body as did. It has no `Debug`, for the body is a secret.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) end: BodyEnd,
    pub(super) at: Timestamp,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    Whole,
    Cut,
    TimedOut,
    TooLarge,
}

/// What a regenerate call came to.
///
/// Any 2xx with a value is the new key, even under a status that the definition does not list: to lose it
/// would be worse than to be surprised.
pub(super) fn of_regenerate(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Response {
    match received.status {
        200..=299 => of_success(facts, received),
        // A proxy's "the client went away" and a timeout at the provider do not say what was done before.
        408 | 499 => just(Outcome::Unknown(Doubt::Status { problem: problem_of(facts, received, sent) })),
        400..=498 => just(Outcome::NotApplied(refusal(facts, received, sent))),
        _ => just(Outcome::Unknown(Doubt::Status { problem: problem_of(facts, received, sent) })),
    }
}

const fn just(outcome: Outcome<Answer>) -> Response {
    Response { outcome, residue: None }
}

fn of_success(facts: &AnswerFacts, received: &Received) -> Response {
    let status = received.status;
    let doubt =
        |title: &str| Outcome::Unknown(Doubt::Unreadable { problem: problem::of_answer(status, title) });
    if let Some(title) = flaw(received.end) {
        return Response { outcome: doubt(title), residue: residue(&received.body) };
    }
    let Some(mut json) = SecretJson::parse(&received.body) else {
        let outcome = if facts.without_value.contains(&status) {
            Outcome::AppliedNoValue
        } else if !facts.statuses.contains(&status) {
            unlisted(status)
        } else if received.body.is_empty() {
            doubt("the answer reports success, but has no body")
        } else {
            doubt("the answer is not JSON")
        };
        return Response { outcome, residue: residue(&received.body) };
    };
    match json.take_text(&facts.secret) {
        Found::Text(secret) => just(Outcome::Applied(Answer {
            secret: SecretValue::new(secret),
            previous_expires_at: previous_expiry(facts, &json, received.at),
            received_at: received.at,
            key_id: None,
        })),
        Found::Nothing if facts.statuses.contains(&status) || facts.without_value.contains(&status) => {
            Response { outcome: Outcome::AppliedNoValue, residue: residue(&received.body) }
        }
        Found::Nothing => Response { outcome: unlisted(status), residue: residue(&received.body) },
        Found::SomethingElse => Response {
            outcome: doubt("the answer has no text where the key should be"),
            residue: residue(&received.body),
        },
    }
}

/// A success that the definition does not list may be "done" as well as "accepted for later".
fn unlisted(status: u16) -> Outcome<Answer> {
    Outcome::Unknown(Doubt::Status {
        problem: problem::of_answer(status, "a success status that the definition does not list"),
    })
}

const fn flaw(end: BodyEnd) -> Option<&'static str> {
    match end {
        BodyEnd::Whole => None,
        BodyEnd::Cut => Some("the connection broke in the middle of the answer"),
        BodyEnd::TimedOut => Some("the answer began, but did not end in time"),
        BodyEnd::TooLarge => Some("the answer is larger than any that can be right"),
    }
}

/// Stands before the base64 of a residue that is no UTF-8 text.
const BASE64_PREFIX: &str = "base64:";

/// The body of a success that gave no value. The key may be in it, so every byte goes to a person, sealed.
fn residue(body: &Zeroizing<Vec<u8>>) -> Option<SecretValue> {
    if body.is_empty() {
        return None;
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            // Its whole size at once: a text that grows leaves copies of the secret behind.
            let size = BASE64_PREFIX.len() + BASE64.encode_len(body.len());
            let mut text = String::with_capacity(size);
            text.push_str(BASE64_PREFIX);
            BASE64.encode_append(body, &mut text);
            text
        }
    };
    Some(SecretValue::new(text))
}

fn previous_expiry(facts: &AnswerFacts, json: &SecretJson, received_at: Timestamp) -> Option<Timestamp> {
    match &facts.previous_expires_at {
        Some(pointer) => {
            let said = json.at(pointer).and_then(Value::as_str)?.parse().ok()?;
            Some(at_the_latest(facts, said, received_at))
        }
        None => received_at.checked_add(facts.grace_fixed?).ok(),
    }
}

/// How far the provider's clock may be ahead of ours.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(5);

/// The longest grace that is believed where neither the definition nor the call says how long it is.
const GRACE_MAX: Duration = Duration::from_hours(90 * 24);

/// An end that can be true: no rotation begins before it, so a wrong one would end all rotation unseen.
fn at_the_latest(facts: &AnswerFacts, said: Timestamp, received_at: Timestamp) -> Timestamp {
    let longest = facts.grace.map_or(GRACE_MAX, |grace| grace.saturating_add(CLOCK_DIFFERENCE));
    let latest = received_at.checked_add(longest).unwrap_or(Timestamp::MAX);
    if said > latest {
        tracing::warn!(
            "the provider says that the old key works longer than it can; the longest possible time counts"
        );
    }
    said.min(latest)
}

fn refusal(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Refusal {
    let class = match received.status {
        status if facts.in_progress == Some(status) => RefusalClass::InProgress,
        401 => RefusalClass::Unauthenticated,
        403 => RefusalClass::Forbidden,
        404 => RefusalClass::NotFound,
        409 => RefusalClass::Conflict,
        429 => RefusalClass::RateLimited,
        _ => RefusalClass::Invalid,
    };
    let block: Option<Duration> = facts.rate_limit_block.filter(|_| class == RefusalClass::RateLimited);
    Refusal {
        class,
        problem: problem_of(facts, received, sent),
        retry_after: retry_after::read(&received.headers, received.at).or(block),
    }
}

fn problem_of(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Problem {
    problem::read(&facts.problem, received.status, &received.body, sent)
}

/// What a read of the current key found.
pub(super) fn of_read(facts: &AnswerFacts, secret: &Pointer, received: &Received, sent: &Sent) -> Reading {
    let unavailable = |title: &str| Reading::Unavailable(problem::of_answer(received.status, title));
    match received.status {
        200 => {}
        408 | 425 => return Reading::Unavailable(problem_of(facts, received, sent)),
        400..=499 => return Reading::Refused(refusal(facts, received, sent)),
        _ => return Reading::Unavailable(problem_of(facts, received, sent)),
    }
    if let Some(title) = flaw(received.end) {
        return unavailable(title);
    }
    let Some(mut json) = SecretJson::parse(&received.body) else {
        return unavailable("the answer is not JSON");
    };
    match json.take_text(secret) {
        Found::Text(secret) => Reading::Value(Answer {
            secret: SecretValue::new(secret),
            // At the latest: when the change was made, a read does not say.
            previous_expires_at: facts.grace_fixed.and_then(|grace| received.at.checked_add(grace).ok()),
            received_at: received.at,
            key_id: None,
        }),
        Found::Nothing | Found::SomethingElse => unavailable("the answer holds no key"),
    }
}

/// What a probe showed.
pub(super) fn of_probe(facts: &AnswerFacts, call: &ProbeCall, received: &Received, sent: &Sent) -> Probe {
    if call.accepted.contains(&received.status) {
        return Probe::Accepted;
    }
    let problem = problem_of(facts, received, sent);
    if call.not_accepted.contains(&received.status) {
        Probe::NotAccepted(problem)
    } else {
        Probe::Unavailable(problem)
    }
}

#[cfg(test)]
mod tests;
