//! What an HTTP answer means: pure functions of status, headers and body.

mod beside;
mod expiry;
mod meaning;

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use zeroize::Zeroizing;

pub(super) use self::beside::{of_page, of_revocation};
use super::definition::Meaning;
use super::json::{Found, SecretJson};
use super::sent::Sent;
use super::wire::{AnswerFacts, KeyPlace, MarkerCall, ProbeCall};
use super::{Answer, Probe, Reading, Response, problem, retry_after};
use crate::ids::KeyId;
use crate::rotation::{Doubt, Outcome, Problem, Refusal, RefusalClass};
use crate::secret::{Secret, SecretValue};

/// An answer whose head arrived, with as much of its body as did. It has no `Debug`, for the body is a secret.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) end: BodyEnd,
    /// When the request was about to leave.
    pub(super) asked_at: Timestamp,
    /// When the answer was complete.
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
        200..=299 => of_success(facts, received, sent),
        _ => just(of_error(facts, received, sent)),
    }
}

/// What a call came to that brought a key of keyturn's own choice: a success means that key, whatever its body says beside it.
pub(super) fn of_supply(
    facts: &AnswerFacts,
    received: &Received,
    sent: &Sent,
    supplied: &SecretValue,
) -> Response {
    // To know that it was taken, nothing has to be read.
    let is_whole = received.end == BodyEnd::Whole && facts.key.is_none() && facts.success.is_none();
    let is_done = (200..300).contains(&received.status) && (is_whole || is_silent(facts, received.status));
    let Response { outcome, .. } =
        if is_done { just(Outcome::AppliedNoValue) } else { of_regenerate(facts, received, sent) };
    let Outcome::AppliedNoValue = outcome else { return just(outcome) };
    let said = SecretJson::parse(&received.body);
    let previous_expires_at = previous_expiry(facts, &said.unwrap_or_default(), received);
    let (secret, received_at) = (supplied.duplicate().into(), received.at);
    just(Outcome::Applied(Answer { secret, previous_expires_at, received_at, key_id: None }))
}

const fn just(outcome: Outcome<Answer>) -> Response {
    Response { outcome, residue: None }
}

