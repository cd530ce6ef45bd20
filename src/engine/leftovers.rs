//! Escrow slots of rotations that are not open: erased where they hold nothing that matters, reported where
//! they may hold a key.

use super::hands::Hands;
use super::interruption::Interruption;
use crate::clock::Clock;
use crate::escrow::{Escrow, Listed, Slot};
use crate::provider::Provider;
use crate::rotation::{ClosedAs, State};
use crate::vault::Store;

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Looks after this credential's slots while no rotation is open.
    pub(super) async fn look_after_leftovers(&mut self, state: &State) -> Result<(), Interruption> {
        let name = self.credential.name.clone();
        let listed = self.on_disk(move |escrow| escrow.list(Some(&name))).await?;
        for slot in listed {
            self.look_after(state, slot).await?;
        }
        Ok(())
    }

    async fn look_after(&mut self, state: &State, listed: Listed) -> Result<(), Interruption> {
        let id = listed.rotation_id;
        let name = self.credential.name.clone();
        let slot = self.on_disk(move |escrow| escrow.slot(&name, id)).await?;
        let closed = state.history.iter().find(|closed| closed.rotation_id == id);
        let rotated = closed.is_some_and(|closed| matches!(closed.outcome, ClosedAs::Rotated { .. }));
        match slot {
            Slot::Missing => self.note("RESIDUE", format!(
                "{} holds what the provider said about rotation {id}, in a form that keyturn could not use; open it \
                 with age, and remove it when the key is safe",
                listed.path.display()
            )),
            Slot::Unsent => self.erase(id).await,
            Slot::Sent | Slot::Sealed if rotated => self.erase(id).await,
            Slot::Sent if closed.is_some() => self.erase(id).await,
            Slot::Sent => self.note("ORPHAN_CALL", format!(
                "{} says that rotation {id} called the provider, but Vault's record knows nothing of it: the record \
                 was restored from a snapshot or deleted; check that the key in Vault works",
                listed.path.display()
            )),
            Slot::Sealed => self.note("ORPHAN_ANSWER", format!(
                "{} holds an answer of rotation {id} that arrived after its claim was lost; it is kept. Check that \
                 the key in Vault works, then remove the file",
                listed.path.display()
            )),
        }
        Ok(())
    }
}
