//! The Unix socket's file: bound without a moment of open doors, replaced only when dead, removed only when ours.

use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, open};
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tracing::{info, warn};

use super::listen::{Error, UnixOptions};
use super::workshop::Workshop;

/// How long a process that holds the socket has to take a connection; one that takes none is alive all the same.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(1);
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Binds the socket.
///
/// A file beside it is locked meanwhile, so that of two processes that start together neither takes the other's
/// socket for a dead one.
pub(super) async fn bind(options: &UnixOptions) -> Result<(UnixListener, SocketFile), Error> {
    let path = options.path.as_path();
    let _lock = lock(path)?;
    warn_of_open_directory(path);
    clear_the_way(path).await?;
    let workshop = Workshop::open(path)?;
    let listener = workshop.make(options.mode)?;
    let file = workshop.put_in_place(path)?;
    Ok((listener, file))
}

/// Holds the lock of this socket until it is dropped; the empty file stays, for removing it would race.
///
/// Only keyturn's own user can open the file. What others can open, such as the directory, they can lock too, and
/// so keep keyturn from starting.
fn lock(path: &Path) -> Result<File, Error> {
    let directory = directory_of(path);
    let lock_path = beside(path, ".lock");
    let failed = |action| {
        let path = lock_path.clone();
        move |errno: Errno| Error::Socket { action, path, source: errno.into() }
    };
    if !fs::metadata(&directory).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::NoDirectory { path: directory });
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = open(&lock_path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| match errno {
        // A link, a file of another user, a directory, a socket.
        Errno::LOOP | Errno::ACCESS | Errno::ISDIR | Errno::NXIO => {
            Error::ForeignFile { path: lock_path.clone() }
        }
        errno => failed("open")(errno),
    })?;
    let stat = fstat(&opened).map_err(failed("look at"))?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_uid != geteuid().as_raw() {
        return Err(Error::ForeignFile { path: lock_path });
    }
    fchmod(&opened, Mode::RUSR | Mode::WUSR).map_err(failed("set the mode of"))?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(opened.into()),
        Err(Errno::WOULDBLOCK) => Err(Error::SocketInUse { path: path.to_owned() }),
        Err(errno) => Err(failed("lock")(errno)),
    }
}

/// The file of the same name with an ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Not refused, because the volumes that containers share are often like this.
fn warn_of_open_directory(path: &Path) {
    let directory = directory_of(path);
    let open =
        |metadata: Metadata| metadata.mode() & WRITABLE_BY_OTHERS != 0 && metadata.mode() & STICKY == 0;
    if fs::metadata(&directory).is_ok_and(open) {
        warn!(directory = %directory.display(),
            "every local user can replace the socket, because everybody may write to its directory");
    }
}

pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Removes a socket on which nobody answers any more.
async fn clear_the_way(path: &Path) -> Result<(), Error> {
    let failed = |action| move |source| Error::Socket { action, path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotASocket { path: path.to_owned() });
    }
    match tokio::time::timeout(ALIVE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            info!(path = %path.display(), "replacing the socket that a dead process left behind");
            fs::remove_file(path).map_err(failed("remove the dead socket"))
        }
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
            Err(failed("find out whether a process answers on")(error))
        }
        Ok(_) | Err(_) => Err(Error::SocketInUse { path: path.to_owned() }),
    }
}

/// A bound socket's file; dropping it removes the file, unless another process has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// The file that has this device and inode.
    pub(super) fn new(path: &Path, identity: (u64, u64)) -> Self {
        Self { path: path.to_owned(), identity }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _lock = lock(&self.path);
        let still_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity);
        if !still_ours {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "the socket could not be removed; the next start replaces it");
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
