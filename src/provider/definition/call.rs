//! How a definition describes requests and where their answers hold what.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
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

/// Where the answer of the regenerate call holds what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerShape {
    /// The statuses that carry the new key.
    #[serde(default = "just_200")]
    pub statuses: Vec<u16>,
    /// The statuses that say that the provider acted, and do not carry the new key.
    #[serde(default = "just_204")]
    pub without_value: Vec<u16>,
    /// The new key. Missing or `null`: the provider acted and did not show it.
    pub secret: Pointer,
    /// When the old key dies, as an RFC 3339 time.
    #[serde(default)]
    pub previous_expires_at: Option<Pointer>,
}

/// The request that reads the current key back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The path of the GET.
    pub path: Template,
    /// The query; its values are templates of parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// The key in its answer.
    pub secret: Pointer,
    /// How long a change may take to show; before that, "unchanged" proves nothing.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub lag: Duration,
}

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
}

/// Where an error answer holds what may be shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProblemShape {
    /// The provider's own code, or the problem's type.
    pub code: Pointer,
    /// A short summary.
    pub title: Pointer,
    /// An explanation.
    pub detail: Pointer,
    /// The provider's reference for the request.
    pub request_id: Option<Pointer>,
    /// The invalid fields: a list of names, a list of objects, or an object whose keys are the names.
    pub invalid_fields: Pointer,
    /// In a list of objects, the member that holds the name.
    pub invalid_field_name: String,
}

impl Default for ProblemShape {
    /// The members of RFC 9457, and `errors` as most providers add it.
    fn default() -> Self {
        Self {
            code: Pointer::literal("/type"),
            title: Pointer::literal("/title"),
            detail: Pointer::literal("/detail"),
            request_id: None,
            invalid_fields: Pointer::literal("/errors"),
            invalid_field_name: "field".into(),
        }
    }
}

fn just_200() -> Vec<u16> {
    vec![200]
}

fn just_204() -> Vec<u16> {
    vec![204]
}

fn just_401() -> Vec<u16> {
    vec![401]
}
