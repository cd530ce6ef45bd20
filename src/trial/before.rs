//! The questions before the call; each of them changes nothing.

use super::{Cause, Secrets, Trial};
use crate::provider::{Listing, Provider as _, Reading, reach};
use crate::rotation::{Problem, Refusal};
use crate::secret::{Fingerprint, FingerprintKey, SecretValue};

/// What the provider showed before the call.
#[derive(Debug)]
pub struct Before {
    /// Under which keys are compared; it is never written down.
    fingerprint_key: FingerprintKey,
    /// The present key, where it can be read.
    pub(super) key: Option<Fingerprint>,
    /// What changes with it, where that can be read.
    pub(super) marker: Option<Fingerprint>,
}

impl Before {
    pub(super) fn fingerprint(&self, key: &SecretValue) -> Fingerprint {
        key.fingerprint(&self.fingerprint_key)
    }
}

impl Trial {
    /// Looks whether the provider is there, and at what it shows of its present keys. An error: the call is not to be made.
    pub async fn look(&self, secrets: &Secrets) -> Result<Before, Cause> {
        let plan = self.bound().plan();
        for address in self.bound().addresses() {
            let host = address.host_str().unwrap_or("the provider");
            let reached = reach(address, None, plan.call_timeout).await;
            reached.map_err(|reason| Cause {
                what: format!("{host} cannot be reached: {reason}"),
                code: "PROVIDER_UNREACHABLE",
            })?;
        }
        let no_randomness =
            |_| Cause { what: "the system gives no random bytes".to_owned(), code: "NO_RANDOMNESS" };
        let fingerprint_key = FingerprintKey::random().map_err(no_randomness)?;
        let mut before = Before { fingerprint_key, key: None, marker: None };
        if plan.read.is_some() {
            match self.provider.read(self.slot.as_ref(), secrets.signer()).await {
                Reading::Value(answer) => {
                    before.key = Some(before.fingerprint(&answer.secret.key));
                }
                Reading::Unavailable(problem) => return Err(not_answered("the present key", &problem)),
                Reading::Refused(refusal) => return Err(refused("the present key", &refusal)),
            }
        }
        if plan.marker.is_some() {
            match self.provider.marker(secrets.signer()).await {
                Reading::Value(marker) => {
                    before.marker = marker.map(|marker| before.fingerprint(&marker));
                }
                Reading::Unavailable(problem) => return Err(not_answered("its key's marker", &problem)),
                Reading::Refused(refusal) => return Err(refused("its key's marker", &refusal)),
            }
        }
        if plan.creates.as_ref().is_some_and(|creates| creates.lists) {
            match self.provider.list(secrets.signer()).await {
                Listing::Keys(_) => {}
                Listing::Unavailable(problem) => return Err(not_answered("its keys", &problem)),
                Listing::Refused(refusal) => return Err(refused("its keys", &refusal)),
            }
        }
        Ok(before)
    }
}

fn not_answered(what: &str, problem: &Problem) -> Cause {
    Cause { what: format!("the provider does not show {what} now: {problem}"), code: "PROVIDER_UNREACHABLE" }
}

fn refused(what: &str, refusal: &Refusal) -> Cause {
    Cause {
        what: format!("the provider refuses to show {what}: {}", refusal.problem),
        code: refusal.class.code(),
    }
}
