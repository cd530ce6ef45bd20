//! A request as a person reads it: built by what builds the real one, each secret masked.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use serde::Serialize;

use crate::provider::bind::BoundDefinition;
use crate::provider::definition::Definition;
use crate::provider::request::headers;
use crate::provider::wire::{Call, Signing};
use crate::secret::SecretValue;

/// One request as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// The HTTP method.
    pub method: String,
    /// The address, parameters in braces.
    pub url: String,
    /// The headers by name; secrets and what is computed from them stand in angle brackets.
    pub headers: BTreeMap<String, String>,
    /// The body, where there is one.
    pub body: Option<String>,
}

impl Request {
    /// The request as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} {}", self.purpose.word(), self.method, self.url)];
        lines.extend(self.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
        lines.extend(self.body.iter().map(|body| format!("  {body}")));
        lines
    }
}

/// What a request is for, in the order of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// It makes the new key.
    Regenerate,
    /// It reads the current key.
    Read,
    /// It shows whether a key is accepted.
    Probe,
}

impl Purpose {
    /// The purpose as a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Regenerate => "regenerate",
            Self::Read => "read",
            Self::Probe => "probe",
        }
    }
}

/// Stands for the secret that signs the call, whoever's it is.
const SIGNING_KEY: &str = "<signing key>";
/// Stands for the key that is probed.
const PROBED_KEY: &str = "<new key>";
/// Two keys of any text encoding, for signatures that are not shown.
const ANY_KEY: &str = "AAAA";
const OTHER_KEY: &str = "BBBB";

/// All requests of one credential, in the order of a rotation, each secret masked.
pub fn requests(bound: &BoundDefinition, definition: &Definition) -> Vec<Request> {
    let wire = &bound.wire;
    let shown = Shown { bound, definition };
    let mut regenerate = shown.request(Purpose::Regenerate, &wire.regenerate, &wire.signing, SIGNING_KEY);
    if let Some(name) = &wire.idempotency_header {
        regenerate.headers.insert(name.to_string(), "<rotation id>".to_owned());
    }
    let read =
        wire.read.as_ref().map(|read| shown.request(Purpose::Read, &read.call, &wire.signing, SIGNING_KEY));
    let probe = wire
        .probe
        .as_ref()
        .map(|probe| shown.request(Purpose::Probe, &probe.call, &probe.signing, PROBED_KEY));
    [Some(regenerate), read, probe].into_iter().flatten().collect()
}

struct Shown<'a> {
    bound: &'a BoundDefinition,
    definition: &'a Definition,
}

impl Shown<'_> {
    fn request(&self, purpose: Purpose, call: &Call, signing: &Signing, key: &str) -> Request {
        let body = call.body.as_deref().map(|body| self.named(&String::from_utf8_lossy(body)));
        Request {
            purpose,
            method: call.method.to_string(),
            url: self.named(call.url.as_str()),
            headers: self.headers(call, signing, key),
            body,
        }
    }

    fn headers(&self, call: &Call, signing: &Signing, key: &str) -> BTreeMap<String, String> {
        let mask = |name: &String| (name.clone(), SecretValue::new(format!("<{name}>")));
        let extra: Vec<(String, SecretValue)> = self.definition.extra_secrets.keys().map(mask).collect();
        let build = |key: &str, at: Timestamp| {
            let key = SecretValue::new(key.to_owned());
            headers(&self.bound.wire, call, signing, &key, &extra, at).ok()
        };
        let first = build(key, Timestamp::UNIX_EPOCH).or_else(|| build(ANY_KEY, Timestamp::UNIX_EPOCH));
        let other = build(OTHER_KEY, Timestamp::MAX).unwrap_or_default();
        let shown = first.unwrap_or_default();
        let shown = shown.iter().filter(|(name, _)| **name != CONTENT_LENGTH);
        shown.map(|(name, value)| (name.to_string(), masked(value, other.get(name) == Some(value)))).collect()
    }

    /// The text with every parameter's own name readable again, however it was encoded.
    fn named(&self, text: &str) -> String {
        self.definition.params.keys().fold(text.to_owned(), |text, name| {
            text.replace(&format!("%7B{name}%7D"), &format!("{{{name}}}"))
        })
    }
}

/// A header's value: as it is where neither key nor time changes it, else what goes into it, or that it is computed.
fn masked(value: &HeaderValue, is_always_so: bool) -> String {
    let text = value.to_str().unwrap_or_default();
    let pair = text.strip_prefix("Basic ").and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok());
    match pair {
        Some(pair) => format!("Basic <base64 of {}>", String::from_utf8_lossy(&pair)),
        None if is_always_so || text.contains('<') => text.to_owned(),
        None => "<computed for each request>".to_owned(),
    }
}
