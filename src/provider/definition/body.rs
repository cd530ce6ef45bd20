//! How a definition writes a request's body.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::provider::template::Template;

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// JSON as it is written here; its texts are templates.
    Json(BodyValue),
    /// The fields of a form, `application/x-www-form-urlencoded`; their texts are templates.
    Form(BTreeMap<String, Scalar>),
    /// The fields of a form as `multipart/form-data`; their texts are templates.
    Multipart(BTreeMap<String, Scalar>),
}

impl Body {
    /// All texts in it, each with its place.
    pub(in crate::provider) fn texts(&self) -> Vec<(String, &Template)> {
        let mut found = Vec::new();
        match self {
            Self::Json(value) => value.gather("json", &mut found),
            Self::Form(fields) => gather_fields("form", fields, &mut found),
            Self::Multipart(fields) => gather_fields("multipart", fields, &mut found),
        }
        found
    }

    /// The places where a name in braces was written without quotes, which YAML takes for an object; with each name.
    pub(super) fn names_without_quotes(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        if let Self::Json(value) = self {
            value.lone_names("json", &mut found);
        }
        found
    }
}

fn gather_fields<'a>(
    place: &str,
    fields: &'a BTreeMap<String, Scalar>,
    found: &mut Vec<(String, &'a Template)>,
) {
    for (name, value) in fields {
        found.extend(value.text().map(|text| (format!("{place}.{name}"), text)));
    }
}

/// One value of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// The objects of one member that is `null`, with that member's name: what `{name}` comes to without quotes.
    fn lone_names<'a>(&'a self, place: &str, found: &mut Vec<(String, &'a str)>) {
        match self {
            Self::Null | Self::Scalar(_) => {}
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.lone_names(&format!("{place}[{index}]"), found);
                }
            }
            Self::Object(members) => {
                let mut names = members.iter();
                if let (Some((name, Self::Null)), None) = (names.next(), names.next()) {
                    found.push((place.to_owned(), name));
                }
                for (name, member) in members {
                    member.lone_names(&format!("{place}.{name}"), found);
                }
            }
        }
    }

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
/// `{rotation_id}`; `{secret}`, which signs the call; `{new_secret}`, where keyturn chooses the key; `{slot}`, where the provider has several; of the grace window `{grace_seconds}`, `_minutes`, `_hours`,
/// `_days`, `_milliseconds`, and its end `{grace_end_rfc3339}`, `_date`, `_unix_seconds`, `_unix_milliseconds`; the
/// same of the new key's `{lifetime_…}`. A number that stands alone in its text is sent as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(Template),
}

impl<'de> Deserialize<'de> for BodyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadValue)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadScalar)
    }
}

/// By hand, so that a mistake in a template is named: an untagged enum only says that no variant fits.
struct ReadScalar;

impl Visitor<'_> for ReadScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a truth value, a whole number or a text")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
        i64::try_from(value)
            .map(Scalar::Number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Template::try_from(text.to_owned()).map(Scalar::Text).map_err(E::custom)
    }
}

struct ReadValue;

impl<'de> Visitor<'de> for ReadValue {
    type Value = BodyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value as JSON has it, without fractions")
    }

    fn visit_unit<E: de::Error>(self) -> Result<BodyValue, E> {
        Ok(BodyValue::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<BodyValue, E> {
        ReadScalar.visit_bool(value).map(BodyValue::Scalar)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<BodyValue, E> {
        ReadScalar.visit_i64(value).map(BodyValue::Scalar)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<BodyValue, E> {
        ReadScalar.visit_u64(value).map(BodyValue::Scalar)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BodyValue, E> {
        ReadScalar.visit_str(text).map(BodyValue::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<BodyValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(BodyValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<BodyValue, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, member)) = members.next_entry()? {
            object.insert(name, member);
        }
        Ok(BodyValue::Object(object))
    }
}

impl Scalar {
    pub(in crate::provider) const fn text(&self) -> Option<&Template> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Number(_) => None,
        }
    }
}
