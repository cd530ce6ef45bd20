//! How Vault is reached and how keyturn logs in; references to secrets, never secrets.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderValue;
use url::Url;

use super::error::Error;
use crate::ids::VaultPath;

/// How long one request may take, unless the settings say otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that [`super::VaultStore`] needs to know of its Vault.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's address, `https://…` unless it is on this machine.
    pub address: Url,
    /// The namespace in which all paths and logins are meant.
    pub namespace: Option<String>,
    /// The certificate authorities that may sign the server's certificate; the system's, where there are none.
    pub ca_pem: Option<String>,
    /// The way to a token.
    pub auth: Auth,
    /// Where keyturn's own records live: `mount/prefix`.
    pub record_prefix: VaultPath,
    /// How long one request may take in all.
    pub request_timeout: Duration,
}

impl Settings {
    /// Settings with the default time limit, the system's authorities and no namespace.
    pub const fn new(address: Url, auth: Auth, record_prefix: VaultPath) -> Self {
        Self { address, namespace: None, ca_pem: None, auth, record_prefix, request_timeout: REQUEST_TIMEOUT }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |setting, cause: &str| Err(Error::Misconfigured { setting, cause: cause.to_owned() });
        if !matches!(self.address.scheme(), "http" | "https") || self.address.host_str().is_none() {
            return wrong("address", "write https://host:port");
        }
        if !self.address.username().is_empty() || self.address.password().is_some() {
            return wrong("address", "an address holds no user or password; use `auth`");
        }
        if self.namespace.as_deref().is_some_and(|name| HeaderValue::from_str(name).is_err()) {
            return wrong("namespace", "a namespace is visible ASCII text");
        }
        let mount_ok = |mount: &str| format!("auth/{mount}").parse::<VaultPath>().is_ok();
        if self.auth.mount().is_some_and(|mount| !mount_ok(mount)) {
            return wrong("auth.mount", "a mount is written without leading, trailing or double slashes");
        }
        Ok(())
    }
}

/// The way to a Vault token. Files are read afresh at each login, so they may be rotated at any time.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A role id and a secret id.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// The role's id; it is no secret.
        role_id: RoleId,
        /// The file that holds the secret id.
        secret_id_file: PathBuf,
    },
    /// A Kubernetes service account's token.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The projected token, usually `/var/run/secrets/kubernetes.io/serviceaccount/token`.
        token_file: PathBuf,
    },
    /// A signed token of any other issuer.
    Jwt {
        /// Where the method is mounted, usually `jwt`.
        mount: String,
        /// The role.
        role: String,
        /// The file that holds the token.
        token_file: PathBuf,
    },
    /// A TLS client certificate.
    Cert {
        /// Where the method is mounted, usually `cert`.
        mount: String,
        /// The role; Vault tries all that fit, where there is none.
        role: Option<String>,
        /// The certificate, and those that signed it.
        cert_file: PathBuf,
        /// Its private key.
        key_file: PathBuf,
    },
    /// A token that somebody else (a Vault agent) puts into a file and keeps alive.
    TokenFile {
        /// The file.
        path: PathBuf,
    },
}

/// Where an AppRole's role id is written.
#[derive(Debug, Clone)]
pub enum RoleId {
    /// In the configuration.
    Given(String),
    /// In a file.
    File(PathBuf),
}

impl Auth {
    /// The method's stable name in errors.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::AppRole { .. } => "approle",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Jwt { .. } => "jwt",
            Self::Cert { .. } => "cert",
            Self::TokenFile { .. } => "token_file",
        }
    }

    fn mount(&self) -> Option<&str> {
        match self {
            Self::AppRole { mount, .. }
            | Self::Kubernetes { mount, .. }
            | Self::Jwt { mount, .. }
            | Self::Cert { mount, .. } => Some(mount),
            Self::TokenFile { .. } => None,
        }
    }
}