fn of_error(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Outcome<Answer> {
    match meaning::of_error(facts, received) {
        Meaning::MayHaveActed => {
            Outcome::Unknown(Doubt::Status { problem: problem_of(facts, received, sent) })
        }
        certain => Outcome::NotApplied(refusal(facts, certain, received, sent)),
    }
}

fn of_success(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Response {
    let status = received.status;
    let doubt =
        |title: &str| Outcome::Unknown(Doubt::Unreadable { problem: problem::of_answer(status, title) });
    if let Some(title) = flaw(received.end) {
        return Response { outcome: doubt(title), residue: residue(&received.body) };
    }
    let Some(json) = SecretJson::parse(&received.body) else {
        let outcome = if facts.without_value.contains(&status) || is_silent(facts, status) {
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
    if facts.success.as_ref().is_some_and(|success| !json.holds(success)) {
        return of_reported_error(facts, received, json, sent);
    }
    let Some(place) = &facts.key else {
        let is_listed = facts.statuses.contains(&status) || facts.without_value.contains(&status);
        return just(if is_listed { Outcome::AppliedNoValue } else { unlisted(status) });
    };
    let Seen { shown, key_id, previous_expires_at } = look(facts, place, json, received);
    match shown {
        Shown::Whole(secret) => {
            just(Outcome::Applied(Answer { key_id, secret, previous_expires_at, received_at: received.at }))
        }
        Shown::Half | Shown::Nothing
            if facts.statuses.contains(&status) || facts.without_value.contains(&status) =>
        {
            Response { outcome: Outcome::AppliedNoValue, residue: residue(&received.body) }
        }
        Shown::Half | Shown::Nothing => {
            Response { outcome: unlisted(status), residue: residue(&received.body) }
        }
        Shown::SomethingElse => Response {
            outcome: doubt("the answer has no text where the key should be"),
            residue: residue(&received.body),
        },
    }
}

/// Whether a success under this status says nothing but that the provider acted.
fn is_silent(facts: &AnswerFacts, status: u16) -> bool {
    facts.key.is_none() && facts.success.is_none() && facts.statuses.contains(&status)
}

/// What an answer shows of a key.
struct Seen {
    shown: Shown,
    key_id: Option<KeyId>,
    /// The old one's end.
    previous_expires_at: Option<Timestamp>,
}

/// How much of a secret is where it should be.
enum Shown {
    Whole(Secret),
    /// The key or a field of it, but not all.
    Half,
    Nothing,
    /// What stands in the key's place is no text.
    SomethingElse,
}

fn look(facts: &AnswerFacts, place: &KeyPlace, json: SecretJson, received: &Received) -> Seen {
    let element = match &place.among {
        None => Some(json),
        Some(among) => json.one_of(among),
    };
    let Some(mut json) = element else {
        return Seen { shown: Shown::Nothing, key_id: None, previous_expires_at: None };
    };
    let previous_expires_at = previous_expiry(facts, &json, received);
    let key_id = facts.key_id.as_ref().and_then(|at| json.key_id(at));
    let key = json.take_key(&place.secret, place.encoding);
    // An id is kept in clear; what is the key itself is none.
    let key_id = key_id.filter(|id| !matches!(&key, Found::Text(key) if key == id.as_str()));
    Seen { shown: with_fields(key, place, &mut json), key_id, previous_expires_at }
}

fn with_fields(key: Found, place: &KeyPlace, json: &mut SecretJson) -> Shown {
    let taken = place.fields.iter().filter_map(|(name, at)| Some((name.clone(), json.take_field(at)?)));
    let fields: BTreeMap<String, SecretValue> = taken.collect();
    match key {
        Found::Text(key) => {
            let secret = Secret { key: SecretValue::new(key), fields };
            if secret.fields.len() == place.fields.len() { Shown::Whole(secret) } else { Shown::Half }
        }
        Found::Nothing if fields.is_empty() => Shown::Nothing,
        Found::Nothing => Shown::Half,
        Found::SomethingElse => Shown::SomethingElse,
    }
}

/// A success status over a body that reports an error. That nothing was done counts only where the definition says
/// so of this error, and no key is there.
fn of_reported_error(facts: &AnswerFacts, received: &Received, json: SecretJson, sent: &Sent) -> Response {
    let declared = meaning::declared(facts, received);
    let holds_a_key = facts.key.as_ref().is_some_and(|place| {
        let seen = look(facts, place, json, received);
        !matches!(seen.shown, Shown::Nothing)
    });
    match declared {
        Some(certain) if certain != Meaning::MayHaveActed && !holds_a_key => {
            just(Outcome::NotApplied(refusal(facts, certain, received, sent)))
        }
        _ => {
            // The body may hold a secret where an error holds its words.
            let problem = if holds_a_key {
                problem::of_answer(received.status, "the answer reports an error, and holds a key")
            } else {
                problem_of(facts, received, sent)
            };
            Response {
                outcome: Outcome::Unknown(Doubt::Status { problem }),
                residue: residue(&received.body),
            }
        }
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

fn previous_expiry(facts: &AnswerFacts, json: &SecretJson, received: &Received) -> Option<Timestamp> {
    match &facts.previous_expires_at {
        Some(expiry) => {
            let said = expiry::read(expiry.form, json.at(&expiry.at)?, received.at)?;
            Some(at_the_latest(facts, said, received.at))
        }
        None => {
            let begins_at = if facts.grace_begins_with_the_call { received.asked_at } else { received.at };
            begins_at.checked_add(facts.grace?).ok()
        }
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

fn refusal(facts: &AnswerFacts, meaning: Meaning, received: &Received, sent: &Sent) -> Refusal {
    let class = meaning::class(meaning);
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
pub(super) fn of_read(facts: &AnswerFacts, place: &KeyPlace, received: &Received, sent: &Sent) -> Reading {
    let json = match shown(facts, received, sent) {
        Reading::Value(json) => json,
        Reading::Unavailable(problem) => return Reading::Unavailable(problem),
        Reading::Refused(refusal) => return Reading::Refused(refusal),
    };
    // At the latest: when the change was made, a read does not say. What only an answer to the call says, it says not.
    let is_said = facts.grace_begins_with_the_call && facts.previous_expires_at.is_some();
    let previous_expires_at =
        facts.grace.filter(|_| !is_said).and_then(|grace| received.at.checked_add(grace).ok());
    match look(facts, place, json, received).shown {
        Shown::Whole(secret) => {
            Reading::Value(Answer { secret, previous_expires_at, received_at: received.at, key_id: None })
        }
        Shown::Half | Shown::Nothing | Shown::SomethingElse => Reading::Unavailable(problem::of_answer(
            received.status,
            "the answer holds no key where `read.secret` says",
        )),
    }
}

/// What a look at the marker found; `None` where the answer has nothing in its place.
pub(super) fn of_marker(
    facts: &AnswerFacts,
    marker: &MarkerCall,
    received: &Received,
    sent: &Sent,
) -> Reading<Option<SecretValue>> {
    let json = match shown(facts, received, sent) {
        Reading::Value(json) => json,
        Reading::Unavailable(problem) => return Reading::Unavailable(problem),
        Reading::Refused(refusal) => return Reading::Refused(refusal),
    };
    let element = match &marker.among {
        None => Some(json),
        Some(among) => json.one_of(among),
    };
    Reading::Value(element.and_then(|mut json| json.take_field(&marker.at)))
}

/// The body of an answer that shows what is there.
fn shown(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Reading<SecretJson> {
    let unavailable = |title: &str| Reading::Unavailable(problem::of_answer(received.status, title));
    match received.status {
        200 => {}
        408 | 425 => return Reading::Unavailable(problem_of(facts, received, sent)),
        400..=499 => {
            let meaning = meaning::of_error(facts, received);
            return Reading::Refused(refusal(facts, meaning, received, sent));
        }
        _ => return Reading::Unavailable(problem_of(facts, received, sent)),
    }
    if let Some(title) = flaw(received.end) {
        return unavailable(title);
    }
    let Some(json) = SecretJson::parse(&received.body) else {
        return unavailable("the answer is not JSON");
    };
    if facts.success.as_ref().is_some_and(|success| !json.holds(success)) {
        return unavailable("the answer reports an error");
    }
    Reading::Value(json)
}

/// What a probe showed.
pub(super) fn of_probe(facts: &AnswerFacts, call: &ProbeCall, received: &Received, sent: &Sent) -> Probe {
    let reports_success = facts.success.as_ref().is_none_or(|success| {
        received.end == BodyEnd::Whole
            && SecretJson::parse(&received.body).is_some_and(|json| json.holds(success))
    });
    let is_accepted = call.accepted.contains(&received.status);
    if is_accepted && reports_success {
        return Probe::Accepted;
    }
    let problem = problem_of(facts, received, sent);
    let is_refused_in_words =
        is_accepted && meaning::declared(facts, received) == Some(Meaning::Unauthenticated);
    if call.not_accepted.contains(&received.status) || is_refused_in_words {
        Probe::NotAccepted(problem)
    } else {
        Probe::Unavailable(problem)
    }
}

#[cfg(test)]
mod tests;
