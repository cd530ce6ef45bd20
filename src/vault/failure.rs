//! Why one request to Vault gave no result, as far as the wire can tell.

use std::time::Duration;

use super::error::Error;

/// What became of a request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No byte of it can have reached Vault.
    #[error("not sent: {cause}")]
    NotSent { cause: String },
    /// It left, and no whole answer came back.
    #[error("no answer: {cause}")]
    NoAnswer { cause: String },
    /// Vault, or something in front of it, said no.
    #[error("answered {}", .0.status)]
    Refused(Refused),
    /// A success whose body makes no sense.
    #[error("unreadable answer: {cause}")]
    Unreadable { cause: String },
    /// There was no token to send it with.
    #[error(transparent)]
    NoToken(Error),
}

/// An answer outside of 200 to 299, reduced to what may be kept of it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// Vault's own words, never a secret's data.
    pub(super) errors: Vec<String>,
    /// With 404: the version that was deleted.
    pub(super) deleted_version: Option<u64>,
    pub(super) retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn says(&self, words: &str) -> bool {
        self.errors.iter().any(|error| error.contains(words))
    }

    /// The node that answered has no active node to turn to. A write may have been passed on before.
    fn is_standby(&self) -> bool {
        matches!(self.status, 307 | 308 | 412 | 472 | 473)
            || (self.status >= 500 && self.says("local node not active"))
    }
}

impl Failure {
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refused) => Some(refused.status),
            _ => None,
        }
    }

    pub(super) fn is_missing_mount(&self) -> bool {
        matches!(self, Self::Refused(refused) if refused.status == 404 && refused.says("no handler for route"))
    }

    pub(super) fn is_cas_mismatch(&self) -> bool {
        matches!(self, Self::Refused(refused) if refused.status == 400 && refused.says("check-and-set"))
    }

    /// Whether a write that failed like this may have taken effect nevertheless.
    pub(super) fn may_have_written(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::NoToken(_) => false,
            Self::NoAnswer { .. } | Self::Unreadable { .. } => true,
            // "Vault is sealed" is said before anything is looked at; every other 5xx may come late.
            Self::Refused(refused) => refused.status >= 500 && !refused.says("Vault is sealed"),
        }
    }

    /// The same in the words that a person sees.
    pub(super) fn into_error(self, action: &'static str, path: &str) -> Error {
        match self {
            Self::NotSent { cause } | Self::NoAnswer { cause } => Error::Unavailable { cause },
            Self::Unreadable { cause } => Error::Malformed { path: path.to_owned(), cause },
            Self::NoToken(error) => error,
            Self::Refused(refused) => refused.into_error(action, path),
        }
    }
}

impl Refused {
    fn into_error(self, action: &'static str, path: &str) -> Error {
        if self.is_standby() {
            return Error::Standby;
        }
        match self.status {
            503 if self.says("sealed") => Error::Sealed,
            429 => Error::RateLimited { retry_after: self.retry_after },
            403 => Error::PermissionDenied { action, path: path.to_owned() },
            400 if self.says("Upgrading from non-versioned") => {
                Error::Unavailable { cause: "the mount is being upgraded to KV version 2".into() }
            }
            status if status >= 500 => Error::Unavailable { cause: format!("it answered {status}") },
            status => Error::Unexpected { status, action, path: path.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, error: &str) -> Failure {
        Failure::Refused(Refused {
            status,
            errors: vec![error.to_owned()],
            deleted_version: None,
            retry_after: None,
        })
    }

    #[test]
    fn each_answer_has_its_class_and_says_whether_a_write_may_have_happened() {
        let cases = [
            (503, "Vault is sealed", "VAULT_SEALED", false),
            (503, "upstream connect error", "VAULT_UNAVAILABLE", true),
            (500, "local node not active but active cluster node not found", "VAULT_STANDBY", true),
            (500, "something else", "VAULT_UNAVAILABLE", true),
            (502, "", "VAULT_UNAVAILABLE", true),
            (472, "", "VAULT_STANDBY", false),
            (473, "", "VAULT_STANDBY", false),
            (307, "", "VAULT_STANDBY", false),
            (412, "required index state not present", "VAULT_STANDBY", false),
            (429, "rate limit quota exceeded", "VAULT_RATE_LIMITED", false),
            (403, "permission denied", "VAULT_PERMISSION_DENIED", false),
            (400, "Upgrading from non-versioned to versioned data", "VAULT_UNAVAILABLE", false),
            (418, "", "VAULT_UNEXPECTED_ANSWER", false),
        ];
        for (status, said, code, may_have_written) in cases {
            let failure = refused(status, said);
            assert_eq!(failure.may_have_written(), may_have_written, "{status} {said}");
            assert_eq!(failure.into_error("update", "secret/data/a").code(), code, "{status} {said}");
        }
    }

    #[test]
    fn only_the_words_of_vault_make_a_conflict() {
        let said = "check-and-set parameter did not match the current version";
        assert!(refused(400, said).is_cas_mismatch());
        assert!(!refused(400, "invalid request").is_cas_mismatch());
    }
}
