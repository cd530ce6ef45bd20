//! The escrow directory: closed to others, held by one process, and the home of the replica's id.
//!
//! Its files are reached through the open handle alone, so whoever may write to its parent can put another
//! directory in its place, and keyturn goes on in its own.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
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
        let directory = Self { path: path.to_owned(), handle: open_directory(path)? };
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
        if metadata.uid() != own_uid() {
            return insecure("belongs to another user");
        }
        if metadata.mode() & 0o077 != 0 {
            return insecure("can be entered by its group or by everybody");
        }
        Ok(())
    }

    /// Whether the configured path still leads here; a restart would look for the answer there.
    pub(super) fn check_place(&self) -> Result<(), Error> {
        let held = self.handle.metadata().map_err(Error::disk("look at", &self.path))?;
        match self.path.symlink_metadata() {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::disk("look at", &self.path)(error))
            }
            _ => Err(Error::Moved { path: self.path.clone() }),
        }
    }

    /// The path of one file in it, for people; keyturn itself opens none by it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The open directory.
    pub(super) fn handle(&self) -> impl AsFd {
        self.handle.as_fd()
    }

    /// Opens a file for reading.
    pub(super) fn readable(&self, name: &str) -> Result<File, Error> {
        self.open_own(name, OFlags::RDONLY)
    }

    /// Opens a file for writing, content kept, creating it for nobody but us.
    pub(super) fn writable(&self, name: &str) -> Result<File, Error> {
        self.open_own(name, OFlags::WRONLY | OFlags::CREATE)
    }

    /// The same of a file that must be there already.
    pub(super) fn rewritable(&self, name: &str) -> Result<File, Error> {
        self.open_own(name, OFlags::WRONLY)
    }

    fn open_own(&self, name: &str, access: OFlags) -> Result<File, Error> {
        let path = self.join(name);
        let opened = open_unfollowed(&self.handle, name.as_ref(), access);
        let (file, metadata) = opened.map_err(Error::disk("open", &path))?;
        if !metadata.is_file() || metadata.uid() != own_uid() {
            return Err(Error::Damaged { path, cause: "it is no regular file of keyturn's own user" });
        }
        // A second name, such as a backup of hard links has, may be read but not written under.
        if access.contains(OFlags::WRONLY) && metadata.nlink() != 1 {
            return Err(Error::Damaged {
                path,
                cause: "it has a second name (hard link), so it is not written",
            });
        }
        Ok(file)
    }

    /// Whether there is anything of that name. A disk error is not taken for an absence.
    pub(super) fn holds(&self, name: &str) -> Result<bool, Error> {
        match retry_on_intr(|| statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::disk("look at", &self.join(name))(errno.into())),
        }
    }

    /// Gives a file another name, durably.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        renameat(&self.handle, from, &self.handle, to)
            .map_err(|errno| Error::disk("rename", &self.join(from))(errno.into()))?;
        self.sync()
    }

    /// Removes a file; none to remove is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::disk("remove", &self.join(name))(errno.into())),
        }
    }

    /// Makes creations, renames and removals in it durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.handle.sync_all().map_err(Error::disk("sync", &self.path))
    }

    /// Takes the directory for this process.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let file = self.writable(LOCK_FILE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: self.path.clone() }),
            Err(errno) => Err(Error::disk("lock", &self.join(LOCK_FILE))(errno.into())),
        }
    }

    /// The replica's id; made and kept at the first call.
    pub(super) fn replica_id(&self) -> Result<ReplicaId, Error> {
        match self.readable(REPLICA_FILE) {
            Ok(file) => read_replica_id(file, &self.join(REPLICA_FILE)),
            Err(error) if error.is_missing() => self.make_replica_id(),
            Err(error) => Err(error),
        }
    }

    fn make_replica_id(&self) -> Result<ReplicaId, Error> {
        let id = ReplicaId::from_uuid(Uuid::now_v7());
        let mut file = self.writable(REPLICA_SCRATCH)?;
        let mut write = || {
            file.set_len(0)?;
            writeln!(file, "{id}")?;
            file.sync_all()
        };
        write().map_err(Error::disk("write", &self.join(REPLICA_SCRATCH)))?;
        self.rename(REPLICA_SCRATCH, REPLICA_FILE)?;
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

/// Opens a directory, never through a symbolic link.
pub(super) fn open_directory(path: &Path) -> Result<File, Error> {
    // Without its last slash, or a symbolic link would be followed after all.
    let path: PathBuf = path.components().collect();
    let opened = open_unfollowed(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY);
    opened.map(|(handle, _)| handle).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP | Errno::NOTDIR) => {
            Error::InsecureDirectory { path: path.clone(), why: "is a symbolic link or no directory" }
        }
        _ => Error::disk("open", &path)(error),
    })
}

/// Opens what has this name, never through a symbolic link, and never waiting for the other end of a pipe.
pub(super) fn open_unfollowed(at: impl AsFd, name: &Path, access: OFlags) -> io::Result<(File, Metadata)> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(retry_on_intr(|| openat(&at, name, flags, Mode::RUSR | Mode::WUSR))?);
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
