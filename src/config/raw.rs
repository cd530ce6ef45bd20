//! The configuration file as it is written: every field, its type and its description, and nothing decided yet.
//!
//! This is the one source of the field names: the JSON Schema is derived from it, and the schema is what a file
//! is held against. What a text means is decided in the modules beside this one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of keyturn: one YAML file, which names secrets and holds none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// How HashiCorp Vault or OpenBao is reached, and where keyturn keeps its own records.
    pub(super) vault: Vault,
    /// Where applications and the command line reach keyturn.
    pub(super) listen: Listen,
    /// The local copy of provider answers.
    pub(super) escrow: Escrow,
    /// Where Prometheus reads metrics; nowhere, if left out.
    pub(super) metrics: Option<Metrics>,
    /// What is logged, and how.
    pub(super) log: Option<Log>,
    /// Files with provider definitions of your own.
    #[serde(default)]
    pub(super) providers: Vec<String>,
    /// How long provider calls and claims may take.
    pub(super) timeouts: Option<Timeouts>,
    /// The credentials that keyturn rotates.
    pub(super) credentials: Vec<Credential>,
}

/// How Vault is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Vault {
    /// The server's address, such as https://vault.svc:8200; http only on this machine.
    pub(super) address: String,
    /// The namespace in which all paths and logins are meant.
    pub(super) namespace: Option<String>,
    /// A PEM file with the authorities that may sign the server's certificate; the system's, if left out.
    pub(super) ca_file: Option<String>,
    /// How keyturn logs in; exactly one way.
    pub(super) auth: VaultAuth,
    /// Where keyturn keeps its own records, mount first, such as secret/keyturn; closed to applications.
    pub(super) record_prefix: String,
}

/// The ways to log in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VaultAuth {
    /// With the pod's service account.
    pub(super) kubernetes: Option<Kubernetes>,
    /// With a role id and a secret id.
    pub(super) approle: Option<AppRole>,
    /// With a signed token of any other issuer.
    pub(super) jwt: Option<Jwt>,
    /// With a TLS client certificate.
    pub(super) cert: Option<Cert>,
    /// With a token that somebody else (a Vault agent) keeps alive in this file.
    pub(super) token_file: Option<String>,
}

/// The Kubernetes auth method.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubernetes {
    /// The role in Vault.
    pub(super) role: String,
    /// Where the method is mounted; `kubernetes`, if left out.
    pub(super) mount: Option<String>,
    /// The service account's token; the pod's usual place, if left out.
    pub(super) token_file: Option<String>,
}

/// The AppRole auth method.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppRole {
    /// The role's id; it is no secret. Either this or `role_id_file`.
    pub(super) role_id: Option<String>,
    /// A file with the role's id.
    pub(super) role_id_file: Option<String>,
    /// A file with the secret id.
    pub(super) secret_id_file: String,
    /// Where the method is mounted; `approle`, if left out.
    pub(super) mount: Option<String>,
}

/// The JWT auth method.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwt {
    /// The role in Vault.
    pub(super) role: String,
    /// A file with the token.
    pub(super) token_file: String,
    /// Where the method is mounted; `jwt`, if left out.
    pub(super) mount: Option<String>,
}

/// The TLS certificate auth method.
#[expect(clippy::struct_field_names, reason = "the fields are named as a person writes them")]
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cert {
    /// The certificate role in Vault; it tries all that fit, if left out.
    pub(super) name: Option<String>,
    /// A PEM file with the client certificate and those that signed it.
    pub(super) cert_file: String,
    /// A PEM file with its private key.
    pub(super) key_file: String,
    /// Where the method is mounted; `cert`, if left out.
    pub(super) mount: Option<String>,
}

/// Where keyturn is reached; at least one of both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// A Unix socket: its path, or path and mode.
    pub(super) unix: Option<Unix>,
    /// A TCP address: on this machine as text, such as 127.0.0.1:7400, or any with TLS.
    pub(super) tcp: Option<Tcp>,
    /// The uids that may do on the Unix socket what only operators may; 0 and keyturn's own always may.
    #[serde(default)]
    pub(super) operators: Vec<i64>,
    /// Whether everybody on this machine is an operator over TCP without TLS; nobody is, if left out.
    pub(super) tcp_operators: Option<bool>,
}

/// A Unix socket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Unix {
    /// Its path alone.
    Path(String),
    /// Its path and mode.
    Full(UnixFull),
}

/// A Unix socket with its mode.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnixFull {
    /// The socket's path.
    pub(super) path: String,
    /// The socket's permissions as octal digits in quotes; "0660", if left out.
    pub(super) mode: Option<String>,
}

/// A TCP address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Tcp {
    /// On this machine, without TLS.
    Address(String),
    /// With TLS.
    Full(TcpFull),
}

/// A TCP address with TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpFull {
    /// The address and port, such as 0.0.0.0:7443.
    pub(super) address: String,
    /// The certificate, and whom clients are known by.
    pub(super) tls: Tls,
}

/// TLS on a TCP address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// A PEM file with the certificate and those that signed it.
    pub(super) cert_file: String,
    /// A PEM file with its private key.
    pub(super) key_file: String,
    /// A PEM file with the authorities of which every client needs a certificate; without it callers may only look.
    pub(super) client_ca_file: Option<String>,
    /// The names in client certificates (the first URI, else the first DNS name) that make an operator.
    #[serde(default)]
    pub(super) operators: Vec<String>,
}

