//! What the process itself shows, beside its credentials.

use tokio::sync::watch;

/// What the process itself shows.
#[derive(Debug, Clone)]
pub struct Process {
    /// Whether renewed TLS files could not be used; `None` where no TLS is spoken.
    pub renewal_refused: Option<watch::Receiver<bool>>,
    /// How the configuration file was followed.
    pub reloads: watch::Receiver<Reloads>,
}

/// How the configuration file was followed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Changes that were applied.
    pub applied: u64,
    /// Changes that were refused.
    pub refused: u64,
    /// Whether the file is another than what runs.
    pub is_behind: bool,
    /// A number that differs where the bytes of what runs differ.
    pub hash: u64,
}

impl Process {
    pub(super) fn is_renewal_refused(&self) -> bool {
        self.renewal_refused.as_ref().is_some_and(|refused| *refused.borrow())
    }
}

#[cfg(test)]
impl Default for Process {
    fn default() -> Self {
        Self { renewal_refused: None, reloads: watch::channel(Reloads::default()).1 }
    }
}
