//! What one credential's calls look like on the wire: everything but secrets, time and the rotation's id.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use url::Url;

use super::body::Body;
use super::definition::{
    self, ErrorMeaning, Expiry, HmacAuth, NextPage, ProblemShape, SecretEncoding, Supplies,
};
use super::signing::{canonical_query, in_a_path};
use super::template::Pointer;
use crate::ids::KeyId;

/// All calls of one credential.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) regenerate: Call,
    pub(super) read: Option<ReadCall>,
    pub(super) marker: Option<MarkerCall>,
    pub(super) probe: Option<ProbeCall>,
    /// Lists the keys that live side by side.
    pub(super) list: Option<ListCall>,
    /// Revoke one of them, in this order.
    pub(super) revoke: Vec<RevokeCall>,
    /// Activates the pending key, which ends the old one's life.
    pub(super) activate: Option<RevokeCall>,
    /// Discards the pending key.
    pub(super) discard: Option<RevokeCall>,
    pub(super) signing: Signing,
    /// The form of the key that keyturn chooses.
    pub(super) supplies: Option<Supplies>,
    pub(super) extra: BTreeMap<String, SecretHeader>,
    pub(super) idempotency_header: Option<HeaderName>,
    pub(super) answer: AnswerFacts,
}

impl Wire {
    /// The requests that end the life of one key, in their order; none, where nothing is declared.
    pub(super) fn ending(&self, key: &KeyId) -> &[RevokeCall] {
        match (&self.activate, &self.discard) {
            (Some(activate), _) if *key == KeyId::of_the_old_key() => std::slice::from_ref(activate),
            (_, Some(discard)) if *key == KeyId::of_the_pending_key() => std::slice::from_ref(discard),
            // A definition that had them before has them no more; no key has such an id.
            _ if [KeyId::of_the_old_key(), KeyId::of_the_pending_key()].contains(key) => &[],
            _ => &self.revoke,
        }
    }
}

/// One request: all of it that does not differ from call to call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The path, and the canonical query where there is one: what a signature covers.
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
}

/// The request that reads the current key.
#[derive(Debug, Clone)]
pub(super) struct ReadCall {
    pub(super) call: Call,
    pub(super) key: KeyPlace,
}

/// The request that shows whether the key has changed.
#[derive(Debug, Clone)]
pub(super) struct MarkerCall {
    pub(super) call: Call,
    pub(super) at: Pointer,
    pub(super) among: Option<Among>,
}

/// The request that probes a key.
#[derive(Debug, Clone)]
pub(super) struct ProbeCall {
    pub(super) call: Call,
    /// How the probed key itself authenticates, whatever signs the regenerate call.
    pub(super) signing: Signing,
    pub(super) accepted: Vec<u16>,
    pub(super) not_accepted: Vec<u16>,
}

/// The requests that list the keys.
#[derive(Debug, Clone)]
pub(super) struct ListCall {
    call: Call,
    query: Vec<(String, String)>,
    pub(super) keys: Pointer,
    pub(super) id: Pointer,
    pub(super) label: Pointer,
    /// What stands before and after the rotation's id in a label, in each text that the call writes it into.
    pub(super) labels: Vec<(String, String)>,
    pub(super) next: Option<NextPage>,
}

impl ListCall {
    /// The requests of a list, and where its answers hold what.
    pub(super) fn new(
        call: Call,
        query: Vec<(String, String)>,
        list: &definition::List,
        labels: Vec<(String, String)>,
    ) -> Self {
        let definition::List { keys, id, label, next, .. } = list.clone();
        Self { call, query, keys, id, label, labels, next }
    }

    /// The request for one page, as the answer before it names it; the first has no name.
    pub(super) fn page(&self, name: Option<&str>) -> Call {
        let parameter = self.next.as_ref().map(NextPage::parameter);
        let first = match &self.next {
            Some(NextPage::Number(pages)) => Some(pages.first.to_string()),
            Some(NextPage::Cursor(_)) | None => None,
        };
        let page = parameter.zip(name.or(first.as_deref()));
        let fixed = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.call.clone().with_query(&canonical_query(fixed.chain(page)))
    }
}

