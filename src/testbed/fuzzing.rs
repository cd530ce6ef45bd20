//! One function for each kind of bytes that comes from outside: it fails where a property does not hold.
//!
//! `fuzz/` runs each for as long as one likes, `tests/fuzz_properties.rs` for a moment. A function says whether the
//! bytes were taken for what they should be, so that seeds which no parser takes any more are noticed.

#![expect(clippy::missing_panics_doc, reason = "a property that does not hold is a panic, as in a test")]

use std::path::Path;
use std::sync::LazyLock;

use crate::config::Config;
pub use crate::escrow::fuzzing::sealed_file;
use crate::provider::Catalog;
pub use crate::provider::fuzzing::{answer, definition, signing};
pub use crate::vault::fuzzing::{entry, record};

/// Takes any bytes, and says whether they are what they should be.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by the names of `fuzz/fuzz_targets` and `fuzz/seeds`.
pub const TARGETS: [(&str, Target); 7] = [
    ("answer", answer),
    ("configuration", configuration),
    ("definition", definition),
    ("entry", entry),
    ("record", record),
    ("sealed_file", sealed_file),
    ("signing", signing),
];

/// Stands in the seeds where a person may have put a secret by mistake.
const CANARY: &str = "canary";

/// A configuration is read, or refused with reasons in bounded words that repeat no secret.
pub fn configuration(data: &[u8]) -> bool {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::embedded);
    let Ok(text) = std::str::from_utf8(data) else { return false };
    // Definitions are read from the paths that the text names; devices and pipes would be waited for.
    if text.contains("providers") {
        return false;
    }
    match Config::parse(text, Path::new("/nowhere"), CATALOG.clone()) {
        Ok(config) => {
            assert!(!config.credentials.is_empty(), "a configuration without credentials");
            true
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            let in_a_name = text.lines().any(|line| line.contains(CANARY) && !is_a_value(line));
            for mistake in &mistakes {
                let shown = format!("{mistake} {mistake:?}");
                assert!(in_a_name || !shown.contains(CANARY), "{shown}");
                assert!(shown.len() < 4096 + text.len() * 8, "a mistake of {} characters", shown.len());
            }
            false
        }
    }
}

/// Whether the canary stands behind a member's name, as a scalar.
fn is_a_value(line: &str) -> bool {
    let scalar = line.split_once(": ").map_or("", |(_, value)| value);
    scalar.contains(CANARY) && !scalar.contains([':', '{', '[', ','])
}
