//! How a definition writes a request's body.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provider::template::Template;

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// JSON as it is written here; its texts are templates.
    Json(BodyValue),
    /// The fields of a form, `application/x-www-form-urlencoded`; their texts are templates.
    Form(BTreeMap<String, Scalar>),
}

impl Body {
    /// All texts in it, each with its place.
    pub(in crate::provider) fn texts(&self) -> Vec<(String, &Template)> {
        let mut found = Vec::new();
        match self {
            Self::Json(value) => value.gather("json", &mut found),
            Self::Form(fields) => {
                for (name, value) in fields {
                    found.extend(value.text().map(|text| (format!("form.{name}"), text)));
                }
            }
        }
        found
    }
}

/// One value of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BodyValue {
    /// `null`.
    Null,
    /// A truth value, a whole number or a text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

impl BodyValue {
    fn gather<'a>(&'a self, place: &str, found: &mut Vec<(String, &'a Template)>) {
        match self {
            Self::Null => {}
            Self::Scalar(value) => found.extend(value.text().map(|text| (place.to_owned(), text))),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.gather(&format!("{place}[{index}]"), found);
                }
            }
            Self::Object(members) => {
                for (name, member) in members {
                    member.gather(&format!("{place}.{name}"), found);
                }
            }
        }
    }
}

/// A truth value, a whole number or a text.
///
/// In a body's text, `{name}` stands for a parameter, a further secret, or something that keyturn knows:
/// `{rotation_id}`; `{secret}`, which signs the call; of the grace window `{grace_seconds}`, `_minutes`, `_hours`,
/// `_days`, `_milliseconds`, and its end `{grace_end_rfc3339}`, `_date`, `_unix_seconds`, `_unix_milliseconds`; the
/// same of the new key's `{lifetime_…}`. A number that stands alone in its text is sent as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(Template),
}

impl Scalar {
    pub(in crate::provider) const fn text(&self) -> Option<&Template> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Number(_) => None,
        }
    }
}
