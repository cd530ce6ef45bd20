//! What a round came to.

use std::collections::BTreeMap;
use std::time::Duration;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// The newest key is neither in Vault nor known to be elsewhere.
    Lost,
    /// An entry is a mix, or its stamp is another's.
    Torn,
    /// The provider was called more often for one rotation than its definition allows.
    Doubled,
    /// An older key was published after a newer one.
    Older,
    /// A key died, or was made anew, while applications had it.
    Killed,
    /// A call that was made again brought another key.
    Swapped,
    /// A key lives that nobody needs.
    Stray,
    /// A secret was shown.
    Leaked,
    /// The credential did not come to rest, or the next rotation did not work.
    Stuck,
}

impl Broken {
    pub(crate) const ALL: [Self; 9] = [
        Self::Lost,
        Self::Torn,
        Self::Doubled,
        Self::Older,
        Self::Killed,
        Self::Swapped,
        Self::Stray,
        Self::Leaked,
        Self::Stuck,
    ];

    /// As the table has it.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Lost => "keys lost",
            Self::Torn => "entries torn",
            Self::Doubled => "calls too many",
            Self::Older => "older after newer",
            Self::Killed => "keys killed in use",
            Self::Swapped => "keys swapped",
            Self::Stray => "strays left",
            Self::Leaked => "secrets shown",
            Self::Stuck => "stuck",
        }
    }
}

/// One round's result.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) number: u64,
    pub(crate) provider: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
    /// What became of the rotation, in words.
    pub(crate) outcome: Vec<String>,
    pub(crate) broken: Vec<(Broken, String)>,
    /// Why a person was needed.
    pub(crate) for_a_person: Vec<String>,
    /// How many calls reached the provider.
    pub(crate) arrived: usize,
    /// How many rotations had so many calls.
    pub(crate) calls: BTreeMap<usize, usize>,
    pub(crate) elapsed: Duration,
    /// Why the round could not be carried out, if it could not.
    pub(crate) spoilt: Option<String>,
}

impl Report {
    /// Notes a broken promise.
    pub(crate) fn breaks(&mut self, broken: Broken, what: impl Into<String>) {
        self.broken.push((broken, what.into()));
    }
}
