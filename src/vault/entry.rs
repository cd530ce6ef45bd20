//! How the application's entry is read, and how one secret in it is replaced.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::kv::Data;
use super::{Entry, Stamp, wipe};
use crate::ids::{KvVersion, STAMP_FIELD};
use crate::secret::{Secret, SecretValue};

/// Reads an entry; the error says what is wrong, never what is in it.
pub(super) fn decode(version: KvVersion, mut data: Data) -> Result<Entry, String> {
    let raw_stamps = match data.0.remove(STAMP_FIELD) {
        None => Map::new(),
        Some(Value::Object(stamps)) => stamps,
        Some(mut other) => {
            wipe(&mut other);
            return Err(format!("its member {STAMP_FIELD} is no object, so keyturn did not write it"));
        }
    };
    let stamps: BTreeMap<String, Stamp> = raw_stamps
        .iter()
        .map(|(field, stamp)| {
            let stamp = Stamp::deserialize_from(stamp)
                .ok_or_else(|| format!("its member {STAMP_FIELD}.{field} is no stamp of keyturn's"))?;
            Ok((field.clone(), stamp))
        })
        .collect::<Result<_, String>>()?;
    let mut entry = Entry::new(version, std::mem::take(&mut data.0), stamps);
    entry.raw_stamps = raw_stamps;
    Ok(entry)
}

impl Stamp {
    fn deserialize_from(value: &Value) -> Option<Self> {
        serde::Deserialize::deserialize(value).ok()
    }
}

/// An entry on its way into Vault, with one secret replaced and all other members as they were read.
pub(super) struct Outgoing<'a> {
    pub(super) entry: &'a Entry,
    pub(super) field: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) stamp: &'a Stamp,
}

impl Outgoing<'_> {
    /// Whether a member is none of the new secret's, nor of the old one's alone.
    fn stays(&self, name: &str) -> bool {
        let has = |stamp: &Stamp| stamp.fields.values().any(|field| field == name);
        let is_replaced = name == self.field || has(self.stamp);
        let was_ours = self.entry.stamp(self.field).is_some_and(has);
        let mut others = self.entry.stamps.iter().filter(|(field, _)| *field != self.field);
        // The field that a secret had once may have become another's.
        !is_replaced && (!was_ours || others.any(|(field, stamp)| field == name || has(stamp)))
    }
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (name, value) in self.entry.fields.iter().filter(|(name, _)| self.stays(name)) {
            members.serialize_entry(name, value)?;
        }
        for (field, value) in parts(self.field, self.secret, self.stamp) {
            members.serialize_entry(field, value.expose())?;
        }
        members.serialize_entry(STAMP_FIELD, &Stamps(self))?;
        members.end()
    }
}

/// All that is published of a secret, each by its field.
fn parts<'a>(
    field: &'a str,
    secret: &'a Secret,
    stamp: &'a Stamp,
) -> impl Iterator<Item = (&'a str, &'a SecretValue)> {
    let fields = stamp.fields.iter();
    let fields = fields.filter_map(|(name, field)| Some((field.as_str(), secret.fields.get(name)?)));
    std::iter::once((field, &secret.key)).chain(fields)
}

struct Stamps<'a>(&'a Outgoing<'a>);

impl Serialize for Stamps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Outgoing { entry, field, stamp, .. } = self.0;
        let mut members = serializer.serialize_map(None)?;
        for (name, other) in entry.stamps.iter().filter(|(name, _)| name != field) {
            match entry.raw_stamps.get(name) {
                Some(raw) => members.serialize_entry(name, raw)?,
                None => members.serialize_entry(name, other)?,
            }
        }
        members.serialize_entry(field, stamp)?;
        members.end()
    }
}

/// An entry on its way into Vault as it was read.
pub(super) struct Unchanged<'a>(pub(super) &'a Entry);

impl Serialize for Unchanged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (name, value) in &self.0.fields {
            members.serialize_entry(name, value)?;
        }
        if !self.0.raw_stamps.is_empty() {
            members.serialize_entry(STAMP_FIELD, &self.0.raw_stamps)?;
        }
        members.end()
    }
}

