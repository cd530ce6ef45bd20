//! JSON that may hold a secret: wiped when dropped, never shown.

use data_encoding::BASE64;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::definition::SecretEncoding;
use super::template::Pointer;
use super::wire::{Among, Condition};
use crate::ids::KeyId;
use crate::secret::SecretValue;

/// A parsed body. It has no `Debug` on purpose.
#[derive(Default)]
pub(super) struct SecretJson(Value);

impl SecretJson {
    /// Parses a whole body; the error is dropped, for it could quote the body.
    pub(super) fn parse(body: &Zeroizing<Vec<u8>>) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self)
    }

    /// The value under a pointer.
    pub(super) fn at(&self, pointer: &Pointer) -> Option<&Value> {
        self.0.pointer(pointer.as_str())
    }

    /// The id of a key under a pointer.
    pub(super) fn key_id(&self, pointer: &Pointer) -> Option<KeyId> {
        plain(self.at(pointer)?)?.parse().ok()
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &Condition) -> bool {
        self.at(&condition.at) == Some(&condition.is)
    }

    /// The one element of a list that counts; nothing where there is none or more than one.
    pub(super) fn one_of(mut self, among: &Among) -> Option<Self> {
        let list = self.0.pointer_mut(among.list.as_str())?.as_array_mut()?;
        let is_it =
            |item: &&mut Value| item.pointer(among.condition.at.as_str()) == Some(&among.condition.is);
        let mut fitting = list.iter_mut().filter(is_it);
        match (fitting.next(), fitting.next()) {
            (Some(element), None) => Some(Self(std::mem::take(element))),
            _ => None,
        }
    }

    /// Moves a key out, so that no second copy of it remains here.
    pub(super) fn take_key(&mut self, pointer: &Pointer, encoding: SecretEncoding) -> Found {
        match (self.take_text(pointer), encoding) {
            (Found::Text(text), SecretEncoding::Base64) => {
                let text = Zeroizing::new(text);
                let decoded = BASE64.decode(text.trim().as_bytes()).ok().map(String::from_utf8);
                match decoded {
                    Some(Ok(decoded)) if !decoded.is_empty() => Found::Text(decoded),
                    Some(Err(binary)) => {
                        binary.into_bytes().zeroize();
                        Found::SomethingElse
                    }
                    Some(Ok(_)) | None => Found::SomethingElse,
                }
            }
            (found, _) => found,
        }
    }

    /// Moves out what goes with a key: a text, or a number as one.
    pub(super) fn take_field(&mut self, pointer: &Pointer) -> Option<SecretValue> {
        match self.take_text(pointer) {
            Found::Text(text) => Some(SecretValue::new(text)),
            Found::SomethingElse => self.at(pointer).and_then(plain).map(SecretValue::new),
            Found::Nothing => None,
        }
    }

    /// Moves a text out, so that no second copy of it remains here.
    pub(super) fn take_text(&mut self, pointer: &Pointer) -> Found {
        match self.0.pointer_mut(pointer.as_str()) {
            None | Some(Value::Null) => Found::Nothing,
            Some(Value::String(text)) if text.is_empty() => Found::Nothing,
            Some(Value::String(text)) => Found::Text(std::mem::take(text)),
            Some(_) => Found::SomethingElse,
        }
    }
}

/// A text, or a whole number as one, that is no secret.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What stands under a pointer.
pub(super) enum Found {
    Text(String),
    Nothing,
    SomethingElse,
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
