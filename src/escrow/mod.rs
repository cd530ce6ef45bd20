//! Escrow: the encrypted local copy of a provider's answer, durable before anything else happens to it.
//!
//! One directory, closed to everybody else, holds at most one slot per rotation. What a slot holds is told by
//! its file's name alone, and a name changes only by a rename whose target is already durable, so a crash
//! leaves either the state before or the state after:
//!
//! | file | slot | holds |
//! |---|---|---|
//! | none, or only `.tmp` | missing | nothing that counts |
//! | `<credential>.<rotation_id>.slot` | unsent | space for the answer, preallocated |
//! | `<credential>.<rotation_id>.sent` | sent | the same file, renamed; its content means nothing |
//! | `<credential>.<rotation_id>.age` | sealed | the same file again: the answer was written over the space, then renamed |
//! | `<credential>.<rotation_id>.residue.age` | any | a body without a value, or a key that was given up; stays until a person removes it |
//!
//! So the answer needs no new space and no new file on a disk that became full meanwhile, except on file
//! systems that never write in place (btrfs, ZFS), where the room they keep back is all there is.

mod directory;
mod error;
mod examine;
mod file;
#[cfg(feature = "testbed")]
pub(crate) mod fuzzing;
mod listing;
mod mirror;
mod mirrored;
mod name;
mod sealed;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CredentialName, KeyId, RotationId};
use crate::secret::{Secret, SecretValue};

pub use error::Error;
pub use examine::{Examined, examine_directory};
pub use file::FileEscrow;
pub use listing::list_directory;
pub use mirror::{KubernetesSecret, check_secret};
pub use mirrored::MirroredEscrow;
pub use sealed::{Opened, check_recipient, open_file};

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
    /// The new key, with what goes with it.
    pub secret: Secret,
    /// When the old key dies; `None`: assume it is dead.
    pub previous_expires_at: Option<Timestamp>,
    /// When the answer was complete.
    pub received_at: Timestamp,
    /// Which call of the rotation brought it.
    pub call: u32,
    /// The provider's id of the key, where keys live side by side.
    pub key_id: Option<KeyId>,
}

/// What a listing calls that which lies beside a slot.
pub const RESIDUE: &str = "residue";

/// A slot as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The credential's name, as the slot's file name has it.
    pub credential: CredentialName,
    /// The rotation.
    pub rotation_id: RotationId,
    /// `unsent`, `sent`, `sealed` or [`RESIDUE`].
    pub holds: String,
    /// The file.
    pub path: PathBuf,
}

/// Where answers are kept until Vault has them. Every call returns only when its effect is durable.
///
/// The calls block on the disk; the engine runs them off the async threads.
pub trait Escrow: Send + Sync + 'static {
    /// Whether its work keeps a thread waiting, and so needs one of its own.
    const BLOCKS: bool = true;

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

    /// Seals a body that gave no value, or the answer of another call, beside the slot, for a person.
    fn seal_residue(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        residue: &Secret,
    ) -> Result<(), Error>;

    /// Seals an answer beside the slot, which another call's answer has, for a person.
    fn seal_beside(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
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

    /// Erases the slot; nothing to erase is no error. A residue stays.
    ///
    /// A sealed answer goes with it only where `sealed_by` names the call that brought it: one that came meanwhile stays.
    fn erase(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        sealed_by: Option<u32>,
    ) -> Result<(), Error>;

    /// All slots of one credential, or of all; damaged or foreign files are reported in the log and left alone.
    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error>;
}
