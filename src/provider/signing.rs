//! Signatures over requests (HMAC), and the canonical form of what they cover.

use aws_lc_rs::{digest, hmac, rand};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::definition::{
    BodyHash, EmptyBody, HashAlgorithm, HmacAuth, KeyEncoding, TextEncoding, TimestampFormat,
};
use super::template::Part;

/// What one request is, as far as a signature covers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path_and_query: &'a str,
    pub(super) body: Option<&'a [u8]>,
    /// A text that no other request has.
    pub(super) nonce: &'a str,
}

/// A signature and the time that it covers, as they stand in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) timestamp: String,
    pub(super) signature: String,
}

/// Signs a request; an error says what is wrong with the secret, without a character of it.
pub(super) fn sign(
    scheme: &HmacAuth,
    secret: &str,
    request: Signed<'_>,
    param: impl Fn(&str) -> Option<String>,
    now: Timestamp,
) -> Result<Stamp, String> {
    let timestamp = write_time(scheme.timestamp, now);
    let key = hmac::Key::new(hmac_algorithm(scheme.algorithm), &key_bytes(scheme.key_encoding, secret)?);
    // Piece by piece, so that a body with secrets is copied nowhere.
    let mut message = hmac::Context::with_key(&key);
    for part in scheme.message.parts() {
        let name = match part {
            Part::Text(text) => {
                message.update(text.as_bytes());
                continue;
            }
            Part::Name(name) => name.as_str(),
        };
        match name {
            "timestamp" => message.update(timestamp.as_bytes()),
            "method" => message.update(request.method.to_ascii_uppercase().as_bytes()),
            "path_and_query" => message.update(request.path_and_query.as_bytes()),
            "path" => message.update(path(request.path_and_query).as_bytes()),
            "body" => message.update(request.body.unwrap_or_default()),
            "body_hash" => message.update(hash_body(scheme.body_hash, request.body).as_bytes()),
            "nonce" => message.update(request.nonce.as_bytes()),
            other => {
                let value = param(other);
                let value =
                    value.ok_or_else(|| format!("the signed message needs {other}, which has no value"))?;
                message.update(value.as_bytes());
            }
        }
    }
    let tag = message.sign();
    let signature = format!("{}{}", scheme.signature.prefix, encode(scheme.signature.encoding, tag.as_ref()));
    Ok(Stamp { timestamp, signature })
}

fn path(path_and_query: &str) -> &str {
    path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path)
}

/// Sixteen random bytes as text.
pub(super) fn nonce() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| "this machine gives no random numbers".to_owned())?;
    Ok(HEXLOWER.encode(&bytes))
}

/// The canonical form of a query: sorted by name, percent-encoded like JavaScript's `encodeURIComponent`.
pub(super) fn canonical_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_unstable();
    let encoded = |text| utf8_percent_encode(text, QUERY_ENCODED);
    let pairs: Vec<_> =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// A value as it stands in a path, of which it can be one segment only.
pub(super) fn in_a_path(value: &str) -> String {
    utf8_percent_encode(value, PATH_ENCODED).to_string()
}

/// RFC 3986's unreserved characters stay; everything else is encoded, slashes above all.
const PATH_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// As JavaScript's `encodeURIComponent` does it.
pub(super) const QUERY_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

fn write_time(format: TimestampFormat, now: Timestamp) -> String {
    match format {
        TimestampFormat::UnixSeconds => now.as_second().to_string(),
        TimestampFormat::UnixMilliseconds => now.as_millisecond().to_string(),
        TimestampFormat::Rfc3339 => now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        TimestampFormat::HttpDate => now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    }
}

fn hash_body(rule: BodyHash, body: Option<&[u8]>) -> String {
    let body = match (body, rule.empty_body) {
        (None | Some([]), EmptyBody::EmptyText) => return String::new(),
        (None, EmptyBody::HashOfNothing) => &[],
        (Some(body), _) => body,
    };
    let algorithm = match rule.algorithm {
        HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    };
    encode(rule.encoding, digest::digest(algorithm, body).as_ref())
}

const fn hmac_algorithm(algorithm: HashAlgorithm) -> hmac::Algorithm {
    match algorithm {
        HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HashAlgorithm::Sha384 => hmac::HMAC_SHA384,
        HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
    }
}

