//! The escrow on a disk: one directory, one file per slot, every change by a durable rename.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt;
use std::path::Path;

use age::x25519;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::directory::{Directory, Lock};
use super::error::Error;
use super::listing::list;
use super::name::{FileName, Kind};
use super::sealed::{self, Sealing};
use super::{Escrow, Listed, SealedAnswer, Slot};
use crate::ids::{CredentialName, ReplicaId, RotationId};
use crate::secret::{Secret, SecretValue};

/// The escrow of this process, in a directory of its own.
#[derive(Debug)]
pub struct FileEscrow {
    directory: Directory,
    replica_id: ReplicaId,
    operators: Vec<x25519::Recipient>,
    _lock: Lock,
}

/// Room for one answer with its seal; a provider's answer is a few hundred bytes, its residue at most this.
const SLOT_BYTES: u64 = 128 * 1024;

impl FileEscrow {
    /// Opens the directory, creating it where there is none, and holds it until the escrow is dropped.
    ///
    /// `recipients` are the operators' break-glass recipients (`age1…`): every answer is sealed to them too.
    pub fn open(
        directory: impl AsRef<Path>,
        recipients: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        let operators = sealed::parse_recipients(recipients)?;
        let directory = Directory::create(directory.as_ref())?;
        let lock = directory.lock()?;
        let replica_id = directory.replica_id()?;
        Ok(Self { directory, replica_id, operators, _lock: lock })
    }

    /// This replica's id; it stays the same as long as the directory does.
    pub const fn replica_id(&self) -> ReplicaId {
        self.replica_id
    }

    /// The sealed answer as it is on the disk.
    pub(super) fn sealed_bytes(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
    ) -> Result<Vec<u8>, Error> {
        let name = file_name(credential, rotation, Kind::Sealed);
        let path = self.directory.join(&name);
        let file = self.directory.readable(&name).map_err(|error| error.or_nothing_sealed(&path))?;
        let mut sealed = Vec::new();
        file.take(SLOT_BYTES * 2).read_to_end(&mut sealed).map_err(Error::disk("read", &path))?;
        Ok(sealed)
    }

