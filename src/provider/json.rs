//! JSON that may hold a secret: wiped when dropped, never shown.

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::template::Pointer;

/// A parsed body. It has no `Debug` on purpose.
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
