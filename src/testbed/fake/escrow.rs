//! One replica's view of its fake disk.

use std::io;

use super::disk::{FakeDisk, path};
use super::life::Life;
use crate::escrow::{Error, Escrow, Listed, SealedAnswer, Slot};
use crate::ids::{CredentialName, RotationId};
use crate::secret::{Secret, SecretValue};

/// The escrow of one life of one replica, which has one credential.
#[derive(Debug)]
pub struct FakeEscrow {
    disk: FakeDisk,
    life: Life,
}

impl FakeEscrow {
    /// An escrow on `disk`, as long as `life` lasts.
    pub const fn new(disk: FakeDisk, life: Life) -> Self {
        Self { disk, life }
    }

    /// Runs disk work; of a life that ended nobody hears the answer.
    fn run<T>(&self, name: &'static str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let unheard = || Error::Disk {
            action: name,
            path: "/fake".into(),
            source: io::Error::other("the fake process has died"),
        };
        self.life.run_blocking(name, act).unwrap_or_else(|| Err(unheard()))
    }
}

impl Escrow for FakeEscrow {
    const BLOCKS: bool = false;

    fn new_identity(&self) -> SecretValue {
        self.disk.new_identity()
    }

    fn prepare(&self, _credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.run("prepare", || self.disk.prepare(rotation))
    }

    fn mark_sent(&self, _credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.run("mark sent", || self.disk.mark_sent(rotation))
    }

    fn seal(
        &self,
        _credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.run("seal", || self.disk.seal(rotation, identity, answer))
    }

    fn seal_residue(
        &self,
        _credential: &CredentialName,
        rotation: RotationId,
        _identity: &SecretValue,
        residue: &Secret,
    ) -> Result<(), Error> {
        self.run("seal residue", || self.disk.seal_residue(rotation, residue))
    }

    fn seal_beside(
        &self,
        _credential: &CredentialName,
        rotation: RotationId,
        _identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.run("seal beside", || self.disk.seal_residue(rotation, &answer.secret))
    }

    fn slot(&self, _credential: &CredentialName, rotation: RotationId) -> Result<Slot, Error> {
        self.run("slot", || Ok(self.disk.slot(rotation)))
    }

    fn open(
        &self,
        _credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
    ) -> Result<SealedAnswer, Error> {
        self.run("open", || self.disk.open(rotation, identity))
    }

    fn erase(
        &self,
        _credential: &CredentialName,
        rotation: RotationId,
        sealed_by: Option<u32>,
    ) -> Result<(), Error> {
        self.run("erase", || {
            if sealed_by.is_some() || self.disk.slot(rotation) != Slot::Sealed {
                self.disk.erase(rotation);
            }
            Ok(())
        })
    }

    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
        let Some(credential) = credential else { return Ok(Vec::new()) };
        self.run("list", || {
            let listed = self.disk.slots().into_iter().map(|(rotation_id, slot)| Listed {
                credential: credential.clone(),
                rotation_id,
                holds: format!("{slot:?}").to_lowercase(),
                path: path(rotation_id),
            });
            Ok(listed.collect())
        })
    }
}
