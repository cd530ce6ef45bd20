//! A request as a person reads it: built by what builds the real one, each secret masked.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::ids::RotationId;
use crate::provider::bind::BoundDefinition;
use crate::provider::body::fields;
use crate::provider::definition::{Definition, KEY_ID, SLOT};
use crate::provider::request::{Filled, Sender, fill};
use crate::provider::wire::{Call, SecretHeader, Signing};
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
    /// The body, where there is one, with the same in angle brackets.
    pub body: Option<String>,
}

impl Request {
    /// The request as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} {}", self.purpose.word(), self.method, self.url)];
        lines.extend(self.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
        lines.extend(self.body.iter().flat_map(|body| body.lines()).map(|line| format!("  {line}")));
        lines
    }
}

/// What a request is for, in the order of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// It asks for the access token that the others are signed with.
    Token,
    /// It makes the new key.
    Regenerate,
    /// It reads the current key.
    Read,
    /// It shows whether the key has changed.
    Marker,
    /// It shows whether a key is accepted.
    Probe,
    /// It lists the keys, where they live side by side.
    List,
    /// It revokes one of them.
    Revoke,
    /// It activates a pending key, which ends the old one's life.
    Activate,
    /// It discards a pending key.
    Discard,
}

impl Purpose {
    /// The purpose as a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Regenerate => "regenerate",
            Self::Read => "read",
            Self::Marker => "marker",
            Self::Probe => "probe",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::Activate => "activate",
            Self::Discard => "discard",
        }
    }
}

/// Stands for the secret that signs the call, whoever's it is.
const SIGNING_KEY: &str = "<signing key>";
/// Stands for the key that is probed.
const PROBED_KEY: &str = "<new key>";
/// Stands for the key that keyturn chooses.
const SUPPLIED_KEY: &str = "<chosen key>";
/// Stands for what the secret was exchanged for.
const ACCESS_TOKEN: &str = "<access token>";
/// Stands for the rotation's id.
const ROTATION_ID: &str = "<rotation id>";
/// Stands for the id of the key that is revoked.
const KEY_ID_NAMED: &str = "{key_id}";
/// Stands for what only the moment of the call decides.
const COMPUTED: &str = "<computed for each request>";
/// Two keys of any text encoding, for signatures that are not shown.
const ANY_KEY: &str = "AAAA";
const OTHER_KEY: &str = "BBBB";

/// All requests of one credential, in the order of a rotation, each secret masked.
pub fn requests(bound: &BoundDefinition, definition: &Definition) -> Vec<Request> {
    let wire = &bound.wire;
    let shown = Shown { bound, definition };
    let token = match &wire.signing {
        Signing::Oauth2(token) => {
            Some(shown.request(Purpose::Token, &token.call, &token.signing, SIGNING_KEY))
        }
        _ => None,
    };
    let regenerate = shown.request(Purpose::Regenerate, &wire.regenerate, &wire.signing, SIGNING_KEY);
    let read = wire.read.as_ref();
    let read = read.map(|read| shown.request(Purpose::Read, &read.call, &wire.signing, SIGNING_KEY));
    let marker = wire.marker.as_ref();
    let marker =
        marker.map(|marker| shown.request(Purpose::Marker, &marker.call, &wire.signing, SIGNING_KEY));
    let probe = wire.probe.as_ref();
    let probe = probe.map(|probe| shown.request(Purpose::Probe, &probe.call, &probe.signing, PROBED_KEY));
    let beside = |purpose, call: &Call| shown.request(purpose, call, &wire.signing, SIGNING_KEY);
    let list = wire.list.as_ref().map(|list| beside(Purpose::List, &list.page(None)));
    let any = KEY_ID_NAMED.parse().ok();
    let revoke =
        wire.revoke.iter().filter_map(|revoke| Some(beside(Purpose::Revoke, &revoke.of(any.as_ref()?)?)));
    let phases = [(Purpose::Activate, &wire.activate), (Purpose::Discard, &wire.discard)];
    let phases = phases
        .into_iter()
        .filter_map(|(purpose, step)| Some(beside(purpose, &step.as_ref()?.of(any.as_ref()?)?)));
    let alone = [token, Some(regenerate), read, marker, probe, list];
    alone.into_iter().flatten().chain(revoke).chain(phases).collect()
}

/// A parameter's name where its value is a part of a host's.
pub(super) fn in_a_host(name: &str) -> String {
    format!("param--{}", name.replace('_', "-"))
}

struct Shown<'a> {
    bound: &'a BoundDefinition,
    definition: &'a Definition,
}

