//! What can stand between keyturn and Vault, in the words that a person sees.

use std::fmt;
use std::time::Duration;

use crate::ids::{FieldPath, VaultPath};

/// Why a check-and-set write gave no new version.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote in between: nothing was written.
    #[error("the entry was changed by somebody else in the meantime")]
    Conflict,
    /// Certainly not written.
    #[error(transparent)]
    NotWritten(Error),
    /// It may have been written, and it could not be read back.
    #[error("it is not known whether the write took effect")]
    Unclear(#[source] Error),
}

/// What stands between keyturn and Vault.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 503 with "sealed".
    #[error("Vault is sealed; unseal it, and keyturn goes on by itself")]
    Sealed,
    /// 472, 473, 429 of a standby, or a 500 that says there is no active node.
    #[error("Vault has no active node that could answer")]
    Standby,
    /// 429.
    #[error("Vault limits the request rate")]
    RateLimited {
        /// How long it asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// No connection, a timeout, or a 5xx that says nothing more.
    #[error("Vault cannot be reached: {cause}")]
    Unavailable {
        /// What failed, without addresses that hold secrets.
        cause: String,
    },
    /// 403: the token has not the capability, or is no longer valid.
    #[error("Vault refuses {action} on {path}; check the policy in docs/vault-policy.hcl")]
    PermissionDenied {
        /// The capability that was needed.
        action: &'static str,
        /// The API path.
        path: String,
    },
    /// The preflight found that the policy does not suffice.
    #[error("the token's policy lacks {}; see docs/vault-policy.hcl", listed(missing))]
    CapabilitiesMissing {
        /// Everything that is missing, not only the first.
        missing: Vec<MissingCapability>,
    },
    /// The token ends before a rotation would, and neither renewal nor a fresh login gave a longer one.
    #[error(
        "the Vault token lasts {}s and a rotation may take {}s; raise the role's token_ttl or token_max_ttl",
        lasts.as_secs(),
        needed.as_secs()
    )]
    TokenTooShort {
        /// How long it must last.
        needed: Duration,
        /// How long it lasts.
        lasts: Duration,
    },
    /// The settings cannot be used.
    #[error("the Vault setting {setting} cannot be used: {cause}")]
    Misconfigured {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// Vault does not accept the login.
    #[error("Vault refuses the {method} login: {cause}")]
    LoginRefused {
        /// The auth method.
        method: &'static str,
        /// What it said.
        cause: String,
    },
    /// What the login needs is not on this machine, or unusable.
    #[error("the {method} login cannot be tried: {cause}")]
    LoginMaterial {
        /// The auth method.
        method: &'static str,
        /// What is missing.
        cause: String,
    },
    /// No secrets engine is mounted there.
    #[error("no secrets engine is mounted at {path}")]
    MountMissing {
        /// The configured path.
        path: VaultPath,
    },
    /// A KV v1 engine, or another kind of engine: it has no check-and-set.
    #[error("{path} is on a {kind} engine; keyturn needs KV version 2, which has check-and-set")]
    NotKvV2 {
        /// The configured path.
        path: VaultPath,
        /// What is mounted there.
        kind: String,
    },
    /// A field that should be read is not there, or is no text.
    #[error("{place} does not hold a text")]
    FieldMissing {
        /// The field.
        place: FieldPath,
    },
    /// A record or stamp that keyturn cannot understand.
    #[error("the data at {path} is not what keyturn wrote there: {cause}")]
    Malformed {
        /// The path.
        path: String,
        /// What is wrong, without values.
        cause: String,
    },
    /// Any other answer.
    #[error("Vault answered {status} to {action} on {path}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// What was tried.
        action: &'static str,
        /// The API path.
        path: String,
    },
}

impl Error {
    /// The stable name in metrics, status details and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sealed => "VAULT_SEALED",
            Self::Standby => "VAULT_STANDBY",
            Self::RateLimited { .. } => "VAULT_RATE_LIMITED",
            Self::Unavailable { .. } => "VAULT_UNAVAILABLE",
            Self::PermissionDenied { .. } => "VAULT_PERMISSION_DENIED",
            Self::CapabilitiesMissing { .. } => "VAULT_CAPABILITIES_MISSING",
            Self::TokenTooShort { .. } => "VAULT_TOKEN_TOO_SHORT",
            Self::Misconfigured { .. } => "VAULT_MISCONFIGURED",
            Self::LoginRefused { .. } => "VAULT_LOGIN_REFUSED",
            Self::LoginMaterial { .. } => "VAULT_LOGIN_MATERIAL",
            Self::MountMissing { .. } => "VAULT_MOUNT_MISSING",
            Self::NotKvV2 { .. } => "VAULT_NOT_KV_V2",
            Self::FieldMissing { .. } => "VAULT_FIELD_MISSING",
            Self::Malformed { .. } => "VAULT_DATA_MALFORMED",
            Self::Unexpected { .. } => "VAULT_UNEXPECTED_ANSWER",
        }
    }
}

/// One capability that the token's policy does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingCapability {
    /// The capability, such as `update`.
    pub capability: &'static str,
    /// The API path as a policy names it, such as `secret/data/payments/adyen`.
    pub path: String,
}

impl fmt::Display for MissingCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" on \"{}\"", self.capability, self.path)
    }
}

fn listed(missing: &[MissingCapability]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
