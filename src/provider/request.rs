//! The headers of one request: the fixed ones, the rotation's id, and the secrets.

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::signing::{Signed, sign};
use super::wire::{Call, SecretHeader, Signing, Wire};
use crate::ids::RotationId;
use crate::secret::SecretValue;

/// The headers of one call, signed with `main`. An error means that nothing was sent, and shows no secret.
pub(super) fn headers(
    wire: &Wire,
    call: &Call,
    signing: &Signing,
    main: &SecretValue,
    extra: &[(String, SecretValue)],
    now: Timestamp,
) -> Result<HeaderMap, String> {
    let mut headers = call.headers.clone();
    if call.body.is_none() && call.method != Method::GET {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    match signing {
        Signing::Header(header) => insert_secret(&mut headers, header, main)?,
        Signing::Basic { username } => {
            let pair = Zeroizing::new(format!("{username}:{}", main.expose()));
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            insert_wiped(&mut headers, &AUTHORIZATION, "Basic ", &encoded)?;
        }
        Signing::Hmac { scheme, params } => {
            let request = Signed {
                method: call.method.as_str(),
                path_and_query: &call.path_and_query,
                body: call.body.as_deref(),
            };
            let param = |name: &str| params.get(name).cloned();
            let stamp = sign(scheme, main.expose(), request, param, now)?;
            for (name, template) in &scheme.headers {
                let value = template
                    .render(|name| match name {
                        "timestamp" => Some(stamp.timestamp.clone()),
                        "signature" => Some(stamp.signature.clone()),
                        other => param(other),
                    })
                    .map_err(|name| format!("a header needs {name}, which has no value"))?;
                let name = HeaderName::try_from(name)
                    .map_err(|_| "the definition has a wrong header name".to_owned())?;
                insert(&mut headers, &name, &value, true)?;
            }
        }
    }
    for (name, header) in &wire.extra {
        let secret = extra.iter().find(|(given, _)| given == name).map(|(_, secret)| secret);
        let secret = secret.ok_or_else(|| format!("the secret {name} is missing"))?;
        insert_secret(&mut headers, header, secret)?;
    }
    Ok(headers)
}

/// Adds the idempotency header, where the definition has one; its value is the rotation's id.
pub(super) fn add_rotation_id(
    headers: &mut HeaderMap,
    wire: &Wire,
    rotation: RotationId,
) -> Result<(), String> {
    match &wire.idempotency_header {
        Some(name) => insert(headers, name, &rotation.to_string(), false),
        None => Ok(()),
    }
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
