//! The headers of one request: the fixed ones, the rotation's id, and the secrets.

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
            let value = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
            insert(&mut headers, &AUTHORIZATION, &value, true)?;
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
    let value = Zeroizing::new(format!("{}{}", header.prefix, secret.expose()));
    insert(headers, &header.name, &value, true)
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str, sensitive: bool) -> Result<(), String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        format!("the value for the header {name} has characters that no header can carry (often a line break at its end)")
    })?;
    value.set_sensitive(sensitive);
    headers.insert(name.clone(), value);
    Ok(())
}
