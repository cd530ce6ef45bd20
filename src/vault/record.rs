//! How a record is written into a KV entry, and read from it.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::kv::Data;
use super::{Record, take_text, wipe};
use crate::ids::{CredentialName, RotationId};
use crate::rotation::State;
use crate::secret::{FingerprintKey, Secret, SecretValue};

/// The format of a record.
const FORMAT: u64 = 1;
/// The same with a staged secret of several fields, of which a reader of the first would take the key alone.
const FORMAT_WITH_FIELDS: u64 = 2;

const FORMAT_MEMBER: &str = "format";
const CREDENTIAL: &str = "credential";
const STATE: &str = "state";
const FINGERPRINT_KEY: &str = "fingerprint_key";
const IDENTITIES: &str = "identities";
const STAGED: &str = "staged";
const STAGED_FIELDS: &str = "staged_fields";
const SUPPLIED: &str = "supplied";
const NONCE: &str = "nonce";
const OUR_MEMBERS: [&str; 9] =
    [FORMAT_MEMBER, CREDENTIAL, STATE, FINGERPRINT_KEY, IDENTITIES, STAGED, STAGED_FIELDS, SUPPLIED, NONCE];

/// A record on its way into Vault; `nonce` is how this write is recognised when its answer is lost.
pub(super) struct Outgoing<'a> {
    pub(super) credential: &'a CredentialName,
    pub(super) record: &'a Record,
    pub(super) nonce: &'a str,
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { credential, record, nonce } = self;
        let identities: Vec<IdentityOut<'_>> = record
            .identities
            .iter()
            .map(|(rotation_id, identity)| IdentityOut { rotation_id, identity: identity.expose() })
            .collect();
        let mut members = serializer.serialize_map(None)?;
        let staged_fields = record.staged.as_ref().map(|staged| &staged.fields);
        let staged_fields = staged_fields.filter(|fields| !fields.is_empty());
        let format = if staged_fields.is_some() { FORMAT_WITH_FIELDS } else { FORMAT };
        members.serialize_entry(FORMAT_MEMBER, &format)?;
        members.serialize_entry(CREDENTIAL, credential)?;
        members.serialize_entry(STATE, &record.state)?;
        members.serialize_entry(FINGERPRINT_KEY, record.fingerprint_key.expose())?;
        members.serialize_entry(IDENTITIES, &identities)?;
        if let Some(staged) = &record.staged {
            members.serialize_entry(STAGED, staged.key.expose())?;
        }
        if let Some(fields) = staged_fields {
            let shown = fields.iter().map(|(name, value)| (name, value.expose()));
            members.serialize_entry(STAGED_FIELDS, &shown.collect::<BTreeMap<_, _>>())?;
        }
        if let Some(supplied) = &record.supplied {
            members.serialize_entry(SUPPLIED, supplied.expose())?;
        }
        members.serialize_entry(NONCE, nonce)?;
        let foreign = |(name, _): &(&String, &Value)| !OUR_MEMBERS.contains(&name.as_str());
        record.unknown.iter().filter(foreign).try_for_each(|(k, v)| members.serialize_entry(k, v))?;
        members.end()
    }
}

#[derive(Serialize)]
struct IdentityOut<'a> {
    rotation_id: &'a RotationId,
    identity: &'a str,
}

/// Whether an entry holds the write with this nonce.
pub(super) fn has_nonce(data: &Data, nonce: &str) -> bool {
    data.0.get(NONCE).and_then(Value::as_str) == Some(nonce)
}

/// Reads a record; the error says what is wrong, never what is in it.
pub(super) fn decode(credential: &CredentialName, mut data: Data) -> Result<Record, String> {
    check_format(&data)?;
    let name = text(&mut data, CREDENTIAL)?;
    if name != credential.as_str() {
        return Err("it is the record of another credential; was it copied?".into());
    }
    let state = data.0.get(STATE).ok_or("the state is missing")?;
    let state = State::deserialize(state).map_err(|_| "the state is not one that this keyturn knows")?;
    let fingerprint_key = FingerprintKey::new(text(&mut data, FINGERPRINT_KEY)?);
    let identities = identities(data.0.get_mut(IDENTITIES)).ok_or("the escrow identities are unreadable")?;
    let staged = staged(&mut data)?;
    let supplied = secret(&mut data, SUPPLIED, "the supplied value is no text")?;
    for member in OUR_MEMBERS {
        data.0.remove(member).as_mut().map(wipe);
    }
    let unknown = std::mem::take(&mut data.0);
    Ok(Record { state, fingerprint_key, identities, staged, supplied, unknown })
}

