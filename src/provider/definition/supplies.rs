//! How a definition describes a key that the caller chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The caller chooses the key. keyturn draws it at random and writes it to the record before the call, whose body holds it
/// as `{new_secret}`; a success of the call means this very key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supplies {
    /// How many random bytes are in it, 16 to 64.
    #[serde(default = "Supplies::default_bytes")]
    pub bytes: u8,
    /// How they are written.
    #[serde(default)]
    pub encoding: SuppliedText,
    /// What stands before them.
    #[serde(default)]
    pub prefix: String,
}

impl Supplies {
    const fn default_bytes() -> u8 {
        32
    }
}

/// How the bytes of a key that keyturn chooses are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppliedText {
    /// In hexadecimal digits, two for each byte.
    #[default]
    Hex,
    /// In base64 with padding.
    Base64,
}

/// What stands in the call's body for the key that keyturn chose.
pub(in crate::provider) const NEW_SECRET: &str = "new_secret";
