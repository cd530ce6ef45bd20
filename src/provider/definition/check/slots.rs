//! What can be wrong with several named keys: the call and the read must each say which one is meant.

use crate::ids::KeyId;
use crate::mistake::Mistake;
use crate::provider::definition::{Body, Definition, Grace, SLOT};
use crate::provider::template::Template;

/// The names that templates may have beside parameters.
pub(super) fn names(definition: &Definition) -> &'static [&'static str] {
    if definition.slots.is_empty() { &[] } else { &[SLOT] }
}

/// Whether one of several keys can be made anew, and read, by its name.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    let slots = &definition.slots;
    if slots.is_empty() {
        return;
    }
    let is_name = |name: &String| name.parse::<KeyId>().is_ok();
    let is_repeated = |(index, name): (usize, &String)| slots.iter().take(index).any(|other| other == name);
    if slots.len() < 2 || !slots.iter().all(is_name) || slots.iter().enumerate().any(is_repeated) {
        found.push(
            Mistake::new("slots", "it takes two different names at least, of visible characters")
                .hint("a provider with one key has no slots"),
        );
    }
    if definition.params.contains_key(SLOT) {
        found.push(Mistake::new(
            "params.slot",
            "{slot} stands for the key that is meant; choose another name",
        ));
    }
    let regenerate = &definition.regenerate;
    let body = regenerate.body.iter().flat_map(Body::texts).map(|(_, text)| text);
    if !names_it(std::iter::once(&regenerate.path).chain(regenerate.query.values()).chain(body)) {
        found.push(
            Mistake::new("regenerate", "it does not say which of the keys is made anew")
                .hint("let path, query or body hold {slot}"),
        );
    }
    read(definition, found);
    contradictions(definition, found);
}

fn names_it<'a>(mut templates: impl Iterator<Item = &'a Template>) -> bool {
    templates.any(|template| template.names().any(|name| name == SLOT))
}

fn read(definition: &Definition, found: &mut Vec<Mistake>) {
    let Some(read) = &definition.read else {
        found.push(
            Mistake::new("slots", "nothing shows which of the keys is in use")
                .hint("declare a `read` that names the {slot}"),
        );
        return;
    };
    let condition = read.among.iter().filter_map(|among| among.condition.is.text());
    if !names_it(std::iter::once(&read.path).chain(read.query.values()).chain(condition)) {
        found.push(
            Mistake::new("read", "it does not say which of the keys is read")
                .hint("let path, query or `among` hold {slot}"),
        );
    }
}

/// What has a meaning only where one key takes another one's place.
fn contradictions(definition: &Definition, found: &mut Vec<Mistake>) {
    let all = [
        (
            "creates",
            definition.creates.is_some(),
            "the call makes a key anew in its slot, and none beside it",
        ),
        (
            "grace",
            definition.grace != Grace::None,
            "the old key lives on in its own slot until another rotation",
        ),
        (
            "answer.previous_expires_at",
            definition.answer.previous_expires_at.is_some(),
            "the old key lives on in its own slot",
        ),
        ("redo", definition.redo.is_some(), "a lost answer is settled by the read"),
    ];
    for (place, is_there, why) in all {
        if is_there {
            found.push(Mistake::new(place, why).hint("leave it out"));
        }
    }
}
