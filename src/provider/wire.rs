//! What one credential's calls look like on the wire: everything but secrets, time and the rotation's id.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use url::Url;

use super::body::Body;
use super::definition::{ErrorMeaning, Expiry, HmacAuth, ProblemShape, SecretEncoding};
use super::template::Pointer;

/// All calls of one credential.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) regenerate: Call,
    pub(super) read: Option<ReadCall>,
    pub(super) probe: Option<ProbeCall>,
    pub(super) signing: Signing,
    pub(super) extra: BTreeMap<String, SecretHeader>,
    pub(super) idempotency_header: Option<HeaderName>,
    pub(super) answer: AnswerFacts,
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

/// The request that probes a key.
#[derive(Debug, Clone)]
pub(super) struct ProbeCall {
    pub(super) call: Call,
    /// How the probed key itself authenticates, whatever signs the regenerate call.
    pub(super) signing: Signing,
    pub(super) accepted: Vec<u16>,
    pub(super) not_accepted: Vec<u16>,
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
