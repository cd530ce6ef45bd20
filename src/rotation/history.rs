//! Rotations that have come to their end, and what people decide about those that cannot.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outcome::{Doubt, Refusal};
use super::state::{Answer, Publication, Request};
use crate::ids::RotationId;
use crate::secret::Fingerprint;

/// A rotation that has come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Its id.
    pub rotation_id: RotationId,
    /// Who asked for it, and how.
    pub request: Request,
    /// When its intent was written.
    pub intended_at: Timestamp,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// How many regenerate calls were made.
    pub calls: u32,
    /// How it ended.
    pub outcome: ClosedAs,
    /// What the entry held when it was intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Fingerprint>,
    /// Where its time went.
    #[serde(default)]
    pub timings: Timings,
    /// It had ended before, and was taken up again with an answer that came late.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reopened: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// How a rotation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ClosedAs {
    /// The new key is in Vault.
    Rotated {
        /// What is known of it.
        answer: Answer,
        /// Where it is.
        publication: Publication,
        /// Whether the provider was seen to accept it.
        verified: bool,
    },
    /// The provider did not act; the old key stands.
    Failed {
        /// Why.
        refusal: Refusal,
    },
    /// The lost call took nothing from the old key, which stands: a read showed that it never took effect, or keys live
    /// side by side, and one that it may have made is cleared away.
    NotApplied {
        /// What had happened to the answer.
        doubt: Doubt,
    },
    /// A person settled it.
    Resolved {
        /// What the person decided.
        decision: Decision,
    },
}

impl ClosedAs {
    /// When the key before the new one dies, where the provider said so.
    pub const fn previous_expires_at(&self) -> Option<Timestamp> {
        match self.answer() {
            Some(answer) => answer.previous_expires_at,
            None => None,
        }
    }

    /// What is known of the new key, where it was published.
    pub const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Rotated { answer, .. } => Some(answer),
            Self::Failed { .. } | Self::NotApplied { .. } | Self::Resolved { .. } => None,
        }
    }
}

/// What a person decides about an unknown or halted rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// What the application's entry holds is right (the call never took effect, or it was mended by hand).
    KeepCurrent,
    /// The new key is known, and shall be published although the provider did not accept it yet.
    PublishAnyway,
    /// Try the automatic means again, with what the person has mended in the meantime.
    TryAgain,
    /// Give this rotation up and regenerate once more, knowing that its key may be lost.
    RotateAgain,
}

impl Decision {
    /// The decision's name in the API, the command line and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeepCurrent => "keep-current",
            Self::PublishAnyway => "publish-anyway",
            Self::TryAgain => "try-again",
            Self::RotateAgain => "rotate-again",
        }
    }
}

/// Where a rotation's time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// In calls to the provider.
    pub provider_us: u64,
    /// In calls to Vault.
    pub vault_us: u64,
    /// On the escrow's disk.
    pub escrow_us: u64,
    /// In keyturn itself.
    pub own_us: u64,
    /// Waiting on purpose: propagation, polls, backoff and holds.
    pub waiting_us: u64,
}
