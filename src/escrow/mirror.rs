//! A second copy of each sealed answer in a Kubernetes Secret, so that the end of a pod is not the end of its key.
//!
//! The Secret holds ciphertext alone; what opens it is in Vault's record. An entry is named
//! `<credential>.<rotation_id>.<call>`. keyturn reads and patches this one Secret, and never makes or deletes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Method, redirect, retry};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::error::Error;
use crate::ids::{CredentialName, RotationId};

/// Where the Secret is, and as whom keyturn reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSecret {
    /// The Secret's name; its namespace is the service account's.
    pub name: String,
    /// The Kubernetes API server, usually `https://kubernetes.default.svc`.
    pub address: String,
    /// The directory with `token`, `ca.crt` and `namespace`, which are read anew for each request.
    pub account_dir: PathBuf,
}

/// The Secret, reached from a thread that may wait.
#[derive(Debug)]
pub(super) struct Mirror {
    secret: KubernetesSecret,
}

/// Whether copies can be written to the Secret, shown without a change to it. Waits: call it on a thread that may.
pub fn check_secret(secret: &KubernetesSecret) -> Result<(), Error> {
    Mirror::new(secret.clone()).check()
}

/// A copy's name in the Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) credential: CredentialName,
    pub(super) rotation_id: RotationId,
    /// Which call of the rotation brought the answer.
    pub(super) call: u32,
}

/// From the first byte sent to the last one received.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What every age file begins with.
const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// More than a sealed answer takes.
const COPY_BYTES: usize = 16 * 1024;
/// A Secret has at most 1 MiB, in base64 within JSON, with room for what surrounds it.
const BODY_BYTES_MAX: usize = 2 << 20;

impl Mirror {
    pub(super) const fn new(secret: KubernetesSecret) -> Self {
        Self { secret }
    }

