//! The new key in memory, from the moment it is known until its rotation is closed.

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
    /// Whether the escrow has it, or the record.
    pub(super) sealed: bool,
    /// Whether this replica's own slot has it; a holder before may have left another call's answer there.
    pub(super) in_slot: bool,
}

impl std::fmt::Debug for InHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InHand")
            .field("rotation_id", &self.rotation_id)
            .field("call", &self.call)
            .field("answer", &self.answer)
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}
