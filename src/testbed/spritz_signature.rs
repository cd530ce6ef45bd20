//! How Spritz checks a signature; written without the code that signs, so that one proves the other.

use aws_lc_rs::{digest, hmac};
use data_encoding::HEXLOWER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The parts of a request that are signed.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    /// Unix milliseconds, as they were sent.
    pub(super) timestamp: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The value of `X-Signature` that the request must carry.
pub(super) fn signature(secret: &str, request: &Signed<'_>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, message(request).as_bytes());
    format!("sha256={}", HEXLOWER.encode(tag.as_ref()))
}

fn message(request: &Signed<'_>) -> String {
    let Signed { timestamp, method, path, .. } = request;
    let query = canonical_query(request.query.unwrap_or_default());
    let body_hash = match request.body {
        [] => String::new(),
        body => HEXLOWER.encode(digest::digest(&digest::SHA256, body).as_ref()),
    };
    format!("{timestamp}.{}.{path}{query}.{body_hash}", method.to_uppercase())
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.sort();
    let encode = |text: &str| utf8_percent_encode(text, COMPONENT).to_string();
    let parts: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "test-secret-key-12345";

    /// The provider's own published vectors.
    #[test]
    fn the_published_vectors_are_met() {
        let post = Signed {
            timestamp: "1700000000000",
            method: "POST",
            path: "/v1/transactions",
            query: None,
            body: br#"{"amount":100}"#,
        };
        assert_eq!(
            signature(SECRET, &post),
            "sha256=12dcf2a7647146ce08a465349ab03f992d8a18542cd576d40a9eb8e2958d4b9f"
        );
        let get = Signed {
            timestamp: "1700000000000",
            method: "GET",
            path: "/v1/users/me",
            query: None,
            body: b"",
        };
        assert_eq!(
            signature(SECRET, &get),
            "sha256=147ecf7209d3d91ca62d3cc190473954120d305b85c007b50976d4fe88551c52"
        );
    }

    #[test]
    fn the_query_is_sorted_and_encoded_again() {
        assert_eq!(canonical_query("b=2&a=x+y%2Fz"), "?a=x%20y%2Fz&b=2");
        assert_eq!(canonical_query(""), "");
    }
}
