//! How a definition describes keys that live side by side: made by the call, listed, and revoked one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::duration;
use crate::provider::template::{Pointer, Template};

/// The call makes a key beside the old one, which dies by requests of its own.
///
/// Between rotations the separate credential signs, or the published key where it signs for itself; never the key
/// that is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Creates {
    /// How long after its rotation the old key is revoked, where the credential says nothing.
    #[serde(default = "Creates::default_revoke_after", with = "duration::required")]
    #[schemars(with = "String")]
    pub revoke_after: Duration,
    /// How many keys the provider lets live at once. Left out: more than anybody needs.
    #[serde(default)]
    pub keys_max: Option<u32>,
    /// How the keys are listed, so that one whose answer was lost is found by its label and revoked. Left out: nobody
    /// finds it, and no other try is made by itself.
    #[serde(default)]
    pub list: Option<List>,
    /// The requests that revoke one key, in their order; each names it as `{key_id}`.
    #[serde(default)]
    pub revoke: Vec<Revoke>,
    /// In place of `revoke`: the provider has a place for the old key and one for a pending key, and no ids. This request
    /// activates the pending one, which ends the old one's life.
    #[serde(default)]
    pub activate: Option<Activate>,
    /// Beside `activate`: the request that discards a pending key, so that one that nobody got makes room for another.
    #[serde(default)]
    pub discard: Option<Revoke>,
}

impl Creates {
    const fn default_revoke_after() -> Duration {
        Duration::from_hours(24)
    }

    /// All its templates.
    pub(in crate::provider) fn templates(&self) -> impl Iterator<Item = &Template> {
        let list = self.list.iter().flat_map(|list| std::iter::once(&list.path).chain(list.query.values()));
        let phases = self.activate.iter().flat_map(Activate::templates);
        let phases = phases.chain(self.discard.iter().flat_map(Revoke::templates));
        list.chain(self.revoke.iter().flat_map(Revoke::templates)).chain(phases)
    }
}

/// The GET that lists the keys, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The path of the GET.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The list of the keys in its answer.
    pub keys: Pointer,
    /// In each of them, the id that the call's answer has too.
    pub id: Pointer,
    /// In each of them, its label: the text of the call's body that holds `{rotation_id}`.
    pub label: Pointer,
    /// How the next page is asked for. Left out: one answer has all keys.
    #[serde(default)]
    pub next: Option<NextPage>,
}

/// How the next page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextPage {
    /// By its number.
    Number(PageNumber),
    /// By what the answer says.
    Cursor(PageCursor),
}

impl NextPage {
    /// The parameter of the query that says which page is meant.
    pub(in crate::provider) fn parameter(&self) -> &str {
        match self {
            Self::Number(PageNumber { parameter, .. }) | Self::Cursor(PageCursor { parameter, .. }) => {
                parameter
            }
        }
    }
}

/// Pages with numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageNumber {
    /// The parameter of the query.
    pub parameter: String,
    /// The number of the first page.
    #[serde(default = "PageNumber::default_first")]
    pub first: u32,
    /// The number of the last page in each answer. Left out: a page without keys is the last.
    #[serde(default)]
    pub last: Option<Pointer>,
}

impl PageNumber {
    const fn default_first() -> u32 {
        1
    }
}

/// Pages that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageCursor {
    /// The parameter of the query; the first request has none.
    pub parameter: String,
    /// Its value for the next page. Missing, `null` or empty in an answer: there is none.
    pub at: Pointer,
}

/// One request to revoke a key. It can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The HTTP method.
    #[serde(default)]
    pub method: RevokeMethod,
    /// The path below the base URL, to the last slash as the provider writes it.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The body; none, where nothing is said.
    #[serde(default)]
    pub body: Option<Body>,
    /// The statuses that show that it is done.
    #[serde(default = "ok_or_empty")]
    pub statuses: Vec<u16>,
    /// The statuses that show that the key is not there any more.
    #[serde(default = "gone")]
    pub gone: Vec<u16>,
}

/// The request that activates a pending key. It can be made again; what the second answer means is said here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The HTTP method.
    #[serde(default = "Activate::default_method")]
    pub method: RevokeMethod,
    /// The path below the base URL, to the last slash as the provider writes it.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The body; none, where nothing is said.
    #[serde(default)]
    pub body: Option<Body>,
    /// The statuses that show that it is done.
    #[serde(default = "ok_or_empty")]
    pub statuses: Vec<u16>,
    /// The statuses that show that no key is pending any more, so that it was done before. Left out: none does.
    #[serde(default)]
    pub done: Vec<u16>,
}

impl Activate {
    const fn default_method() -> RevokeMethod {
        RevokeMethod::Post
    }

    /// All its templates.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let body = self.body.iter().flat_map(Body::texts).map(|(_, text)| text);
        std::iter::once(&self.path).chain(self.query.values()).chain(body)
    }

    /// It as the request that ends the old key's life.
    pub(in crate::provider) fn as_revocation(&self) -> Revoke {
        let Self { method, path, query, body, statuses, done } = self.clone();
        Revoke { method, path, query, body, statuses, gone: done }
    }
}

impl Revoke {
    /// All its templates.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let body = self.body.iter().flat_map(Body::texts).map(|(_, text)| text);
        std::iter::once(&self.path).chain(self.query.values()).chain(body)
    }

    /// Whether it says which key is meant.
    pub(super) fn names_the_key(&self) -> bool {
        self.templates().any(|template| template.names().any(|name| name == KEY_ID))
    }
}

/// What stands for the id of the key that is revoked.
pub(in crate::provider) const KEY_ID: &str = "key_id";

/// The methods with which a key can be revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RevokeMethod {
    /// DELETE.
    #[default]
    Delete,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

fn ok_or_empty() -> Vec<u16> {
    vec![200, 204]
}

fn gone() -> Vec<u16> {
    vec![404, 410]
}
