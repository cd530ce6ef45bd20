//! What can be wrong with the schemes and further secrets that a definition declares.

use std::collections::BTreeSet;

use super::requests::header_pair;
use super::{begins_with_slash, known_names};
use crate::mistake::Mistake;
use crate::provider::base_url;
use crate::provider::definition::{AuthScheme, BasicAuth, Definition, ExtraSecret, HmacAuth, Oauth2Auth};
use crate::provider::fact::Fact;

/// Whether the schemes and further secrets make requests that can be sent.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
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
            AuthScheme::Basic(basic) => basic_scheme(definition, &format!("{place}.basic"), basic, found),
            AuthScheme::Hmac(hmac) => hmac_scheme(definition, &format!("{place}.hmac"), hmac, found),
            AuthScheme::Oauth2(oauth2) => {
                oauth2_scheme(definition, &format!("{place}.oauth2"), oauth2, found);
            }
            AuthScheme::Body(_) => {}
        }
    }
    in_the_body(definition, found);
    for (name, extra) in &definition.extra_secrets {
        extra_secret(definition, name, extra, found);
    }
    if let Some(name) = duplicate_header(definition) {
        found.push(Mistake::new("definition", format!("the header {name} would be sent twice")));
    }
}

fn basic_scheme(definition: &Definition, place: &str, basic: &BasicAuth, found: &mut Vec<Mistake>) {
    if basic.username.is_some() == basic.password.is_some() {
        found.push(
            Mistake::new(place, "the secret is either the user name or the password")
                .hint("give the other one, and leave out the one that the secret is"),
        );
    }
    for (side, template) in [("username", &basic.username), ("password", &basic.password)] {
        if let Some(template) = template {
            known_names(definition, &format!("{place}.{side}"), template, &[], found);
        }
    }
}

/// Where the body authenticates, nothing else does, and every call has to have the body.
fn in_the_body(definition: &Definition, found: &mut Vec<Mistake>) {
    let is_in_body = definition.body_facts().any(|fact| fact == Fact::Secret);
    let is_declared = definition.auth.iter().any(|scheme| matches!(scheme, AuthScheme::Body(_)));
    match (is_declared, is_in_body) {
        (true, false) => found.push(
            Mistake::new("auth", "the body should hold the secret, but holds none")
                .hint("add a member \"{secret}\" to the body"),
        ),
        (false, true) => found.push(
            Mistake::new(
                "regenerate.body",
                "it holds {secret}, but no scheme says that the body authenticates",
            )
            .hint("write auth: [{ body: {} }]"),
        ),
        (true, true) | (false, false) => {}
    }
    if !is_declared {
        return;
    }
    if definition.auth.len() > 1 {
        found.push(Mistake::new(
            "auth",
            "the body holds the secret whichever scheme is chosen, so there is only one",
        ));
    }
    let looks = [
        ("read", definition.read.is_some()),
        ("marker", definition.marker.is_some()),
        ("probe", definition.probe.is_some()),
    ];
    for (place, is_there) in looks {
        if is_there {
            found.push(Mistake::new(place, "a GET has no body, and only a body authenticates here"));
        }
    }
}

fn extra_secret(definition: &Definition, name: &str, extra: &ExtraSecret, found: &mut Vec<Mistake>) {
    let place = format!("extra_secrets.{name}");
    if definition.params.contains_key(name) || Fact::named(name).is_some() {
        found.push(Mistake::new(&place, "this name has another meaning already; choose another"));
    }
    let is_in_body = definition.body_names().any(|used| used == name);
    match (&extra.header, is_in_body) {
        (Some(header), false) => header_pair(&place, header, &extra.prefix, found),
        (Some(_), true) => found.push(
            Mistake::new(&place, "the secret would be sent twice, as a header and in the body")
                .hint("leave one of them out"),
        ),
        (None, false) => found.push(
            Mistake::new(&place, "the secret is sent nowhere")
                .hint(format!("give it a `header`, or let the body hold \"{{{name}}}\"")),
        ),
        (None, true) => {
            if extra.optional {
                found.push(Mistake::new(&place, "the body holds it, so no credential may do without it"));
            }
            if !extra.prefix.is_empty() {
                found.push(
                    Mistake::new(format!("{place}.prefix"), "there is no header to stand in")
                        .hint("write what stands before it into the body"),
                );
            }
        }
    }
}

