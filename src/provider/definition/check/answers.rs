//! What can be wrong with what a definition says of answers that are successes.

use super::{known_names, slots};
use crate::ids::check_field;
use crate::mistake::Mistake;
use crate::provider::definition::{Condition, Definition};

/// Whether each success means one thing, and the new key can be had.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    statuses(definition, found);
    let answer = &definition.answer;
    if answer.secret.is_none() && definition.supplies.is_none() {
        if definition.read.is_none() {
            found.push(
                Mistake::new("answer.secret", "nothing says where the new key is")
                    .hint("the JSON pointer to it, such as /secret; or a `read` where no answer shows it"),
            );
        }
        if answer.among.is_some() {
            found.push(Mistake::new("answer.among", "there is no `secret` to look for in the list"));
        }
    }
    fields(definition, found);
    let among = answer.among.as_ref().map(|among| ("answer.among.where", &among.condition));
    let of_read = definition.read.as_ref().and_then(|read| read.among.as_ref());
    let of_read = of_read.map(|among| ("read.among.where", &among.condition));
    let of_marker = definition.marker.as_ref().and_then(|marker| marker.among.as_ref());
    let of_marker = of_marker.map(|among| ("marker.among.where", &among.condition));
    let success = definition.success.as_ref().map(|success| ("success", success));
    for (place, condition) in [among, of_read, of_marker, success].into_iter().flatten() {
        names(definition, place, condition, found);
    }
}

/// What goes with the key must be a secret of its own place, and had by every way to the key.
fn fields(definition: &Definition, found: &mut Vec<Mistake>) {
    let answer = &definition.answer;
    if !answer.fields.is_empty() && definition.read.is_some() {
        found.push(
            Mistake::new("answer.fields", "a read shows the key alone, and half a secret is none")
                .hint("leave `read` out, or what goes with the key"),
        );
    }
    if !answer.fields.is_empty() && answer.secret.is_none() {
        found.push(Mistake::new("answer.fields", "there is no `secret` that they go with"));
    }
    for (name, at) in &answer.fields {
        let place = format!("answer.fields.{name}");
        if let Err(error) = check_field(name) {
            found.push(Mistake::new(&place, error.to_string()));
        }
        let others = answer.fields.iter().filter(|(other, _)| *other != name).map(|(_, at)| at);
        if answer.secret.iter().chain(others).any(|other| other == at) {
            found.push(Mistake::new(&place, "this is another part of the secret already"));
        }
    }
}

fn names(definition: &Definition, place: &str, condition: &Condition, found: &mut Vec<Mistake>) {
    if let Some(text) = condition.is.text() {
        let is_about_one = place.starts_with("answer") || place.starts_with("read");
        let further = if is_about_one { slots::names(definition) } else { &[] };
        known_names(definition, &format!("{place}.is"), text, further, found);
    }
}

fn statuses(definition: &Definition, found: &mut Vec<Mistake>) {
    let answer = &definition.answer;
    if answer.statuses.is_empty() {
        found.push(Mistake::new("answer.statuses", "no status carries the new key"));
    }
    let success = |status: &u16| (200..300).contains(status);
    if !answer.statuses.iter().chain(&answer.without_value).all(success) {
        found.push(Mistake::new("answer", "a success has a status from 200 to 299"));
    }
    if answer.statuses.iter().any(|status| answer.without_value.contains(status)) {
        found.push(Mistake::new("answer.without_value", "the same status carries the new key"));
    }
    if let Some(probe) = &definition.probe {
        if probe.accepted.is_empty() || probe.not_accepted.is_empty() {
            found.push(Mistake::new("probe", "it needs statuses for both answers"));
        }
        if probe.accepted.iter().any(|status| probe.not_accepted.contains(status)) {
            found.push(Mistake::new("probe.not_accepted", "the same status shows that the key is accepted"));
        }
    }
}
