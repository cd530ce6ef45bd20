//! The programs under test.

use std::path::PathBuf;

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    /// The product as it is released.
    pub(crate) plain: PathBuf,
    /// The same with named crash points.
    pub(crate) crashing: PathBuf,
}
