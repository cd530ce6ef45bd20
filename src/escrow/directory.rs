//! The escrow directory: closed to others, held by one process, and the home of the replica's id.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use uuid::Uuid;

use super::error::Error;
use crate::ids::ReplicaId;

/// An open directory that nobody else can look into.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    handle: File,
}

/// Holds the directory for this process until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

pub(super) const LOCK_FILE: &str = "lock";
pub(super) const REPLICA_FILE: &str = "replica-id";
const REPLICA_SCRATCH: &str = "replica-id.tmp";

impl Directory {
    /// Opens the directory as it is; what is not safe is refused.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Without its last slash, or a symbolic link would be followed after all.
        let path: PathBuf = path.components().collect();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = open(&path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => {
                Error::InsecureDirectory { path: path.clone(), why: "is a symbolic link or no directory" }
            }
            errno => Error::disk("open", &path)(errno.into()),
        })?;
        let directory = Self { path, handle: handle.into() };
        directory.check()?;
        Ok(directory)
    }

    /// Creates the directory where there is none, then opens it.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(Error::disk("create the directory", path))?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let parent_handle = File::open(parent).map_err(Error::disk("open", parent))?;
                parent_handle.sync_all().map_err(Error::disk("sync", parent))?;
            }
        }
        Self::open(path)
    }

    fn check(&self) -> Result<(), Error> {
        let insecure = |why| Err(Error::InsecureDirectory { path: self.path.clone(), why });
        let metadata = self.handle.metadata().map_err(Error::disk("look at", &self.path))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return insecure("belongs to another user");
        }
        if metadata.mode() & 0o077 != 0 {
            return insecure("can be entered by its group or by everybody");
        }
        Ok(())
    }

    /// The path of one file in it.
    pub(super) fn join(&self, name: impl std::fmt::Display) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Makes creations, renames and removals in it durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.handle.sync_all().map_err(Error::disk("sync", &self.path))
    }

    /// Takes the directory for this process.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let path = self.join(LOCK_FILE);
        let file = writable(&path).map_err(Error::disk("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: self.path.clone() }),
            Err(errno) => Err(Error::disk("lock", &path)(errno.into())),
        }
    }

    /// The replica's id; made and kept at the first call.
    pub(super) fn replica_id(&self) -> Result<ReplicaId, Error> {
        let path = self.join(REPLICA_FILE);
        match readable(&path) {
            Ok(file) => read_replica_id(file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_replica_id(&path),
            Err(error) => Err(Error::disk("open", &path)(error)),
        }
    }

    fn make_replica_id(&self, path: &Path) -> Result<ReplicaId, Error> {
        let id = ReplicaId::from_uuid(Uuid::now_v7());
        let scratch = self.join(REPLICA_SCRATCH);
        let write = || {
            let mut file = writable(&scratch)?;
            file.set_len(0)?;
            writeln!(file, "{id}")?;
            file.sync_all()?;
            std::fs::rename(&scratch, path)
        };
        write().map_err(Error::disk("write", path))?;
        self.sync()?;
        Ok(id)
    }
}

fn read_replica_id(file: File, path: &Path) -> Result<ReplicaId, Error> {
    let mut text = String::new();
    let damaged = Error::Damaged { path: path.to_owned(), cause: "it does not hold a UUID" };
    match file.take(64).read_to_string(&mut text) {
        Ok(_) => text.trim_end().parse().map_err(|_| damaged),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged),
        Err(error) => Err(Error::disk("read", path)(error)),
    }
}

/// Opens a file for reading; never through a symbolic link.
pub(super) fn readable(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(rustix_flags(OFlags::NOFOLLOW)).open(path)
}

/// Opens a file for writing, content kept, creating it for nobody but us; never through a symbolic link.
pub(super) fn writable(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix_flags(OFlags::NOFOLLOW))
        .open(path)
}

fn rustix_flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
