//! What lies in an escrow directory; looks only, so it needs no lock.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};

use super::Listed;
use super::directory::{LOCK_FILE, REPLICA_FILE, open_directory, open_unfollowed};
use super::error::Error;
use super::name::FileName;
use crate::ids::CredentialName;

/// Lists the slots and residues in a directory, oldest rotation first, of one credential or of all.
///
/// Safe beside a running keyturn. Files that keyturn did not write, or that are no longer what it wrote, are
/// named in one warning in the log and left alone.
pub fn list_directory(path: &Path, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
    list(open_directory(path)?, path, credential)
}

/// The same of an open directory; `path` is what its files are shown under.
pub(super) fn list(
    directory: impl AsFd,
    path: &Path,
    credential: Option<&CredentialName>,
) -> Result<Vec<Listed>, Error> {
    let failed = |errno: rustix::io::Errno| Error::disk("list", path)(errno.into());
    let mut listed = Vec::new();
    let mut strange = Vec::new();
    for entry in Dir::read_from(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        match classify(&directory, path, name) {
            Class::Listed(file) if credential.is_none_or(|name| *name == file.credential) => {
                listed.push(file);
            }
            Class::Listed(_) | Class::Own => {}
            Class::Strange(why) => strange.push(format!("{} ({why})", name.display())),
        }
    }
    if !strange.is_empty() {
        strange.sort();
        tracing::warn!(
            directory = %path.display(),
            files = strange.join(", "),
            "the escrow directory holds files that keyturn cannot use; they are left alone, look at them"
        );
    }
    listed.sort_by_key(|file| (file.rotation_id, file.path.clone()));
    Ok(listed)
}

enum Class {
    Listed(Listed),
    Own,
    Strange(&'static str),
}

fn classify(directory: impl AsFd, path: &Path, file_name: &OsStr) -> Class {
    let Some(text) = file_name.to_str() else { return Class::Strange("foreign") };
    if matches!(text, "." | ".." | LOCK_FILE | REPLICA_FILE) {
        return Class::Own;
    }
    let Some(name) = FileName::parse(text) else { return Class::Strange("foreign") };
    let found = statat(&directory, file_name, AtFlags::SYMLINK_NOFOLLOW);
    if !found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile) {
        return Class::Strange("no regular file");
    }
    // What a crash left half-written means nothing and is overwritten or erased with its slot.
    let Some(holds) = name.kind.word() else { return Class::Own };
    if name.kind.is_sealed() && !begins_like_age(&directory, file_name) {
        return Class::Strange("damaged");
    }
    Class::Listed(Listed {
        credential: name.credential,
        rotation_id: name.rotation_id,
        holds: holds.into(),
        path: path.join(file_name),
    })
}

const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";

fn begins_like_age(directory: impl AsFd, file_name: &OsStr) -> bool {
    let read = || -> io::Result<[u8; AGE_MAGIC.len()]> {
        let mut start = [0; AGE_MAGIC.len()];
        let (mut file, metadata) = open_unfollowed(directory, file_name.as_ref(), OFlags::RDONLY)?;
        // What is no regular file could be without an end, or have none to begin with.
        if metadata.is_file() {
            file.read_exact(&mut start)?;
        }
        Ok(start)
    };
    read().is_ok_and(|start| start == AGE_MAGIC)
}
