//! The escrow of a pod: sealed files on its own disk, and, where that is configured, a copy of each outside the pod.

use super::error::Error;
use super::file::FileEscrow;
use super::mirror::{Entry, KubernetesSecret, Mirror};
use super::sealed::{open, parse_identity};
use super::{Escrow, Listed, SealedAnswer, Slot};
use crate::ids::{CredentialName, ReplicaId, RotationId};
use crate::secret::{Secret, SecretValue};

/// A directory, and perhaps a Kubernetes Secret with a copy of every sealed answer in it.
///
/// A copy stands for the file where this disk has no answer of its rotation. It is opened where it is and never becomes
/// a file: what is on the disk is this replica's own doing, and what is left over lies in one place for all replicas.
#[derive(Debug)]
pub struct MirroredEscrow {
    file: FileEscrow,
    mirror: Option<Mirror>,
}

impl MirroredEscrow {
    /// Keeps copies of what `file` seals in `secret`.
    pub fn new(file: FileEscrow, secret: Option<KubernetesSecret>) -> Self {
        Self { file, mirror: secret.map(Mirror::new) }
    }

    /// This replica's id; it stays the same as long as the directory does.
    pub const fn replica_id(&self) -> ReplicaId {
        self.file.replica_id()
    }

    /// Copies of a credential's answers that are not on this disk.
    fn copies_elsewhere(&self, credential: &CredentialName) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
        let Some(mirror) = &self.mirror else { return Ok(Vec::new()) };
        let mut copies = mirror.copies()?;
        copies.retain(|entry, _| entry.credential == *credential);
        let mut elsewhere = Vec::new();
        for (entry, sealed) in copies {
            if self.file.slot(credential, entry.rotation_id)? != Slot::Sealed {
                elsewhere.push((entry, sealed));
            }
        }
        Ok(elsewhere)
    }

    /// The copy of the newest call: an older one's key was replaced by it, as far as anybody knows.
    fn newest_copy(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
    ) -> Result<Option<(Entry, Vec<u8>)>, Error> {
        let copies = self.copies_elsewhere(credential)?;
        Ok(copies.into_iter().rfind(|(entry, _)| entry.rotation_id == rotation))
    }

    /// Copies what is sealed on the disk.
    fn copy(
        &self,
        credential: &CredentialName,
        rotation_id: RotationId,
        call: u32,
        sealed: &[u8],
    ) -> Result<(), Error> {
        let Some(mirror) = &self.mirror else { return Ok(()) };
        mirror.put(&Entry { credential: credential.clone(), rotation_id, call }, sealed)
    }

    /// Takes away the very copy of what is erased; another's, of the same call, may be another key's only one.
    fn erase_copy(&self, entry: &Entry) -> Result<(), Error> {
        let Some(mirror) = &self.mirror else { return Ok(()) };
        let file = match self.file.slot(&entry.credential, entry.rotation_id)? {
            Slot::Sealed => Some(self.file.sealed_bytes(&entry.credential, entry.rotation_id)?),
            Slot::Missing | Slot::Unsent | Slot::Sent => None,
        };
        let copies = mirror.copies()?;
        let own = copies.get(entry).filter(|copy| file.as_ref().is_none_or(|file| file == *copy));
        own.map_or(Ok(()), |_| mirror.remove(entry))
    }
}

impl Escrow for MirroredEscrow {
    fn new_identity(&self) -> SecretValue {
        self.file.new_identity()
    }

    fn prepare(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.mirror.as_ref().map_or(Ok(()), Mirror::check)?;
        self.file.prepare(credential, rotation)
    }

    fn mark_sent(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.file.mark_sent(credential, rotation)
    }

    fn seal(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.file.seal(credential, rotation, identity, answer)?;
        self.copy(credential, rotation, answer.call, &self.file.sealed_bytes(credential, rotation)?)
    }

    fn seal_residue(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        residue: &Secret,
    ) -> Result<(), Error> {
        self.file.seal_residue(credential, rotation, identity, residue)
    }

    fn seal_beside(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        let sealed = self.file.seal_apart(credential, rotation, identity, answer)?;
        self.copy(credential, rotation, answer.call, &sealed)
    }

    fn slot(&self, credential: &CredentialName, rotation: RotationId) -> Result<Slot, Error> {
        match self.file.slot(credential, rotation)? {
            Slot::Sealed => Ok(Slot::Sealed),
            here => Ok(self.newest_copy(credential, rotation)?.map_or(here, |_| Slot::Sealed)),
        }
    }

    fn open(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
    ) -> Result<SealedAnswer, Error> {
        let (Some(mirror), false) = (&self.mirror, self.file.slot(credential, rotation)? == Slot::Sealed)
        else {
            return self.file.open(credential, rotation, identity);
        };
        let Some((entry, sealed)) = self.newest_copy(credential, rotation)? else {
            return self.file.open(credential, rotation, identity);
        };
        let path = mirror.shown(&entry);
        open(&sealed, &parse_identity(identity)?, &path)?.answer_of(credential, rotation, &path)
    }

    fn erase(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        sealed_by: Option<u32>,
    ) -> Result<(), Error> {
        if let Some(call) = sealed_by {
            self.erase_copy(&Entry { credential: credential.clone(), rotation_id: rotation, call })?;
        }
        self.file.erase(credential, rotation, sealed_by)
    }

    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
        let mut listed = self.file.list(credential)?;
        let (Some(credential), Some(mirror)) = (credential, &self.mirror) else { return Ok(listed) };
        match self.copies_elsewhere(credential) {
            Ok(copies) => listed.extend(copies.into_iter().map(|(entry, _)| Listed {
                path: mirror.shown(&entry),
                credential: entry.credential,
                rotation_id: entry.rotation_id,
                holds: "sealed".to_owned(),
            })),
            // They are looked after at the next occasion; until then nothing waits for them.
            Err(error) => {
                tracing::warn!(%credential, %error, "copies of answers outside the pod were not looked at");
            }
        }
        Ok(listed)
    }
}
