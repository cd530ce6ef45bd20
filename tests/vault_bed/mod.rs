//! What the tests of the Vault store share: one server per test binary, and stores that reach it.

#![allow(dead_code, reason = "each test binary uses its part of this module")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]
#![allow(unreachable_pub, clippy::redundant_pub_crate, reason = "a module of a test binary has no outside")]

pub mod log;
pub mod proxy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keyturn::clock::SystemClock;
use keyturn::ids::{CredentialName, FieldPath, KvVersion, RotationId};
use keyturn::rotation::State;
use keyturn::secret::{FingerprintKey, SecretValue};
use keyturn::testbed::openbao::{OpenBao, Options, ROOT_TOKEN};
use keyturn::vault::{Auth, Record, Settings, Stamp, VaultStore};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn options() -> Options {
    Options::in_directory(concat!(env!("CARGO_TARGET_TMPDIR"), "/.."))
}

/// The server that the tests of one binary share; each test has paths of its own.
pub async fn server() -> &'static OpenBao {
    static SERVER: OnceCell<OpenBao> = OnceCell::const_new();
    SERVER.get_or_init(|| async { OpenBao::start(options()).await.unwrap() }).await
}

pub fn settings(address: &str, auth: Auth) -> Settings {
    Settings::new(address.parse().unwrap(), auth, "secret/keyturn".parse().unwrap())
}

/// A store with the root token, at the shared server or at something between it and us.
pub struct Bed {
    pub store: VaultStore<SystemClock>,
    pub files: TempDir,
}

impl Bed {
    pub async fn new() -> Self {
        Self::at(&server().await.address(), PATIENCE)
    }

    pub fn at(address: &str, request_timeout: Duration) -> Self {
        let files = TempDir::new().unwrap();
        let path = write(&files, "token", ROOT_TOKEN);
        let settings = Settings { request_timeout, ..settings(address, Auth::TokenFile { path }) };
        Self { store: VaultStore::connect(settings, SystemClock::start()).unwrap(), files }
    }
}

pub fn write(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    replace(&path, text);
    path
}

/// As an agent does it: the file has the old text or the new, never a part.
pub fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, path).unwrap();
}

pub fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

pub fn place(text: &str) -> FieldPath {
    text.parse().unwrap()
}

pub fn secret(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned())
}

pub fn record(staged: Option<&str>) -> Record {
    let mut unknown = serde_json::Map::new();
    unknown.insert("cohorts".into(), serde_json::json!([1, "canary-later"]));
    Record {
        state: State::adopted(Timestamp::UNIX_EPOCH),
        fingerprint_key: FingerprintKey::new("canary-fingerprint-key".into()),
        identities: vec![(rotation(1), secret("canary-identity"))],
        staged: staged.map(|staged| secret(staged).into()),
        supplied: None,
        unknown,
    }
}

pub fn rotation(number: u128) -> RotationId {
    RotationId::from_uuid(Uuid::from_u128(number))
}

pub fn stamp(epoch: u64) -> Stamp {
    Stamp {
        rotation_id: rotation(1),
        epoch: KvVersion(epoch),
        published_at: Timestamp::UNIX_EPOCH,
        previous_expires_at: None,
        call: 1,
        key_id: None,
        fields: BTreeMap::new(),
    }
}

/// Asks again and again until the answer is yes; the wait has a bound, the speed has none.
pub async fn eventually<F: Future<Output = bool>>(what: &str, attempt: impl Fn() -> F) {
    let asking = async {
        while !attempt().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"));
}
