//! A request's body: written at once into a buffer of its whole size, which is wiped with its last holder.

mod multipart;

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use zeroize::Zeroizing;

pub(super) use self::multipart::fields;
use super::definition::NEW_SECRET;
use super::fact::TimeForm;
use super::signing::QUERY_ENCODED;
use crate::ids::{KeyId, RotationId};
use crate::secret::SecretValue;

/// A body in which only what differs from call to call is left open.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Json(Value),
    /// The fields of a form; their values are neither lists nor objects.
    Form(Vec<(String, Value)>),
    /// The same as parts.
    Multipart(Vec<(String, Value)>),
}

/// One value of a body.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(i64),
    Text(Vec<Piece>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Fixed(String),
    RotationId,
    /// The id of the key that is revoked.
    KeyId,
    /// The secret that signs the call.
    Signer,
    /// The key that keyturn chose.
    Supplied,
    /// A further secret, by its name.
    Extra(String),
    /// The moment that is so long after the call.
    End(Duration, TimeForm),
}

/// What the open parts of one request are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    /// The rotation that the request belongs to; only a regenerate call has one.
    pub(super) rotation: Option<RotationId>,
    /// The key that the request revokes.
    pub(super) key_id: Option<&'a KeyId>,
    pub(super) signer: &'a SecretValue,
    /// The key that keyturn chose; only a regenerate call can have one.
    pub(super) supplied: Option<&'a SecretValue>,
    pub(super) extra: &'a [(String, SecretValue)],
    pub(super) now: Timestamp,
}

impl Body {
    /// What stands before and after the rotation's id, in each text that holds it beside what is fixed.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        match self {
            Self::Json(value) => value.gather_labels(&mut found),
            Self::Form(fields) | Self::Multipart(fields) => {
                for (_, value) in fields {
                    value.gather_labels(&mut found);
                }
            }
        }
        found
    }
}

/// A whole body.
pub(super) struct Written {
    pub(super) bytes: Bytes,
    /// What stands between its parts, where it has some.
    pub(super) boundary: Option<String>,
}

/// Writes a body. An error says what is missing, and shows no secret.
pub(super) fn write(body: &Body, filling: Filling<'_>) -> Result<Written, String> {
    if let Some(name) = missing(body, filling) {
        return Err(format!("the secret {name} is missing"));
    }
    let (bytes, boundary) = match body {
        Body::Json(value) => (Bytes::from_owner(at_once(|out| write_json(out, value, filling))?), None),
        Body::Form(fields) => (Bytes::from_owner(at_once(|out| write_form(out, fields, filling))?), None),
        Body::Multipart(fields) => {
            let (bytes, boundary) = multipart::write(fields, filling)?;
            (bytes, Some(boundary))
        }
    };
    Ok(Written { bytes, boundary })
}

/// What is written, in a buffer of its whole size at once: one that grows leaves copies of the secrets behind.
fn at_once(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut size = Count(0);
    write(&mut size).map_err(cannot_be_written)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    write(&mut *bytes).map_err(cannot_be_written)?;
    Ok(bytes)
}

fn cannot_be_written(_: io::Error) -> String {
    "the request's body cannot be written".to_owned()
}

/// Counts what is written, and keeps nothing of it.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_json(out: &mut dyn Write, value: &Value, filling: Filling<'_>) -> io::Result<()> {
    serde_json::to_writer(out, &Filled { value, filling }).map_err(io::Error::from)
}

fn write_form(out: &mut dyn Write, fields: &[(String, Value)], filling: Filling<'_>) -> io::Result<()> {
    for (index, (name, value)) in fields.iter().enumerate() {
        let between = if index == 0 { "" } else { "&" };
        write!(out, "{between}{}=", utf8_percent_encode(name, QUERY_ENCODED))?;
        write_field(out, value, filling)?;
    }
    Ok(())
}

fn write_field(out: &mut dyn Write, value: &Value, filling: Filling<'_>) -> io::Result<()> {
    match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(value) => write!(out, "{value}"),
        Value::Text(pieces) => pieces.iter().try_for_each(|piece| {
            piece.visit(filling, |text| write!(out, "{}", utf8_percent_encode(text, QUERY_ENCODED)))
        }),
        Value::Null | Value::List(_) | Value::Object(_) => Ok(()),
    }
}

