//! What a provider's definition says: the schema of `catalog/*.yaml` and of an owner's own files.
//!
//! Each member is one axis, independent of the others; what a file does not say is the careful reading: no
//! grace, no replay, no read, no second call.

mod answer;
mod auth;
mod body;
mod call;
mod check;
mod creates;
mod duration;
mod findings;
mod hmac;
mod pattern;
mod read;
mod supplies;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use answer::{
    Among, AnswerShape, Condition, ErrorMeaning, Expiry, ExpiryForm, Meaning, ProblemShape, SecretEncoding,
};
pub use auth::{
    AuthScheme, BasicAuth, BodyAuth, ClientAuth, ExtraSecret, HeaderAuth, Oauth2Auth, SelfSigning,
};
pub use body::{Body, BodyValue, Scalar};
pub(super) use call::SLOT;
pub use call::{Marker, Method, Probe, Read, ReadMethod, Regenerate};
pub(super) use creates::KEY_ID;
pub use creates::{Activate, Creates, List, NextPage, PageCursor, PageNumber, Revoke, RevokeMethod};
pub use duration::read_duration;
pub use findings::Finding;
pub use hmac::{
    BodyHash, EmptyBody, HashAlgorithm, HmacAuth, KeyEncoding, Signature, TextEncoding, TimestampFormat,
};
pub use pattern::Pattern;
pub(super) use supplies::NEW_SECRET;
pub use supplies::{SuppliedText, Supplies};

use super::fact::{Fact, Span};
use super::template::Template;
use crate::mistake::Mistake;

/// How one kind of key is regenerated at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, `provider/kind-of-key`.
    pub name: String,
    /// What a person calls it.
    pub title: String,
    /// The pages from which it was written.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What the provider's documentation leaves open, and what is assumed instead.
    #[serde(default)]
    pub unconfirmed: Vec<String>,
    /// Base URLs by the name of the environment; a parameter can stand for a part of the host.
    pub environments: BTreeMap<String, Template>,
    /// The environment that counts where the credential names none.
    pub default_environment: String,
    /// What a credential has to say about itself, by name; templates call it `{name}`.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// What `{resource}` in a path stands for. Of several, the one whose parameters are given counts.
    #[serde(default)]
    pub resource: Vec<Template>,
    /// Headers that every call has; their values are templates of parameters. `Accept` and `Content-Type` stand here
    /// where they are not `application/json`.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// How calls are authenticated. The first scheme is the one that the regenerated key itself speaks, so
    /// probes and self-authenticating credentials use it; it also counts where a credential names none.
    pub auth: Vec<AuthScheme>,
    /// Further secrets that are sent along, by name.
    #[serde(default)]
    pub extra_secrets: BTreeMap<String, ExtraSecret>,
    /// Whether the regenerated key itself authenticates its own regeneration.
    #[serde(rename = "self")]
    pub self_signing: SelfSigning,
    /// The call that makes the new key.
    pub regenerate: Regenerate,
    /// Where its answer holds what.
    pub answer: AnswerShape,
    /// The key is one that the caller chooses. Left out: the provider makes it.
    #[serde(default)]
    pub supplies: Option<Supplies>,
    /// The names of the provider's keys, where it has several and the call makes the one anew that `{slot}` names in its path,
    /// query or body. keyturn names the one that nobody uses; the old key lives on in its slot until another rotation.
    #[serde(default)]
    pub slots: Vec<String>,
    /// The call makes a key beside the old one. Left out: it replaces the old one.
    #[serde(default)]
    pub creates: Option<Creates>,
    /// How long the old key goes on to work.
    #[serde(default)]
    pub grace: Grace,
    /// How long a new key works before it expires by itself; rotations have to come more often.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub lifetime: Option<Duration>,
    /// What makes the call idempotent.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
    /// How the current key can be read back.
    #[serde(default)]
    pub read: Option<Read>,
    /// How it shows that the key has changed, where the key cannot be read back.
    #[serde(default)]
    pub marker: Option<Marker>,
    /// The old key can sign the call again while its grace lasts.
    #[serde(default)]
    pub redo: Option<Redo>,
    /// The new key is not accepted at once.
    #[serde(default)]
    pub propagation: Option<Propagation>,
    /// The harmless request that shows whether a key is accepted.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// How long after a rotation the provider refuses, or punishes, another.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub lock: Option<Duration>,
    /// How long to stay away after a 429 that does not say it.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub rate_limit_block: Option<Duration>,
    /// What the body of every success says, where a provider reports errors under a success status too.
    #[serde(default)]
    pub success: Option<Condition>,
    /// What errors mean, where their status alone says too little; the first that fits counts.
    #[serde(default)]
    pub errors: Vec<ErrorMeaning>,
    /// Where an error answer holds what; as in RFC 9457, where nothing else is said.
    #[serde(default)]
    pub problem: ProblemShape,
}

