//! Escrow for one rehearsal, in memory: what would be sealed is an invented key.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::death::{Death, Moment};
use crate::escrow::{Error, Escrow, Listed, SealedAnswer, Slot};
use crate::ids::{CredentialName, RotationId};
use crate::secret::{Secret, SecretValue};

/// The slots of one credential.
#[derive(Debug)]
pub(super) struct MemoryEscrow {
    death: Arc<Death>,
    slots: watch::Sender<BTreeMap<RotationId, (Slot, Option<SealedAnswer>)>>,
}

impl MemoryEscrow {
    pub(super) fn new(death: Arc<Death>) -> Self {
        Self { death, slots: watch::Sender::default() }
    }

    fn put(&self, rotation: RotationId, slot: Slot, answer: Option<SealedAnswer>) {
        self.slots.send_modify(|slots| {
            slots.insert(rotation, (slot, answer));
        });
    }
}

impl Escrow for MemoryEscrow {
    const BLOCKS: bool = false;

    fn new_identity(&self) -> SecretValue {
        SecretValue::new("an identity that opens nothing".to_owned())
    }

    fn prepare(&self, _: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.put(rotation, Slot::Unsent, None);
        Ok(())
    }

    fn mark_sent(&self, _: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.put(rotation, Slot::Sent, None);
        Ok(())
    }

    fn seal(
        &self,
        _: &CredentialName,
        rotation: RotationId,
        _: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.put(rotation, Slot::Sealed, Some(copy(answer)));
        self.death.approach(Moment::AfterSealing);
        Ok(())
    }

    fn seal_residue(
        &self,
        _: &CredentialName,
        _: RotationId,
        _: &SecretValue,
        _: &Secret,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn seal_beside(
        &self,
        _: &CredentialName,
        _: RotationId,
        _: &SecretValue,
        _: &SealedAnswer,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn slot(&self, _: &CredentialName, rotation: RotationId) -> Result<Slot, Error> {
        Ok(self.slots.borrow().get(&rotation).map_or(Slot::Missing, |(slot, _)| *slot))
    }

    fn open(&self, _: &CredentialName, rotation: RotationId, _: &SecretValue) -> Result<SealedAnswer, Error> {
        let slots = self.slots.borrow();
        let sealed = slots.get(&rotation).and_then(|(_, answer)| answer.as_ref());
        sealed.map(copy).ok_or_else(|| Error::Disk {
            action: "open",
            path: rotation.to_string().into(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    fn erase(&self, _: &CredentialName, rotation: RotationId, sealed_by: Option<u32>) -> Result<(), Error> {
        self.slots.send_modify(|slots| {
            slots.retain(|id, (slot, _)| *id != rotation || *slot == Slot::Sealed && sealed_by.is_none());
        });
        Ok(())
    }

    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
        let Some(credential) = credential else { return Ok(Vec::new()) };
        let slots = self.slots.borrow();
        let listed = slots.iter().map(|(rotation_id, (slot, _))| Listed {
            credential: credential.clone(),
            rotation_id: *rotation_id,
            holds: format!("{slot:?}").to_lowercase(),
            path: rotation_id.to_string().into(),
        });
        Ok(listed.collect())
    }
}

fn copy(answer: &SealedAnswer) -> SealedAnswer {
    SealedAnswer {
        secret: answer.secret.duplicate(),
        previous_expires_at: answer.previous_expires_at,
        received_at: answer.received_at,
        call: answer.call,
        key_id: answer.key_id.clone(),
    }
}