/// Whether an entry holds this whole secret under this very stamp: same rotation, same fence.
pub(super) fn holds(data: &Data, field: &str, secret: &Secret, stamp: &Stamp) -> bool {
    let found = data.0.get(STAMP_FIELD).and_then(|stamps| Stamp::deserialize_from(stamps.get(field)?));
    let same_stamp =
        found.is_some_and(|found| found.rotation_id == stamp.rotation_id && found.epoch == stamp.epoch);
    let mut parts = parts(field, secret, stamp);
    same_stamp
        && parts.all(|(field, value)| data.0.get(field).and_then(Value::as_str) == Some(value.expose()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::ids::RotationId;

    fn stamp(epoch: u64) -> Stamp {
        Stamp {
            rotation_id: RotationId::from_uuid(Uuid::nil()),
            epoch: KvVersion(epoch),
            published_at: Timestamp::UNIX_EPOCH,
            previous_expires_at: None,
            call: 1,
            key_id: None,
            fields: BTreeMap::new(),
        }
    }

    fn secret(key: &str, pair: Option<&str>) -> Secret {
        let pair = pair.map(|pair| ("id".to_owned(), SecretValue::new(pair.into())));
        Secret { key: SecretValue::new(key.into()), fields: BTreeMap::from_iter(pair) }
    }

    fn stamp_with(field: &str) -> Stamp {
        Stamp { fields: BTreeMap::from([("id".to_owned(), field.to_owned())]), ..stamp(7) }
    }

    fn entry(text: &str) -> Entry {
        decode(KvVersion(4), serde_json::from_str(text).unwrap()).unwrap()
    }

    fn written(entry: &Entry) -> String {
        let secret = secret("new \"quoted\" ü", None);
        let body = Outgoing { entry, field: "key", secret: &secret, stamp: &stamp(7) };
        serde_json::to_string(&body).unwrap()
    }

    #[test]
    fn every_other_member_is_written_back_as_it_was() {
        let foreign = r#""a":null,"b":[true,{"x":"ü\n"}],"c":-7,"d":18446744073709551615,"e":0.1,
            "f":0.12345678901234568,"g":1e21,"h":2.2250738585072014e-308,"i":"","j":1.7976931348623157e308"#;
        let text = format!(r#"{{{foreign},"key":"old"}}"#);
        let before: Value = serde_json::from_str(&text).unwrap();
        let mut after: Value = serde_json::from_str(&written(&entry(&text))).unwrap();
        assert_eq!(after["key"], "new \"quoted\" ü");
        assert_eq!(after[STAMP_FIELD]["key"]["epoch"], 7);
        after.as_object_mut().unwrap().remove(STAMP_FIELD);
        after["key"] = json!("old");
        assert_eq!(after, before);
        // The numbers also have the same digits, to the last.
        assert!(written(&entry(&text)).contains("0.12345678901234568"));
    }

    #[test]
    fn what_goes_with_the_key_is_written_with_it_and_that_of_the_old_key_is_gone() {
        let before = json!({ "key": "old", "key_id": "1", "id": "theirs", STAMP_FIELD: { "key": stamp_with("key_id") } });
        let entry = entry(&before.to_string());
        let written = |secret: &Secret, stamp: &Stamp| {
            serde_json::to_value(Outgoing { entry: &entry, field: "key", secret, stamp }).unwrap()
        };
        let renamed = stamp_with("new_id");
        let after = json!({ "key": "new", "new_id": "2", "id": "theirs", STAMP_FIELD: { "key": renamed } });
        assert_eq!(written(&secret("new", Some("2")), &renamed), after);
        let alone = json!({ "key": "new", "id": "theirs", STAMP_FIELD: { "key": stamp(7) } });
        assert_eq!(written(&secret("new", None), &stamp(7)), alone);
    }

    #[test]
    fn a_field_that_has_become_anothers_is_not_taken_out_with_the_old_key() {
        for other in [json!({ "token": stamp(3) }), json!({ "other": stamp_with("token") })] {
            let mut stamps = other;
            stamps["key"] = serde_json::to_value(stamp_with("token")).unwrap();
            let before = json!({ "key": "old", "token": "theirs", STAMP_FIELD: stamps });
            let (entry, secret, stamp) =
                (entry(&before.to_string()), secret("new", Some("2")), stamp_with("a_token"));
            let body = Outgoing { entry: &entry, field: "key", secret: &secret, stamp: &stamp };
            let after = serde_json::to_value(body).unwrap();
            assert_eq!((&after["token"], &after["a_token"]), (&json!("theirs"), &json!("2")));
        }
    }

    #[test]
    fn an_entry_holds_what_was_published_with_the_key_and_else_what_is_configured() {
        let configured = BTreeMap::from([("id".to_owned(), "key_id".to_owned())]);
        let fields = |text: Value| {
            let whole = entry(&text.to_string()).secret("key", &configured).unwrap();
            whole.fields.get("id").map(|id| id.expose().to_owned())
        };
        let by_hand = json!({ "key": "v", "key_id": "1", "id": "2" });
        assert_eq!(fields(by_hand).as_deref(), Some("1"));
        let published =
            json!({ "key": "v", "key_id": "1", "id": "2", STAMP_FIELD: { "key": stamp_with("id") } });
        assert_eq!(fields(published).as_deref(), Some("2"));
        // Published by a keyturn that knew nothing of fields, as its record says.
        let alone = json!({ "key": "v", "key_id": "1", STAMP_FIELD: { "key": stamp(7) } });
        assert_eq!(fields(alone), None);
        assert!(entry("{}").secret("key", &configured).is_none());
    }

    #[test]
    fn an_entry_that_is_written_again_is_the_same_in_every_member() {
        let stamped = json!({ "key": "v", "n": 1e21, STAMP_FIELD: { "key": stamp(7), "other": stamp(3) } });
        for value in [stamped, json!({ "key": "v", "note": null })] {
            let again = serde_json::to_value(Unchanged(&entry(&value.to_string()))).unwrap();
            assert_eq!(again, value);
        }
    }

    #[test]
    fn a_second_credential_in_the_entry_keeps_its_stamp_and_what_a_later_version_added_to_it() {
        let mut other = serde_json::to_value(stamp(3)).unwrap();
        other["cohort"] = json!("canary-1");
        let text = json!({ "other": "x", STAMP_FIELD: { "other": other } }).to_string();
        let after: Value = serde_json::from_str(&written(&entry(&text))).unwrap();
        assert_eq!(after[STAMP_FIELD]["other"], other);
        assert_eq!(after[STAMP_FIELD]["key"], serde_json::to_value(stamp(7)).unwrap());
    }

    #[test]
    fn a_stamp_that_keyturn_did_not_write_is_an_error_that_shows_no_value() {
        for stamps in [json!("canary"), json!({ "key": "canary" }), json!({ "key": { "epoch": "canary" } })] {
            let data = serde_json::from_value(json!({ "key": "v", STAMP_FIELD: stamps })).unwrap();
            let error = decode(KvVersion(1), data).unwrap_err();
            assert!(error.contains(STAMP_FIELD) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_publication_is_recognised_by_rotation_epoch_and_value_together() {
        let value = secret("v", None);
        let data = json!({ "key": "v", STAMP_FIELD: { "key": stamp(7) } });
        let data: Data = serde_json::from_value(data).unwrap();
        assert!(holds(&data, "key", &value, &stamp(7)));
        assert!(!holds(&data, "key", &value, &stamp(8)));
        assert!(!holds(&data, "key", &secret("w", None), &stamp(7)));
        let unstamped = serde_json::from_value(json!({ "key": "v" })).unwrap();
        assert!(!holds(&unstamped, "key", &value, &stamp(7)));
        // Half a secret is not the publication.
        let whole = secret("v", Some("i"));
        assert!(!holds(&data, "key", &whole, &Stamp { fields: stamp_with("key_id").fields, ..stamp(7) }));
    }
}
