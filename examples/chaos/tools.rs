//! What the machine offers for faults that need more than signals and sockets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tool that a fault needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// `strace`, which may look into another process.
    Strace,
    /// The library of `faketime`.
    Faketime,
    /// The right to mount a tmpfs.
    Mount,
}

impl Need {
    /// What is missing, in words.
    pub(crate) const fn missing(self) -> &'static str {
        match self {
            Self::Strace => "strace is not installed",
            Self::Faketime => "libfaketime is not installed",
            Self::Mount => "mounting a tmpfs is not allowed here (it needs root)",
        }
    }
}

/// What is there.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    has_strace: bool,
    can_mount: bool,
    pub(crate) faketime: Option<PathBuf>,
}

impl Tools {
    /// Looks.
    pub(crate) fn look() -> Self {
        let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
        let libraries = places.iter().map(|place| Path::new(place).join("faketime/libfaketimeMT.so.1"));
        Self {
            has_strace: succeeds("strace", &["-V"]),
            // In a mount namespace of its own, so that nothing is left.
            can_mount: succeeds(
                "unshare",
                &["-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"],
            ),
            faketime: libraries.into_iter().find(|library| library.exists()),
        }
    }

    /// Whether it is there.
    pub(crate) fn have(&self, need: Need) -> bool {
        match need {
            Need::Strace => self.has_strace,
            Need::Faketime => self.faketime.is_some(),
            Need::Mount => self.can_mount,
        }
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