impl Definition {
    /// Reads and checks a definition: all mistakes in what it says at once, else all in what it means.
    pub fn parse(yaml: &str) -> Result<Self, Vec<Mistake>> {
        Self::judge(yaml).map(|(definition, _)| definition)
    }

    /// The same, with what there is to know about a right one.
    pub fn judge(yaml: &str) -> Result<(Self, Vec<Finding>), Vec<Mistake>> {
        let (definition, document) = read::read(yaml)?;
        let mistakes = check::mistakes(&definition);
        if !mistakes.is_empty() {
            return Err(document.in_order(mistakes));
        }
        let findings = definition.findings().into_iter();
        let placed =
            findings.map(|found| Finding { place: document.own_place(&found.path), ..found }).collect();
        Ok((definition, placed))
    }

    /// What there is to know about it: risks, and what it declares in vain.
    pub fn findings(&self) -> Vec<Finding> {
        findings::findings(self)
    }

    /// The forms in which the regenerate call asks for a length of time.
    pub(super) fn asks_for(&self, span: Span) -> impl Iterator<Item = Fact> {
        self.body_facts().filter(move |fact| fact.span() == Some(span))
    }

    /// What the regenerate call's body holds of that which keyturn knows.
    fn body_facts(&self) -> impl Iterator<Item = Fact> {
        self.body_names().filter_map(Fact::named)
    }

    /// All templates, for a look at what they name.
    fn all_templates(&self) -> impl Iterator<Item = &Template> {
        let of_auth = self.auth.iter().flat_map(AuthScheme::templates);
        self.environments.values().chain(&self.resource).chain(of_auth).chain(self.call_templates())
    }

    /// The templates that count whatever environment, resource and scheme are chosen.
    pub(super) fn call_templates(&self) -> impl Iterator<Item = &Template> {
        let read = self.read.iter().flat_map(|read| std::iter::once(&read.path).chain(read.query.values()));
        let marker =
            self.marker.iter().flat_map(|marker| std::iter::once(&marker.path).chain(marker.query.values()));
        let probe =
            self.probe.iter().flat_map(|probe| std::iter::once(&probe.path).chain(probe.query.values()));
        let regenerate = std::iter::once(&self.regenerate.path).chain(self.regenerate.query.values());
        let body = self.regenerate.body.iter().flat_map(Body::texts).map(|(_, text)| text);
        let of_reads = self.read.iter().map(|read| &read.among);
        let of_reads = of_reads.chain(self.marker.iter().map(|marker| &marker.among));
        let lists = std::iter::once(&self.answer.among).chain(of_reads).flatten();
        let conditions = lists.map(|among| &among.condition).chain(&self.success);
        let conditions = conditions.filter_map(|condition| condition.is.text());
        let creates = self.creates.iter().flat_map(Creates::templates);
        let calls = regenerate.chain(self.headers.values()).chain(read).chain(marker);
        let calls = calls.chain(probe).chain(creates);
        calls.chain(body).chain(conditions)
    }

