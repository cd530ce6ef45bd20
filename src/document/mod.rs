//! A YAML file as plain values, with the place of each, and how it is held against a schema.

pub(crate) mod shape;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::mistake::{Mistake, Place};

/// A file's values, and where they stand.
pub(crate) struct Document {
    pub(crate) value: Value,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Reads one YAML document. What is no YAML at all is one mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        // Ten thousand credentials are a normal size; the default would end before them.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 2_000_000 },
            with_snippet: false,
        };
        let node: Spanned<Node> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| unreadable(&error, text))?;
        let mut places = BTreeMap::from([(String::new(), place(&node.referenced))]);
        let value = node.value.into_json("", &mut places);
        Ok(Self { value, places })
    }

    /// The mistakes in the order of the file, each with its place, or that of the nearest thing around it.
    pub(crate) fn in_order(&self, mistakes: Vec<Mistake>) -> Vec<Mistake> {
        let mut placed: Vec<Mistake> = mistakes
            .into_iter()
            .map(|mistake| Mistake { place: self.place(&mistake.path), ..mistake })
            .collect();
        placed.sort_by_key(|mistake| mistake.place);
        placed
    }

    /// Where something stands that is in the file itself.
    pub(crate) fn own_place(&self, path: &str) -> Option<Place> {
        self.places.get(path).copied()
    }

    /// Where something stands, or else what is around it: a field by its name, an item by its first character.
    fn place(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(*place);
            }
            let Some((above, _)) = path.rfind(['.', '[']).and_then(|end| path.split_at_checked(end)) else {
                return self.places.get("").copied();
            };
            path = above;
        }
    }
}

fn unreadable(error: &serde_saphyr::Error, text: &str) -> Mistake {
    let place = error.location().as_ref().map(place);
    let index = place.as_ref().and_then(|place| usize::try_from(place.line).ok()?.checked_sub(1));
    let line = index.and_then(|index| text.lines().nth(index));
    let is_tabbed = line.is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
    let hint = if is_tabbed {
        "a tab stands here; YAML is indented with spaces"
    } else {
        "look for wrong indentation, a missing quote or colon, a text with a colon in it, or a field given twice"
    };
    // What the library says may repeat a part of the file, and the file may hold what it should not.
    Mistake { place, ..Mistake::new("", "this cannot be read as YAML").hint(hint) }
}

fn place(location: &Location) -> Place {
    Place { line: location.line(), column: location.column() }
}

/// A field one level further in.
pub(crate) fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<Key>, Node)>),
}

impl Node {
    fn into_json(self, path: &str, places: &mut BTreeMap<String, Place>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let path = format!("{path}[{index}]");
                    places.insert(path.clone(), place(&item.referenced));
                    item.value.into_json(&path, places)
                })
                .collect(),
            Self::Map(members) => members
                .into_iter()
                .map(|(name, item)| {
                    let path = member(path, &name.value.0);
                    places.insert(path.clone(), place(&name.referenced));
                    (name.value.0, item.into_json(&path, places))
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
        while let Some(entry) = members.next_entry()? {
            map.push(entry);
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
