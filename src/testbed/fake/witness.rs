//! Who looks on while a fake does something.

use std::fmt;
use std::sync::Arc;

/// Hears of everything that a fake does, at the moment at which it is done.
pub struct Witness<T>(Arc<dyn Fn(&T) + Send + Sync>);

impl<T> Witness<T> {
    /// Tells `hear` of everything.
    pub fn new(hear: impl Fn(&T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(super) fn tell(&self, what: &T) {
        (self.0)(what);
    }
}

impl<T> Clone for Witness<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Witness<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}
