//! What must hold of the codecs of record and entry, whatever stands in Vault.
//!
//! Each function says whether the bytes were taken for what they should be.

#![expect(clippy::missing_panics_doc, reason = "a property that does not hold is a panic, as in a test")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::kv::Data;
use super::{Stamp, entry, record};
use crate::ids::{CredentialName, KvVersion, RotationId, STAMP_FIELD};
use crate::secret::{Secret, SecretValue};

/// Stands in the seeds where a value is that may not be shown.
const CANARY: &str = "canary";

/// A record is refused without a value in the reason, or comes back whole, with what it does not know.
pub fn record(data: &[u8]) -> bool {
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(data) else { return false };
    let name = members.get("credential").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let name: CredentialName = match name.or_else(|| "a-credential".parse().ok()) {
        Some(name) => name,
        None => return false,
    };
    let read = match record::decode(&name, Data(members.clone())) {
        Ok(read) => read,
        Err(reason) => {
            assert!(!reason.contains(CANARY), "{reason}");
            return false;
        }
    };
    // Damage can put the word where no value is.
    let state_says_it = members.get("state").is_some_and(|state| state.to_string().contains(CANARY));
    let in_what_is_shown = name.as_str().contains(CANARY) || state_says_it;
    assert!(in_what_is_shown || !format!("{read:?}").contains(CANARY), "{read:?}");
    let written =
        |record: &super::Record| to_value(&record::Outgoing { credential: &name, record, nonce: "n" });
    let once = written(&read);
    let ours = [
        "format",
        "credential",
        "state",
        "fingerprint_key",
        "identities",
        "staged",
        "staged_fields",
        "supplied",
        "nonce",
    ];
    for (member, value) in members.iter().filter(|(member, _)| !ours.contains(&member.as_str())) {
        assert!(once.get(member) == Some(value), "the unknown member {member:?} is lost or changed");
    }
    let again = record::decode(&name, Data(once.clone())).map(|again| written(&again));
    assert!(again.as_ref() == Ok(&once), "a record that was written cannot be read again");
    true
}

/// Publishing changes the fields of one secret in an entry and their stamp, and nothing else.
pub fn entry(data: &[u8]) -> bool {
    const FIELD: &str = "key";
    const PAIR: &str = "pair";
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(data) else { return false };
    let read = match entry::decode(KvVersion(4), Data(members.clone())) {
        Ok(read) => read,
        Err(reason) => {
            let in_a_name = members.get(STAMP_FIELD).and_then(Value::as_object);
            let in_a_name = in_a_name.is_some_and(|stamps| stamps.keys().any(|name| name.contains(CANARY)));
            assert!(in_a_name || !reason.contains(CANARY), "{reason}");
            return false;
        }
    };
    assert!(!format!("{read:?}").contains(CANARY), "{read:?}");
    let stamp = Stamp {
        rotation_id: RotationId::from_uuid(Uuid::nil()),
        epoch: KvVersion(7),
        published_at: Timestamp::UNIX_EPOCH,
        previous_expires_at: None,
        call: 1,
        key_id: None,
        fields: BTreeMap::from([(PAIR.to_owned(), PAIR.to_owned())]),
    };
    let mut secret = Secret::from(SecretValue::new("new".to_owned()));
    secret.fields.insert(PAIR.to_owned(), SecretValue::new("pair".to_owned()));
    let of_old = read.stamp(FIELD).map(|stamp| stamp.fields.clone()).unwrap_or_default();
    let mut after = to_value(&entry::Outgoing { entry: &read, field: FIELD, secret: &secret, stamp: &stamp });
    assert!(entry::holds(&Data(after.clone()), FIELD, &secret, &stamp), "a publication is not recognised");
    let stamps = |from: &Map<String, Value>| {
        let stamps = from.get(STAMP_FIELD).and_then(Value::as_object).cloned();
        stamps.unwrap_or_default().into_iter().filter(|(name, _)| name != FIELD).collect::<Map<_, _>>()
    };
    assert!(stamps(&after) == stamps(&members), "the stamp of another field is lost or changed");
    let mut before = members;
    for name in of_old.values().map(String::as_str).chain([FIELD, PAIR, STAMP_FIELD]) {
        after.remove(name);
        before.remove(name);
    }
    assert!(after == before, "another field is lost or changed");
    true
}

/// By way of text, as it goes to Vault.
fn to_value(outgoing: &impl serde::Serialize) -> Map<String, Value> {
    let text = serde_json::to_string(outgoing).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
