//! What the tasks of one simulation share; they all run in one thread.

use std::sync::Arc;

use tokio::sync::watch;

/// A value that several tasks change, each within one call.
#[derive(Debug)]
pub(super) struct Shared<T>(Arc<watch::Sender<T>>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Arc::new(watch::channel(value).0))
    }

    /// Looks at the value, or changes it.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut seen = None;
        self.0.send_if_modified(|value| {
            seen = Some(look(value));
            false
        });
        seen
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