fn missing<'a>(body: &'a Body, filling: Filling<'_>) -> Option<&'a str> {
    match body {
        Body::Json(value) => value.missing(filling),
        Body::Form(fields) | Body::Multipart(fields) => {
            fields.iter().find_map(|(_, value)| value.missing(filling))
        }
    }
}

impl Value {
    fn gather_labels(&self, found: &mut Vec<(String, String)>) {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
            Self::Text(pieces) => found.extend(label(pieces)),
            Self::List(items) => items.iter().for_each(|item| item.gather_labels(found)),
            Self::Object(members) => members.iter().for_each(|(_, member)| member.gather_labels(found)),
        }
    }

    fn missing(&self, filling: Filling<'_>) -> Option<&str> {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => None,
            Self::Text(pieces) => pieces.iter().find_map(|piece| match piece {
                Piece::Extra(name) if secret(filling, name).is_none() => Some(name.as_str()),
                Piece::Supplied if filling.supplied.is_none() => Some(NEW_SECRET),
                _ => None,
            }),
            Self::List(items) => items.iter().find_map(|item| item.missing(filling)),
            Self::Object(members) => members.iter().find_map(|(_, member)| member.missing(filling)),
        }
    }
}

fn label(pieces: &[Piece]) -> Option<(String, String)> {
    let at = pieces.iter().position(|piece| matches!(piece, Piece::RotationId))?;
    let (before, after) = pieces.split_at_checked(at)?;
    let fixed = |pieces: &[Piece]| {
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Fixed(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Option<String>>()
    };
    Some((fixed(before)?, fixed(after.get(1..)?)?))
}

fn secret<'a>(filling: Filling<'a>, name: &str) -> Option<&'a SecretValue> {
    filling.extra.iter().find(|(given, _)| given == name).map(|(_, secret)| secret)
}

impl Piece {
    /// Shows the piece's text to `see`, in clear and without a copy of it.
    fn visit<E>(&self, filling: Filling<'_>, see: impl FnOnce(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Fixed(text) => see(text),
            Self::RotationId => filling.rotation.map_or(Ok(()), |id| see(&id.to_string())),
            Self::KeyId => filling.key_id.map_or(Ok(()), |id| see(id.as_str())),
            Self::Signer => see(filling.signer.expose()),
            Self::Supplied => see(filling.supplied.map_or("", SecretValue::expose)),
            Self::Extra(name) => secret(filling, name).map_or(Ok(()), |secret| see(secret.expose())),
            Self::End(after, form) => see(&form.text(end(filling, *after))),
        }
    }
}

fn end(filling: Filling<'_>, after: Duration) -> Timestamp {
    filling.now.checked_add(after).unwrap_or(Timestamp::MAX)
}

/// A value with its open parts filled in, as JSON sees it.
struct Filled<'a> {
    value: &'a Value,
    filling: Filling<'a>,
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = |value| Filled { value, filling: self.filling };
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => serializer.serialize_i64(*value),
            Value::Text(pieces) => match number(pieces, self.filling) {
                Some(number) => serializer.serialize_i64(number),
                None => serializer.collect_str(&Joined { pieces, filling: self.filling }),
            },
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&filled(item)))?;
                list.end()
            }
            Value::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                members
                    .iter()
                    .try_for_each(|(name, member)| object.serialize_entry(name, &filled(member)))?;
                object.end()
            }
        }
    }
}

/// A moment that stands alone and is counted is a number.
fn number(pieces: &[Piece], filling: Filling<'_>) -> Option<i64> {
    match pieces {
        [Piece::End(after, form)] => form.number(end(filling, *after)),
        _ => None,
    }
}

/// The pieces one after the other. Private, for it shows secrets.
struct Joined<'a> {
    pieces: &'a [Piece],
    filling: Filling<'a>,
}

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| piece.visit(self.filling, |text| f.write_str(text)))
    }
}
