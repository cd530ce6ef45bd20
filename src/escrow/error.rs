//! What can go wrong with the escrow, and what a person does about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the escrow could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error("cannot {action} {path}; give the escrow directory space and a working disk, and it is tried again", path = path.display())]
    Disk {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could read, replace or remove what is in the directory.
    #[error(
        "the escrow directory {path} {why}; it must be a directory of keyturn's own user with mode 0700 \
         (on a volume that others share, name a directory below the mount point that does not exist yet)",
        path = path.display()
    )]
    InsecureDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The directory that is held is not the one at the configured path any more.
    #[error(
        "the escrow directory {path} was moved, removed or replaced while keyturn held it; no provider is called \
         until it is back in its place, or keyturn is started again",
        path = path.display()
    )]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// Another process uses the directory.
    #[error(
        "another keyturn uses the escrow directory {path}; every process needs a directory of its own",
        path = path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// One of the operators' recipients is no age recipient. The text is not repeated, for it could be an identity.
    #[error("recipient {position} is not an age X25519 recipient; it is public and begins with \"age1\"")]
    BadRecipient {
        /// Which one, counted from 1.
        position: usize,
    },
    /// The identity is no age identity.
    #[error("the identity is not an age X25519 identity; it begins with \"AGE-SECRET-KEY-1\"")]
    BadIdentity,
    /// A request may have left for the rotation already, so its slot cannot be prepared anew.
    #[error("the slot {path} has been used already; a new call needs a new rotation", path = path.display())]
    Used {
        /// The slot.
        path: PathBuf,
    },
    /// There is no sealed answer.
    #[error("no answer is sealed at {path}", path = path.display())]
    NothingSealed {
        /// Where it would be.
        path: PathBuf,
    },
    /// The sealed answer belongs to another identity.
    #[error(
        "{path} is not sealed to this identity; the file is left as it is, and an operator's recipient may still open it",
        path = path.display()
    )]
    WrongIdentity {
        /// The sealed file.
        path: PathBuf,
    },
    /// The file is not what keyturn wrote.
    #[error("{path} is damaged: {cause}; it is left as it is, for a person to look at", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without a byte of the content.
        cause: &'static str,
    },
    /// The file opens, but what is in it belongs to another rotation than its name says.
    #[error(
        "{path} holds the answer of another rotation than its name says; it is left as it is, for a person to look at",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The Kubernetes Secret with the copies refused, or cannot be reached.
    #[error(
        "cannot {action} the Kubernetes Secret {name}: {cause}; no provider is called before copies can be written \
         there, and what is sealed stays on the disk"
    )]
    Mirror {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The Secret.
        name: String,
        /// What is in the way, without a byte of a body.
        cause: String,
    },
    /// The answer could not be encrypted; nothing was written.
    #[error("the answer cannot be sealed: {cause}")]
    Encrypt {
        /// What the age library said; it never sees more than the recipients at that point.
        cause: String,
    },
}

impl Error {
    /// The stable name in metrics, status details and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk { source, .. } if is_full(source) => "ESCROW_DISK_FULL",
            Self::Disk { .. } => "ESCROW_DISK",
            Self::InsecureDirectory { .. } => "ESCROW_DIRECTORY_INSECURE",
            Self::Moved { .. } => "ESCROW_DIRECTORY_MOVED",
            Self::Locked { .. } => "ESCROW_LOCKED",
            Self::BadRecipient { .. } => "ESCROW_RECIPIENT_INVALID",
            Self::BadIdentity => "ESCROW_IDENTITY_INVALID",
            Self::Used { .. } => "ESCROW_SLOT_USED",
            Self::NothingSealed { .. } => "ESCROW_NOTHING_SEALED",
            Self::WrongIdentity { .. } => "ESCROW_IDENTITY_WRONG",
            Self::Damaged { .. } => "ESCROW_DAMAGED",
            Self::Foreign { .. } => "ESCROW_FOREIGN",
            Self::Mirror { .. } => "ESCROW_MIRROR",
            Self::Encrypt { .. } => "ESCROW_ENCRYPTION",
        }
    }

    /// Says of a system error what was tried, and on which file.
    pub(super) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_owned(), source }
    }

    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Says of an absent file what its absence means.
    pub(super) fn or_nothing_sealed(self, path: &Path) -> Self {
        if self.is_missing() { Self::NothingSealed { path: path.to_owned() } } else { self }
    }

    /// Whether space is all that is missing.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if is_full(source))
    }
}

fn is_full(source: &io::Error) -> bool {
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
