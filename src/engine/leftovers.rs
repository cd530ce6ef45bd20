//! Escrow slots of rotations that are not open: erased where they hold nothing that matters, reported where
//! they may hold a key.

use super::hands::Hands;
use super::interruption::Interruption;
use crate::clock::Clock;
use crate::escrow::{Escrow, Listed, Slot};
use crate::ids::RotationId;
use crate::provider::Provider;
use crate::rotation::{ClosedAs, State};
use crate::secret::Fingerprint;
use crate::vault::Store;

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Looks after this credential's slots while no rotation is open.
    ///
    /// `wanted` is a rotation whose intent may have been written, though the record does not show it yet.
    pub(super) async fn look_after_leftovers(
        &mut self,
        state: &State,
        wanted: Option<RotationId>,
    ) -> Result<(), Interruption> {
        self.conditions.retain(|condition| !condition.is_about_a_file());
        let name = self.credential.name.clone();
        let listed = self.on_disk(move |escrow| escrow.list(Some(&name))).await?;
        for slot in listed.into_iter().filter(|slot| Some(slot.rotation_id) != wanted) {
            self.look_after(state, slot).await?;
        }
        Ok(())
    }

    async fn look_after(&mut self, state: &State, listed: Listed) -> Result<(), Interruption> {
        let id = listed.rotation_id;
        let name = self.credential.name.clone();
        let slot = self.on_disk(move |escrow| escrow.slot(&name, id)).await?;
        let closed = state.history.iter().find(|closed| closed.rotation_id == id);
        let published = closed.and_then(|closed| match &closed.outcome {
            ClosedAs::Rotated { answer, .. } => Some(&answer.fingerprint),
            _ => None,
        });
        match slot {
            Slot::Missing => self.note("RESIDUE", format!(
                "{} holds what the provider said about rotation {id}, in a form that keyturn could not use; open it \
                 with age, and remove it when the key is safe",
                listed.path.display()
            )),
            Slot::Unsent => self.erase(id).await,
            Slot::Sent if closed.is_some() => self.erase(id).await,
            Slot::Sealed if self.is_sealed_in(id, published).await => self.erase(id).await,
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

    /// Whether the slot holds the very key that the closed rotation published, and nothing newer.
    async fn is_sealed_in(&self, id: RotationId, published: Option<&Fingerprint>) -> bool {
        let (Some(published), Some(identity)) = (published, self.identity(id)) else { return false };
        let name = self.credential.name.clone();
        let opened = self.on_disk(move |escrow| escrow.open(&name, id, &identity)).await;
        opened.is_ok_and(|answer| self.fingerprint(&answer.secret) == *published)
    }
}
