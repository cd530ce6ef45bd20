//! What a Vault cluster holds, in memory, with check-and-set.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::link::StoreCall;
use super::pair::pair_of;
use super::witness::Witness;
use crate::ids::{CredentialName, FieldPath, KvVersion, RotationId, VaultPath};
use crate::rotation::State;
use crate::secret::{FingerprintKey, Secret, SecretValue};
use crate::vault::{Entry, Error, Record, Stamp, WriteError};

/// A Vault cluster that all replicas share.
#[derive(Debug, Clone)]
pub struct FakeVault {
    held: Arc<watch::Sender<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    records: BTreeMap<CredentialName, (KvVersion, StoredRecord)>,
    entries: BTreeMap<VaultPath, StoredEntry>,
    outage: Option<Error>,
    refused: BTreeMap<StoreCall, Error>,
    requests: BTreeMap<StoreCall, usize>,
    arrivals: Option<Vec<(StoreCall, Instant)>>,
    witness: Option<Witness<VaultWrite>>,
    ignores_versions: bool,
}

/// A write that took effect.
#[derive(Debug, Clone)]
pub enum VaultWrite {
    /// Of a record.
    Record {
        /// The credential.
        credential: CredentialName,
        /// The new state.
        state: Box<State>,
    },
    /// Of an application's entry, by keyturn.
    Entry {
        /// The field.
        place: FieldPath,
        /// Its new value.
        value: String,
        /// What went with it, by name.
        fields: BTreeMap<String, String>,
        /// The stamp beside it.
        stamp: Stamp,
    },
}

/// What a Vault cluster held at one moment.
#[derive(Debug)]
pub struct VaultSnapshot {
    records: BTreeMap<CredentialName, (KvVersion, StoredRecord)>,
    entries: BTreeMap<VaultPath, StoredEntry>,
}

/// A record in the form in which nobody can hold on to a part of it.
#[derive(Debug)]
struct StoredRecord {
    state: Value,
    fingerprint_key: FingerprintKey,
    identities: Vec<(RotationId, SecretValue)>,
    staged: Option<Secret>,
    supplied: Option<SecretValue>,
    unknown: Map<String, Value>,
}

#[derive(Debug, Clone, Default)]
struct StoredEntry {
    version: KvVersion,
    fields: Map<String, Value>,
    stamps: BTreeMap<String, Stamp>,
}

impl Default for FakeVault {
    fn default() -> Self {
        let (held, _) = watch::channel(Held::default());
        Self { held: Arc::new(held) }
    }
}

impl FakeVault {
    /// Writes a field, as a person would.
    pub fn put(&self, place: &FieldPath, value: &str) {
        self.held.send_modify(|held| {
            let entry = held.entries.entry(place.path.clone()).or_default();
            entry.version.0 += 1;
            entry.fields.insert(place.field.clone(), value.into());
        });
    }

    /// Takes a field away, as a person would.
    pub fn take_away(&self, place: &FieldPath) {
        self.held.send_modify(|held| {
            let entry = held.entries.entry(place.path.clone()).or_default();
            entry.version.0 += 1;
            entry.fields.remove(&place.field);
        });
    }

    /// Writes a key with what goes with it, as a person would; `field` is where that goes.
    pub fn put_with_pair(&self, place: &FieldPath, field: &str, key: &str) {
        self.held.send_modify(|held| {
            let entry = held.entries.entry(place.path.clone()).or_default();
            entry.version.0 += 1;
            entry.fields.insert(place.field.clone(), key.into());
            entry.fields.insert(field.to_owned(), pair_of(key).into());
        });
    }

    /// Tells somebody of every write of keyturn's that takes effect.
    pub fn watched_by(&self, witness: Witness<VaultWrite>) {
        self.held.send_modify(|held| held.witness = Some(witness));
    }

    /// Takes every write from now on, whatever version it names: a defect, to see who notices.
    pub fn ignore_versions(&self) {
        self.held.send_modify(|held| held.ignores_versions = true);
    }

    /// Remembers from now on when each request came.
    pub fn note_arrivals(&self) {
        self.held.send_modify(|held| held.arrivals = Some(Vec::new()));
    }

    /// When each request came, since that is remembered.
    pub fn arrivals(&self) -> Vec<(StoreCall, Instant)> {
        self.held.borrow().arrivals.clone().unwrap_or_default()
    }

