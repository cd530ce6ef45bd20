//! KV v2: mounts, reads from the active node, and check-and-set writes whose unclear answers are settled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::RwLock;
use zeroize::Zeroizing;

use super::client::{self, Call, data_of};
use super::error::{Error, MissingCapability, WriteError};
use super::failure::Failure;
use super::session::Session;
use super::wipe;
use crate::clock::Clock;
use crate::ids::{KvVersion, VaultPath};

/// The KV v2 engines of one Vault, through one session.
#[derive(Debug)]
pub(super) struct Kv<C> {
    session: Session<C>,
    mounts: RwLock<BTreeMap<VaultPath, Location>>,
}

/// A path, cut where its mount ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    mount: String,
    path: String,
}

impl Location {
    pub(super) fn data_path(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }

    pub(super) fn metadata_path(&self) -> String {
        format!("{}/metadata/{}", self.mount, self.path)
    }
}

/// The members of an entry's data; wiped when they are dropped.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Data(pub(super) Map<String, Value>);

impl Drop for Data {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

/// What a read found: nothing of version 0, a deleted version, or data.
pub(super) struct Read {
    pub(super) version: KvVersion,
    pub(super) data: Option<Data>,
}

impl<C: Clock> Kv<C> {
    pub(super) fn new(session: Session<C>) -> Self {
        Self { session, mounts: RwLock::default() }
    }

    pub(super) const fn session(&self) -> &Session<C> {
        &self.session
    }

    /// Finds the mount of a path, which must be a KV v2 engine.
    pub(super) async fn locate(&self, path: &VaultPath) -> Result<Location, Error> {
        if let Some(known) = self.mounts.read().await.get(path) {
            return Ok(known.clone());
        }
        let call = Call::get(format!("sys/internal/ui/mounts/{path}"));
        let mount: MountInfo = match self.session.send(&call).await.and_then(|body| data_of(&body)) {
            Ok(mount) => mount,
            Err(failure) if matches!(failure.status(), Some(403 | 404)) => {
                return Err(self.no_mount_or_no_right(path).await);
            }
            Err(failure) => return Err(failure.into_error("read", "sys/internal/ui/mounts")),
        };
        let location = mount.locate(path)?;
        self.mounts.write().await.insert(path.clone(), location.clone());
        Ok(location)
    }

    /// Vault gives one and the same refusal for a mount that does not exist and one of which the policy says
    /// nothing. A policy that names the path shows which of them it is.
    async fn no_mount_or_no_right(&self, path: &VaultPath) -> Error {
        let slashes = path.as_str().match_indices('/');
        let paths: Vec<String> = slashes
            .filter_map(|(at, _)| path.as_str().split_at_checked(at))
            .map(|(mount, rest)| format!("{mount}/data{rest}"))
            .collect();
        match self.capabilities(&paths).await {
            Ok(granted) if granted.values().any(|given| given.iter().any(|word| word != "deny")) => {
                Error::MountMissing { path: path.clone() }
            }
            Ok(_) => {
                let path = path
                    .as_str()
                    .split_once('/')
                    .map_or_else(|| path.to_string(), |(mount, rest)| format!("{mount}/data/{rest}"));
                Error::CapabilitiesMissing { missing: vec![MissingCapability { capability: "read", path }] }
            }
            Err(error) => error,
        }
    }

    /// What the token may do on API paths.
    pub(super) async fn capabilities(
        &self,
        paths: &[String],
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        #[derive(Serialize)]
        struct Question<'a> {
            paths: &'a [String],
        }
        let call = Call::post("sys/capabilities-self", wiped_json(&Question { paths }));
        let answer = self.session.send(&call).await.and_then(|body| data_of(&body));
        answer.map_err(|failure| failure.into_error("update", "sys/capabilities-self"))
    }

    /// Reads an entry's newest version.
    pub(super) async fn read(&self, path: &VaultPath) -> Result<Read, Error> {
        #[derive(Deserialize)]
        struct Found {
            data: Option<Data>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
        }
        let at = self.locate(path).await?;
        let request = client::read_data(&at.mount, &at.path, None);
        match self.session.send(&request).await.and_then(|body| data_of::<Found>(&body)) {
            Ok(found) => Ok(Read { version: KvVersion(found.metadata.version), data: found.data }),
            Err(Failure::Refused(refused))
                if refused.status == 404 && !refused.says("no handler for route") =>
            {
                Ok(Read { version: KvVersion(refused.deleted_version.unwrap_or(0)), data: None })
            }
            Err(failure) => Err(self.explain(failure, "read", path, &at.data_path()).await),
        }
    }

    /// The newest version's number, from metadata alone; 0 where there is none.
    pub(super) async fn version(&self, path: &VaultPath) -> Result<KvVersion, Error> {
        #[derive(Deserialize)]
        struct Found {
            current_version: u64,
        }
        let at = self.locate(path).await?;
        let request = client::read_metadata(&at.mount, &at.path);
        match self.session.send(&request).await.and_then(|body| data_of::<Found>(&body)) {
            Ok(found) => Ok(KvVersion(found.current_version)),
            Err(failure) if failure.status() == Some(404) && !failure.is_missing_mount() => Ok(KvVersion(0)),
            Err(failure) => Err(self.explain(failure, "read", path, &at.metadata_path()).await),
        }
    }