impl Shown<'_> {
    fn request(&self, purpose: Purpose, call: &Call, signing: &Signing, key: &str) -> Request {
        let key = if matches!(signing, Signing::Oauth2(_)) { ACCESS_TOKEN } else { key };
        let now = Timestamp::UNIX_EPOCH;
        let filled = self.filled(purpose, call, signing, key, now);
        let filled = filled.or_else(|| self.filled(purpose, call, signing, ANY_KEY, now));
        let (headers, body) = filled.map_or((HeaderMap::new(), None), |filled| (filled.headers, filled.body));
        let other = self.filled(purpose, call, signing, OTHER_KEY, Timestamp::MAX);
        let (others, other) = other.map_or((HeaderMap::new(), None), |filled| (filled.headers, filled.body));
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|value| value.strip_prefix("multipart/form-data; boundary="));
        let shown = headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH);
        Request {
            purpose,
            method: call.method.to_string(),
            url: self.named(call.url.as_str()),
            headers: shown
                .map(|(name, value)| (name.to_string(), masked(value, others.get(name) == Some(value))))
                .collect(),
            body: body.map(|body| self.named(&masked_body(&body, &other.unwrap_or_default(), boundary))),
        }
    }

    fn filled(
        &self,
        purpose: Purpose,
        call: &Call,
        signing: &Signing,
        key: &str,
        now: Timestamp,
    ) -> Option<Filled> {
        let wire = &self.bound.wire;
        let mask = |name: &String| (name.clone(), SecretValue::new(format!("<{name}>")));
        let extra: Vec<(String, SecretValue)> = self.definition.extra_secrets.keys().map(mask).collect();
        let nothing: BTreeMap<String, SecretHeader> = BTreeMap::new();
        let key_id = KEY_ID_NAMED.parse().ok().filter(|_| purpose == Purpose::Revoke);
        let chosen = SecretValue::new(SUPPLIED_KEY.to_owned());
        let sender = Sender {
            signing,
            main: &SecretValue::new(key.to_owned()),
            extra: &extra,
            extra_headers: if purpose == Purpose::Token { &nothing } else { &wire.extra },
            id_header: wire.idempotency_header.as_ref(),
            supplied: Some(&chosen).filter(|_| purpose == Purpose::Regenerate),
            rotation: (purpose == Purpose::Regenerate).then(|| RotationId::from_uuid(Uuid::nil())),
            key_id: key_id.as_ref(),
            now,
            signing_time: now,
        };
        fill(call, sender).ok()
    }

    /// The text with every parameter's own name readable again, however it was encoded.
    fn named(&self, text: &str) -> String {
        let names = self.definition.params.keys().map(String::as_str).chain([KEY_ID, SLOT]);
        names.fold(text.to_owned(), |text, name| {
            let braced = format!("{{{name}}}");
            text.replace(&format!("%7B{name}%7D"), &braced).replace(&in_a_host(name), &braced)
        })
    }
}

/// A header's value: as it is where neither key nor time changes it, else what goes into it, or that it is computed.
fn masked(value: &HeaderValue, is_always_so: bool) -> String {
    let text = value.to_str().unwrap_or_default();
    let pair = text.strip_prefix("Basic ").and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok());
    let text = match pair {
        Some(pair) => format!("Basic <base64 of {}>", decoded(&String::from_utf8_lossy(&pair))),
        None if is_always_so || text.contains('<') => text.to_owned(),
        None => COMPUTED.to_owned(),
    };
    with_rotation_id(&text)
}

/// A body, of which what differs from the other one is computed, unless it says itself what it stands for.
fn masked_body(body: &Bytes, other: &Bytes, boundary: Option<&str>) -> String {
    let pair = (serde_json::from_slice(body), serde_json::from_slice(other));
    let text = if let (Ok(body), Ok(other)) = pair {
        masked_value(&body, &other).to_string()
    } else {
        match boundary {
            Some(boundary) => masked_fields(&fields(body, boundary), &fields(other, boundary)).join("\n"),
            None => masked_fields(&pairs(body), &pairs(other)).join("&"),
        }
    };
    with_rotation_id(&text)
}

fn pairs(form: &Bytes) -> Vec<(String, String)> {
    let form = String::from_utf8_lossy(form);
    let pair = |field: &str| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        (decoded(name), decoded(value))
    };
    form.split('&').map(pair).collect()
}

fn masked_fields(fields: &[(String, String)], others: &[(String, String)]) -> Vec<String> {
    let masked = fields.iter().enumerate().map(|(index, (name, value))| {
        let is_always_so = others.get(index).is_some_and(|(_, other)| other == value);
        let value = if is_always_so || value.contains('<') { value } else { COMPUTED };
        format!("{name}={value}")
    });
    masked.collect()
}

fn masked_value(value: &Value, other: &Value) -> Value {
    match (value, other) {
        (Value::Object(members), Value::Object(others)) => {
            let masked = members.iter().map(|(name, member)| {
                (name.clone(), masked_value(member, others.get(name).unwrap_or(&Value::Null)))
            });
            Value::Object(masked.collect())
        }
        (Value::Array(items), Value::Array(others)) => {
            let others = others.iter().chain(std::iter::repeat(&Value::Null));
            items.iter().zip(others).map(|(item, other)| masked_value(item, other)).collect()
        }
        (Value::String(text), _) if text.contains('<') => value.clone(),
        _ if value == other => value.clone(),
        _ => COMPUTED.into(),
    }
}

fn with_rotation_id(text: &str) -> String {
    text.replace(&Uuid::nil().to_string(), ROTATION_ID)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
