//! What the answers of the requests about keys that live side by side mean: their list, and a revocation.

use serde_json::Value;

use super::{BodyEnd, Received, flaw, meaning, problem, problem_of, refusal};
use crate::ids::RotationId;
use crate::provider::definition::{Meaning, NextPage};
use crate::provider::json::{SecretJson, plain};
use crate::provider::sent::Sent;
use crate::provider::wire::{AnswerFacts, ListCall, RevokeCall};
use crate::provider::{Listing, Revoking};
use crate::rotation::Created;

/// One page of a list.
pub(in crate::provider) struct Page {
    /// The keys in it that carry a rotation's label.
    pub(in crate::provider) keys: Vec<Created>,
    /// The next page's name.
    pub(in crate::provider) next: Option<String>,
}

/// What a page of a list shows; a list that is not whole is none.
pub(in crate::provider) fn of_page(
    facts: &AnswerFacts,
    list: &ListCall,
    name: Option<&str>,
    received: &Received,
    sent: &Sent,
) -> Result<Page, Box<Listing>> {
    let unavailable =
        |title: &str| Box::new(Listing::Unavailable(problem::of_answer(received.status, title)));
    if received.status != 200 {
        return Err(Box::new(refused(facts, received, sent)));
    }
    if let Some(title) = flaw(received.end) {
        return Err(unavailable(title));
    }
    let json = SecretJson::parse(&received.body).ok_or_else(|| unavailable("the answer is not JSON"))?;
    if facts.success.as_ref().is_some_and(|success| !json.holds(success)) {
        return Err(unavailable("the answer reports an error"));
    }
    let keys = match json.at(&list.keys) {
        Some(Value::Array(keys)) => keys.as_slice(),
        Some(Value::Null) => &[],
        _ => return Err(unavailable("the answer holds no list of keys")),
    };
    let next = next_page(list, name, &json, keys.is_empty()).map_err(unavailable)?;
    let labelled = keys.iter().filter_map(|key| Some((key, rotation_of(key, list)?)));
    let created = labelled.map(|(key, rotation_id)| {
        let key_id = key.pointer(list.id.as_str()).and_then(plain)?.parse().ok()?;
        Some(Created { key_id, rotation_id })
    });
    let keys: Option<Vec<Created>> = created.collect();
    keys.map(|keys| Page { keys, next }).ok_or_else(|| unavailable("the list has a key without an id"))
}

fn refused(facts: &AnswerFacts, received: &Received, sent: &Sent) -> Listing {
    let meaning = meaning::of_error(facts, received);
    if !(400..500).contains(&received.status) || meaning == Meaning::MayHaveActed {
        return Listing::Unavailable(problem_of(facts, received, sent));
    }
    let refusal = refusal(facts, meaning, received, sent);
    if refusal.class.is_passing() { Listing::Unavailable(refusal.problem) } else { Listing::Refused(refusal) }
}

/// The rotation whose label a key carries, to the last character.
fn rotation_of(key: &Value, list: &ListCall) -> Option<RotationId> {
    let label = key.pointer(list.label.as_str())?.as_str()?;
    list.labels.iter().find_map(|(before, after)| {
        let id = label.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
        let rotation: RotationId = id.parse().ok()?;
        (rotation.to_string() == id).then_some(rotation)
    })
}

fn next_page(
    list: &ListCall,
    name: Option<&str>,
    json: &SecretJson,
    is_empty: bool,
) -> Result<Option<String>, &'static str> {
    match &list.next {
        None => Ok(None),
        Some(NextPage::Cursor(cursor)) => {
            let next = json.at(&cursor.at).and_then(plain).filter(|next| !next.is_empty() && !is_empty);
            if next.is_some() && next.as_deref() == name {
                Err("a page names itself as the next")
            } else {
                Ok(next)
            }
        }
        Some(NextPage::Number(pages)) => {
            let number = name.map_or(Ok(pages.first), str::parse).unwrap_or(u32::MAX);
            let is_last = match &pages.last {
                None => is_empty,
                Some(at) => {
                    let count = json.at(at).and_then(Value::as_u64);
                    count.ok_or("the answer does not say which page is the last")? <= u64::from(number)
                }
            };
            Ok((!is_last).then(|| number.saturating_add(1).to_string()))
        }
    }
}

/// What a request to revoke a key came to. A key that is not there is dead.
pub(in crate::provider) fn of_revocation(
    facts: &AnswerFacts,
    call: &RevokeCall,
    received: &Received,
    sent: &Sent,
) -> Revoking {
    let status = received.status;
    if call.gone.contains(&status) {
        return Revoking::Revoked;
    }
    let reports_success = facts.success.as_ref().is_none_or(|success| {
        received.body.is_empty()
            || received.end == BodyEnd::Whole
                && SecretJson::parse(&received.body).is_some_and(|json| json.holds(success))
    });
    if call.statuses.contains(&status) && reports_success {
        return Revoking::Revoked;
    }
    let meaning = if (200..300).contains(&status) {
        meaning::declared(facts, received).unwrap_or(Meaning::MayHaveActed)
    } else {
        meaning::of_error(facts, received)
    };
    match meaning {
        Meaning::MayHaveActed => Revoking::Unavailable(problem_of(facts, received, sent)),
        certain => Revoking::Refused(refusal(facts, certain, received, sent)),
    }
}
