//! How a definition says where answers hold what, and what errors mean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Scalar;
use crate::provider::template::Pointer;

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
    /// The new key. Missing or `null` in an answer: the provider acted and did not show it. Left out here: no answer
    /// shows it, and it is read back.
    #[serde(default)]
    pub secret: Option<Pointer>,
    /// What goes with the key, each a text or a number, by the field of the entry that it goes into; an answer without
    /// one of them does not show the new key. All of it is published in one version.
    #[serde(default)]
    pub fields: BTreeMap<String, Pointer>,
    /// The list of which one element counts; all other pointers then begin in that element.
    #[serde(default)]
    pub among: Option<Among>,
    /// How the key is written.
    #[serde(default)]
    pub encoding: SecretEncoding,
    /// The provider's id of the new key, a text or a number, where keys live side by side.
    #[serde(default)]
    pub key_id: Option<Pointer>,
    /// When the old key dies. Left out: as the grace window says.
    #[serde(default)]
    pub previous_expires_at: Option<Expiry>,
}

/// A list in an answer, of which one element counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Among {
    /// The list.
    pub list: Pointer,
    /// What holds for that element, and for no other; pointers begin in it.
    #[serde(rename = "where")]
    pub condition: Condition,
}

/// A member that has a certain value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The member.
    pub at: Pointer,
    /// Its value; a text is a template of parameters.
    pub is: Scalar,
}

/// How a key is written in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretEncoding {
    /// As it is.
    #[default]
    Text,
    /// As base64 with padding of a text.
    Base64,
}

/// A time in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// The member that holds it.
    pub at: Pointer,
    /// How it is written.
    #[serde(default, rename = "as")]
    pub form: ExpiryForm,
}

/// How a time is written in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryForm {
    /// RFC 3339.
    #[default]
    Rfc3339,
    /// A date such as `2026-11-26`; the first moment of the day in UTC counts.
    Date,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// Seconds from the answer on.
    SecondsFromNow,
}

/// What an error means, where its status alone says too little or the wrong thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorMeaning {
    /// The status; any, where nothing is said.
    #[serde(default)]
    pub status: Option<u16>,
    /// The provider's own code, which stands at `problem.code`; any, where nothing is said.
    #[serde(default)]
    pub code: Option<String>,
    /// What it means.
    pub means: Meaning,
}

/// The meanings of an error. All but the last say that the provider did not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The credential that signs the call is not accepted.
    Unauthenticated,
    /// It is accepted, but may not do this.
    Forbidden,
    /// What should be regenerated does not exist.
    NotFound,
    /// The provider's state does not allow it.
    Conflict,
    /// The request is wrong.
    Invalid,
    /// The provider limits the rate.
    RateLimited,
    /// An earlier request with the same rotation id is still being worked on.
    InProgress,
    /// The provider may have acted all the same.
    MayHaveActed,
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