fn key_bytes(encoding: KeyEncoding, secret: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = match encoding {
        KeyEncoding::Utf8 => Ok(secret.as_bytes().to_vec()),
        KeyEncoding::Hex => HEXLOWER_PERMISSIVE.decode(secret.as_bytes()),
        KeyEncoding::Base64 => BASE64.decode(secret.as_bytes()),
    };
    bytes.map(Zeroizing::new).map_err(|_| {
        format!(
            "the signing secret is not {}",
            if encoding == KeyEncoding::Hex { "hexadecimal" } else { "base64" }
        )
    })
}

fn encode(encoding: TextEncoding, bytes: &[u8]) -> String {
    match encoding {
        TextEncoding::Hex => HEXLOWER.encode(bytes),
        TextEncoding::Base64 => BASE64.encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;
    use crate::provider::definition::{AuthScheme, Signature};

    fn spritz() -> HmacAuth {
        let catalog = Catalog::embedded();
        match &catalog.get("spritz/integrator-secret").unwrap().auth[0] {
            AuthScheme::Hmac(hmac) => hmac.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn signature(scheme: &HmacAuth, method: &str, path_and_query: &str, body: Option<&str>) -> String {
        let now = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let request = Signed { method, path_and_query, body: body.map(str::as_bytes), nonce: "n-1" };
        let stamp = sign(scheme, "test-secret-key-12345", request, |_| None, now).unwrap();
        assert_eq!(stamp.timestamp, "1700000000000");
        stamp.signature
    }

    /// The golden vectors of the provider's own client.
    #[test]
    fn the_published_vectors_verify() {
        let scheme = spritz();
        assert_eq!(
            signature(&scheme, "POST", "/v1/transactions", Some("{\"amount\":100}")),
            "sha256=12dcf2a7647146ce08a465349ab03f992d8a18542cd576d40a9eb8e2958d4b9f"
        );
        assert_eq!(
            signature(&scheme, "GET", "/v1/users/me", None),
            "sha256=147ecf7209d3d91ca62d3cc190473954120d305b85c007b50976d4fe88551c52"
        );
    }

    /// RFC 2202 and RFC 4231 have the same key and text.
    #[test]
    fn a_message_is_ordered_by_its_template_and_signed_with_each_hash() {
        let signature = |algorithm, message: &str| {
            let message = message.to_owned().try_into().unwrap();
            let signature = Signature::default();
            let scheme = HmacAuth { algorithm, message, signature, ..spritz() };
            let body = b"what do ya want for nothing?";
            let request = Signed { method: "post", path_and_query: "/a?b=c", body: Some(body), nonce: "n-1" };
            sign(&scheme, "Jefe", request, |_| None, Timestamp::UNIX_EPOCH).unwrap().signature
        };
        assert_eq!(signature(HashAlgorithm::Sha1, "{body}"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            signature(HashAlgorithm::Sha256, "{body}"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(signature(HashAlgorithm::Sha512, "{body}").starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
        let written_out = signature(HashAlgorithm::Sha256, "n-1\n/a POST/a?b=c\n0");
        assert_eq!(
            signature(HashAlgorithm::Sha256, "{nonce}\n{path} {method}{path_and_query}\n{timestamp}"),
            written_out
        );
    }

    #[test]
    fn no_two_nonces_are_the_same() {
        let one = nonce().unwrap();
        assert_eq!(one.len(), 32);
        assert_ne!(one, nonce().unwrap());
    }

    #[test]
    fn a_missing_body_can_be_hashed_too() {
        let rule = BodyHash { empty_body: EmptyBody::HashOfNothing, ..BodyHash::default() };
        assert_eq!(hash_body(rule, None), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hash_body(BodyHash::default(), None), "");
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        assert_eq!(canonical_query([]), "");
        assert_eq!(
            canonical_query([("b", "2 3"), ("a", "x&y=z"), ("ä", "(!*'~)/")]),
            "a=x%26y%3Dz&b=2%203&%C3%A4=(!*'~)%2F"
        );
    }

    #[test]
    fn times_keys_and_signatures_have_their_other_forms() {
        let now = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
        assert_eq!(write_time(TimestampFormat::UnixSeconds, now), "1700000000");
        assert_eq!(write_time(TimestampFormat::Rfc3339, now), "2023-11-14T22:13:20Z");
        assert_eq!(write_time(TimestampFormat::HttpDate, now), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(*key_bytes(KeyEncoding::Hex, "00Ff").unwrap(), [0, 255]);
        assert_eq!(*key_bytes(KeyEncoding::Base64, "AP8=").unwrap(), [0, 255]);
        let error = key_bytes(KeyEncoding::Hex, "canary").unwrap_err();
        assert!(!error.contains("canary"), "{error}");
        assert_eq!(encode(TextEncoding::Base64, &[0, 255]), "AP8=");
    }
}
