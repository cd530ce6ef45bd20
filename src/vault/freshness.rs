//! Never seeing less of Vault's history than was seen already, whichever node answers.
//!
//! Standbys serve reads themselves, and may be behind: by moments, or for as long as they catch up after a start. An
//! answer tells in a header how far its node was. A request that repeats the farthest one, and asks to be forwarded,
//! is answered by a node that is at least as far, in the worst case by the active one.

use data_encoding::{BASE64, BASE64_NOPAD};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::watch;

const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const INCONSISTENT: HeaderName = HeaderName::from_static("x-vault-inconsistent");

/// The farthest that any answer was.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    seen: watch::Sender<Option<HeaderValue>>,
}

impl Freshness {
    /// Asks for an answer that is as far, at least.
    pub(super) fn demand(&self, headers: &mut HeaderMap) {
        headers.insert(INCONSISTENT, HeaderValue::from_static("forward-active-node"));
        if let Some(index) = &*self.seen.borrow() {
            headers.insert(INDEX, index.clone());
        }
    }

    /// Notes how far an answer was.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let Some(index) = headers.get(INDEX) else { return };
        self.seen.send_if_modified(|seen| {
            let is_farther = seen.as_ref().is_none_or(|seen| !is_behind(index, seen));
            if is_farther {
                *seen = Some(index.clone());
            }
            is_farther
        });
    }
}

/// Whether an index is known to be behind another; what cannot be read is taken as newer, for it came later.
fn is_behind(index: &HeaderValue, seen: &HeaderValue) -> bool {
    match (Index::read(index), Index::read(seen)) {
        (Some(index), Some(seen)) => index.cluster == seen.cluster && index.value() < seen.value(),
        _ => false,
    }
}

/// The header as OpenBao writes it; other servers may write what they like.
#[derive(Deserialize)]
struct Index {
    cluster: String,
    value: String,
}

impl Index {
    fn read(header: &HeaderValue) -> Option<Self> {
        let text = header.as_bytes();
        let json = BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn value(&self) -> Option<u64> {
        self.value.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(index: &str) -> HeaderMap {
        HeaderMap::from_iter([(INDEX, HeaderValue::from_str(index).unwrap())])
    }

    fn openbao(cluster: &str, value: u64) -> HeaderMap {
        answer(&BASE64.encode(format!(r#"{{"cluster":"{cluster}","value":"{value}"}}"#).as_bytes()))
    }

    fn demanded(freshness: &Freshness) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        freshness.demand(&mut headers);
        assert_eq!(headers.get(INCONSISTENT).unwrap(), "forward-active-node");
        headers.remove(INDEX)
    }

    #[test]
    fn the_farthest_answer_is_demanded_also_when_a_nearer_one_comes_late() {
        let freshness = Freshness::default();
        assert_eq!(demanded(&freshness), None);
        for value in [9, 10, 9] {
            freshness.note(&openbao("a", value));
        }
        assert_eq!(demanded(&freshness).as_ref(), openbao("a", 10).get(INDEX));
        freshness.note(&HeaderMap::new());
        assert_eq!(demanded(&freshness).as_ref(), openbao("a", 10).get(INDEX));
    }

    #[test]
    fn another_cluster_or_another_way_to_write_it_is_taken_as_newer() {
        let freshness = Freshness::default();
        freshness.note(&openbao("a", 10));
        freshness.note(&openbao("b", 3));
        assert_eq!(demanded(&freshness).as_ref(), openbao("b", 3).get(INDEX));
        freshness.note(&answer("v1:opaque"));
        assert_eq!(demanded(&freshness).unwrap(), "v1:opaque");
    }
}
