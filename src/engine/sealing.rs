//! Bringing into escrow what must not be lost: the answer, and a body in which the key may be.

use super::crash;
use super::hands::Hands;
use super::in_hand::Kept;
use super::interruption::{Cause, Interruption};
use super::stopwatch::Share;
use crate::clock::Clock;
use crate::escrow::{Escrow, Slot};
use crate::ids::RotationId;
use crate::provider::Provider;
use crate::rotation::Event;
use crate::secret::{Secret, SecretValue};
use crate::vault::Store;

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// A body that gave no value may still hold the key: it is kept for a person.
    pub(super) async fn seal_residue(&mut self, id: RotationId, residue: Secret) {
        let Some(identity) = self.identity(id) else { return };
        let name = self.credential.name.clone();
        match self.on_disk(move |escrow| escrow.seal_residue(&name, id, &identity, &residue)).await {
            Ok(()) => self.note("RESIDUE", format!(
                "the provider reported success for rotation {id} in a form that keyturn could not use; what it \
                 said is sealed in escrow, and a person can open it there"
            )),
            Err(_) => self.note("RESIDUE_LOST", format!(
                "the provider reported success for rotation {id} in a form that keyturn could not use, and the \
                 disk refused to keep it"
            )),
        }
    }

    /// Seals the key in hand; the rotation goes on also where the disk refuses, for Vault is the better place.
    pub(super) async fn seal(&mut self) -> Event {
        let started = self.clock.monotonic();
        self.seal_in_hand().await;
        self.took(Share::Escrow, started);
        crash::point("after-seal");
        Event::Sealed { now: self.now() }
    }

    /// Seals the key of a rotation that a person gives up, for its close takes it out of the record.
    pub(super) async fn seal_for_keeping(&mut self, id: RotationId) -> Result<(), Interruption> {
        let kept =
            self.in_hand.as_ref().filter(|in_hand| in_hand.rotation_id == id).map(|in_hand| in_hand.kept);
        match kept {
            None => return self.seal_supplied(id).await,
            Some(Kept::Slot | Kept::Beside) => return Ok(()),
            Some(Kept::Nowhere | Kept::Record) => {}
        }
        if self.slot(id).await? == Slot::Sealed && !self.is_in_slot(id).await {
            return self.seal_beside_another(id).await;
        }
        self.now_kept(Kept::Nowhere);
        self.seal_in_hand().await;
        self.is_kept()
    }

    /// A key that keyturn chose may be the provider's though nothing proved it, and its close takes it out of the record.
    async fn seal_supplied(&mut self, id: RotationId) -> Result<(), Interruption> {
        let supplied = self.record.as_ref().and_then(|record| record.supplied.as_ref());
        let Some(residue) = supplied.map(|key| Secret::from(key.duplicate())) else { return Ok(()) };
        let Some(identity) = self.identity(id) else { return Ok(()) };
        let name = self.credential.name.clone();
        self.on_disk(move |escrow| escrow.seal_residue(&name, id, &identity, &residue)).await?;
        self.note("RESIDUE", format!(
            "rotation {id} was given up in doubt; the key that was chosen for it, which the provider may have taken, is \
             sealed in escrow, and a person can open it there"
        ));
        Ok(())
    }

    fn now_kept(&mut self, kept: Kept) {
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.kept = kept;
        }
    }

    /// Whether the slot has the very key in hand.
    async fn is_in_slot(&self, id: RotationId) -> bool {
        let (Some(in_hand), Some(sealed)) = (&self.in_hand, self.opened(id).await) else { return false };
        self.fingerprint(&sealed.answer.secret) == self.fingerprint(&in_hand.answer.secret)
    }

    /// The slot has the late answer of another call, which nobody else may have: both are kept.
    async fn seal_beside_another(&mut self, id: RotationId) -> Result<(), Interruption> {
        let Some(in_hand) = &self.in_hand else { return Ok(()) };
        let Some(identity) = in_hand.identity.as_ref().map(SecretValue::duplicate) else { return Ok(()) };
        let (name, sealed) = (self.credential.name.clone(), in_hand.to_be_sealed());
        self.on_disk(move |escrow| escrow.seal_beside(&name, id, &identity, &sealed)).await?;
        self.now_kept(Kept::Beside);
        Ok(())
    }

    /// Whether the key in hand may be let go: the escrow or the record has it.
    pub(super) fn is_kept(&self) -> Result<(), Interruption> {
        match &self.in_hand {
            Some(in_hand) if !in_hand.is_kept() && in_hand.identity.is_some() => {
                Err(Interruption::Held(Cause::new(
                    "ESCROW_DISK",
                    "an answer is not sealed yet; it is kept in memory until the disk takes it".to_owned(),
                )))
            }
            _ => Ok(()),
        }
    }

    /// Seals the key in hand, unless escrow or record have it.
    pub(super) async fn seal_in_hand(&mut self) {
        let Some(in_hand) = self.in_hand.as_ref().filter(|in_hand| !in_hand.is_kept()) else { return };
        let Some(identity) = in_hand.identity.as_ref().map(SecretValue::duplicate) else { return };
        let id = in_hand.rotation_id;
        let sealed = in_hand.to_be_sealed();
        let name = self.credential.name.clone();
        match self.on_disk(move |escrow| escrow.seal(&name, id, &identity, &sealed)).await {
            Ok(()) => self.now_kept(Kept::Slot),
            Err(Interruption::Held(cause)) => self.note(
                cause.code,
                format!(
                    "the escrow refused the answer of rotation {id} ({}); the key is held in memory until Vault has it",
                    cause.message
                ),
            ),
            Err(Interruption::Reload | Interruption::Stop) => {}
        }
    }
}