/// The local copy of provider answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Escrow {
    /// The directory of this process alone; it is created with mode 0700.
    pub(super) dir: String,
    /// Public age recipients (age1…) of operators who can open every answer with the `age` tool.
    #[serde(default)]
    pub(super) recipients: Vec<String>,
    /// A Kubernetes Secret that gets a copy of every sealed answer, so that it outlives the pod.
    pub(super) kubernetes_secret: Option<KubernetesSecret>,
}

/// A Kubernetes Secret, and how it is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesSecret {
    /// The Secret's name, in the namespace of the service account.
    pub(super) name: String,
    /// The Kubernetes API server; https://kubernetes.default.svc, if left out.
    pub(super) address: Option<String>,
    /// The directory with the service account's token, ca.crt and namespace; /var/run/secrets/kubernetes.io/serviceaccount, if left out.
    pub(super) account_dir: Option<String>,
}

/// The metrics endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    /// An address and port, such as 127.0.0.1:9400; on this machine, unless `exposed` is set.
    pub(super) listen: String,
    /// Whether other machines may read them too, without TLS: they name credentials, and hold no secret.
    #[serde(default)]
    pub(super) exposed: bool,
}

/// The log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// `json` (the default) or `text`.
    pub(super) format: Option<LogFormat>,
    /// The least important level that is logged; `info`, if left out.
    pub(super) level: Option<LogLevel>,
}

/// How a line of the log looks.
// No doc comments on the variants of these two: the schema then is one list of words.
#[expect(missing_docs, reason = "the words say it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

/// How much is logged.
#[expect(missing_docs, reason = "the words say it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Time limits, such as 30s or 2m.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Timeouts {
    /// The longest time from the first byte of a provider call to its answer; 30s, if left out.
    pub(super) provider_call: Option<String>,
    /// How long a sent request may still take effect after its sender gave up; 30s, if left out.
    pub(super) settle: Option<String>,
    /// How long a holder may be silent before another replica takes over; 2m, if left out.
    pub(super) claim: Option<String>,
}

/// One credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    /// Its name: 1 to 63 characters of a-z, 0-9 and '-'.
    pub(super) name: String,
    /// The provider definition's name, such as adyen/client-key.
    pub(super) provider: String,
    /// One of the definition's environments; its default, if left out.
    pub(super) environment: Option<String>,
    /// A base URL in place of the environment's.
    pub(super) base_url: Option<String>,
    /// The definition's parameters.
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    /// What signs the regenerate call; `self`, if left out: the secret that is rotated.
    pub(super) auth: Option<Auth>,
    /// The further secrets that the definition asks for, each as mount/path#field.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    /// Where applications find the secret: mount/path#field.
    pub(super) store: String,
    /// The fields of the same entry for what the definition says goes with the key, by its names; fields of these very
    /// names, where nothing is said.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
    /// When it is rotated by itself; only on request, if left out.
    pub(super) schedule: Option<Schedule>,
    /// The grace window to ask the provider for, such as 1h, where it lets one ask.
    pub(super) grace: Option<String>,
    /// How long after its rotation the old key is revoked, where keys live side by side; as the definition says, if left out.
    pub(super) revoke_after: Option<String>,
    /// Where keys live side by side: the provider's id of the key that is in `store` before the first rotation, which is
    /// revoked like any other; left out, it goes on to live.
    pub(super) first_key: Option<String>,
    /// How long a new key takes to become usable, where you know better than the definition.
    pub(super) propagation: Option<String>,
    /// The credential's own name: you accept that a lost answer can lock everybody out.
    pub(super) accept_lock_out: Option<String>,
    /// A PEM file with authorities that may sign the provider's certificate too, beside the system's.
    pub(super) ca_file: Option<String>,
}

/// What signs a call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Auth {
    /// The word `self`.
    Word(String),
    /// A credential in Vault.
    Vault(AuthVault),
}

/// A credential in Vault that signs the call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthVault {
    /// Where it is: mount/path#field.
    pub(super) vault: String,
    /// One of the definition's authentication schemes; its first, if left out.
    pub(super) scheme: Option<String>,
}

/// When a credential is rotated; exactly one of `every`, `cron` and `manual`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Schedule {
    /// So long after the last rotation, such as 30d.
    pub(super) every: Option<String>,
    /// At the times of a cron pattern with five fields, or six with seconds first; needs `zone`.
    pub(super) cron: Option<String>,
    /// Only on request.
    pub(super) manual: Option<bool>,
    /// The IANA time zone of `cron`, such as Europe/Amsterdam.
    pub(super) zone: Option<String>,
    /// How far credentials are spread apart, such as 10% (at most 50%); not at all, if left out.
    pub(super) jitter: Option<String>,
    /// The hours in which a scheduled rotation may start, such as "Mon-Fri 09:00-16:00 Europe/Amsterdam".
    pub(super) window: Option<String>,
    /// Two rotations are never closer than this, emergencies excepted; 1m, if left out.
    pub(super) min_interval: Option<String>,
}