/// A request to revoke one key.
#[derive(Debug, Clone)]
pub(super) struct RevokeCall {
    pub(super) call: Call,
    /// The query of `call`.
    pub(super) query: String,
    /// The parts of the path between which the key's id stands.
    pub(super) path: Vec<String>,
    pub(super) statuses: Vec<u16>,
    pub(super) gone: Vec<u16>,
}

impl RevokeCall {
    /// The request for one key; nothing where its id cannot stand in a path.
    pub(super) fn of(&self, key: &KeyId) -> Option<Call> {
        let path = self.path.join(&in_a_path(key.as_str()));
        Some(self.call.clone().with_path(path)?.with_query(&self.query))
    }
}

impl Call {
    /// The same request at another path. What is sent must be what was written and signed: no '..' is resolved, nothing
    /// is encoded twice.
    pub(super) fn with_path(mut self, path: String) -> Option<Self> {
        self.url.set_path(&path);
        if self.url.path() != path {
            return None;
        }
        self.path_and_query = path;
        Some(self)
    }

    /// The same request with a query, or without one where it is empty.
    pub(super) fn with_query(mut self, query: &str) -> Self {
        self.url.path().clone_into(&mut self.path_and_query);
        if !query.is_empty() {
            self.path_and_query = format!("{}?{query}", self.path_and_query);
        }
        self.url.set_query((!query.is_empty()).then_some(query));
        self
    }
}

/// How the secret gets into a request.
#[derive(Debug, Clone)]
pub(super) enum Signing {
    Header(SecretHeader),
    /// What stands before and after the secret in the pair of user name and password.
    Basic {
        before: String,
        after: String,
        /// The secret is percent-encoded, as OAuth 2 has it.
        encoded: bool,
    },
    Hmac {
        scheme: Box<HmacAuth>,
        params: BTreeMap<String, String>,
    },
    /// The body has it.
    Body,
    /// It is exchanged for an access token, which is sent instead.
    Oauth2(Box<TokenRequest>),
}

/// The request that exchanges a secret for an access token.
#[derive(Debug, Clone)]
pub(super) struct TokenRequest {
    pub(super) call: Call,
    /// How the secret gets into it.
    pub(super) signing: Signing,
}

/// A header whose value is a secret.
#[derive(Debug, Clone)]
pub(super) struct SecretHeader {
    pub(super) name: HeaderName,
    pub(super) prefix: String,
}

/// What tells an answer's meaning.
#[derive(Debug, Clone)]
pub(super) struct AnswerFacts {
    pub(super) statuses: Vec<u16>,
    pub(super) without_value: Vec<u16>,
    /// Where the new key is; `None` where no answer shows it.
    pub(super) key: Option<KeyPlace>,
    /// Where its id is, beside the key.
    pub(super) key_id: Option<Pointer>,
    pub(super) previous_expires_at: Option<Expiry>,
    /// How long the old key goes on to work, as far as it is known: always this long, or as the call asks.
    pub(super) grace: Option<Duration>,
    /// It is counted from the call that asks for it, else from the answer.
    pub(super) grace_begins_with_the_call: bool,
    pub(super) success: Option<Condition>,
    pub(super) errors: Vec<ErrorMeaning>,
    pub(super) rate_limit_block: Option<Duration>,
    pub(super) problem: ProblemShape,
}

/// Where a key is in an answer.
#[derive(Debug, Clone)]
pub(super) struct KeyPlace {
    pub(super) secret: Pointer,
    /// What goes with it.
    pub(super) fields: BTreeMap<String, Pointer>,
    pub(super) among: Option<Among>,
    pub(super) encoding: SecretEncoding,
}

/// The one element of a list for which a condition holds.
#[derive(Debug, Clone)]
pub(super) struct Among {
    pub(super) list: Pointer,
    pub(super) condition: Condition,
}

/// A member that has a certain value.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) at: Pointer,
    pub(super) is: Value,
}
