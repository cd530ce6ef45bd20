//! The file that a new key goes to: there, empty and with its space taken, before the call that makes the key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, fallocate, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::ids::KeyId;
use crate::provider::Answer;
use crate::secret::SecretValue;

/// Room for the largest answer that is taken, with every byte of it escaped.
const FILE_BYTES: u64 = 512 * 1024;

/// A new file that nobody else can read, for one new key.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    name: OsString,
    directory: File,
    file: File,
}

impl KeyFile {
    /// Makes the file, takes its space, and makes both durable. A file that is there already is refused.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent.unwrap_or_else(|| Path::new(".")), flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        let made = Self { path: path.to_owned(), name, directory: directory.into(), file: file.into() };
        let durable = made.take_space().and_then(|()| made.sync());
        match durable {
            Ok(()) => Ok(made),
            Err(error) => {
                made.remove().ok();
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes it away again: there is no key.
    pub fn remove(self) -> io::Result<()> {
        unlinkat(&self.directory, &self.name, AtFlags::empty())?;
        self.directory.sync_all()
    }

    /// Leaves it there without content, as the trace of a call of which nobody knows what came.
    pub(super) fn leave_empty(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.sync()
    }

    /// Writes what the call brought over the space that was taken, and makes it durable. Can be done again.
    pub(super) fn keep(&self, kept: Kept<'_>) -> io::Result<()> {
        let text = kept.to_json()?;
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)?;
        self.sync()
    }

    fn take_space(&self) -> io::Result<()> {
        let take = || fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, FILE_BYTES);
        match retry_on_intr(take) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                io::copy(&mut io::repeat(0).take(FILE_BYTES), &mut &self.file)?;
                (&self.file).flush()
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        self.directory.sync_all()
    }
}

/// What goes into the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept<'a> {
    /// A key, with what goes with it.
    Key(&'a Answer),
    /// The key that a call brings, before it is made.
    Chosen(&'a SecretValue),
    /// The body of a reported success in which no key was found.
    Residue(&'a SecretValue),
}

/// The members have the names that they have in a sealed answer.
#[derive(Default, Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    residue: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
}

impl<'a> Kept<'a> {
    fn to_json(self) -> io::Result<Zeroizing<Vec<u8>>> {
        let written = self.written();
        let texts = written.secret.iter().chain(&written.residue);
        let fields = written.fields.iter().map(|(name, value)| name.len() + value.len() + 16);
        let size = texts.map(|text| text.len()).chain(fields).sum::<usize>();
        // Large enough that it never moves and leaves a copy behind: JSON writes a byte with at most six.
        let mut text = Zeroizing::new(Vec::with_capacity(size * 6 + 1024));
        serde_json::to_writer(&mut *text, &written)?;
        text.push(b'\n');
        Ok(text)
    }

    fn written(self) -> Written<'a> {
        match self {
            Self::Key(answer) => {
                let fields = answer.secret.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
                Written {
                    secret: Some(answer.secret.key.expose()),
                    fields: fields.collect(),
                    key_id: answer.key_id.as_ref(),
                    previous_expires_at: answer.previous_expires_at,
                    received_at: Some(answer.received_at),
                    ..Written::default()
                }
            }
            Self::Chosen(key) => Written { secret: Some(key.expose()), ..Written::default() },
            Self::Residue(body) => Written { residue: Some(body.expose()), ..Written::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_space_is_taken_before_there_is_a_key_and_nobody_else_can_look_into_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let file = KeyFile::create(&path).unwrap();
        let seen = fs::metadata(&path).unwrap();
        assert!(seen.blocks() * 512 >= FILE_BYTES, "only {} blocks are taken", seen.blocks());
        assert_eq!(seen.mode() & 0o777, 0o600);
        file.keep(Kept::Residue(&SecretValue::new("\u{1}".repeat(90_000)))).unwrap();
        file.keep(Kept::Chosen(&SecretValue::new("sk_1".to_owned()))).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"secret\":\"sk_1\"}\n");
        assert_eq!(fs::metadata(&path).unwrap().ino(), seen.ino());
        file.leave_empty().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        file.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let (path, link) = (home.path().join("key"), home.path().join("link"));
        fs::write(&path, "kept").unwrap();
        std::os::unix::fs::symlink(home.path().join("nowhere"), &link).unwrap();
        for taken in [&path, &link] {
            assert_eq!(KeyFile::create(taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(KeyFile::create(&home.path().join("nowhere/key")).is_err());
    }
}
