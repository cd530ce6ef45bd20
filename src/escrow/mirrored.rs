//! The escrow of a pod: sealed files on its own disk, and, where that is configured, a copy of each outside the pod.

use super::error::Error;
use super::file::FileEscrow;
use super::mirror::{Entry, KubernetesSecret, Mirror};
use super::{Escrow, Listed, SealedAnswer, Slot};
use crate::ids::{CredentialName, ReplicaId, RotationId};
use crate::secret::{Secret, SecretValue};

/// A directory, and perhaps a Kubernetes Secret with a copy of every sealed answer in it.
///
/// A copy that no file stands for becomes a file before it is opened, so that what is on the disk is all that counts.
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
        let Some(mirror) = &self.mirror else { return Ok(()) };
        let entry = Entry { credential: credential.clone(), rotation_id: rotation, call: answer.call };
        mirror.put(&entry, &self.file.sealed_bytes(credential, rotation)?)
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

    fn slot(&self, credential: &CredentialName, rotation: RotationId) -> Result<Slot, Error> {
        let here = self.file.slot(credential, rotation)?;
        if here == Slot::Sealed {
            return Ok(here);
        }
        // The copy of the newest call: an older one's key was replaced by it, as far as anybody knows.
        let copies = self.copies_elsewhere(credential)?;
        match copies.into_iter().rfind(|(entry, _)| entry.rotation_id == rotation) {
            Some((_, sealed)) => self.file.adopt(credential, rotation, &sealed).map(|()| Slot::Sealed),
            None => Ok(here),
        }
    }

    fn open(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
    ) -> Result<SealedAnswer, Error> {
        self.file.open(credential, rotation, identity)
    }

    /// Erases the file and its very copy; that of another call may be another key's only one.
    fn erase(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        if let (Some(mirror), Slot::Sealed) = (&self.mirror, self.file.slot(credential, rotation)?) {
            let sealed = self.file.sealed_bytes(credential, rotation)?;
            let copies = mirror.copies()?;
            let own: Vec<_> =
                copies.iter().filter(|(_, copy)| **copy == sealed).map(|(entry, _)| entry).collect();
            if !own.is_empty() {
                mirror.remove(&own)?;
            }
        }
        self.file.erase(credential, rotation)
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
