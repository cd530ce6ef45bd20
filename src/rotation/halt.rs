//! Why only a person can bring a rotation to its end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outcome::{Doubt, Refusal};
use super::state::{Answer, Publication};

/// A rotation that only a person can bring to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Why.
    pub reason: HaltReason,
    /// Since when.
    pub since: Timestamp,
    /// What is known of the new key, where it is known; the value then is in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Set where the entry holds the new key already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Publication>,
}

/// Why a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum HaltReason {
    /// The answer is lost, and the provider has no means by which keyturn could settle it.
    NoWayToTell {
        /// What happened to the answer.
        doubt: Doubt,
    },
    /// The means that the provider has were all tried.
    MeansExhausted {
        /// What happened to the answer.
        doubt: Doubt,
    },
    /// The provider made a new key, as it says or shows, and nobody has it.
    AnswerLost {
        /// What happened to the answer.
        doubt: Doubt,
    },
    /// The provider refused the read that would have settled it.
    ReadRefused {
        /// The refusal.
        refusal: Refusal,
    },
    /// The provider still refuses the new key past its declared propagation time.
    NewKeyRefused,
    /// The provider could not be brought to say whether it accepts the new key.
    NewKeyNotProven,
}

impl HaltReason {
    /// The stable name in metrics, status details and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoWayToTell { .. } => "NO_WAY_TO_TELL",
            Self::MeansExhausted { .. } => "MEANS_EXHAUSTED",
            Self::AnswerLost { .. } => "ANSWER_LOST",
            Self::ReadRefused { .. } => "READ_REFUSED",
            Self::NewKeyRefused => "NEW_KEY_REFUSED",
            Self::NewKeyNotProven => "NEW_KEY_NOT_PROVEN",
        }
    }
}
