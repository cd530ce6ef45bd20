//! What an error means: what the definition says of it, else what its status says.

use serde_json::Value;

use super::{BodyEnd, Received};
use crate::provider::definition::Meaning;
use crate::provider::json::SecretJson;
use crate::provider::wire::AnswerFacts;
use crate::rotation::RefusalClass;

/// What an answer that is no success means for a regenerate call.
pub(super) fn of_error(facts: &AnswerFacts, received: &Received) -> Meaning {
    declared(facts, received).unwrap_or(match received.status {
        401 => Meaning::Unauthenticated,
        403 => Meaning::Forbidden,
        404 => Meaning::NotFound,
        409 => Meaning::Conflict,
        429 => Meaning::RateLimited,
        // A proxy's "the client went away" and a timeout at the provider do not say what was done before.
        408 | 499 => Meaning::MayHaveActed,
        400..=498 => Meaning::Invalid,
        _ => Meaning::MayHaveActed,
    })
}

/// What the definition says of an answer, if anything. A code counts only in a body that came whole.
pub(super) fn declared(facts: &AnswerFacts, received: &Received) -> Option<Meaning> {
    if facts.errors.is_empty() {
        return None;
    }
    let json = SecretJson::parse(&received.body).filter(|_| received.end == BodyEnd::Whole);
    let code = json.as_ref().and_then(|json| json.at(&facts.problem.code));
    let fits = facts.errors.iter().find(|error| {
        error.status.is_none_or(|status| status == received.status)
            && error.code.as_ref().is_none_or(|expected| code.is_some_and(|code| is(code, expected)))
    });
    fits.map(|error| error.means)
}

fn is(code: &Value, expected: &str) -> bool {
    match code {
        Value::String(text) => text == expected,
        Value::Number(number) => number.to_string() == expected,
        Value::Bool(value) => value.to_string() == expected,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The kind of refusal that a meaning is.
pub(super) const fn class(meaning: Meaning) -> RefusalClass {
    match meaning {
        Meaning::Unauthenticated => RefusalClass::Unauthenticated,
        Meaning::Forbidden => RefusalClass::Forbidden,
        Meaning::NotFound => RefusalClass::NotFound,
        Meaning::Conflict => RefusalClass::Conflict,
        Meaning::RateLimited => RefusalClass::RateLimited,
        Meaning::InProgress => RefusalClass::InProgress,
        Meaning::Invalid | Meaning::MayHaveActed => RefusalClass::Invalid,
    }
}
