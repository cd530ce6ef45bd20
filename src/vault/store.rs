//! The [`Store`] that speaks to a real Vault.

use aws_lc_rs::rand;
use tokio::sync::watch;

use super::error::{Error, WriteError};
use super::kv::{Data, Kv, Read, write_body};
use super::session::Session;
use super::settings::Settings;
use super::{Entry, Needs, Record, Stamp, Store, entry, preflight, record, take_text};
use crate::clock::Clock;
use crate::ids::{CredentialName, FieldPath, KvVersion, VaultPath};
use crate::secret::{Secret, SecretValue};

const NONCE_BYTES: usize = 16;

/// Records and entries in Vault or OpenBao.
#[derive(Debug)]
pub struct VaultStore<C> {
    kv: Kv<C>,
    record_prefix: VaultPath,
}

impl<C: Clock> VaultStore<C> {
    /// A store for these settings; must be called inside a tokio runtime.
    ///
    /// Vault need not be reachable: a task logs in as soon as it can, keeps the token alive, and ends with the
    /// store. Only settings that can never work are an error.
    pub fn connect(settings: Settings, clock: C) -> Result<Self, Error> {
        settings.check()?;
        let record_prefix = settings.record_prefix.clone();
        let session = Session::start(settings, clock)?;
        Ok(Self { kv: Kv::new(session), record_prefix })
    }

    /// Whether there is a token that Vault took; changes as logins succeed and fail.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.kv.session().ready()
    }

    /// Logs in now, if there is no token, and says what stands in the way.
    pub async fn login_now(&self) -> Result<(), Error> {
        self.kv.session().enter().await
    }

    /// Revokes the tokens that logins gave; the last call to a store.
    ///
    /// It does what it can: a policy that forbids it is no error, and a Vault that does not answer is waited for
    /// no longer than one request may take. A call that comes after it logs in anew, and that token stays.
    pub async fn close(&self) {
        self.kv.session().close().await;
    }

    fn record_path(&self, credential: &CredentialName) -> VaultPath {
        self.record_prefix.join(credential)
    }
}

impl<C: Clock> Store for VaultStore<C> {
    async fn preflight(&self, needs: &Needs) -> Result<(), Error> {
        preflight::check(&self.kv, &self.record_path(&needs.credential), needs).await
    }

    async fn read_record(&self, credential: &CredentialName) -> Result<Option<(Record, KvVersion)>, Error> {
        let path = self.record_path(credential);
        let malformed = |cause: String| Error::Malformed { path: path.to_string(), cause };
        match self.kv.read(&path).await? {
            Read { version, data: Some(data) } => {
                let record = record::decode(credential, data).map_err(malformed)?;
                Ok(Some((record, version)))
            }
            Read { version: KvVersion(0), data: None } => Ok(None),
            Read { .. } => Err(malformed(
                "the record was deleted; undelete it, or delete its metadata too and let keyturn begin anew"
                    .into(),
            )),
        }
    }

    async fn record_version(&self, credential: &CredentialName) -> Result<KvVersion, Error> {
        self.kv.version(&self.record_path(credential)).await
    }

    async fn write_record(
        &self,
        credential: &CredentialName,
        record: &Record,
        cas: KvVersion,
    ) -> Result<KvVersion, WriteError> {
        let path = self.record_path(credential);
        if cas == KvVersion(0) {
            // Before the first data, so that no staged value and no escrow identity is ever kept as an old version.
            self.kv.keep_one_version(&path).await.map_err(WriteError::NotWritten)?;
        }
        let nonce = nonce().map_err(WriteError::NotWritten)?;
        let body = write_body(cas, &record::Outgoing { credential, record, nonce: &nonce });
        self.kv.write(&path, cas, body, |data| record::has_nonce(data, &nonce)).await
    }

    async fn read_entry(&self, path: &VaultPath) -> Result<Entry, Error> {
        let Read { version, data } = self.kv.read(path).await?;
        entry::decode(version, data.unwrap_or_default())
            .map_err(|cause| Error::Malformed { path: path.to_string(), cause })
    }

    async fn publish(
        &self,
        place: &FieldPath,
        entry: &Entry,
        secret: &Secret,
        stamp: &Stamp,
    ) -> Result<KvVersion, WriteError> {
        let FieldPath { path, field } = place;
        let body = write_body(entry.version, &entry::Outgoing { entry, field, secret, stamp });
        let is_ours = |data: &Data| entry::holds(data, field, secret, stamp);
        self.kv.write(path, entry.version, body, is_ours).await
    }

    async fn rewrite(&self, path: &VaultPath, entry: &Entry) -> Result<KvVersion, WriteError> {
        let body = write_body(entry.version, &entry::Unchanged(entry));
        // What an unclear write came to shows the next read; nothing is lost if it is made again.
        self.kv.write(path, entry.version, body, |_| false).await
    }

    async fn read_secret(&self, place: &FieldPath) -> Result<SecretValue, Error> {
        let mut data = self.kv.read(&place.path).await?.data.unwrap_or_default();
        let text = data.0.get_mut(&place.field).and_then(take_text);
        text.map(SecretValue::new).ok_or_else(|| Error::FieldMissing { place: place.clone() })
    }
}

fn nonce() -> Result<String, Error> {
    let mut bytes = [0; NONCE_BYTES];
    rand::fill(&mut bytes)
        .map_err(|_| Error::Unavailable { cause: "the system gives no random bytes".into() })?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
