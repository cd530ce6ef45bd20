//! What can be wrong with a definition that is well-formed.

mod answers;
mod auth;
mod capabilities;
mod creates;
mod errors;
mod marker;
mod phases;
mod requests;
mod slots;
mod supplies;

use super::{Creates, Definition};
use crate::mistake::{Mistake, did_you_mean};
use crate::provider::base_url;
use crate::provider::fact::Fact;
use crate::provider::template::Template;

/// All mistakes of a definition, in the order of its members.
pub(super) fn mistakes(definition: &Definition) -> Vec<Mistake> {
    let mut found = Vec::new();
    name(definition, &mut found);
    environments(definition, &mut found);
    params(definition, &mut found);
    paths(definition, &mut found);
    auth::mistakes(definition, &mut found);
    requests::mistakes(definition, &mut found);
    requests::lengths(definition, &mut found);
    requests::idempotency(definition, &mut found);
    answers::mistakes(definition, &mut found);
    errors::mistakes(definition, &mut found);
    marker::mistakes(definition, &mut found);
    capabilities::mistakes(definition, &mut found);
    creates::mistakes(definition, &mut found);
    supplies::mistakes(definition, &mut found);
    slots::mistakes(definition, &mut found);
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
        let place = format!("environments.{name}");
        if let Err(mistake) = base_url::check(url) {
            found.push(mistake.under(&place));
        }
        known_names(definition, &place, url, &[], found);
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
const RESERVED: [&str; 9] =
    ["resource", "timestamp", "method", "path", "path_and_query", "body", "body_hash", "nonce", "signature"];

fn params(definition: &Definition, found: &mut Vec<Mistake>) {
    for (name, param) in &definition.params {
        let path = format!("params.{name}");
        let characters_ok = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if name.is_empty() || !characters_ok {
            found.push(Mistake::new(&path, "a parameter's name is made of a-z, 0-9 and '_'"));
        }
        if RESERVED.contains(&name.as_str()) || Fact::named(name).is_some() {
            found.push(Mistake::new(&path, "templates give this name a meaning already; choose another"));
        }
        if !definition.all_templates().any(|template| template.names().any(|used| used == name)) {
            found.push(
                Mistake::new(&path, "nothing uses it")
                    .hint(format!("write {{{name}}} where it belongs, or leave it out")),
            );
        }
        if param.max_length == 0 {
            found.push(Mistake::new(format!("{path}.max_length"), "no value has so few characters"));
        }
        if param.pattern.as_ref().is_some_and(|pattern| !pattern.is_valid()) {
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
    let marker = definition.marker.as_ref().map(|marker| ("marker.path", &marker.path));
    let probe = definition.probe.as_ref().map(|probe| ("probe.path", &probe.path));
    let regenerate = Some(("regenerate.path", &definition.regenerate.path));
    let all: Vec<_> = [regenerate, read, marker, probe].into_iter().flatten().collect();
    for (place, template) in &all {
        begins_with_slash(place, template, found);
        let slot = slots::names(definition).iter().filter(|_| !["marker.path", "probe.path"].contains(place));
        let further: Vec<&str> = slot.copied().chain(["resource"]).collect();
        known_names(definition, place, template, &further, found);
    }
    let beside = definition.creates.iter().flat_map(Creates::templates);
    let mut everywhere = all.iter().map(|(_, template)| *template).chain(beside);
    let used = everywhere.any(|template| template.names().any(|name| name == "resource"));
    match (used, definition.resource.is_empty()) {
        (true, true) => {
            found.push(Mistake::new("resource", "a path begins with {resource}, which is missing"));
        }
        (false, false) => found.push(Mistake::new("resource", "no path begins with {resource}")),
        (true, false) | (false, true) => {}
    }
}

fn begins_with_slash(place: &str, template: &Template, found: &mut Vec<Mistake>) {
    let text = template.to_string();
    if text.contains("://") {
        found.push(Mistake::new(place, "a path has no host").hint("the host stands under `environments`"));
    } else if !text.starts_with('/') && !text.starts_with("{resource}") {
        found.push(Mistake::new(place, "a path begins with '/' or {resource}"));
    }
    if text.contains("${") {
        found.push(Mistake::new(place, "a '$' stands before a name in braces").hint("write {name} alone"));
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
            let known = did_you_mean(name, names);
            let hint = if known.starts_with("did you mean") {
                known
            } else {
                format!("{known}; what a credential says of itself is declared under `params`")
            };
            found.push(Mistake::new(place, format!("{{{name}}} stands for nothing")).hint(hint));
        }
    }
}
