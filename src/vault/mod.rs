//! Vault (or OpenBao): the record, the application's entry, and the session with which both are reached.

mod client;
mod entry;
mod error;
mod failure;
mod freshness;
#[cfg(feature = "testbed")]
pub(crate) mod fuzzing;
mod health;
mod kubernetes;
mod kv;
mod login;
mod preflight;
mod record;
mod session;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::ids::{CredentialName, FieldPath, KeyId, KvVersion, RotationId, VaultPath};
use crate::rotation::State;
use crate::secret::{FingerprintKey, Secret, SecretValue};

pub use error::{Error, MissingCapability, WriteError};
pub use health::{ServerState, server_state};
pub use settings::{Auth, RoleId, Settings};
pub use store::VaultStore;

/// keyturn's own entry for one credential: the durable state, and the secrets that belong to it. It is wiped
/// when it is dropped.
pub struct Record {
    /// The state that the core decides by.
    pub state: State,
    /// The key of this credential's fingerprints.
    pub fingerprint_key: FingerprintKey,
    /// The escrow identities, newest first: the open rotation's and the one before it, so that a late answer
    /// can still be opened.
    pub identities: Vec<(RotationId, SecretValue)>,
    /// The new secret while the state is staged.
    pub staged: Option<Secret>,
    /// The secret that keyturn chose for the open rotation, where the provider takes one: in the record before the call.
    pub supplied: Option<SecretValue>,
    /// Members that a later version of keyturn wrote; kept as they are. They may be secrets.
    pub unknown: Map<String, Value>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.unknown.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

/// What keyturn leaves in the application's entry beside the value, under `_keyturn.<field>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The rotation that published the value.
    pub rotation_id: RotationId,
    /// The fence under which it was published.
    pub epoch: KvVersion,
    /// When it was published.
    pub published_at: Timestamp,
    /// When the value before it dies; absent: assume it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_expires_at: Option<Timestamp>,
    /// Which call of the rotation brought the value.
    pub call: u32,
    /// The provider's id of the value, where keys live side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The fields that hold what goes with the value, by the names that the definition gives; all of it was published,
    /// and is replaced, with the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The application's entry as it was read; its values are wiped when it is dropped.
pub struct Entry {
    /// The version that a check-and-set write must name; 0 where there is no entry yet.
    pub version: KvVersion,
    /// All members of the data but `_keyturn`.
    fields: Map<String, Value>,
    /// keyturn's stamps, by field.
    stamps: BTreeMap<String, Stamp>,
    /// The stamps as they were read, with members that a later version of keyturn wrote.
    raw_stamps: Map<String, Value>,
}

impl Entry {
    /// An entry as the codec read it.
    pub fn new(version: KvVersion, fields: Map<String, Value>, stamps: BTreeMap<String, Stamp>) -> Self {
        Self { version, fields, stamps, raw_stamps: Map::new() }
    }

    /// A field's value, where it is a text.
    pub fn field(&self, name: &str) -> Option<SecretValue> {
        self.fields.get(name)?.as_str().map(|text| SecretValue::new(text.to_owned()))
    }

    /// The secret whose key is in a field: with what was published with it, or where nothing was, with what `fields`
    /// names.
    pub fn secret(&self, field: &str, fields: &BTreeMap<String, String>) -> Option<Secret> {
        let key = self.field(field)?;
        let fields = self.stamp(field).map_or(fields, |stamp| &stamp.fields);
        let found = fields.iter().filter_map(|(name, field)| Some((name.clone(), self.field(field)?)));
        Some(Secret { key, fields: found.collect() })
    }

    /// keyturn's stamp for a field.
    pub fn stamp(&self, field: &str) -> Option<&Stamp> {
        self.stamps.get(field)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.fields.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

/// Takes a text out of its place without a copy; what else may be there is left for its owner to wipe.
fn take_text(value: &mut Value) -> Option<String> {
    match value {
        Value::String(text) => Some(std::mem::take(text)),
        _ => None,
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.iter_mut().for_each(|(_, member)| wipe(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What one rotation needs of Vault, checked before the provider is called.
#[derive(Debug, Clone)]
pub struct Needs {
    /// The credential whose record is written.
    pub credential: CredentialName,
    /// The entry that is written.
    pub entry: VaultPath,
    /// The secrets that are read to sign the provider's calls.
    pub secrets: Vec<FieldPath>,
    /// How long the token must last at least.
    pub lasting: Duration,
}

/// Vault as the engine sees it. Every write is one attempt with check-and-set; nothing is retried in here
/// but the read-back by which an unclear write is settled.
pub trait Store: Send + Sync + 'static {
    /// Checks that a rotation's writes will be possible: token lifetime (renewed or logged in again if short),
    /// capabilities on all paths, mounts that exist and are KV v2. Changes no secret.
    fn preflight(&self, needs: &Needs) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads the record from the active node; `None` where the credential was never adopted.
    fn read_record(
        &self,
        credential: &CredentialName,
    ) -> impl Future<Output = Result<Option<(Record, KvVersion)>, Error>> + Send;

    /// The record's version, from metadata alone; 0 where there is none.
    fn record_version(
        &self,
        credential: &CredentialName,
    ) -> impl Future<Output = Result<KvVersion, Error>> + Send;

    /// Writes the record if its version still is `cas`; gives the new version.
    ///
    /// An unclear answer is read back and recognised by a nonce in the write.
    fn write_record(
        &self,
        credential: &CredentialName,
        record: &Record,
        cas: KvVersion,
    ) -> impl Future<Output = Result<KvVersion, WriteError>> + Send;

    /// Reads the application's entry from the active node; a missing or deleted one is empty.
    fn read_entry(&self, path: &VaultPath) -> impl Future<Output = Result<Entry, Error>> + Send;

    /// Writes `secret` and its stamp into `entry`, its key into the field of `place` and what goes with it where the
    /// stamp says; what was published with the key before it is taken out. All other members stay as `entry` has them.
    /// Does so if the entry's version still is the one that was read; gives the new version.
    ///
    /// An unclear answer is read back and recognised by the stamp's rotation id and epoch.
    fn publish(
        &self,
        place: &FieldPath,
        entry: &Entry,
        secret: &Secret,
        stamp: &Stamp,
    ) -> impl Future<Output = Result<KvVersion, WriteError>> + Send;

    /// Writes an entry back as it was read, if its version still is the same; gives the new version.
    ///
    /// From here on no write takes effect that was based on the version before.
    fn rewrite(
        &self,
        path: &VaultPath,
        entry: &Entry,
    ) -> impl Future<Output = Result<KvVersion, WriteError>> + Send;

    /// Reads one field of one entry.
    fn read_secret(&self, place: &FieldPath) -> impl Future<Output = Result<SecretValue, Error>> + Send;
}
