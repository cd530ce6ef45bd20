//! The secrets that sign, from files that were named.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use crate::provider::Signer;
use crate::secret::SecretValue;

/// No secret that signs a request is nearly as large.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The secrets that sign, as they were read from files.
#[derive(Debug)]
pub struct Secrets {
    pub(super) main: SecretValue,
    pub(super) extra: Vec<(String, SecretValue)>,
}

/// Why a file gives no secret.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    why: String,
}

impl Secrets {
    /// Reads them; a line break at a file's end is no part of its secret.
    pub fn read(main: &Path, extra: &[(String, PathBuf)]) -> Result<Self, Unreadable> {
        let named = |path: &Path| read(path).map_err(|why| Unreadable { path: path.to_owned(), why });
        let extra = extra.iter().map(|(name, path)| Ok((name.clone(), named(path)?)));
        Ok(Self { main: named(main)?, extra: extra.collect::<Result<_, _>>()? })
    }

    pub(super) fn signer(&self) -> Signer<'_> {
        Signer { main: &self.main, extra: &self.extra }
    }
}

fn read(path: &Path) -> Result<SecretValue, String> {
    let cannot = |cause: io::Error| format!("it cannot be read: {cause}");
    // A pipe would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| cannot(errno.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {} KiB", SECRET_BYTES_MAX >> 10));
    }
    // Its whole size at once: a text that grows leaves copies of the secret behind.
    let size = usize::try_from(SECRET_BYTES_MAX).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(size));
    file.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(SecretValue::new(secret.to_owned()))
}
