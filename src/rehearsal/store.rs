//! Vault for one rehearsal, in memory. Its keys are invented, and it says how the rotation ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::clock::StageClock;
use super::death::{Death, Moment};
use crate::clock::Clock as _;
use crate::ids::{CredentialName, FieldPath, KvVersion, VaultPath};
use crate::rotation::{Phase, State};
use crate::secret::{Secret, SecretValue};
use crate::vault::{Entry, Error, Needs, Record, Stamp, Store, WriteError};

/// One record, one entry, and the secrets that sign.
#[derive(Debug)]
pub(super) struct MemoryStore {
    clock: StageClock,
    death: Arc<Death>,
    place: FieldPath,
    held: watch::Sender<Held>,
    ended: watch::Sender<Option<Ended>>,
    /// For how long it goes on after a rotation, where keys live side by side.
    goes_on_for: Option<Duration>,
    /// Nothing is read before this is true.
    is_open: watch::Sender<bool>,
}

/// How far it came.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The record's state, in which no rotation goes on by itself.
    pub(super) state: State,
    /// When that was, on the monotonic clock.
    pub(super) at: Duration,
}

#[derive(Debug)]
struct Held {
    record: Option<Record>,
    record_version: KvVersion,
    secret: Secret,
    stamp: Option<Stamp>,
    entry_version: KvVersion,
    secrets: BTreeMap<FieldPath, SecretValue>,
}

impl MemoryStore {
    /// A store whose entry holds `secret`, its key at `place` and each field under its own name.
    pub(super) fn new(
        clock: StageClock,
        death: Arc<Death>,
        place: FieldPath,
        secret: Secret,
        secrets: BTreeMap<FieldPath, SecretValue>,
        goes_on_for: Option<Duration>,
    ) -> Self {
        let held = Held {
            record: None,
            record_version: KvVersion(0),
            secret,
            stamp: None,
            entry_version: KvVersion(1),
            secrets,
        };
        Self {
            clock,
            death,
            place,
            held: watch::Sender::new(held),
            ended: watch::Sender::new(None),
            goes_on_for,
            is_open: watch::Sender::new(false),
        }
    }

    /// Lets whoever waits to read begin.
    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// The newest state in which the rotation came to an end, once it has.
    pub(super) fn ended(&self) -> watch::Receiver<Option<Ended>> {
        self.ended.subscribe()
    }

    /// What an application reads now.
    pub(super) fn secret(&self) -> Secret {
        self.held.borrow().secret.duplicate()
    }

    fn entry(&self) -> Entry {
        let held = self.held.borrow();
        let fields = held.secret.fields.iter().map(|(name, value)| (name.clone(), value.expose().into()));
        let key = (self.place.field.clone(), held.secret.key.expose().into());
        let stamps = held.stamp.iter().map(|stamp| (self.place.field.clone(), stamp.clone()));
        Entry::new(held.entry_version, fields.chain([key]).collect(), stamps.collect())
    }
}

impl Store for MemoryStore {
    async fn preflight(&self, _: &Needs) -> Result<(), Error> {
        Ok(())
    }

    async fn read_record(&self, _: &CredentialName) -> Result<Option<(Record, KvVersion)>, Error> {
        self.is_open.subscribe().wait_for(|is_open| *is_open).await.ok();
        let held = self.held.borrow();
        Ok(held.record.as_ref().map(|record| (copy(record), held.record_version)))
    }

    async fn record_version(&self, _: &CredentialName) -> Result<KvVersion, Error> {
        Ok(self.held.borrow().record_version)
    }

    async fn write_record(
        &self,
        _: &CredentialName,
        record: &Record,
        cas: KvVersion,
    ) -> Result<KvVersion, WriteError> {
        self.death.may_come_late().await;
        if cas != self.held.borrow().record_version {
            return Err(WriteError::Conflict);
        }
        let version = KvVersion(cas.0 + 1);
        self.held.send_modify(|held| {
            held.record = Some(copy(record));
            held.record_version = version;
        });
        let state = &record.state;
        let has_ended = match state.phase {
            Phase::Idle => !state.history.is_empty(),
            Phase::Halted { .. } => true,
            _ => false,
        };
        match self.goes_on_for.filter(|_| state.phase == Phase::Idle) {
            _ if state.phase != Phase::Idle && !has_ended => self.clock.run_for(Duration::MAX),
            Some(time) if has_ended => self.clock.run_for(time),
            _ => self.clock.stand_still(),
        }
        if has_ended {
            self.ended.send_replace(Some(Ended { state: state.clone(), at: self.clock.monotonic() }));
        }
        if let Some(moment) = Moment::after_saving(state) {
            self.death.may_come(moment).await;
        }
        Ok(version)
    }

    async fn read_entry(&self, _: &VaultPath) -> Result<Entry, Error> {
        Ok(self.entry())
    }

    async fn publish(
        &self,
        _: &FieldPath,
        entry: &Entry,
        secret: &Secret,
        stamp: &Stamp,
    ) -> Result<KvVersion, WriteError> {
        self.death.may_come_late().await;
        if entry.version != self.held.borrow().entry_version {
            return Err(WriteError::Conflict);
        }
        let version = KvVersion(entry.version.0 + 1);
        self.held.send_modify(|held| {
            held.secret = secret.duplicate();
            held.stamp = Some(stamp.clone());
            held.entry_version = version;
        });
        self.death.may_come(Moment::AfterPublishing).await;
        Ok(version)
    }

    async fn rewrite(&self, _: &VaultPath, entry: &Entry) -> Result<KvVersion, WriteError> {
        if entry.version != self.held.borrow().entry_version {
            return Err(WriteError::Conflict);
        }
        let version = KvVersion(entry.version.0 + 1);
        self.held.send_modify(|held| held.entry_version = version);
        Ok(version)
    }

    async fn read_secret(&self, place: &FieldPath) -> Result<SecretValue, Error> {
        let held = self.held.borrow();
        let found = if *place == self.place { Some(&held.secret.key) } else { held.secrets.get(place) };
        found.map(SecretValue::duplicate).ok_or_else(|| Error::FieldMissing { place: place.clone() })
    }
}

fn copy(record: &Record) -> Record {
    let identities = record.identities.iter().map(|(id, identity)| (*id, identity.duplicate()));
    Record {
        state: record.state.clone(),
        fingerprint_key: record.fingerprint_key.clone(),
        identities: identities.collect(),
        staged: record.staged.as_ref().map(Secret::duplicate),
        supplied: record.supplied.as_ref().map(SecretValue::duplicate),
        unknown: record.unknown.clone(),
    }
}
