//! What an operator's break-glass key finds in an escrow directory.

use std::path::Path;

use crate::escrow::{list_directory, open_file};
use crate::secret::SecretValue;

/// Whether one of the directory's sealed files opens with the identity and holds the key.
pub fn holds(escrow: &Path, identity: &SecretValue, key: &str) -> bool {
    let listed = list_directory(escrow, None).unwrap_or_default();
    let mut opened = listed.iter().filter_map(|slot| open_file(&slot.path, identity).ok());
    opened.any(|opened| opened.secret.key.expose().contains(key))
}
