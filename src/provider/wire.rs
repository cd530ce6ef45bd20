//! What one credential's calls look like on the wire: everything but secrets, time and the rotation's id.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use super::body::Body;
use super::definition::{HmacAuth, ProblemShape};
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
    pub(super) secret: Pointer,
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
    },
    Hmac {
        scheme: Box<HmacAuth>,
        params: BTreeMap<String, String>,
    },
    /// The body has it.
    Body,
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
    pub(super) secret: Pointer,
    pub(super) previous_expires_at: Option<Pointer>,
    /// How long the old key goes on to work, as far as it is known: always this long, or as the call asks.
    pub(super) grace: Option<Duration>,
    pub(super) grace_fixed: Option<Duration>,
    pub(super) in_progress: Option<u16>,
    pub(super) rate_limit_block: Option<Duration>,
    pub(super) problem: ProblemShape,
}
