//! One request as it leaves: the fixed part, the body's open parts, the rotation's id, and the secrets.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::body::{self, Filling};
use super::signing::{QUERY_ENCODED, Signed, nonce, sign};
use super::wire::{Call, SecretHeader, Signing};
use crate::ids::{KeyId, RotationId};
use crate::secret::SecretValue;

/// Whose request it is, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    /// How the secret gets into the request.
    pub(super) signing: &'a Signing,
    /// The secret that authenticates it.
    pub(super) main: &'a SecretValue,
    pub(super) extra: &'a [(String, SecretValue)],
    /// The headers that hold further secrets, by the secrets' names.
    pub(super) extra_headers: &'a BTreeMap<String, SecretHeader>,
    /// The header for the rotation's id.
    pub(super) id_header: Option<&'a HeaderName>,
    /// The rotation that it belongs to; only a regenerate call has one.
    pub(super) rotation: Option<RotationId>,
    /// The key that it brings, where keyturn chose it.
    pub(super) supplied: Option<&'a SecretValue>,
    /// The key that it revokes; only a revocation has one.
    pub(super) key_id: Option<&'a KeyId>,
    /// Our time.
    pub(super) now: Timestamp,
    /// The time that a signature covers.
    pub(super) signing_time: Timestamp,
}

/// What leaves beside method and URL. It has no `Debug`, for it holds the secrets.
pub(super) struct Filled {
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// Fills one call's open parts. An error means that nothing was sent, and shows no secret.
pub(super) fn fill(call: &Call, sender: Sender<'_>) -> Result<Filled, String> {
    let Sender { main, extra, rotation, supplied, key_id, now, .. } = sender;
    let filling = Filling { rotation, key_id, signer: main, supplied, extra, now };
    let body = call.body.as_ref().map(|body| body::write(body, filling)).transpose()?;
    let mut headers = call.headers.clone();
    if let Some(boundary) = body.as_ref().and_then(|body| body.boundary.as_ref()) {
        insert(&mut headers, &CONTENT_TYPE, &format!("multipart/form-data; boundary={boundary}"), false)?;
    }
    let body = body.map(|body| body.bytes);
    if body.is_none() && call.method != Method::GET {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    add_signature(&mut headers, call, body.as_deref(), sender)?;
    for (name, header) in sender.extra_headers {
        let secret = extra.iter().find(|(given, _)| given == name).map(|(_, secret)| secret);
        let secret = secret.ok_or_else(|| format!("the secret {name} is missing"))?;
        insert_secret(&mut headers, header, secret)?;
    }
    if let (Some(name), Some(rotation)) = (sender.id_header, rotation) {
        insert(&mut headers, name, &rotation.to_string(), false)?;
    }
    Ok(Filled { headers, body })
}

fn add_signature(
    headers: &mut HeaderMap,
    call: &Call,
    body: Option<&[u8]>,
    sender: Sender<'_>,
) -> Result<(), String> {
    let main = sender.main;
    match sender.signing {
        Signing::Header(header) => insert_secret(headers, header, main),
        Signing::Basic { before, after, encoded } => {
            let pair = basic_pair(before, main, after, *encoded);
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            insert_wiped(headers, &AUTHORIZATION, "Basic ", &encoded)
        }
        Signing::Hmac { scheme, params } => {
            let nonce = nonce()?;
            let method = call.method.as_str();
            let request = Signed { method, path_and_query: &call.path_and_query, body, nonce: &nonce };
            let param = |name: &str| params.get(name).cloned();
            let stamp = sign(scheme, main.expose(), request, param, sender.signing_time)?;
            for (name, template) in &scheme.headers {
                let value = template
                    .render(|name| match name {
                        "timestamp" => Some(stamp.timestamp.clone()),
                        "signature" => Some(stamp.signature.clone()),
                        "nonce" => Some(nonce.clone()),
                        other => param(other),
                    })
                    .map_err(|name| format!("a header needs {name}, which has no value"))?;
                let name = HeaderName::try_from(name)
                    .map_err(|_| "the definition has a wrong header name".to_owned())?;
                insert(headers, &name, &value, true)?;
            }
            Ok(())
        }
        Signing::Body => Ok(()),
        // The token has taken the secret's place.
        Signing::Oauth2(_) => insert_wiped(headers, &AUTHORIZATION, "Bearer ", main.expose()),
    }
}

/// User name and password with the colon between them.
pub(super) fn basic_pair(before: &str, main: &SecretValue, after: &str, encoded: bool) -> Zeroizing<String> {
    let secret = main.expose();
    // Its whole size at once: a text that grows leaves copies of the secret behind. Encoded, a byte becomes three.
    let size = before.len() + secret.len() * 3 + after.len();
    let mut pair = Zeroizing::new(String::with_capacity(size));
    pair.push_str(before);
    if encoded {
        pair.extend(utf8_percent_encode(secret, QUERY_ENCODED));
    } else {
        pair.push_str(secret);
    }
    pair.push_str(after);
    pair
}

fn insert_secret(headers: &mut HeaderMap, header: &SecretHeader, secret: &SecretValue) -> Result<(), String> {
    insert_wiped(headers, &header.name, &header.prefix, secret.expose())
}

/// Adds a header that holds a secret: the map and all its copies share one buffer, wiped with the last of them.
fn insert_wiped(
    headers: &mut HeaderMap,
    name: &HeaderName,
    prefix: &str,
    secret: &str,
) -> Result<(), String> {
    // Its whole size at once: a buffer that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(secret.as_bytes());
    if !bytes.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte)) {
        return Err(not_for_a_header(name));
    }
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).map_err(|_| not_for_a_header(name))?;
    value.set_sensitive(true);
    headers.insert(name.clone(), value);
    Ok(())
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str, sensitive: bool) -> Result<(), String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| not_for_a_header(name))?;
    value.set_sensitive(sensitive);
    headers.insert(name.clone(), value);
    Ok(())
}

fn not_for_a_header(name: &HeaderName) -> String {
    format!(
        "the value for the header {name} has characters that no header can carry (often a line break at its end)"
    )
}