    /// Seals an answer beside the slot; gives what is on the disk now.
    pub(super) fn seal_apart(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<Vec<u8>, Error> {
        self.seal_residue_by(Sealing::of(credential, rotation, answer), identity, overwrite)
    }

    fn prepare_by(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        allocate: impl Fn(&File) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.directory.check_place()?;
        let name = |kind| file_name(credential, rotation, kind);
        match self.slot(credential, rotation)? {
            Slot::Missing => self.write_anew(&name(Kind::Scratch), &name(Kind::Unsent), allocate),
            // Its rename may have been seen before it was durable.
            Slot::Unsent => self.directory.sync(),
            Slot::Sent => Err(Error::Used { path: self.directory.join(&name(Kind::Sent)) }),
            Slot::Sealed => Err(Error::Used { path: self.directory.join(&name(Kind::Sealed)) }),
        }
    }

    /// Fills the file `from`, makes it durable and gives it the name `to`.
    fn write(&self, from: &str, to: &str, put: impl Fn(&File) -> io::Result<()>) -> Result<(), Error> {
        let file = self.directory.writable(from)?;
        let written = put(&file).and_then(|()| file.sync_all());
        written.map_err(Error::disk("write", &self.directory.join(from)))?;
        self.directory.rename(from, to)
    }

    /// The same from a scratch file, which keeps no space where that fails.
    fn write_anew(
        &self,
        scratch: &str,
        to: &str,
        put: impl Fn(&File) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.directory.remove(scratch)?;
        self.write(scratch, to, put).inspect_err(|_| drop(self.directory.remove(scratch)))
    }

    fn release_space(&self, slot: &str) -> Result<(), Error> {
        // Not created, or a slot would come into being that says something was sent.
        let Ok(file) = self.directory.rewritable(slot) else { return Ok(()) };
        let released = file.set_len(0).and_then(|()| file.sync_all());
        released.map_err(Error::disk("shorten", &self.directory.join(slot)))
    }

    fn seal_by(
        &self,
        content: Sealing<'_>,
        identity: &SecretValue,
        put: impl Fn(&File, &[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let sealed = sealed::seal(content, identity, &self.operators)?;
        let name = |kind| file_name(content.credential, content.rotation_id, kind);
        // The slot's own space; an answer without a slot that may be written takes new space.
        let may_be_written = |slot: &String| self.directory.rewritable(slot).is_ok();
        let own_space = [Kind::Sent, Kind::Unsent].map(name).into_iter().find(may_be_written);
        match own_space {
            Some(slot) => self.write(&slot, &name(Kind::Sealed), |file| put(file, &sealed)),
            None => self.write_anew(&name(Kind::Scratch), &name(Kind::Sealed), |file| put(file, &sealed)),
        }
    }

    fn seal_residue_by(
        &self,
        content: Sealing<'_>,
        identity: &SecretValue,
        put: impl Fn(&File, &[u8]) -> io::Result<()>,
    ) -> Result<Vec<u8>, Error> {
        let sealed = sealed::seal(content, identity, &self.operators)?;
        let name = |kind| file_name(content.credential, content.rotation_id, kind);
        let to = (1..=u32::MAX)
            .filter_map(NonZeroU32::new)
            .map(|number| name(Kind::Residue(number)))
            .find(|residue| !self.directory.holds(residue).unwrap_or(false))
            .unwrap_or_else(|| name(Kind::Residue(NonZeroU32::MIN)));
        let write = || self.write_anew(&name(Kind::Scratch), &to, |file| put(file, &sealed));
        match write() {
            // The body at hand may hold the only copy of a key; the space is kept for one that may never come.
            Err(error) if error.is_disk_full() => {
                self.release_space(&name(Kind::Sent))?;
                write()?;
            }
            other => other?,
        }
        Ok(sealed)
    }
}

impl Escrow for FileEscrow {
    fn new_identity(&self) -> SecretValue {
        sealed::new_identity()
    }

    fn prepare(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.prepare_by(credential, rotation, allocate)
    }

    fn mark_sent(&self, credential: &CredentialName, rotation: RotationId) -> Result<(), Error> {
        self.directory.check_place()?;
        let name = |kind| file_name(credential, rotation, kind);
        match self.slot(credential, rotation)? {
            Slot::Missing => self.write_anew(&name(Kind::Scratch), &name(Kind::Sent), allocate),
            Slot::Unsent => self.directory.rename(&name(Kind::Unsent), &name(Kind::Sent)),
            Slot::Sent | Slot::Sealed => self.directory.sync(),
        }
    }

    fn seal(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.seal_by(Sealing::of(credential, rotation, answer), identity, overwrite)
    }

    fn seal_residue(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        residue: &Secret,
    ) -> Result<(), Error> {
        let content = Sealing {
            credential,
            rotation_id: rotation,
            secret: residue,
            is_residue: true,
            previous_expires_at: None,
            received_at: None,
            call: None,
            key_id: None,
        };
        self.seal_residue_by(content, identity, overwrite).map(drop)
    }

    fn seal_beside(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
        answer: &SealedAnswer,
    ) -> Result<(), Error> {
        self.seal_apart(credential, rotation, identity, answer).map(drop)
    }

    fn slot(&self, credential: &CredentialName, rotation: RotationId) -> Result<Slot, Error> {
        let held = [(Kind::Sealed, Slot::Sealed), (Kind::Sent, Slot::Sent), (Kind::Unsent, Slot::Unsent)];
        for (kind, slot) in held {
            // An error ends it: an absence would mean "never sent".
            if self.directory.holds(&file_name(credential, rotation, kind))? {
                return Ok(slot);
            }
        }
        Ok(Slot::Missing)
    }

    fn open(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        identity: &SecretValue,
    ) -> Result<SealedAnswer, Error> {
        let name = file_name(credential, rotation, Kind::Sealed);
        let path = self.directory.join(&name);
        let file = self.directory.readable(&name).map_err(|error| error.or_nothing_sealed(&path))?;
        sealed::open_sealed(file, &path, identity)?.answer_of(credential, rotation, &path)
    }

    fn erase(
        &self,
        credential: &CredentialName,
        rotation: RotationId,
        sealed_by: Option<u32>,
    ) -> Result<(), Error> {
        let sealed = sealed_by.map(|_| Kind::Sealed);
        for kind in [Kind::Scratch, Kind::Unsent, Kind::Sent].into_iter().chain(sealed) {
            self.directory.remove(&file_name(credential, rotation, kind))?;
        }
        self.directory.sync()
    }

    fn list(&self, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
        list(self.directory.handle(), &self.directory.join(""), credential)
    }
}

fn file_name(credential: &CredentialName, rotation: RotationId, kind: Kind) -> String {
    FileName::new(credential, rotation, kind).to_string()
}

/// Takes the slot's space from the disk now.
fn allocate(mut file: &File) -> io::Result<()> {
    match rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, SLOT_BYTES)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            io::copy(&mut io::repeat(0).take(SLOT_BYTES), &mut file)?;
            file.flush()
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Writes over the file's own space, then gives the rest of it back.
fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use jiff::Timestamp;

    use super::*;

    fn full((): ()) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn names() -> (CredentialName, RotationId) {
        let id = "01999999-0000-7000-8000-000000000001";
        ("stripe".parse().unwrap(), id.parse().unwrap())
    }

    fn content<'a>(names: &'a (CredentialName, RotationId), secret: &'a Secret) -> Sealing<'a> {
        Sealing {
            credential: &names.0,
            rotation_id: names.1,
            secret,
            is_residue: false,
            previous_expires_at: None,
            received_at: Some(Timestamp::UNIX_EPOCH),
            call: Some(1),
            key_id: None,
        }
    }

    fn files(home: &tempfile::TempDir) -> usize {
        fs::read_dir(home.path().join("escrow")).unwrap().count()
    }

    fn file(home: &tempfile::TempDir, names: &(CredentialName, RotationId), kind: Kind) -> PathBuf {
        home.path().join("escrow").join(file_name(&names.0, names.1, kind))
    }

    fn escrow(home: &tempfile::TempDir) -> FileEscrow {
        FileEscrow::open(home.path().join("escrow"), Vec::<String>::new()).unwrap()
    }

    #[test]
    fn a_full_disk_shows_when_the_slot_is_prepared_and_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let (escrow, names) = (escrow(&home), names());
        let before = files(&home);
        let error = escrow.prepare_by(&names.0, names.1, |_| full(())).unwrap_err();
        assert_eq!(error.code(), "ESCROW_DISK_FULL");
        assert_eq!(escrow.slot(&names.0, names.1).unwrap(), Slot::Missing);
        assert_eq!(files(&home), before);
        escrow.prepare(&names.0, names.1).unwrap();
        assert_eq!(escrow.slot(&names.0, names.1).unwrap(), Slot::Unsent);
    }

    #[test]
    fn the_answer_is_written_into_the_space_that_was_taken_before_the_call() {
        let home = tempfile::tempdir().unwrap();
        let (escrow, names) = (escrow(&home), names());
        escrow.prepare(&names.0, names.1).unwrap();
        let prepared = fs::metadata(file(&home, &names, Kind::Unsent)).unwrap();
        assert!(prepared.blocks() * 512 >= SLOT_BYTES, "only {} blocks are taken", prepared.blocks());
        escrow.mark_sent(&names.0, names.1).unwrap();
        let secret = SecretValue::new("s".repeat(4096)).into();
        escrow.seal_by(content(&names, &secret), &escrow.new_identity(), overwrite).unwrap();
        let sealed = fs::metadata(file(&home, &names, Kind::Sealed)).unwrap();
        assert_eq!((sealed.dev(), sealed.ino()), (prepared.dev(), prepared.ino()), "a new file was made");
        assert!(sealed.len() < SLOT_BYTES);
        assert_eq!(sealed.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_write_that_fails_half_way_seals_nothing_and_can_be_made_again() {
        let home = tempfile::tempdir().unwrap();
        let (escrow, names) = (escrow(&home), names());
        escrow.mark_sent(&names.0, names.1).unwrap();
        let secret = SecretValue::new("canary".into()).into();
        let identity = escrow.new_identity();
        let half = |file: &File, bytes: &[u8]| {
            file.write_all_at(&bytes[..bytes.len() / 2], 0)?;
            full(())
        };
        escrow.seal_by(content(&names, &secret), &identity, half).unwrap_err();
        assert_eq!(escrow.slot(&names.0, names.1).unwrap(), Slot::Sent);
        assert_eq!(escrow.open(&names.0, names.1, &identity).unwrap_err().code(), "ESCROW_NOTHING_SEALED");
        escrow.seal_by(content(&names, &secret), &identity, overwrite).unwrap();
        escrow.open(&names.0, names.1, &identity).unwrap();
    }

    #[test]
    fn on_a_full_disk_a_residue_takes_the_slots_space() {
        let home = tempfile::tempdir().unwrap();
        let (escrow, names) = (escrow(&home), names());
        escrow.mark_sent(&names.0, names.1).unwrap();
        let slot = file(&home, &names, Kind::Sent);
        let full_until_released = |file: &File, bytes: &[u8]| match fs::metadata(&slot)?.len() {
            0 => overwrite(file, bytes),
            _ => full(()),
        };
        let secret = SecretValue::new("<html>".into()).into();
        escrow
            .seal_residue_by(content(&names, &secret), &escrow.new_identity(), full_until_released)
            .unwrap();
        assert_eq!(escrow.slot(&names.0, names.1).unwrap(), Slot::Sent);
        assert_eq!(escrow.list(None).unwrap().len(), 2);
    }
}
