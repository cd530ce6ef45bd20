//! What can be wrong with keys that live side by side: each must be found again, and revoked by its own id.

use super::requests::query;
use super::{begins_with_slash, known_names, phases};
use crate::mistake::Mistake;
use crate::provider::definition::{AuthScheme, Body, Creates, Definition, Grace, KEY_ID, List, Revoke};
use crate::provider::template::Template;

/// Whether what is made beside the old key can be told apart, found and revoked.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    let Some(creates) = &definition.creates else {
        if definition.answer.key_id.is_some() {
            found.push(
                Mistake::new("answer.key_id", "nothing revokes a key by its id")
                    .hint("declare `creates`, or leave it out"),
            );
        }
        return;
    };
    contradictions(definition, found);
    if creates.revoke_after.is_zero() {
        found.push(Mistake::new(
            "creates.revoke_after",
            "applications would hold a dead key until they have read again",
        ));
    }
    if definition.lifetime.is_some_and(|lifetime| creates.revoke_after >= lifetime) {
        found.push(
            Mistake::new(
                "creates.revoke_after",
                "the new key expires before the old one is revoked, and no rotation begins sooner",
            )
            .hint("a shorter time than `lifetime`"),
        );
    }
    if creates.activate.is_some() || creates.discard.is_some() {
        phases::mistakes(definition, creates, found);
        return;
    }
    key_id(definition, found);
    if creates.keys_max.is_some_and(|max| max < 2) {
        found.push(Mistake::new("creates.keys_max", "no second key can live beside the first"));
    }
    if let Some(list) = &creates.list {
        list_of_keys(definition, list, found);
    }
    revocation(definition, creates, found);
}

fn key_id(definition: &Definition, found: &mut Vec<Mistake>) {
    let answer = &definition.answer;
    match &answer.key_id {
        None => found.push(
            Mistake::new("answer.key_id", "no answer says which key was made, so that none can be revoked")
                .hint("the JSON pointer to the new key's id, such as /id"),
        ),
        Some(id) if Some(id) == answer.secret.as_ref() => {
            found.push(Mistake::new(
                "answer.key_id",
                "an id is shown in logs and kept in clear, and this is the key",
            ));
        }
        Some(_) => {}
    }
    if definition.params.contains_key(KEY_ID) {
        found.push(Mistake::new(
            format!("params.{KEY_ID}"),
            "{key_id} stands for the key that is revoked; choose another name",
        ));
    }
}

/// What has a meaning only where the call takes the old key's place.
fn contradictions(definition: &Definition, found: &mut Vec<Mistake>) {
    let in_body = definition.auth.iter().any(|scheme| matches!(scheme, AuthScheme::Body(_)));
    let all = [
        (
            "grace",
            definition.grace != Grace::None,
            "the call takes nothing from the old key, which lives until it is revoked",
        ),
        (
            "answer.previous_expires_at",
            definition.answer.previous_expires_at.is_some(),
            "the old key lives until it is revoked",
        ),
        ("read", definition.read.is_some(), "a read shows one key, and here several live"),
        (
            "redo",
            definition.redo.is_some(),
            "after a lost answer the old key works on, and another rotation makes another key",
        ),
        ("creates", in_body, "only the body of the call authenticates, so nothing else could be signed"),
    ];
    for (place, is_there, why) in all {
        if is_there {
            found.push(Mistake::new(place, why).hint("leave it out"));
        }
    }
}

fn list_of_keys(definition: &Definition, list: &List, found: &mut Vec<Mistake>) {
    begins_with_slash("creates.list.path", &list.path, found);
    known_names(definition, "creates.list.path", &list.path, &["resource"], found);
    query(definition, "creates.list.query", &list.query, &[], found);
    let is_label = |text: &Template| {
        let mut ids = text.names().filter(|name| !definition.params.contains_key(*name));
        ids.next() == Some("rotation_id") && ids.next().is_none()
    };
    if !definition.regenerate.body.iter().flat_map(Body::texts).any(|(_, text)| is_label(text)) {
        found.push(
            Mistake::new("creates.list", "no key has a label by which a rotation's is told from all others")
                .hint("let a text of the call's body hold {rotation_id}, beside parameters at most; or leave the list out"),
        );
    }
    if let Some(next) = &list.next {
        if list.query.contains_key(next.parameter()) {
            found
                .push(Mistake::new("creates.list.query", "the next page is asked for by the same parameter"));
        }
        if next.parameter().is_empty() {
            found.push(Mistake::new("creates.list.next", "no parameter has an empty name"));
        }
    }
}

fn revocation(definition: &Definition, creates: &Creates, found: &mut Vec<Mistake>) {
    if creates.revoke.is_empty() {
        found.push(Mistake::new("creates.revoke", "nothing revokes a key"));
    }
    for (index, revoke) in creates.revoke.iter().enumerate() {
        let place = format!("creates.revoke[{index}]");
        one_step(definition, &place, revoke, &[KEY_ID], found);
        if !revoke.names_the_key() {
            found.push(
                Mistake::new(place, "it does not say which key is meant")
                    .hint("let path or body hold {key_id}"),
            );
        }
    }
}

/// Whether a request can be made, and its answers mean something.
pub(super) fn one_step(
    definition: &Definition,
    place: &str,
    revoke: &Revoke,
    further: &[&str],
    found: &mut Vec<Mistake>,
) {
    let path = format!("{place}.path");
    begins_with_slash(&path, &revoke.path, found);
    let in_path: Vec<&str> = further.iter().copied().chain(["resource"]).collect();
    known_names(definition, &path, &revoke.path, &in_path, found);
    query(definition, &format!("{place}.query"), &revoke.query, &[], found);
    for (inside, text) in revoke.body.iter().flat_map(Body::texts) {
        known_names(definition, &format!("{place}.body.{inside}"), text, further, found);
    }
    let is_success = |status: &u16| (200..300).contains(status);
    if revoke.statuses.is_empty() || !revoke.statuses.iter().all(is_success) {
        found.push(Mistake::new(
            format!("{place}.statuses"),
            "what is done is shown by a status from 200 to 299",
        ));
    }
    // A refusal of whoever signs, or a fault, says nothing about the key.
    let shows_absence = |status: &u16| matches!(status, 400 | 404 | 409 | 410 | 422);
    if !revoke.gone.iter().all(shows_absence) {
        found.push(Mistake::new(
            format!("{place}.gone"),
            "only 400, 404, 409, 410 and 422 can show that a key is not there",
        ));
    }
}
