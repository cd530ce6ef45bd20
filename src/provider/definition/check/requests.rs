//! What can be wrong with the headers and bodies that a definition declares.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::known_names;
use crate::mistake::Mistake;
use crate::provider::definition::{AuthScheme, Body, BodyValue, Definition, Fact, Grace, HmacAuth};

/// Whether the schemes and further secrets make headers that can be sent.
pub(super) fn auth(definition: &Definition, found: &mut Vec<Mistake>) {
    if definition.auth.is_empty() {
        found.push(Mistake::new("auth", "at least one scheme is needed"));
    }
    for (index, scheme) in definition.auth.iter().enumerate() {
        let place = format!("auth[{index}]");
        if definition.auth.iter().take(index).any(|earlier| earlier.id() == scheme.id()) {
            found.push(
                Mistake::new(&place, format!("there is a scheme {:?} already", scheme.id()))
                    .hint("give it an `id`"),
            );
        }
        match scheme {
            AuthScheme::Header(header) => {
                header_pair(&format!("{place}.header"), &header.name, &header.prefix, found);
            }
            AuthScheme::Basic(basic) => {
                known_names(definition, &format!("{place}.basic.username"), &basic.username, &[], found);
            }
            AuthScheme::Hmac(hmac) => hmac_scheme(definition, &format!("{place}.hmac"), hmac, found),
        }
    }
    for (name, extra) in &definition.extra_secrets {
        header_pair(&format!("extra_secrets.{name}"), &extra.header, &extra.prefix, found);
    }
    if let Some(name) = duplicate_header(definition) {
        found.push(Mistake::new("definition", format!("the header {name} would be sent twice")));
    }
}

fn hmac_scheme(definition: &Definition, place: &str, hmac: &HmacAuth, found: &mut Vec<Mistake>) {
    let parts = ["timestamp", "method", "path_and_query", "body_hash"];
    known_names(definition, &format!("{place}.message"), &hmac.message, &parts, found);
    for part in parts {
        if !hmac.message.names().any(|name| name == part) {
            found.push(
                Mistake::new(format!("{place}.message"), format!("the signature does not cover {{{part}}}"))
                    .hint("sign time, method, path and body, so that nobody can reuse a signature"),
            );
        }
    }
    for (name, value) in &hmac.headers {
        header_pair(&format!("{place}.headers"), name, "", found);
        known_names(
            definition,
            &format!("{place}.headers.{name}"),
            value,
            &["timestamp", "signature"],
            found,
        );
    }
    for needed in ["timestamp", "signature"] {
        if !hmac.headers.values().any(|value| value.names().any(|name| name == needed)) {
            found.push(Mistake::new(format!("{place}.headers"), format!("no header holds {{{needed}}}")));
        }
    }
    if hmac.skew.is_zero() {
        found.push(Mistake::new(format!("{place}.skew"), "no two clocks agree that well"));
    }
}

/// Whether the regenerate call asks for what the definition declares, and for nothing else.
pub(super) fn regenerate(definition: &Definition, found: &mut Vec<Mistake>) {
    for (name, value) in &definition.regenerate.headers {
        header_pair("regenerate.headers", name, value, found);
    }
    let mut asks_for_grace = false;
    if let Some(Body::Json(members)) = &definition.regenerate.body {
        for (name, value) in members {
            match value {
                BodyValue::Text(template) => {
                    known_names(definition, &format!("regenerate.body.json.{name}"), template, &[], found);
                }
                BodyValue::From { from: Fact::GraceSeconds } => asks_for_grace = true,
                BodyValue::Bool(_) | BodyValue::Number(_) => {}
            }
        }
    }
    match definition.grace {
        Grace::Requested(request) => {
            if !asks_for_grace {
                found.push(
                    Mistake::new("grace", "a window is asked for, but no body asks")
                        .hint("add a body value { from: grace_seconds }"),
                );
            }
            let whole = request.default.subsec_nanos() == 0 && request.max.subsec_nanos() == 0;
            if request.default.is_zero() || request.default > request.max || !whole {
                found.push(Mistake::new("grace.requested", "0 < default <= max, in whole seconds"));
            }
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
    if let Some(idempotency) = &definition.idempotency {
        header_pair("idempotency.header", &idempotency.header, "", found);
    }
}

/// Headers that HTTP or keyturn itself sets.
const NOT_YOURS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "content-type", "user-agent"];

fn header_pair(place: &str, name: &str, value: &str, found: &mut Vec<Mistake>) {
    if HeaderName::try_from(name).is_err() {
        found.push(Mistake::new(place, "it is not a header's name"));
    } else if NOT_YOURS.contains(&name.to_ascii_lowercase().as_str()) {
        found.push(Mistake::new(place, "this header is set by keyturn itself"));
    }
    if HeaderValue::try_from(value).is_err() {
        found.push(Mistake::new(place, "a header's value has no line breaks or control characters"));
    }
}

fn duplicate_header(definition: &Definition) -> Option<String> {
    definition.auth.iter().find_map(|scheme| {
        let of_scheme: Vec<&str> = match scheme {
            AuthScheme::Header(header) => vec![&header.name],
            AuthScheme::Basic(_) => vec!["Authorization"],
            AuthScheme::Hmac(hmac) => hmac.headers.keys().map(String::as_str).collect(),
        };
        let mut seen = BTreeSet::new();
        of_scheme
            .into_iter()
            .chain(definition.extra_secrets.values().map(|extra| extra.header.as_str()))
            .chain(definition.idempotency.as_ref().map(|idempotency| idempotency.header.as_str()))
            .chain(definition.regenerate.headers.keys().map(String::as_str))
            .find(|name| !seen.insert(name.to_ascii_lowercase()))
            .map(str::to_owned)
    })
}
