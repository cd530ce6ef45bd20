//! What an escrow directory is worth, looked at from outside: safe beside a running keyturn, and leaves no trace.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatvfs, openat};
use rustix::io::Errno;

use super::directory::Directory;
use super::error::Error;

/// What was seen of an escrow directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// The free space for keyturn's user, in bytes.
    pub free_bytes: u64,
    /// Whether a file could be written and synced; `None` where the file system has no unnamed files to try it with,
    /// so that only the directory was synced.
    pub wrote: Option<()>,
}

/// Looks at a directory that exists: whose it is, who can enter it, how much fits in, whether it can be synced.
///
/// Takes no lock and creates no name, so a keyturn that starts meanwhile notices nothing.
pub fn examine_directory(path: &Path) -> Result<Examined, Error> {
    let directory = Directory::open(path)?;
    let space = fstatvfs(directory.handle()).map_err(|errno| Error::disk("look at", path)(errno.into()))?;
    let wrote =
        write_unnamed(&directory).map_err(|error| Error::disk("write and sync a file in", path)(error))?;
    directory.sync()?;
    Ok(Examined { free_bytes: space.f_bavail.saturating_mul(space.f_frsize), wrote })
}

fn write_unnamed(directory: &Directory) -> std::io::Result<Option<()>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = match openat(directory.handle(), ".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(handle) => File::from(handle),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    Ok(Some(()))
}
