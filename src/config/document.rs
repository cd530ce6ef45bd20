//! A YAML file as plain values, with the line of each.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::mistake::Mistake;

/// A file's values, and where they stand.
pub(super) struct Document {
    pub(super) value: Value,
    lines: BTreeMap<String, u64>,
}

impl Document {
    /// Reads one YAML document. What is no YAML at all is one mistake.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        // Ten thousand credentials are a normal size; the default would end before them.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 2_000_000 },
            with_snippet: false,
        };
        let node: Spanned<Node> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| unreadable(&error))?;
        let mut lines = BTreeMap::new();
        let value = node.value.into_json(node.referenced.line(), "", &mut lines);
        Ok(Self { value, lines })
    }

    /// The line of a place, or of the nearest one around it that is in the file.
    pub(super) fn line(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            let Some((above, _)) = path.rfind(['.', '[']).and_then(|end| path.split_at_checked(end)) else {
                return self.lines.get("").copied().unwrap_or(1);
            };
            path = above;
        }
    }
}

fn unreadable(error: &serde_saphyr::Error) -> Mistake {
    let place = error.location().map_or_else(String::new, |location| format!("line {}: ", location.line()));
    // What the library says may repeat a part of the file, and the file may hold what it should not.
    Mistake::new("", format!("{place}this cannot be read as YAML"))
        .hint("look for wrong indentation, a missing quote or colon, a tab, or a field given twice")
}

/// A place one level further in.
pub(super) fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl Node {
    fn into_json(self, line: u64, path: &str, lines: &mut BTreeMap<String, u64>) -> Value {
        lines.insert(path.to_owned(), line);
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    item.value.into_json(item.referenced.line(), &format!("{path}[{index}]"), lines)
                })
                .collect(),
            Self::Map(members) => members
                .into_iter()
                .map(|(name, item)| {
                    let value = item.value.into_json(item.referenced.line(), &member(path, &name), lines);
                    (name, value)
                })
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        // No field takes such a number, so which one it is makes no difference.
        Ok(Node::Scalar(i64::MIN.into()))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar(u64::MAX.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Node, E> {
        Err(E::custom("bytes have no place here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((name, item)) = members.next_entry::<Key, _>()? {
            map.push((name.0, item));
        }
        Ok(Node::Map(map))
    }
}

/// A field's name: text, or another scalar as it is written.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Scalar(Value::String(name)) => Ok(Self(name)),
            Node::Scalar(value) => Ok(Self(value.to_string())),
            Node::List(_) | Node::Map(_) => Err(D::Error::custom("a field's name is text")),
        }
    }
}