fn hmac_scheme(definition: &Definition, place: &str, hmac: &HmacAuth, found: &mut Vec<Mistake>) {
    let parts = ["timestamp", "method", "path_and_query", "path", "body_hash", "body", "nonce"];
    known_names(definition, &format!("{place}.message"), &hmac.message, &parts, found);
    let is_covered = |part: &str| hmac.message.names().any(|name| name == part);
    let path_is_all = !definition.has_a_query() && is_covered("path");
    let needed = [
        ("timestamp", is_covered("timestamp")),
        ("method", is_covered("method")),
        ("path_and_query", is_covered("path_and_query") || path_is_all),
        ("body_hash", is_covered("body_hash") || is_covered("body")),
    ];
    for (part, covered) in needed {
        if !covered {
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
            &["timestamp", "signature", "nonce"],
            found,
        );
    }
    let is_sent = |part: &str| hmac.headers.values().any(|value| value.names().any(|name| name == part));
    for (part, needed) in [("timestamp", true), ("signature", true), ("nonce", is_covered("nonce"))] {
        if needed && !is_sent(part) {
            found.push(Mistake::new(format!("{place}.headers"), format!("no header holds {{{part}}}")));
        }
    }
    if is_sent("nonce") && !is_covered("nonce") {
        found.push(Mistake::new(format!("{place}.message"), "the signature does not cover {nonce}"));
    }
    if hmac.skew.is_zero() {
        found.push(Mistake::new(format!("{place}.skew"), "no two clocks agree that well"));
    }
}

/// Fields of the request for a token that the scheme itself fills.
const OWN_FIELDS: [&str; 3] = ["grant_type", "client_id", "client_secret"];

fn oauth2_scheme(definition: &Definition, place: &str, oauth2: &Oauth2Auth, found: &mut Vec<Mistake>) {
    if let Some(Err(mistake)) = oauth2.base_url.as_deref().map(base_url::parse) {
        found.push(mistake.under(&format!("{place}.base_url")));
    }
    begins_with_slash(&format!("{place}.path"), &oauth2.path, found);
    known_names(definition, &format!("{place}.path"), &oauth2.path, &[], found);
    known_names(definition, &format!("{place}.client_id"), &oauth2.client_id, &[], found);
    for (name, value) in &oauth2.parameters {
        let place = format!("{place}.parameters.{name}");
        if OWN_FIELDS.contains(&name.as_str()) {
            found.push(Mistake::new(&place, "the scheme fills this field itself").hint("leave it out here"));
        }
        known_names(definition, &place, value, &[], found);
    }
}

fn duplicate_header(definition: &Definition) -> Option<String> {
    definition.auth.iter().find_map(|scheme| {
        let of_scheme: Vec<&str> = match scheme {
            AuthScheme::Header(header) => vec![&header.name],
            AuthScheme::Basic(_) | AuthScheme::Oauth2(_) => vec!["Authorization"],
            AuthScheme::Hmac(hmac) => hmac.headers.keys().map(String::as_str).collect(),
            AuthScheme::Body(_) => Vec::new(),
        };
        let mut seen = BTreeSet::new();
        of_scheme
            .into_iter()
            .chain(definition.extra_secrets.values().filter_map(|extra| extra.header.as_deref()))
            .chain(definition.idempotency.as_ref().and_then(|idempotency| idempotency.header.as_deref()))
            .chain(definition.headers.keys().map(String::as_str))
            .find(|name| !seen.insert(name.to_ascii_lowercase()))
            .map(str::to_owned)
    })
}
