//! Escrow: the encrypted local copy of a provider's answer, durable before anything else happens to it.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CredentialName, RotationId};
use crate::secret::SecretValue;

/// What an escrow slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// There is no slot for the rotation.
    Missing,
    /// The slot is prepared; no byte of a request has left.
    Unsent,
    /// A request may have left; no answer is sealed.
    Sent,
    /// An answer is sealed in it.
    Sealed,
}

/// What is sealed: enough to publish the key without asking anybody again.
#[derive(Debug)]
pub struct SealedAnswer {
    /// The new key, or with `residue` the unusable body of a reported success.
    pub secret: SecretValue,
    /// When the old key dies; `None`: assume it is dead.
    pub previous_expires_at: Option<Timestamp>,
    /// When the answer was complete.
    pub received_at: Timestamp,
}

/// A slot as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The credential's name, as the slot's file name has it.
    pub credential: CredentialName,
    /// The rotation.
    pub rotation_id: RotationId,
    /// `unsent`, `sent`, `sealed` or `residue`.
    pub holds: String,
    /// The file.
    pub path: PathBuf,
}

/// Where answers are kept until Vault has them. Every call returns only when its effect is durable.
///
/// The calls block on the disk; the engine runs them off the async threads.
pub trait Escrow: Send + Sync + 'static {
    /// Makes a fresh age identity (`AGE-SECRET-KEY-1…`) for one rotation; it lives in the record, never on the
    /// disk beside the slot.
    fn new_identity(&self) -> SecretValue;

    /// Creates and preallocates the slot, so that a full disk shows before the provider is called.
    fn prepare(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error>;

    /// Marks the slot as sent; must be durable before the first byte of a request leaves.
    fn mark_sent(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error>;

    /// Seals the answer to the identity's recipient and the operators' recipients.
    fn seal(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error>;

    /// Seals a body that gave no value, beside the slot, for a person.
    fn seal_residue(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        residue: &SecretValue,
    ) -> Result<(), Error>;

    /// What the slot holds.
    fn slot(&self, credential: &CredentialName, rotation: RotationId) -> Result<Slot, Error>;

    /// Opens the sealed answer.
    fn open(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
    ) -> Result<SealedAnswer, Error>;

    /// Erases the slot, sealed answer included; nothing to erase is no error. A residue stays.
    fn erase(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error>;

    /// All slots of one credential, or of all; damaged or foreign files are reported in the log and left alone.
    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error>;
}

/// Why the escrow could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error("{action} {path}")]
    Disk {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The stable name in metrics, status details and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "ESCROW_DISK",
        }
    }
}
