//! What can be wrong with a definition that is well-formed.

use std::collections::BTreeMap;

use regex::Regex;
use reqwest::header::{HeaderName, HeaderValue};

use super::{AuthScheme, Body, BodyValue, Definition, Fact, Grace, HmacAuth, SelfSigning};
use crate::mistake::Mistake;
use crate::provider::base_url;
use crate::provider::nearest::did_you_mean;
use crate::provider::template::Template;

/// All mistakes of a definition, in the order of its members.
pub(super) fn mistakes(definition: &Definition) -> Vec<Mistake> {
    let mut found = Vec::new();
    name(definition, &mut found);
    environments(definition, &mut found);
    params(definition, &mut found);
    paths(definition, &mut found);
    auth(definition, &mut found);
    requests(definition, &mut found);
    statuses(definition, &mut found);
    capabilities(definition, &mut found);
    found
}

fn name(definition: &Definition, found: &mut Vec<Mistake>) {
    let part_ok = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let ok = definition.name.split_once('/').is_some_and(|(vendor, kind)| part_ok(vendor) && part_ok(kind));
    if !ok {
        found.push(Mistake::new("name", "a definition's name is provider/kind-of-key, in a-z, 0-9 and '-'"));
    }
}

fn environments(definition: &Definition, found: &mut Vec<Mistake>) {
    for (name, url) in &definition.environments {
        if let Err(mistake) = base_url::parse(url) {
            found.push(mistake.under(&format!("environments.{name}")));
        }
    }
    if !definition.environments.contains_key(&definition.default_environment) {
        let names = definition.environments.keys().map(String::as_str);
        found.push(
            Mistake::new("default_environment", "it is not one of the environments")
                .hint(did_you_mean(&definition.default_environment, names)),
        );
    }
}

/// Names that templates already have a meaning for.
const RESERVED: [&str; 6] = ["resource", "timestamp", "method", "path_and_query", "body_hash", "signature"];

fn params(definition: &Definition, found: &mut Vec<Mistake>) {
    for (name, param) in &definition.params {
        let path = format!("params.{name}");
        let characters_ok = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if name.is_empty() || !characters_ok {
            found.push(Mistake::new(&path, "a parameter's name is made of a-z, 0-9 and '_'"));
        }
        if RESERVED.contains(&name.as_str()) {
            found.push(Mistake::new(&path, "templates give this name a meaning already; choose another"));
        }
        if param.max_length == 0 {
            found.push(Mistake::new(format!("{path}.max_length"), "no value has so few characters"));
        }
        if let Some(pattern) = &param.pattern
            && Regex::new(pattern).is_err()
        {
            found.push(Mistake::new(format!("{path}.pattern"), "it is not a regular expression"));
        }
    }
}

fn paths(definition: &Definition, found: &mut Vec<Mistake>) {
    for (index, template) in definition.resource.iter().enumerate() {
        let place = format!("resource[{index}]");
        begins_with_slash(&place, template, found);
        known_names(definition, &place, template, &[], found);
    }
    let read = definition.read.as_ref().map(|read| ("read.path", &read.path));
    let probe = definition.probe.as_ref().map(|probe| ("probe.path", &probe.path));
    let all: Vec<_> =
        [Some(("regenerate.path", &definition.regenerate.path)), read, probe].into_iter().flatten().collect();
    for (place, template) in &all {
        begins_with_slash(place, template, found);
        known_names(definition, place, template, &["resource"], found);
    }
    let used = all.iter().any(|(_, template)| template.names().any(|name| name == "resource"));
    match (used, definition.resource.is_empty()) {
        (true, true) => {
            found.push(Mistake::new("resource", "a path begins with {resource}, which is missing"))
        }
        (false, false) => found.push(Mistake::new("resource", "no path begins with {resource}")),
        (true, false) | (false, true) => {}
    }
}

fn begins_with_slash(place: &str, template: &Template, found: &mut Vec<Mistake>) {
    let text = template.to_string();
    if !text.starts_with('/') && !text.starts_with("{resource}") {
        found.push(Mistake::new(place, "a path begins with '/' or {resource}"));
    }
    if text.contains(['?', '#']) {
        found.push(
            Mistake::new(place, "a path has no '?' and no '#'").hint("a query is written under `query`"),
        );
    }
}

fn known_names(
    definition: &Definition,
    place: &str,
    template: &Template,
    further: &[&str],
    found: &mut Vec<Mistake>,
) {
    for name in template.names() {
        if !further.contains(&name) && !definition.params.contains_key(name) {
            let names = definition.params.keys().map(String::as_str).chain(further.iter().copied());
            found.push(
                Mistake::new(place, format!("{{{name}}} stands for nothing")).hint(did_you_mean(name, names)),
            );
        }
    }
}

fn auth(definition: &Definition, found: &mut Vec<Mistake>) {
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

fn requests(definition: &Definition, found: &mut Vec<Mistake>) {
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
    if definition.grace == Grace::Fixed(std::time::Duration::ZERO) {
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
    if let Some(status) = definition.idempotency.as_ref().and_then(|idempotency| idempotency.in_progress)
        && !(400..500).contains(&status)
    {
        found.push(Mistake::new("idempotency.in_progress", "a refusal has a status from 400 to 499"));
    }
}

fn capabilities(definition: &Definition, found: &mut Vec<Mistake>) {
    if let Some(redo) = definition.redo {
        if redo.max_calls < 2 {
            found.push(Mistake::new("redo.max_calls", "the first call counts, so it is 2 or more"));
        }
        if definition.self_signing == SelfSigning::Always && definition.grace == Grace::None {
            found.push(
                Mistake::new("redo", "the old key signs the second call, but no grace window keeps it alive")
                    .hint("declare the grace window, or leave redo out"),
            );
        }
    }
    if let Some(propagation) = definition.propagation {
        if propagation.poll.is_zero() {
            found.push(Mistake::new("propagation.poll", "the provider would be asked without a pause"));
        }
        if definition.probe.is_some() && propagation.deadline <= propagation.delay {
            found.push(Mistake::new("propagation.deadline", "it ends before the first probe"));
        }
        if let Grace::Fixed(grace) = definition.grace
            && propagation.delay >= grace
        {
            found.push(Mistake::new(
                "propagation.delay",
                "the old key is dead before the new one counts as usable",
            ));
        }
    }
    let duplicate = duplicate_header(definition);
    if let Some(name) = duplicate {
        found.push(Mistake::new("definition", format!("the header {name} would be sent twice")));
    }
}

fn duplicate_header(definition: &Definition) -> Option<String> {
    definition.auth.iter().find_map(|scheme| {
        let of_scheme: Vec<&str> = match scheme {
            AuthScheme::Header(header) => vec![&header.name],
            AuthScheme::Basic(_) => vec!["Authorization"],
            AuthScheme::Hmac(hmac) => hmac.headers.keys().map(String::as_str).collect(),
        };
        let mut seen = BTreeMap::new();
        of_scheme
            .into_iter()
            .chain(definition.extra_secrets.values().map(|extra| extra.header.as_str()))
            .chain(definition.idempotency.as_ref().map(|idempotency| idempotency.header.as_str()))
            .chain(definition.regenerate.headers.keys().map(String::as_str))
            .find(|name| seen.insert(name.to_ascii_lowercase(), ()).is_some())
            .map(str::to_owned)
    })
}
