//! The new key in memory, from the moment it is known until its rotation is closed.

use crate::escrow::SealedAnswer;
use crate::ids::RotationId;
use crate::provider;
use crate::secret::SecretValue;

/// The only copy outside Vault and escrow; it is not let go before one of them has it.
pub(super) struct InHand {
    pub(super) rotation_id: RotationId,
    /// Which call of the rotation brought it.
    pub(super) call: u32,
    pub(super) answer: provider::Answer,
    /// What the escrow seals to; kept beside the key, whatever becomes of the record.
    pub(super) identity: Option<SecretValue>,
    pub(super) kept: Kept,
}

/// Where else a key in hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nowhere,
    /// In the record, which is to be written with it or without.
    Record,
    /// In the slot, as the answer of its rotation.
    Slot,
    /// Beside the slot, which has the answer of another call.
    Beside,
}

impl InHand {
    /// What the escrow seals of it.
    pub(super) fn to_be_sealed(&self) -> SealedAnswer {
        SealedAnswer {
            secret: self.answer.secret.duplicate(),
            previous_expires_at: self.answer.previous_expires_at,
            received_at: self.answer.received_at,
            call: self.call,
            key_id: self.answer.key_id.clone(),
        }
    }

    /// Whether it outlives this process.
    pub(super) fn is_kept(&self) -> bool {
        self.kept != Kept::Nowhere
    }
}

impl std::fmt::Debug for InHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InHand")
            .field("rotation_id", &self.rotation_id)
            .field("call", &self.call)
            .field("answer", &self.answer)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
