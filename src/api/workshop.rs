//! The closed directory in which a socket is made before anybody sees it.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, chmodat, fchmod, fstat, mkdir, open, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixSocket};
use tracing::warn;

use super::listen::Error;
use super::socket::{SocketFile, beside};

/// How many clients may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The socket's name inside.
const NAME: &str = "s";

/// A directory beside the socket that only this user can enter; dropping it removes it.
///
/// A socket has the umask's mode at first, and to set another by path would follow whatever somebody put in its
/// place. In here nobody can; everything goes by the directory's descriptor, whatever happens to its name.
#[derive(Debug)]
pub(super) struct Workshop {
    path: PathBuf,
    directory: OwnedFd,
}

impl Workshop {
    /// Opens the workshop of the socket at `socket`, under its lock. One that a dead process left is taken over.
    pub(super) fn open(socket: &Path) -> Result<Self, Error> {
        let path = beside(socket, ".new");
        let foreign = || Error::ForeignFile { path: path.clone() };
        match mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::ACCESS) => return Err(foreign()),
            Err(errno) => return Err(failed(&path, "create", errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR | Errno::ACCESS => foreign(),
            errno => failed(&path, "open", errno),
        })?;
        let stat = fstat(&directory).map_err(|errno| failed(&path, "look at", errno))?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(foreign());
        }
        fchmod(&directory, Mode::RWXU).map_err(|errno| failed(&path, "set the mode of", errno))?;
        match unlinkat(&directory, NAME, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(Self { path, directory }),
            Err(errno) => Err(failed(&path, "empty", errno)),
        }
    }

    /// Makes a socket of this mode that listens already.
    pub(super) fn make(&self, mode: u32) -> Result<UnixListener, Error> {
        let failed = |action| move |source| Error::Socket { action, path: self.path.clone(), source };
        let socket = UnixSocket::new_stream().map_err(failed("create a socket for"))?;
        // By the descriptor: short enough for a socket's address wherever the directory is.
        let inside = format!("/proc/self/fd/{}/{NAME}", self.directory.as_raw_fd());
        socket.bind(inside).map_err(failed("bind in"))?;
        chmodat(&self.directory, NAME, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(|errno| failed("set the mode of the socket in")(errno.into()))?;
        socket.listen(BACKLOG).map_err(failed("listen in"))
    }

    /// Moves the socket to where clients look for it, in one step.
    pub(super) fn put_in_place(self, socket: &Path) -> Result<SocketFile, Error> {
        let made = statat(&self.directory, NAME, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(&self.path, "look into", errno))?;
        renameat(&self.directory, NAME, CWD, socket)
            .map_err(|errno| failed(socket, "put the socket at", errno))?;
        Ok(SocketFile::new(socket, (made.st_dev, made.st_ino)))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        unlinkat(&self.directory, NAME, AtFlags::empty()).ok();
        if let Err(error) = std::fs::remove_dir(&self.path) {
            warn!(path = %self.path.display(), %error, "a directory could not be removed; the next start does it");
        }
    }
}

fn failed(path: &Path, action: &'static str, errno: Errno) -> Error {
    Error::Socket { action, path: path.to_owned(), source: errno.into() }
}