    /// Whether any request has a query.
    fn has_a_query(&self) -> bool {
        let read = self.read.iter().map(|read| &read.query);
        let marker = self.marker.iter().map(|marker| &marker.query);
        let probe = self.probe.iter().map(|probe| &probe.query);
        let revoke = self.creates.iter().flat_map(|creates| &creates.revoke).map(|revoke| &revoke.query);
        let activate =
            self.creates.iter().filter_map(|creates| creates.activate.as_ref()).map(|it| &it.query);
        let discard = self.creates.iter().filter_map(|creates| creates.discard.as_ref()).map(|it| &it.query);
        let list = self.creates.iter().filter_map(|creates| creates.list.as_ref());
        let asks_for_pages = list.clone().any(|list| list.next.is_some());
        let all =
            std::iter::once(&self.regenerate.query).chain(read).chain(marker).chain(probe).chain(revoke);
        let all = all.chain(activate).chain(discard);
        asks_for_pages || all.chain(list.map(|list| &list.query)).any(|query| !query.is_empty())
    }

    /// All names in the regenerate call's body.
    fn body_names(&self) -> impl Iterator<Item = &str> {
        let texts = self.regenerate.body.iter().flat_map(Body::texts);
        texts.flat_map(|(_, text)| text.names())
    }
}

/// The JSON Schema of a definition, for editors and for `docs/provider-reference.md`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Definition).to_value()
}

/// The names of what keyturn knows and a body can ask for, beside parameters.
pub fn names_in_bodies() -> Vec<String> {
    Fact::names()
}

/// One thing that a credential says about itself. It goes into a path only percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What it is and where a person finds it.
    pub description: String,
    /// The regular expression that the whole value must match; of a list, each item.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// The value is a list, separated by commas. Alone in a text of a JSON body it is sent as one.
    #[serde(default)]
    pub list: bool,
    /// The most characters it may have.
    #[serde(default = "Param::default_max_length")]
    pub max_length: usize,
}

impl Param {
    const fn default_max_length() -> usize {
        100
    }

    /// The items of a value that is a list.
    pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
        value.split(',').map(str::trim)
    }
}

/// How long the old key goes on to work after a regeneration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grace {
    /// Not at all, or nobody says.
    #[default]
    None,
    /// Always this long, counted from the answer.
    Fixed(
        /// How long.
        #[serde(with = "duration::required")]
        #[schemars(with = "String")]
        Duration,
    ),
    /// As long as the call asks for; the body then holds `{grace_seconds}`, or another form of it.
    Requested(GraceRequest),
}

/// The bounds of a grace window that the call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraceRequest {
    /// What is asked for where the credential says nothing.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub default: Duration,
    /// The longest that the provider grants.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub max: Duration,
}

/// The rotation's id names the call, in a header or, as `{rotation_id}`, in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The header's name. Left out: the body holds `{rotation_id}`.
    #[serde(default)]
    pub header: Option<String>,
    /// How long the same id returns the same answer. Left out: it is sent, but never relied on.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub replays_for: Option<Duration>,
}

/// The call can be made again while the old key still signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redo {
    /// The most calls for one rotation, the first included.
    pub max_calls: u32,
}

/// How the new key becomes usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propagation {
    /// Without a probe the key counts as usable after this time; with one, the first probe is made after it.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub delay: Duration,
    /// How often the probe is repeated.
    #[serde(default = "Propagation::default_poll", with = "duration::required")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// How long the provider may go on to refuse the new key before a person is called.
    #[serde(default = "Propagation::default_deadline", with = "duration::required")]
    #[schemars(with = "String")]
    pub deadline: Duration,
}

impl Propagation {
    pub(super) const fn default_poll() -> Duration {
        Duration::from_secs(15)
    }

    pub(super) const fn default_deadline() -> Duration {
        Duration::from_mins(15)
    }
}

#[cfg(test)]
mod tests;