    /// Answers every request with this error, until it recovers.
    pub fn go_down(&self, error: Error) {
        self.held.send_modify(|held| held.outage = Some(error));
    }

    /// Answers every request of this kind with this error, until it recovers.
    pub fn refuse(&self, call: StoreCall, error: Error) {
        self.held.send_modify(|held| drop(held.refused.insert(call, error)));
    }

    /// Ends all outages.
    pub fn recover(&self) {
        self.held.send_modify(|held| {
            held.outage = None;
            held.refused.clear();
        });
    }

    /// What it holds now, to be restored later.
    pub fn snapshot(&self) -> VaultSnapshot {
        let held = self.held.borrow();
        VaultSnapshot { records: held.records.clone(), entries: held.entries.clone() }
    }

    /// Holds again what it held when the snapshot was taken.
    pub fn restore(&self, snapshot: &VaultSnapshot) {
        self.held.send_modify(|held| {
            held.records.clone_from(&snapshot.records);
            held.entries.clone_from(&snapshot.entries);
        });
    }

    /// The same of the records alone.
    pub fn restore_records(&self, snapshot: &VaultSnapshot) {
        self.held.send_modify(|held| held.records.clone_from(&snapshot.records));
    }

    /// The text in a field; empty where there is none.
    pub fn value(&self, place: &FieldPath) -> String {
        let held = self.held.borrow();
        let field = held.entries.get(&place.path).and_then(|entry| entry.fields.get(&place.field));
        field.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The stamp beside a field.
    pub fn stamp(&self, place: &FieldPath) -> Option<Stamp> {
        let held = self.held.borrow();
        held.entries.get(&place.path)?.stamps.get(&place.field).cloned()
    }

    /// The state in a credential's record.
    pub fn state(&self, credential: &CredentialName) -> Option<State> {
        self.read_record(credential).ok().flatten().map(|(record, _)| record.state.clone())
    }

    /// The key that a credential's record holds.
    pub fn staged(&self, credential: &CredentialName) -> Option<String> {
        let held = self.held.borrow();
        let (_, record) = held.records.get(credential)?;
        record.staged.as_ref().map(|staged| staged.key.expose().to_owned())
    }

    /// The key that a credential's record has for the calls of its rotation.
    pub fn supplied(&self, credential: &CredentialName) -> Option<String> {
        let held = self.held.borrow();
        let (_, record) = held.records.get(credential)?;
        record.supplied.as_ref().map(|supplied| supplied.expose().to_owned())
    }

    /// How many requests of a kind came, whatever became of them.
    pub fn requests(&self, call: StoreCall) -> usize {
        self.held.borrow().requests.get(&call).copied().unwrap_or_default()
    }

    /// Counts a request, and says what stands in its way.
    pub(super) fn receive(&self, call: StoreCall) -> Result<(), Error> {
        self.held.send_modify(|held| {
            *held.requests.entry(call).or_default() += 1;
            if let Some(arrivals) = &mut held.arrivals {
                arrivals.push((call, Instant::now()));
            }
        });
        let held = self.held.borrow();
        let error = held.outage.as_ref().or_else(|| held.refused.get(&call));
        error.map_or(Ok(()), |error| Err(error.clone()))
    }

    pub(super) fn record_version(&self, credential: &CredentialName) -> KvVersion {
        self.held.borrow().records.get(credential).map(|(version, _)| *version).unwrap_or_default()
    }

    pub(super) fn read_record(
        &self,
        credential: &CredentialName,
    ) -> Result<Option<(Record, KvVersion)>, Error> {
        let held = self.held.borrow();
        let Some((version, stored)) = held.records.get(credential) else { return Ok(None) };
        Ok(Some((stored.to_record()?, *version)))
    }

    pub(super) fn write_record(
        &self,
        credential: &CredentialName,
        record: &Record,
        cas: KvVersion,
    ) -> Result<KvVersion, WriteError> {
        let stored = StoredRecord::of(record).map_err(WriteError::NotWritten)?;
        let written = self.held.send_if_modified(|held| {
            let found = held.records.get(credential).map(|(version, _)| *version).unwrap_or_default();
            let matches = found == cas || held.ignores_versions;
            if matches {
                held.records.insert(credential.clone(), (KvVersion(cas.0 + 1), stored));
            }
            matches
        });
        if !written {
            return Err(WriteError::Conflict);
        }
        self.tell(|| VaultWrite::Record {
            credential: credential.clone(),
            state: Box::new(record.state.clone()),
        });
        Ok(KvVersion(cas.0 + 1))
    }

    fn tell(&self, write: impl FnOnce() -> VaultWrite) {
        let witness = self.held.borrow().witness.clone();
        if let Some(witness) = witness {
            witness.tell(&write());
        }
    }

    pub(super) fn read_entry(&self, path: &VaultPath) -> Entry {
        let found = self.held.borrow().entries.get(path).cloned().unwrap_or_default();
        Entry::new(found.version, found.fields, found.stamps)
    }

    pub(super) fn publish(
        &self,
        place: &FieldPath,
        cas: KvVersion,
        secret: &Secret,
        stamp: &Stamp,
    ) -> Result<KvVersion, WriteError> {
        let written = self.held.send_if_modified(|held| {
            let entry = held.entries.entry(place.path.clone()).or_default();
            if entry.version != cas && !held.ignores_versions {
                return false;
            }
            entry.version.0 += 1;
            let before = entry.stamps.get(&place.field).map(|stamp| stamp.fields.clone());
            let others: Vec<_> = entry.stamps.iter().filter(|(field, _)| **field != place.field).collect();
            let is_anothers = |name: &String| {
                others
                    .iter()
                    .any(|(field, stamp)| *field == name || stamp.fields.values().any(|it| it == name))
            };
            let was_ours = |name: &String| before.iter().flat_map(BTreeMap::values).any(|old| old == name);
            entry.fields.retain(|name, _| !was_ours(name) || is_anothers(name));
            entry.fields.insert(place.field.clone(), secret.key.expose().into());
            for (name, value) in &secret.fields {
                let field = stamp.fields.get(name).unwrap_or(name);
                entry.fields.insert(field.clone(), value.expose().into());
            }
            entry.stamps.insert(place.field.clone(), stamp.clone());
            true
        });
        if !written {
            return Err(WriteError::Conflict);
        }
        let fields = secret.fields.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        self.tell(|| VaultWrite::Entry {
            place: place.clone(),
            value: secret.key.expose().to_owned(),
            fields: fields.collect(),
            stamp: stamp.clone(),
        });
        Ok(KvVersion(cas.0 + 1))
    }
}

impl FakeVault {
    pub(super) fn rewrite(&self, path: &VaultPath, cas: KvVersion) -> Result<KvVersion, WriteError> {
        let written = self.held.send_if_modified(|held| {
            let entry = held.entries.entry(path.clone()).or_default();
            let same = entry.version == cas;
            entry.version.0 += u64::from(same);
            same
        });
        if written { Ok(KvVersion(cas.0 + 1)) } else { Err(WriteError::Conflict) }
    }
}

impl Clone for StoredRecord {
    fn clone(&self) -> Self {
        let identities = self.identities.iter().map(|(id, identity)| (*id, identity.duplicate()));
        Self {
            state: self.state.clone(),
            fingerprint_key: self.fingerprint_key.clone(),
            identities: identities.collect(),
            staged: self.staged.as_ref().map(Secret::duplicate),
            supplied: self.supplied.as_ref().map(SecretValue::duplicate),
            unknown: self.unknown.clone(),
        }
    }
}

impl StoredRecord {
    fn of(record: &Record) -> Result<Self, Error> {
        let identities = record.identities.iter().map(|(id, identity)| (*id, identity.duplicate()));
        Ok(Self {
            state: serde_json::to_value(&record.state).map_err(malformed)?,
            fingerprint_key: record.fingerprint_key.clone(),
            identities: identities.collect(),
            staged: record.staged.as_ref().map(Secret::duplicate),
            supplied: record.supplied.as_ref().map(SecretValue::duplicate),
            unknown: record.unknown.clone(),
        })
    }

    fn to_record(&self) -> Result<Record, Error> {
        let identities = self.identities.iter().map(|(id, identity)| (*id, identity.duplicate()));
        Ok(Record {
            state: serde_json::from_value(self.state.clone()).map_err(malformed)?,
            fingerprint_key: self.fingerprint_key.clone(),
            identities: identities.collect(),
            staged: self.staged.as_ref().map(Secret::duplicate),
            supplied: self.supplied.as_ref().map(SecretValue::duplicate),
            unknown: self.unknown.clone(),
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn malformed(error: serde_json::Error) -> Error {
    Error::Malformed { path: "the fake record".into(), cause: error.to_string() }
}
