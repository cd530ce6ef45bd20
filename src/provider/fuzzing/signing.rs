//! What must hold of canonical queries and signatures, whatever is signed.

use std::sync::LazyLock;

use jiff::Timestamp;

use crate::provider::catalog::Catalog;
use crate::provider::definition::{AuthScheme, HmacAuth, KeyEncoding};
use crate::provider::signing::{Signed, canonical_query, sign};

/// A canonical query holds exactly its pairs; a signature covers every part; an error is the same for every secret.
pub fn signing(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut lines = text.lines();
    let (secret, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs: Vec<(&str, &str)> = lines.map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    let query = canonical_query(pairs.iter().copied());
    assert!(query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'?'), "{query:?}");
    let mut back: Vec<_> = query.split('&').filter(|_| !pairs.is_empty()).map(decoded).collect();
    let given = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut given: Vec<_> = given.collect();
    back.sort_unstable();
    given.sort_unstable();
    assert!(back == given, "{query:?} does not hold what went in");
    let Some(hmac) = HMAC.as_ref() else { return false };
    for encoding in [KeyEncoding::Utf8, KeyEncoding::Hex, KeyEncoding::Base64] {
        let scheme = HmacAuth { key_encoding: encoding, ..hmac.clone() };
        let signed = |secret: &str, path: &str, body: &[u8]| {
            let request = Signed { method: "POST", path_and_query: path, body: Some(body), nonce: "" };
            sign(&scheme, secret, request, |_| Some("p".to_owned()), Timestamp::UNIX_EPOCH)
        };
        match signed(secret, path, data) {
            Ok(stamp) => {
                assert!(signed(secret, path, data).as_ref() == Ok(&stamp), "a signature differs from itself");
                let further = format!("{path}x");
                assert!(signed(secret, &further, data) != Ok(stamp.clone()), "the path is not covered");
                assert!(signed(secret, path, &[data, b"x"].concat()) != Ok(stamp), "the body is not covered");
            }
            Err(error) => assert!(signed("!", path, data) == Err(error), "an error tells of the secret"),
        }
    }
    true
}

fn decoded(pair: &str) -> (String, String) {
    let text = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (text(name), text(value))
}

/// A scheme that covers all there is.
static HMAC: LazyLock<Option<HmacAuth>> = LazyLock::new(|| {
    let catalog = Catalog::embedded();
    let schemes =
        catalog.names().filter_map(|name| catalog.get(name)).flat_map(|definition| definition.auth.clone());
    let mut hmacs =
        schemes.filter_map(|scheme| if let AuthScheme::Hmac(hmac) = scheme { Some(hmac) } else { None });
    hmacs.next()
});
