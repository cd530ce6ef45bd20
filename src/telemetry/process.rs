//! What the process itself shows, beside its credentials.

use tokio::sync::watch;

/// What the process itself shows.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Whether renewed TLS files could not be used; `None` where no TLS is spoken.
    pub renewal_refused: Option<watch::Receiver<bool>>,
}

impl Process {
    pub(super) fn is_renewal_refused(&self) -> bool {
        self.renewal_refused.as_ref().is_some_and(|refused| *refused.borrow())
    }
}
