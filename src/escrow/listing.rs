//! What lies in an escrow directory; looks only, so it needs no lock.

use std::io::{self, Read};
use std::path::Path;

use super::Listed;
use super::directory::{LOCK_FILE, REPLICA_FILE, readable};
use super::error::Error;
use super::name::FileName;
use crate::ids::CredentialName;

/// Lists the slots and residues in a directory, oldest rotation first, of one credential or of all.
///
/// Safe beside a running keyturn. Files that keyturn did not write, or that are no longer what it wrote, are
/// named in one warning in the log and left alone.
pub fn list_directory(path: &Path, credential: Option<&CredentialName>) -> Result<Vec<Listed>, Error> {
    let mut listed = Vec::new();
    let mut strange = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::disk("list", path))? {
        let entry = entry.map_err(Error::disk("list", path))?;
        match classify(&entry) {
            Class::Listed(file) if credential.is_none_or(|name| *name == file.credential) => {
                listed.push(file);
            }
            Class::Listed(_) | Class::Own => {}
            Class::Strange(why) => strange.push(format!("{} ({why})", entry.file_name().display())),
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

fn classify(entry: &std::fs::DirEntry) -> Class {
    let file_name = entry.file_name();
    let Some(text) = file_name.to_str() else { return Class::Strange("foreign") };
    if matches!(text, LOCK_FILE | REPLICA_FILE) {
        return Class::Own;
    }
    let Some(name) = FileName::parse(text) else { return Class::Strange("foreign") };
    if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
        return Class::Strange("no regular file");
    }
    // What a crash left half-written means nothing and is overwritten or erased with its slot.
    let Some(holds) = name.kind.word() else { return Class::Own };
    if name.kind.is_sealed() && !begins_like_age(&entry.path()) {
        return Class::Strange("damaged");
    }
    Class::Listed(Listed {
        credential: name.credential,
        rotation_id: name.rotation_id,
        holds: holds.into(),
        path: entry.path(),
    })
}

const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";

fn begins_like_age(path: &Path) -> bool {
    let read = || -> io::Result<[u8; AGE_MAGIC.len()]> {
        let mut start = [0; AGE_MAGIC.len()];
        readable(path)?.read_exact(&mut start)?;
        Ok(start)
    };
    read().is_ok_and(|start| start == AGE_MAGIC)
}
