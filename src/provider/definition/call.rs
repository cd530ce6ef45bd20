//! How a definition describes requests.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Among, SecretEncoding};
use super::body::Body;
use super::duration;
use crate::provider::template::{Pointer, Template};

/// The call that makes the new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regenerate {
    /// The HTTP method.
    #[serde(default)]
    pub method: Method,
    /// The path below the base URL, to the last slash as the provider writes it.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The body; none, where nothing is said.
    #[serde(default)]
    pub body: Option<Body>,
}

/// The methods with which a key can be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl Method {
    /// The method as HTTP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// The request that reads the current key back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The HTTP method; it changes nothing, whichever it is.
    #[serde(default)]
    pub method: ReadMethod,
    /// The path.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The key in its answer.
    pub secret: Pointer,
    /// The list of which one element counts; `secret` then begins in that element.
    #[serde(default)]
    pub among: Option<Among>,
    /// How the key is written.
    #[serde(default)]
    pub encoding: SecretEncoding,
    /// How long a change may take to show; before that, "unchanged" proves nothing.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub lag: Duration,
}

/// The request that shows whether the key has changed, where none shows the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The HTTP method; it changes nothing, whichever it is.
    #[serde(default)]
    pub method: ReadMethod,
    /// The path.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// What is another with every key and the same for the same key, a text or a whole number: a checksum, a masked hint, the
    /// time of the last change. Of the newest key, whichever signs.
    pub at: Pointer,
    /// The list of which one element counts; `at` then begins in that element.
    #[serde(default)]
    pub among: Option<Among>,
    /// How long a change may take to show; before that, "unchanged" proves nothing.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub lag: Duration,
}

/// The methods with which a key can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadMethod {
    /// GET.
    #[default]
    Get,
    /// POST, without a body.
    Post,
}

/// What stands for the name of the key that the call makes anew, where the provider has several.
pub(in crate::provider) const SLOT: &str = "slot";

/// The request that shows whether a key is accepted. It is signed with that key and has no side effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The path of the GET.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The statuses that show that the key is accepted.
    #[serde(default = "just_200")]
    pub accepted: Vec<u16>,
    /// The statuses that show that it is not; any other shows nothing.
    #[serde(default = "just_401")]
    pub not_accepted: Vec<u16>,
    /// Whether the request does more than look, such as activate the key. One that does is refused, for it is made many times.
    #[serde(default)]
    pub side_effects: Option<bool>,
}

fn just_200() -> Vec<u16> {
    vec![200]
}

fn just_401() -> Vec<u16> {
    vec![401]
}