/// A secret that may be missing; `complaint`, where something else stands in its place.
fn secret(data: &mut Data, name: &str, complaint: &'static str) -> Result<Option<SecretValue>, &'static str> {
    match data.0.get_mut(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => take_text(value).map(SecretValue::new).map(Some).ok_or(complaint),
    }
}

fn identities(listed: Option<&mut Value>) -> Option<Vec<(RotationId, SecretValue)>> {
    let Some(listed) = listed else { return Some(Vec::new()) };
    let identity = |one: &mut Value| {
        let rotation_id = RotationId::deserialize(one.get("rotation_id")?).ok()?;
        Some((rotation_id, SecretValue::new(take_text(one.get_mut("identity")?)?)))
    };
    listed.as_array_mut()?.iter_mut().map(identity).collect()
}

fn staged(data: &mut Data) -> Result<Option<Secret>, String> {
    let key = match data.0.get_mut(STAGED) {
        None | Some(Value::Null) => return Ok(None),
        Some(staged) => SecretValue::new(take_text(staged).ok_or("the staged value is no text")?),
    };
    let mut secret = Secret::from(key);
    if let Some(listed) = data.0.get_mut(STAGED_FIELDS) {
        let listed = listed.as_object_mut().ok_or("the staged fields are unreadable")?;
        for (name, value) in listed {
            let value = take_text(value).ok_or("a staged field is no text")?;
            secret.fields.insert(name.clone(), SecretValue::new(value));
        }
    }
    Ok(Some(secret))
}

fn check_format(data: &Data) -> Result<(), String> {
    match data.0.get(FORMAT_MEMBER).and_then(Value::as_u64) {
        Some(FORMAT | FORMAT_WITH_FIELDS) => Ok(()),
        Some(newer) if newer > FORMAT => Err(format!(
            "it has format {newer} and this keyturn knows {FORMAT_WITH_FIELDS}; a newer keyturn wrote it: update this one"
        )),
        _ => Err("the member \"format\" is missing; is this path used by something else?".into()),
    }
}

fn text(data: &mut Data, name: &str) -> Result<String, String> {
    data.0
        .get_mut(name)
        .and_then(take_text)
        .ok_or_else(|| format!("the member {name:?} is missing or no text"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn name() -> CredentialName {
        "adyen".parse().unwrap()
    }

    fn record() -> Record {
        let mut unknown = serde_json::Map::new();
        unknown.insert("cohorts".into(), json!({ "later": [1, 2.5, null, "canary-later"] }));
        Record {
            state: State::adopted(Timestamp::UNIX_EPOCH),
            fingerprint_key: FingerprintKey::new("canary-key".into()),
            identities: vec![(
                RotationId::from_uuid(Uuid::nil()),
                SecretValue::new("canary-identity".into()),
            )],
            staged: Some(SecretValue::new("canary-staged".into()).into()),
            supplied: Some(SecretValue::new("canary-supplied".into())),
            unknown,
        }
    }

    fn encoded(record: &Record) -> Value {
        serde_json::to_value(Outgoing { credential: &name(), record, nonce: "n-1" }).unwrap()
    }

    fn data(value: Value) -> Data {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_record_comes_back_whole_with_members_of_a_later_version() {
        let written = encoded(&record());
        assert!(has_nonce(&data(written.clone()), "n-1"));
        let read = decode(&name(), data(written.clone())).unwrap();
        assert_eq!(encoded(&read), written);
        assert_eq!(written["format"], 1);
        assert!(!format!("{read:?}").contains("canary"));
    }

    #[test]
    fn a_staged_secret_of_several_fields_comes_back_whole_and_is_hidden_from_who_would_take_half() {
        let mut record = record();
        record.staged.as_mut().unwrap().fields.insert("id".into(), SecretValue::new("canary-id".into()));
        let written = encoded(&record);
        assert_eq!(
            (&written["format"], &written["staged_fields"]),
            (&json!(2), &json!({ "id": "canary-id" }))
        );
        let read = decode(&name(), data(written.clone())).unwrap();
        assert_eq!(encoded(&read), written);
        assert!(!format!("{read:?}").contains("canary"));
        let odd = json!({ "id": ["canary"] });
        let error = decode(
            &name(),
            data({
                let mut it = written;
                it["staged_fields"] = odd;
                it
            }),
        )
        .unwrap_err();
        assert!(error.contains("staged field") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn what_another_hand_wrote_is_refused_with_the_reason_and_without_values() {
        let mut newer = encoded(&record());
        newer["format"] = json!(3);
        let mut copied = encoded(&record());
        copied["credential"] = json!("spritz");
        let mut broken = encoded(&record());
        broken["identities"] = json!("canary");
        let mut half = encoded(&record());
        half["identities"][0]["rotation_id"] = json!("canary");
        let mut odd = encoded(&record());
        odd["staged"] = json!(["canary"]);
        let mut strange = encoded(&record());
        strange["supplied"] = json!({ "canary": 1 });
        for (value, words) in [
            (half, "identities"),
            (odd, "staged"),
            (strange, "supplied"),
            (newer, "update this one"),
            (copied, "another credential"),
            (broken, "identities"),
            (json!({ "password": "canary" }), "format"),
        ] {
            let error = decode(&name(), data(value)).unwrap_err();
            assert!(error.contains(words) && !error.contains("canary"), "{error}");
        }
    }
}
