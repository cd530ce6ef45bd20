//! What the core wants done. The shell runs a list in its order and stops at the first that does not succeed.

use jiff::Timestamp;

use super::state::Request;
use crate::ids::RotationId;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Check that everything a rotation needs is there; changes nothing outside but the escrow's empty slot.
    Preflight {
        /// The rotation's id.
        rotation_id: RotationId,
        /// Who asked, and how.
        request: Request,
    },
    /// Write the state that came with this effect to the record, by check-and-set.
    Save,
    /// Mark the slot as sent, then make the one regenerate call. Always right behind a [`Effect::Save`].
    Call,
    /// Read the provider's current value and compare it with the baseline.
    Read,
    /// Seal the answer in the shell's hand into escrow.
    Seal,
    /// Ask the provider whether it accepts the staged key.
    Probe,
    /// Write the new key into the application's entry, by check-and-set.
    Publish,
    /// Write the application's entry again as it is, by check-and-set, unless the open rotation has published: no write
    /// that was on its way takes effect any more.
    Fence,
    /// Read the application's entry back, and ask the provider whether it accepts the published key.
    Verify,
    /// Erase the escrow slot of a rotation that is closed.
    Erase {
        /// The closed rotation.
        rotation_id: RotationId,
    },
    /// Leave the slot of a rotation that a person settled where it is, and tell of it if it holds a key.
    Leave,
    /// Wait, then say [`super::Event::Woke`].
    Wait {
        /// Until when.
        until: Timestamp,
    },
}