    /// Makes an entry keep no version but the newest.
    pub(super) async fn keep_one_version(&self, path: &VaultPath) -> Result<(), Error> {
        let at = self.locate(path).await?;
        match self.session.send(&client::keep_one_version(&at.mount, &at.path)).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.explain(failure, "update", path, &at.metadata_path()).await),
        }
    }

    /// Writes `body`, made by [`write_body`] with the same `cas`, in one attempt. Where the answer leaves it
    /// open whether the write took effect, the entry is read back, and `is_ours` says whether it holds the write.
    pub(super) async fn write(
        &self,
        path: &VaultPath,
        cas: KvVersion,
        body: Zeroizing<Vec<u8>>,
        is_ours: impl Fn(&Data) -> bool + Send,
    ) -> Result<KvVersion, WriteError> {
        #[derive(Deserialize)]
        struct Written {
            version: u64,
        }
        let at = self.locate(path).await.map_err(WriteError::NotWritten)?;
        let answer = self.session.send(&Call::post(at.data_path(), body)).await;
        match answer.and_then(|body| data_of::<Written>(&body)) {
            Ok(written) => Ok(KvVersion(written.version)),
            Err(failure) if failure.is_cas_mismatch() => match self.find(path, cas, is_ours).await {
                Ok(Finding::Ours(version)) => Ok(version),
                _ => Err(WriteError::Conflict),
            },
            Err(failure) if failure.may_have_written() => {
                let error = self.explain(failure, "update", path, &at.data_path()).await;
                match self.find(path, cas, is_ours).await {
                    Ok(Finding::Ours(version)) => Ok(version),
                    Ok(Finding::Overtaken) => Err(WriteError::Conflict),
                    // Unchanged is no proof either: what was sent may still arrive.
                    Ok(Finding::Unchanged) | Err(_) => Err(WriteError::Unclear(error)),
                }
            }
            Err(failure) => {
                Err(WriteError::NotWritten(self.explain(failure, "update", path, &at.data_path()).await))
            }
        }
    }

    async fn find(
        &self,
        path: &VaultPath,
        cas: KvVersion,
        is_ours: impl Fn(&Data) -> bool + Send,
    ) -> Result<Finding, Error> {
        let Read { version, data } = self.read(path).await?;
        Ok(match data {
            _ if version <= cas => Finding::Unchanged,
            Some(data) if is_ours(&data) => Finding::Ours(version),
            _ => Finding::Overtaken,
        })
    }

    /// A mount may be moved or removed while we run; what was known of it is then forgotten.
    async fn explain(
        &self,
        failure: Failure,
        action: &'static str,
        path: &VaultPath,
        api_path: &str,
    ) -> Error {
        if failure.is_missing_mount() {
            self.mounts.write().await.remove(path);
            return Error::MountMissing { path: path.clone() };
        }
        failure.into_error(action, api_path)
    }
}

/// What a read-back after an unclear write found.
enum Finding {
    Ours(KvVersion),
    Overtaken,
    Unchanged,
}

#[derive(Deserialize)]
struct MountInfo {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<BTreeMap<String, String>>,
}

impl MountInfo {
    fn locate(&self, path: &VaultPath) -> Result<Location, Error> {
        let version = self.options.as_ref().and_then(|options| options.get("version"));
        if self.kind != "kv" || version.is_none_or(|version| version != "2") {
            let kind = match self.kind.as_str() {
                "kv" | "generic" => "KV version 1".to_owned(),
                other => other.to_owned(),
            };
            return Err(Error::NotKvV2 { path: path.clone(), kind });
        }
        let rest = path.as_str().strip_prefix(self.path.as_str()).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or_else(|| Error::Malformed {
            path: path.to_string(),
            cause: "Vault names a mount that the path is not in, or is the mount itself".into(),
        })?;
        Ok(Location { mount: self.path.trim_end_matches('/').to_owned(), path: rest.to_owned() })
    }
}

/// The body of a check-and-set write.
pub(super) fn write_body(cas: KvVersion, data: &impl Serialize) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a, D> {
        options: Options,
        data: &'a D,
    }
    #[derive(Serialize)]
    struct Options {
        cas: u64,
    }
    wiped_json(&Body { options: Options { cas: cas.0 }, data })
}

/// Serializes into a buffer that is large enough from the start: one that grew would leave unwiped copies behind.
#[expect(clippy::expect_used, reason = "our own types serialize, and memory does not refuse a write")]
pub(super) fn wiped_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("invariant: our own types have text keys only");
    let mut bytes = Zeroizing::new(Vec::with_capacity(counter.0));
    serde_json::to_writer(&mut *bytes, value).expect("invariant: our own types have text keys only");
    bytes
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
