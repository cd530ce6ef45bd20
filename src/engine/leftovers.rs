//! Escrow slots of rotations that are not open: erased where they hold nothing that matters, kept, reported and
//! handed to be settled where they may hold a key.

use super::hands::Hands;
use super::in_hand::{InHand, Kept};
use super::interruption::Interruption;
use crate::clock::Clock;
use crate::escrow::{Escrow, Listed, RESIDUE, Slot};
use crate::ids::RotationId;
use crate::provider::{self, Provider};
use crate::rotation::{ClosedAs, Standing, State};
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
        let known = std::mem::take(&mut self.chores.orphans);
        let name = self.credential.name.clone();
        let listed = self.on_disk(move |escrow| escrow.list(Some(&name))).await?;
        for slot in listed.into_iter().filter(|slot| Some(slot.rotation_id) != wanted) {
            self.look_after(state, slot).await?;
        }
        if self.chores.orphans.iter().any(|id| !known.contains(id)) {
            self.chores.ask_soon(self.clock.monotonic());
        }
        Ok(())
    }

    async fn look_after(&mut self, state: &State, listed: Listed) -> Result<(), Interruption> {
        let id = listed.rotation_id;
        if listed.holds == RESIDUE {
            self.note("RESIDUE", format!(
                "{} holds what the provider said about rotation {id} in a form that keyturn could not use, or the key of \
                 another call that a person's decision gave up; open it with age, and when the key is safe {REMOVE_IT}",
                listed.path.display()
            ));
            return Ok(());
        }
        let slot = self.slot(id).await?;
        let is_closed = state.history.iter().any(|closed| closed.rotation_id == id);
        match slot {
            // Erased since it was listed.
            Slot::Missing => {}
            Slot::Unsent => self.erase(id, None).await,
            Slot::Sent if is_closed => self.erase(id, None).await,
            Slot::Sent => self.note("ORPHAN_CALL", format!(
                "{} says that rotation {id} called the provider, but Vault's record knows nothing of it: the record \
                 was restored from a snapshot or deleted; check that the key in Vault works",
                listed.path.display()
            )),
            Slot::Sealed => {
                if let Some(call) = self.outdated_call(state, id).await {
                    self.erase(id, Some(call)).await;
                    return Ok(());
                }
                let what_next = self.what_becomes_of(state, id);
                self.note("ORPHAN_ANSWER", format!(
                    "{} holds an answer of rotation {id} that no rotation goes on with: it arrived after its claim was \
                     lost, or a person's decision gave it up. It is kept; {what_next}",
                    listed.path.display()
                ));
            }
        }
        Ok(())
    }

    /// Hands a sealed answer over to be settled, where that is possible; says in words what comes next.
    fn what_becomes_of(&mut self, state: &State, id: RotationId) -> String {
        if self.identity(id).is_none() {
            return format!(
                "the record has no identity that opens it (Vault was restored from a snapshot, or several rotations have \
                 begun since), so only an operator's break-glass key can: `age --decrypt`. If the key in Vault does not \
                 work, put this one there; then {REMOVE_IT}"
            );
        }
        if self.plan().creates.is_some() {
            self.chores.orphans.push_back(id);
            return "nobody needs its key, for it killed none: keyturn revokes it at the provider, and erases it here by \
                    itself"
                .to_owned();
        }
        if state.given_up() == Some(id) {
            return format!(
                "as a person decided about it, it is left alone. Check that the key in Vault works, then {REMOVE_IT}"
            );
        }
        if !self.can_ask() {
            return format!(
                "the provider has neither a read nor a probe, so keyturn cannot find out which key lives. Check that the \
                 key in Vault works, then {REMOVE_IT}"
            );
        }
        self.chores.orphans.push_back(id);
        let settled_by_hand = state
            .history
            .iter()
            .any(|closed| closed.rotation_id == id && matches!(closed.outcome, ClosedAs::Resolved { .. }));
        let what_next = if state.orphans.iter().any(|orphan| orphan.rotation_id == id) {
            "the provider accepts it and the key in Vault, so one rotation makes a key that is newer than both; if that \
             one is refused, rotate again"
        } else if settled_by_hand {
            "keyturn asks the provider which key lives, and erases it by itself if a newer one does; as a person \
             decided about its rotation, it is not published by itself"
        } else {
            "keyturn asks the provider which key lives, and publishes or erases it by itself; if it stays, check that \
             the key in Vault works"
        };
        what_next.to_owned()
    }

    /// Which call brought the key in the slot, if it is the very one that its rotation published, or one that the record
    /// says is outdated.
    async fn outdated_call(&mut self, state: &State, id: RotationId) -> Option<u32> {
        let in_hand = self.opened(id).await?;
        let key = self.fingerprint(&in_hand.answer.secret);
        // A call that keyturn's own key goes along with brings an older key back, if it comes late.
        let may_be_back =
            self.plan().supplies && state.last_rotated().is_some_and(|last| last.rotation_id != id);
        let published = !may_be_back
            && state.history.iter().any(|closed| match &closed.outcome {
                ClosedAs::Rotated { answer, .. } => closed.rotation_id == id && answer.fingerprint == key,
                _ => false,
            });
        let superseded = state.orphans.iter().any(|orphan| {
            orphan.rotation_id == id && orphan.fingerprint == key && orphan.standing == Standing::Superseded
        });
        if superseded {
            tracing::info!(credential = %self.credential.name, rotation_id = %id,
                "an orphan answer is erased: a newer key is published");
        }
        (published || superseded).then_some(in_hand.call)
    }

    /// The sealed answer of a rotation, where the record has what opens it.
    pub(super) async fn opened(&self, id: RotationId) -> Option<InHand> {
        let identity = self.identity(id)?;
        let name = self.credential.name.clone();
        let opens = identity.duplicate();
        let sealed = self.on_disk(move |escrow| escrow.open(&name, id, &opens)).await.ok()?;
        let (previous_expires_at, received_at) = (sealed.previous_expires_at, sealed.received_at);
        let answer = provider::Answer {
            secret: sealed.secret,
            previous_expires_at,
            received_at,
            key_id: sealed.key_id,
        };
        Some(InHand {
            rotation_id: id,
            call: sealed.call,
            answer,
            identity: Some(identity),
            kept: Kept::Slot,
        })
    }
}

/// The copy in a Kubernetes Secret is another place, and none takes the answer out of it for a person.
const REMOVE_IT: &str = "remove it: the file, and where copies are kept in a Kubernetes Secret its entry there, `<credential>.<rotation>.<call>`";
