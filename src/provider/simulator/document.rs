//! The bodies of answers: values put where the definition's pointers find them again.

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;

use crate::provider::definition::{Expiry, ExpiryForm, SecretEncoding};
use crate::provider::wire::{Among, KeyPlace};
use crate::secret::Secret;

/// Where a place in an answer begins: in the whole, or in the element of a list that is meant, which stands at this index.
pub(super) fn element(body: &mut Value, among: Option<&Among>, index: usize) -> String {
    let Some(among) = among else { return String::new() };
    let inside = format!("{}/{index}", among.list.as_str());
    put(body, &format!("{inside}{}", among.condition.at.as_str()), among.condition.is.clone());
    inside
}

/// Puts a secret where it belongs, with all that goes with it.
pub(super) fn put_secret(body: &mut Value, inside: &str, place: &KeyPlace, secret: &Secret) {
    put_key(body, inside, place, secret.key.expose());
    for (value, at) in place.fields.iter().filter_map(|(name, at)| Some((secret.fields.get(name)?, at))) {
        put(body, &format!("{inside}{}", at.as_str()), value.expose().into());
    }
}

fn put_key(body: &mut Value, inside: &str, place: &KeyPlace, key: &str) {
    let key = match place.encoding {
        SecretEncoding::Text => key.to_owned(),
        SecretEncoding::Base64 => BASE64.encode(key.as_bytes()),
    };
    put(body, &format!("{inside}{}", place.secret.as_str()), key.into());
}

/// A time as the definition says that it is written.
pub(super) fn written(expiry: &Expiry, at: Timestamp, now: Timestamp) -> Value {
    match expiry.form {
        ExpiryForm::Rfc3339 => at.to_string().into(),
        ExpiryForm::Date => at.strftime("%Y-%m-%d").to_string().into(),
        ExpiryForm::UnixSeconds => at.as_second().into(),
        ExpiryForm::UnixMilliseconds => at.as_millisecond().into(),
        ExpiryForm::SecondsFromNow => at.duration_since(now).as_secs().into(),
    }
}

/// Puts a value where a JSON pointer finds it again, with everything around it that is needed.
pub(super) fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        place = match name.parse::<usize>() {
            Ok(index) if !place.is_object() => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Some(items) = place.as_array_mut() else { return };
                while items.len() <= index.min(INDEX_MAX) {
                    items.push(Value::Null);
                }
                let Some(item) = items.get_mut(index) else { return };
                item
            }
            _ => {
                if !place.is_object() {
                    *place = Value::Object(serde_json::Map::new());
                }
                let Some(members) = place.as_object_mut() else { return };
                members.entry(name).or_insert(Value::Null)
            }
        };
    }
    *place = value;
}

/// No answer has its key so far down a list.
const INDEX_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_where_it_was_put() {
        let mut document = Value::Null;
        for pointer in ["/data/0/key", "/data/0/until", "/a~1b/~0c", "/data/2"] {
            put(&mut document, pointer, pointer.into());
        }
        for pointer in ["/data/0/key", "/data/0/until", "/a~1b/~0c", "/data/2"] {
            assert_eq!(document.pointer(pointer), Some(&Value::from(pointer)), "{document}");
        }
        put(&mut document, "", "whole".into());
        assert_eq!(document, "whole");
    }
}
