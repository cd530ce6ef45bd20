//! What one replica's escrow directory holds, in memory, and how its disk fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::escrow::{Error, SealedAnswer, Slot};
use crate::ids::{KeyId, RotationId};
use crate::secret::{Secret, SecretValue};

/// The disk work that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskCall {
    /// Preparing a slot.
    Prepare,
    /// Marking a slot as sent.
    MarkSent,
    /// Sealing an answer.
    Seal,
}

/// A key that a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The rotation.
    pub rotation_id: RotationId,
    /// The key.
    pub key: String,
    /// Which call of the rotation brought it.
    pub call: u32,
}

/// One replica's disk; it outlives the replica's restarts.
#[derive(Debug, Clone)]
pub struct FakeDisk {
    files: Arc<watch::Sender<Files>>,
}

#[derive(Debug, Default)]
struct Files {
    slots: BTreeMap<RotationId, File>,
    full_for: BTreeSet<DiskCall>,
    erased: Vec<SealedKey>,
    identities: usize,
    sealed: Vec<SealedKey>,
    residues: Vec<String>,
    seals_nothing: bool,
}

#[derive(Debug)]
enum File {
    Unsent,
    Sent,
    Sealed(Sealed),
}

#[derive(Debug)]
struct Sealed {
    identity: SecretValue,
    secret: Secret,
    previous_expires_at: Option<Timestamp>,
    received_at: Timestamp,
    call: u32,
    key_id: Option<KeyId>,
}

impl Default for FakeDisk {
    fn default() -> Self {
        let (files, _) = watch::channel(Files::default());
        Self { files: Arc::new(files) }
    }
}

impl FakeDisk {
    /// Has no space for this kind of work, until it recovers.
    pub fn fill_up(&self, call: DiskCall) {
        self.files.send_modify(|files| {
            files.full_for.insert(call);
        });
    }

    /// Has space again.
    pub fn recover(&self) {
        self.files.send_modify(|files| files.full_for.clear());
    }

    /// All slots, oldest rotation first.
    pub fn slots(&self) -> Vec<(RotationId, Slot)> {
        self.files.borrow().slots.iter().map(|(id, file)| (*id, file.slot())).collect()
    }

    /// The keys that slots hold.
    pub fn sealed(&self) -> Vec<SealedKey> {
        self.files.borrow().slots.iter().filter_map(|(id, file)| file.sealed_key(*id)).collect()
    }

    /// What was sealed beside the slots for a person, oldest first.
    pub fn residues(&self) -> Vec<String> {
        self.files.borrow().residues.clone()
    }

    /// The keys that were erased, or overwritten by a newer answer, oldest first.
    pub fn erased(&self) -> Vec<SealedKey> {
        self.files.borrow().erased.clone()
    }

    /// The keys that were erased or overwritten since this was last asked, oldest first.
    pub fn take_erased(&self) -> Vec<SealedKey> {
        let mut taken = Vec::new();
        self.files.send_if_modified(|files| {
            taken = std::mem::take(&mut files.erased);
            false
        });
        taken
    }

    /// The keys that it said it had sealed since this was last asked, oldest first.
    pub fn take_sealed(&self) -> Vec<SealedKey> {
        let mut taken = Vec::new();
        self.files.send_if_modified(|files| {
            taken = std::mem::take(&mut files.sealed);
            false
        });
        taken
    }

    /// Says that it has sealed every answer from now on, and keeps none: a defect, to see who notices.
    pub fn seal_nothing(&self) {
        self.files.send_modify(|files| files.seals_nothing = true);
    }

    pub(super) fn new_identity(&self) -> SecretValue {
        self.files.send_modify(|files| files.identities += 1);
        SecretValue::new(format!("identity-{}", self.files.borrow().identities))
    }

    pub(super) fn slot(&self, id: RotationId) -> Slot {
        self.files.borrow().slots.get(&id).map_or(Slot::Missing, File::slot)
    }

    pub(super) fn prepare(&self, id: RotationId) -> Result<(), Error> {
        self.has_space(DiskCall::Prepare, id)?;
        match self.slot(id) {
            Slot::Missing | Slot::Unsent => self.put(id, File::Unsent),
            Slot::Sent | Slot::Sealed => return Err(Error::Used { path: path(id) }),
        }
        Ok(())
    }

    pub(super) fn mark_sent(&self, id: RotationId) -> Result<(), Error> {
        self.has_space(DiskCall::MarkSent, id)?;
        if matches!(self.slot(id), Slot::Missing | Slot::Unsent) {
            self.put(id, File::Sent);
        }
        Ok(())
    }

    pub(super) fn seal(
        &self,
        id: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.has_space(DiskCall::Seal, id)?;
        self.files.send_modify(|files| {
            let key = answer.secret.key.expose().to_owned();
            files.sealed.push(SealedKey { rotation_id: id, key, call: answer.call });
        });
        if self.files.borrow().seals_nothing {
            return Ok(());
        }
        let sealed = Sealed {
            identity: identity.duplicate(),
            secret: answer.secret.duplicate(),
            previous_expires_at: answer.previous_expires_at,
            received_at: answer.received_at,
            call: answer.call,
            key_id: answer.key_id.clone(),
        };
        self.put(id, File::Sealed(sealed));
        Ok(())
    }

    pub(super) fn seal_residue(&self, id: RotationId, residue: &Secret) -> Result<(), Error> {
        self.has_space(DiskCall::Seal, id)?;
        self.files.send_modify(|files| files.residues.push(residue.key.expose().to_owned()));
        Ok(())
    }

    pub(super) fn open(&self, id: RotationId, identity: &SecretValue) -> Result<SealedAnswer, Error> {
        match self.files.borrow().slots.get(&id) {
            Some(File::Sealed(sealed)) if sealed.identity.expose() == identity.expose() => Ok(SealedAnswer {
                secret: sealed.secret.duplicate(),
                previous_expires_at: sealed.previous_expires_at,
                received_at: sealed.received_at,
                call: sealed.call,
                key_id: sealed.key_id.clone(),
            }),
            Some(File::Sealed(_)) => Err(Error::WrongIdentity { path: path(id) }),
            _ => Err(Error::NothingSealed { path: path(id) }),
        }
    }

    pub(super) fn erase(&self, id: RotationId) {
        self.files.send_modify(|files| {
            let file = files.slots.remove(&id);
            files.erased.extend(file.and_then(|file| file.sealed_key(id)));
        });
    }

    fn put(&self, id: RotationId, file: File) {
        self.files.send_modify(|files| {
            let before = files.slots.insert(id, file);
            files.erased.extend(before.and_then(|file| file.sealed_key(id)));
        });
    }

    fn has_space(&self, call: DiskCall, id: RotationId) -> Result<(), Error> {
        if !self.files.borrow().full_for.contains(&call) {
            return Ok(());
        }
        Err(Error::Disk { action: "write", path: path(id), source: io::ErrorKind::StorageFull.into() })
    }
}

/// Where a slot would be.
pub(super) fn path(id: RotationId) -> std::path::PathBuf {
    format!("/fake/{id}").into()
}

impl File {
    const fn slot(&self) -> Slot {
        match self {
            Self::Unsent => Slot::Unsent,
            Self::Sent => Slot::Sent,
            Self::Sealed(_) => Slot::Sealed,
        }
    }

    fn sealed_key(&self, rotation_id: RotationId) -> Option<SealedKey> {
        let Self::Sealed(sealed) = self else { return None };
        Some(SealedKey { rotation_id, key: sealed.secret.key.expose().to_owned(), call: sealed.call })
    }
}