    /// Shows, without a change, that copies can be read and one more of the usual size can be written now.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.copies()?;
        let copy = BASE64.encode(&[0; COPY_BYTES]);
        let rehearsed = json!({ "data": { "rehearsal": copy } }).to_string();
        self.send("write to", Method::PATCH, "&dryRun=All", Some(rehearsed)).map(drop)
    }

    /// Writes a copy.
    pub(super) fn put(&self, entry: &Entry, sealed: &[u8]) -> Result<(), Error> {
        self.patch("write to", &json!({ "data": { entry.to_string(): BASE64.encode(sealed) } }))
    }

    /// Takes a copy out.
    pub(super) fn remove(&self, entry: &Entry) -> Result<(), Error> {
        self.patch("erase from", &json!({ "data": { entry.to_string(): Value::Null } }))
    }

    /// All copies; what keyturn did not write is left out.
    pub(super) fn copies(&self) -> Result<BTreeMap<Entry, Vec<u8>>, Error> {
        let body = self.send("read", Method::GET, "", None)?;
        let read: ReadSecret =
            serde_json::from_slice(&body).map_err(|_| self.failed("read", "its answer is no Secret"))?;
        let data = read.data.unwrap_or_default().into_iter();
        Ok(data
            .filter_map(|(name, sealed)| {
                let sealed = BASE64.decode(sealed.as_bytes()).ok()?;
                // What somebody else put there is not taken for an answer.
                sealed.starts_with(AGE_MAGIC).then_some((Entry::parse(&name)?, sealed))
            })
            .collect())
    }

    /// Where a person finds a copy.
    pub(super) fn shown(&self, entry: &Entry) -> PathBuf {
        PathBuf::from(format!("entry {entry} of Kubernetes Secret {}", self.secret.name))
    }

    fn patch(&self, action: &'static str, change: &Value) -> Result<(), Error> {
        self.send(action, Method::PATCH, "", Some(change.to_string())).map(drop)
    }

    fn send(
        &self,
        action: &'static str,
        method: Method,
        query: &str,
        body: Option<String>,
    ) -> Result<Vec<u8>, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| self.failed(action, "there is no runtime to reach it with"))?;
        runtime.block_on(self.exchange(action, method, query, body))
    }

    async fn exchange(
        &self,
        action: &'static str,
        method: Method,
        query: &str,
        body: Option<String>,
    ) -> Result<Vec<u8>, Error> {
        let namespace = self.account("namespace", action)?;
        let base = self.secret.address.trim_end_matches('/');
        let url = format!(
            "{base}/api/v1/namespaces/{}/secrets/{}?fieldManager=keyturn{query}",
            namespace.trim(),
            self.secret.name
        );
        let mut request =
            self.client(action)?.request(method, url).header(AUTHORIZATION, self.bearer(action)?);
        if let Some(body) = body {
            let merge_patch = HeaderValue::from_static("application/merge-patch+json");
            request = request.header(CONTENT_TYPE, merge_patch).body(body);
        }
        let failed = |error: &reqwest::Error| self.failed(action, reason(error));
        let mut answer = request.send().await.map_err(|error| failed(&error))?;
        if !answer.status().is_success() {
            return Err(self.failed(action, refusal(answer.status().as_u16())));
        }
        let mut received = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if received.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(self.failed(action, "its answer is too long"));
            }
            received.extend_from_slice(&chunk);
        }
        Ok(received)
    }

    /// Requests are rare, and a certificate authority can be replaced: a client serves one.
    fn client(&self, action: &'static str) -> Result<Client, Error> {
        let authorities = Certificate::from_pem_bundle(self.account("ca.crt", action)?.as_bytes())
            .map_err(|_| self.failed(action, "ca.crt of the service account is no PEM bundle"))?;
        Client::builder()
            .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .https_only(true)
            .tls_certs_only(authorities)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|_| self.failed(action, "no TLS client can be made of ca.crt"))
    }

    fn bearer(&self, action: &'static str) -> Result<HeaderValue, Error> {
        let token = self.account("token", action)?;
        let text = Zeroizing::new(format!("Bearer {}", token.trim()));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| self.failed(action, "the service account's token is no header value"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn account(&self, file: &str, action: &'static str) -> Result<Zeroizing<String>, Error> {
        let path = self.secret.account_dir.join(file);
        fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(|error| self.failed(action, format!("{} cannot be read: {error}", path.display())))
    }

    fn failed(&self, action: &'static str, cause: impl Into<String>) -> Error {
        Error::Mirror { action, name: self.secret.name.clone(), cause: cause.into() }
    }
}

#[derive(Deserialize)]
struct ReadSecret {
    data: Option<BTreeMap<String, String>>,
}

fn refusal(status: u16) -> String {
    match status {
        401 => "the API server does not know the service account's token (401)".to_owned(),
        403 => "the service account may not get and patch it (403); give its role both verbs for this name"
            .to_owned(),
        404 => "there is none (404); create it empty, in the pod's namespace".to_owned(),
        413 | 422 => format!("the API server refuses the copy ({status}); is the Secret full, or immutable?"),
        other => format!("the API server answers {other}"),
    }
}

/// What went wrong on the way, without the address, which every message would repeat.
fn reason(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "the API server does not answer in time"
    } else if error.is_connect() {
        "the API server cannot be reached"
    } else {
        "the exchange with the API server broke off"
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{what} ({cause})")
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.credential, self.rotation_id, self.call)
    }
}

impl Entry {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let (credential, rotation_id, call) = (parts.next()?, parts.next()?, parts.next()?);
        let entry = Self {
            credential: credential.parse().ok()?,
            rotation_id: rotation_id.parse().ok()?,
            call: call.parse().ok()?,
        };
        (entry.to_string() == name).then_some(entry)
    }
}

impl KubernetesSecret {
    /// The API server as pods reach it.
    pub const ADDRESS: &str = "https://kubernetes.default.svc";
    /// Where Kubernetes mounts a service account by default.
    pub const ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// The Secret of this name, reached in the usual way.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: Self::ADDRESS.to_owned(),
            account_dir: Path::new(Self::ACCOUNT_DIR).to_owned(),
        }
    }
}
