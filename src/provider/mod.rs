//! Providers as data: a declarative definition, bound to one credential, spoken over HTTP.
//!
//! The trait is what the engine sees; [`HttpProvider`] is its only implementation in the product. A
//! [`Definition`] is what a file says, [`bind()`] joins it with what an owner says about one credential, and the
//! rest turns that into requests and answers into outcomes.

mod account;
mod answer;
mod base_url;
mod bind;
mod body;
mod catalog;
pub mod definition;
pub mod describe;
mod fact;
mod failure;
#[cfg(feature = "testbed")]
pub(crate) mod fuzzing;
mod http;
mod json;
mod problem;
mod reach;
mod request;
mod retry_after;
mod sent;
mod signing;
pub mod simulator;
mod supply;
mod template;
mod token;
mod transport;
mod wire;

pub use account::{Account, Accounts};
pub use bind::{Binding, BoundDefinition, bind, bind_loosely};
pub use catalog::Catalog;
pub use definition::Definition;
pub use http::HttpProvider;
pub use reach::{KnownBy, reach};
pub use template::{Pointer, Template};
pub use transport::{Error, Transport, TransportOptions};

use std::future::Future;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use jiff::Timestamp;

use crate::ids::{KeyId, RotationId};
use crate::rotation::{Created, Outcome, Plan, Problem, Refusal};
use crate::secret::{Secret, SecretValue};

/// The secrets with which calls are signed, by the names the definition gives them.
///
/// `main` is the credential that authenticates the call (the admin key, or for a self-authenticating
/// credential the old secret itself).
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The authenticating secret.
    pub main: &'a SecretValue,
    /// Further secrets the definition asks for, such as a user's bearer token.
    pub extra: &'a [(String, SecretValue)],
}

/// One regenerate call: what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Regeneration<'a> {
    /// The rotation, whose id can go along.
    pub rotation: RotationId,
    /// The key that the call brings, where keyturn chooses it.
    pub supplied: Option<&'a SecretValue>,
    /// The name of the key that it makes anew, where the provider has several.
    pub slot: Option<&'a KeyId>,
}

impl From<RotationId> for Regeneration<'_> {
    /// A call in which keyturn has nothing to choose.
    fn from(rotation: RotationId) -> Self {
        Self { rotation, supplied: None, slot: None }
    }
}

/// What a provider's answer holds.
#[derive(Debug)]
pub struct Answer {
    /// The new key, with what goes with it.
    pub secret: Secret,
    /// When the old key dies, as the provider says or its definition fixes; `None`: assume it is dead.
    pub previous_expires_at: Option<Timestamp>,
    /// When the answer was complete.
    pub received_at: Timestamp,
    /// The provider's id of the key, where keys live side by side.
    pub key_id: Option<KeyId>,
}

/// A regenerate call's outcome, with whatever bytes of a success could not be used.
#[derive(Debug)]
pub struct Response {
    /// What the call came to.
    pub outcome: Outcome<Answer>,
    /// The body of a reported success that gave no value (cut, malformed, unexpected): the key may be in it,
    /// so it is sealed for a person instead of being thrown away. A body that is no UTF-8 text is kept as its
    /// base64 after `base64:`.
    pub residue: Option<SecretValue>,
}

/// What a look at what the provider holds found: its key, or what changes with it.
#[derive(Debug)]
pub enum Reading<T = Answer> {
    /// What the provider shows now.
    Value(T),
    /// The provider could not be asked, or could not answer, now; this says nothing.
    Unavailable(Problem),
    /// The provider refused the question.
    Refused(Refusal),
}

/// What a probe with a key showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The provider accepts the key.
    Accepted,
    /// The provider does not accept the key (yet).
    NotAccepted(Problem),
    /// The provider could not be asked; this says nothing about the key.
    Unavailable(Problem),
}

/// What a listing of the keys that a provider made for rotations found.
#[derive(Debug)]
pub enum Listing {
    /// The keys that carry the label of a rotation, whichever; a key that was just made may be missing.
    Keys(Vec<Created>),
    /// The provider could not be asked, or could not answer, now.
    Unavailable(Problem),
    /// The provider refused the question.
    Refused(Refusal),
}

/// What a call to revoke one key came to. It can be made again, whatever it came to.
#[derive(Debug)]
pub enum Revoking {
    /// The key is dead, or was not there any more.
    Revoked,
    /// The provider could not be asked, or did not say what it did.
    Unavailable(Problem),
    /// The provider refused; the key lives.
    Refused(Refusal),
}

/// One provider, bound to one credential's parameters.
pub trait Provider: Send + Sync + 'static {
    /// The facts that the core decides by.
    fn plan(&self) -> &Plan;

    /// For how much longer the provider asked this account to stay away. A call that cannot wait is made all the same.
    fn quiet_left(&self) -> Option<Duration>;

    /// A new key at random, where the provider takes the one that keyturn chooses; an error, where the system gives no random
    /// bytes.
    fn choose_key(&self) -> Result<Option<SecretValue>, Unspecified>;

    /// Makes exactly one regenerate request on a fresh connection; never a second.
    ///
    /// Not cancel-safe: dropped after the first byte left, the outcome is unknown.
    fn regenerate(&self, what: Regeneration<'_>, signer: Signer<'_>)
    -> impl Future<Output = Response> + Send;

    /// Reads the current value, of several named keys that of `slot`, where the definition declares how; else `Refused`.
    fn read(&self, slot: Option<&KeyId>, signer: Signer<'_>) -> impl Future<Output = Reading> + Send;

    /// Reads what changes with the key, where the definition declares such a marker; else `Refused`. `None`: the provider has
    /// nothing of the kind to show now.
    fn marker(&self, signer: Signer<'_>) -> impl Future<Output = Reading<Option<SecretValue>>> + Send;

    /// Asks the provider whether it accepts `key`, without a side effect.
    fn probe(&self, key: &SecretValue, extra: &[(String, SecretValue)])
    -> impl Future<Output = Probe> + Send;

    /// Lists the keys that carry a rotation's label, where the definition declares how; else `Refused`.
    ///
    /// Between rotations the signer is the separate credential, or the published key where it signs for itself.
    fn list(&self, signer: Signer<'_>) -> impl Future<Output = Listing> + Send;

    /// Revokes one key, where the definition declares how; else `Refused`. Signed like `list`.
    fn revoke(&self, key: &KeyId, signer: Signer<'_>) -> impl Future<Output = Revoking> + Send;
}
