//! What can be wrong with the headers, queries and bodies that a definition declares.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::{known_names, slots};
use crate::mistake::Mistake;
use crate::provider::definition::{Body, Definition, Grace};
use crate::provider::fact::{Fact, Span};
use crate::provider::template::Template;

/// Whether headers, queries and the body can be sent, and mean something.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    for (name, value) in &definition.headers {
        let place = format!("headers.{name}");
        header_pair(&place, name, &value.to_string(), found);
        known_names(definition, &place, value, &[], found);
    }
    let slot = slots::names(definition);
    query(definition, "regenerate.query", &definition.regenerate.query, slot, found);
    if let Some(read) = &definition.read {
        query(definition, "read.query", &read.query, slot, found);
    }
    if let Some(probe) = &definition.probe {
        query(definition, "probe.query", &probe.query, &[], found);
    }
    body(definition, found);
    boundary(definition, found);
}

/// The type of a multipart body names its boundary, which only the body decides.
fn boundary(definition: &Definition, found: &mut Vec<Mistake>) {
    let revoke = definition.creates.iter().flat_map(|creates| &creates.revoke).map(|revoke| &revoke.body);
    let mut bodies = std::iter::once(&definition.regenerate.body).chain(revoke).flatten();
    let said = definition.headers.keys().find(|name| name.eq_ignore_ascii_case("content-type"));
    if let Some(name) = said.filter(|_| bodies.any(|body| matches!(body, Body::Multipart(_)))) {
        found.push(
            Mistake::new(format!("headers.{name}"), "a multipart body says its own type")
                .hint("leave it out"),
        );
    }
}

/// Whether the values of a query stand for something.
pub(super) fn query(
    definition: &Definition,
    place: &str,
    query: &BTreeMap<String, Template>,
    further: &[&str],
    found: &mut Vec<Mistake>,
) {
    for (name, value) in query {
        known_names(definition, &format!("{place}.{name}"), value, further, found);
    }
}

fn body(definition: &Definition, found: &mut Vec<Mistake>) {
    let facts = Fact::names();
    let further = definition.extra_secrets.keys().map(String::as_str);
    let slot = slots::names(definition).iter().copied();
    let known: Vec<&str> = facts.iter().map(String::as_str).chain(further).chain(slot).collect();
    for (place, text) in definition.regenerate.body.iter().flat_map(Body::texts) {
        known_names(definition, &format!("regenerate.body.{place}"), text, &known, found);
    }
    let bodies = definition.regenerate.body.iter();
    for (place, name) in bodies.flat_map(Body::names_without_quotes) {
        // A member of the body itself may be null under any name.
        let is_a_value = place.contains(['.', '[']);
        if is_a_value && (known.contains(&name) || definition.params.contains_key(name)) {
            found.push(
                Mistake::new(
                    format!("regenerate.body.{place}"),
                    format!("{{{name}}} without quotes is an object, and stands for nothing"),
                )
                .hint(format!("write \"{{{name}}}\"")),
            );
        }
    }
}

/// Whether the regenerate call asks for the lengths of time that the definition declares, and for no others.
pub(super) fn lengths(definition: &Definition, found: &mut Vec<Mistake>) {
    let asks_for_grace = definition.asks_for(Span::Grace).next().is_some();
    match definition.grace {
        Grace::Requested(request) => {
            if !asks_for_grace {
                found.push(
                    Mistake::new("grace", "a window is asked for, but no body asks")
                        .hint("add a body value \"{grace_seconds}\", or another form of it"),
                );
            }
            if request.default.is_zero() || request.default > request.max {
                found.push(Mistake::new(
                    "grace.requested",
                    "the default is longer than nothing, and no longer than the longest",
                ));
            }
            whole_units(definition, Span::Grace, "grace.requested", &[request.default, request.max], found);
        }
        Grace::None | Grace::Fixed(_) => {
            if asks_for_grace {
                found.push(
                    Mistake::new("regenerate.body", "it asks for a grace window that the definition has not")
                        .hint("write grace: { requested: { default: ..., max: ... } }"),
                );
            }
        }
    }
    if definition.grace == Grace::Fixed(Duration::ZERO) {
        found.push(Mistake::new("grace.fixed", "a window of no length is no window").hint("grace: none"));
    }
    match definition.lifetime {
        Some(Duration::ZERO) => {
            found.push(Mistake::new("lifetime", "a key that works for no time is no key"));
        }
        Some(lifetime) => whole_units(definition, Span::Lifetime, "lifetime", &[lifetime], found),
        None if definition.asks_for(Span::Lifetime).next().is_some() => found.push(
            Mistake::new("regenerate.body", "it asks for a lifetime that the definition has not")
                .hint("write lifetime: ..."),
        ),
        None => {}
    }
}

/// A length of which a unit cannot count all would be cut short on its way.
fn whole_units(
    definition: &Definition,
    span: Span,
    place: &str,
    lengths: &[Duration],
    found: &mut Vec<Mistake>,
) {
    for fact in definition.asks_for(span) {
        let unit = fact.unit();
        if lengths.iter().any(|length| unit.count(*length).is_none()) {
            found.push(Mistake::new(
                place,
                format!("the body counts whole {}, and this is none", unit.name()),
            ));
        }
    }
}

/// Whether the rotation's id is sent where it is relied on, in a request that is the same each time.
pub(super) fn idempotency(definition: &Definition, found: &mut Vec<Mistake>) {
    let Some(idempotency) = &definition.idempotency else { return };
    match &idempotency.header {
        Some(header) => header_pair("idempotency.header", header, "", found),
        None if definition.body_facts().all(|fact| fact != Fact::RotationId) => found.push(
            Mistake::new("idempotency", "neither a header nor the body holds the rotation's id")
                .hint("name the `header`, or add a body value \"{rotation_id}\""),
        ),
        None => {}
    }
    if idempotency.replays_for.is_some() && definition.body_facts().any(|fact| matches!(fact, Fact::End(..)))
    {
        found.push(
            Mistake::new(
                "idempotency.replays_for",
                "the body holds a time of day, so no second request is the same",
            )
            .hint("ask for a length of time instead, or do not rely on replays"),
        );
    }
}

/// Headers that HTTP or keyturn itself sets.
const NOT_YOURS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "user-agent"];

/// Whether a header can be sent at all.
pub(super) fn header_pair(place: &str, name: &str, value: &str, found: &mut Vec<Mistake>) {
    if HeaderName::try_from(name).is_err() {
        found.push(Mistake::new(place, "it is not a header's name"));
    } else if NOT_YOURS.contains(&name.to_ascii_lowercase().as_str()) {
        found.push(Mistake::new(place, "this header is set by keyturn itself"));
    }
    if HeaderValue::try_from(value).is_err() {
        found.push(Mistake::new(place, "a header's value has no line breaks or control characters"));
    }
}
