//! One replica's view of the fake Vault.

use super::life::Life;
use super::link::{StoreCall, StoreFault, VaultLink};
use super::vault::FakeVault;
use crate::ids::{CredentialName, FieldPath, KvVersion, VaultPath};
use crate::secret::{Secret, SecretValue};
use crate::vault::{Entry, Error, Needs, Record, Stamp, Store, WriteError};

/// The store of one life of one replica.
#[derive(Debug)]
pub struct FakeStore {
    vault: FakeVault,
    link: VaultLink,
    life: Life,
}

impl FakeStore {
    /// A store that reaches `vault` over `link`, as long as `life` lasts.
    pub const fn new(vault: FakeVault, link: VaultLink, life: Life) -> Self {
        Self { vault, link, life }
    }

    /// What the request meets: an error, or nothing.
    fn receive(&self, call: StoreCall) -> Result<(), Error> {
        self.vault.receive(call)?;
        if self.link.is_cut() { Err(unavailable()) } else { Ok(()) }
    }

    async fn read<T>(&self, call: StoreCall, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let number = self.life.enter(call.name()).await;
        let done = match self.link.take_fault(call) {
            None => self.receive(call).and_then(|()| act()),
            Some(StoreFault::Held(gate)) => {
                gate.pass().await;
                self.receive(call).and_then(|()| act())
            }
            Some(StoreFault::Late(delay)) => {
                tokio::time::sleep(delay).await;
                self.receive(call).and_then(|()| act())
            }
            Some(StoreFault::Refused(error)) => Err(error),
            Some(StoreFault::Conflict | StoreFault::AnswerLost | StoreFault::RequestLost) => {
                Err(unavailable())
            }
        };
        self.life.leave(call.name(), number).await;
        done
    }

    async fn write(
        &self,
        call: StoreCall,
        act: impl FnOnce() -> Result<KvVersion, WriteError>,
    ) -> Result<KvVersion, WriteError> {
        let number = self.life.enter(call.name()).await;
        let act = || self.receive(call).map_err(WriteError::NotWritten).and_then(|()| act());
        let done = match self.link.take_fault(call) {
            None => act(),
            Some(StoreFault::Held(gate)) => {
                gate.pass().await;
                act()
            }
            Some(StoreFault::Late(delay)) => {
                tokio::time::sleep(delay).await;
                act()
            }
            Some(StoreFault::Refused(error)) => Err(WriteError::NotWritten(error)),
            Some(StoreFault::Conflict) => Err(WriteError::Conflict),
            Some(StoreFault::AnswerLost) => act().and_then(|_| Err(WriteError::Unclear(unavailable()))),
            Some(StoreFault::RequestLost) => Err(WriteError::Unclear(unavailable())),
        };
        self.life.leave(call.name(), number).await;
        done
    }
}

impl Store for FakeStore {
    async fn preflight(&self, _needs: &Needs) -> Result<(), Error> {
        self.read(StoreCall::Preflight, || Ok(())).await
    }

    async fn read_record(&self, credential: &CredentialName) -> Result<Option<(Record, KvVersion)>, Error> {
        self.read(StoreCall::ReadRecord, || self.vault.read_record(credential)).await
    }

    async fn record_version(&self, credential: &CredentialName) -> Result<KvVersion, Error> {
        self.read(StoreCall::RecordVersion, || Ok(self.vault.record_version(credential))).await
    }

    async fn write_record(
        &self,
        credential: &CredentialName,
        record: &Record,
        cas: KvVersion,
    ) -> Result<KvVersion, WriteError> {
        self.write(StoreCall::WriteRecord, || self.vault.write_record(credential, record, cas)).await
    }

    async fn read_entry(&self, path: &VaultPath) -> Result<Entry, Error> {
        self.read(StoreCall::ReadEntry, || Ok(self.vault.read_entry(path))).await
    }

    async fn publish(
        &self,
        place: &FieldPath,
        entry: &Entry,
        secret: &Secret,
        stamp: &Stamp,
    ) -> Result<KvVersion, WriteError> {
        self.write(StoreCall::Publish, || self.vault.publish(place, entry.version, secret, stamp)).await
    }

    async fn rewrite(&self, path: &VaultPath, entry: &Entry) -> Result<KvVersion, WriteError> {
        self.write(StoreCall::Publish, || self.vault.rewrite(path, entry.version)).await
    }

    async fn read_secret(&self, place: &FieldPath) -> Result<SecretValue, Error> {
        self.read(StoreCall::ReadSecret, || {
            let found = self.vault.read_entry(&place.path).field(&place.field);
            found.ok_or_else(|| Error::FieldMissing { place: place.clone() })
        })
        .await
    }
}

fn unavailable() -> Error {
    Error::Unavailable { cause: "the fake connection is cut".into() }
}
