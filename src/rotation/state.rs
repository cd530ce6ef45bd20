//! The durable state of one credential: what its record stores, and never a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::halt::Halt;
use super::history::{Closed, ClosedAs, Timings, is_false};
use super::orphan::Orphan;
use super::outcome::Doubt;
use super::revocation::Revocation;
use crate::ids::{KeyId, KvVersion, ReplicaId, RotationId};
use crate::secret::Fingerprint;

/// How many closed rotations a record remembers.
pub const HISTORY_MAX: usize = 20;

/// Everything that is durable about one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// When keyturn first saw the credential; the first due time counts from here.
    pub adopted_at: Timestamp,
    /// Where the open rotation stands.
    pub phase: Phase,
    /// Set while a person keeps the schedule from starting rotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Set after a rotation that failed for a passing cause: when the next try is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The closed rotations, newest first, at most [`HISTORY_MAX`].
    #[serde(default)]
    pub history: Vec<Closed>,
    /// Answers that came after their claim was lost and were looked at, newest first; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// Keys that are to be revoked at the provider; each stays here until the provider has done it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<Revocation>,
}

impl State {
    /// The state of a credential that was never rotated by keyturn.
    pub const fn adopted(at: Timestamp) -> Self {
        Self {
            adopted_at: at,
            phase: Phase::Idle,
            pause: None,
            retry: None,
            history: Vec::new(),
            orphans: Vec::new(),
            revocations: Vec::new(),
        }
    }

    /// The newest rotation that put a new secret into Vault.
    pub fn last_rotated(&self) -> Option<&Closed> {
        self.history.iter().find(|closed| matches!(closed.outcome, ClosedAs::Rotated { .. }))
    }

    /// The rotation that a person has just given up, whose key may still be wanted.
    pub fn given_up(&self) -> Option<RotationId> {
        let newest = self.history.first().filter(|_| self.phase == Phase::Idle)?;
        matches!(newest.outcome, ClosedAs::Resolved { .. }).then_some(newest.rotation_id)
    }

    /// Until when the provider accepts a key that keyturn has replaced.
    pub fn grace_until(&self) -> Option<Timestamp> {
        self.history.iter().filter_map(|closed| closed.outcome.previous_expires_at()).max()
    }
}

/// Where the open rotation stands.
///
/// `Answered` and `Published` run ahead of the record: a crash in them is found again from escrow and entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// No rotation is open.
    Idle,
    /// The claim is durable; the provider may be called, or has been.
    Intended {
        /// The open rotation.
        rotation: Rotation,
    },
    /// It is not known whether the provider acted.
    Unknown {
        /// The open rotation.
        rotation: Rotation,
        /// Why nobody knows, and what was tried to find out.
        unknown: Unknown,
    },
    /// The new key is known; escrow holds it.
    Answered {
        /// The open rotation.
        rotation: Rotation,
        /// What is known of the new key.
        answer: Answer,
    },
    /// The new key is in the record, and waits until the provider accepts it.
    Staged {
        /// The open rotation.
        rotation: Rotation,
        /// What is known of the new key.
        answer: Answer,
        /// When it was staged.
        staged_at: Timestamp,
    },
    /// The application's entry holds the new key.
    Published {
        /// The open rotation.
        rotation: Rotation,
        /// What is known of the new key.
        answer: Answer,
        /// The entry's version, and when it was written.
        publication: Publication,
    },
    /// A person must decide.
    Halted {
        /// The open rotation.
        rotation: Rotation,
        /// Why, since when, and what is known.
        halt: Halt,
    },
}

impl Phase {
    /// The open rotation, if there is one.
    pub const fn rotation(&self) -> Option<&Rotation> {
        match self {
            Self::Idle => None,
            Self::Intended { rotation }
            | Self::Unknown { rotation, .. }
            | Self::Answered { rotation, .. }
            | Self::Staged { rotation, .. }
            | Self::Published { rotation, .. }
            | Self::Halted { rotation, .. } => Some(rotation),
        }
    }

    /// What is known of the new key, where it is known.
    pub const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answered { answer, .. } | Self::Staged { answer, .. } | Self::Published { answer, .. } => {
                Some(answer)
            }
            Self::Halted { halt, .. } => halt.answer.as_ref(),
            Self::Idle | Self::Intended { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Whether the record itself holds the new key: it is known, and the entry does not have it yet.
    pub const fn keeps_secret_in_record(&self) -> bool {
        match self {
            Self::Staged { .. } => true,
            Self::Halted { halt, .. } => halt.answer.is_some() && halt.publication.is_none(),
            Self::Idle
            | Self::Intended { .. }
            | Self::Unknown { .. }
            | Self::Answered { .. }
            | Self::Published { .. } => false,
        }
    }

    /// The open rotation, to be changed.
    pub(super) const fn rotation_mut(&mut self) -> Option<&mut Rotation> {
        match self {
            Self::Idle => None,
            Self::Intended { rotation }
            | Self::Unknown { rotation, .. }
            | Self::Answered { rotation, .. }
            | Self::Staged { rotation, .. }
            | Self::Published { rotation, .. }
            | Self::Halted { rotation, .. } => Some(rotation),
        }
    }

    /// The phase's stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Intended { .. } => "intended",
            Self::Unknown { .. } => "unknown",
            Self::Answered { .. } => "answered",
            Self::Staged { .. } => "staged",
            Self::Published { .. } => "published",
            Self::Halted { .. } => "halted",
        }
    }
}

/// One rotation that is not closed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Its id, and the idempotency key of its provider call.
    pub rotation_id: RotationId,
    /// Who asked for it, and how.
    pub request: Request,
    /// The replica that drives it.
    pub holder: ReplicaId,
    /// The fence: the record's version at which the holder claimed it.
    pub epoch: KvVersion,
    /// How long the holder may be silent before another replica may claim it.
    pub claim_ms: u64,
    /// When its intent was written.
    pub intended_at: Timestamp,
    /// When the first call may have left; what the provider's windows count from.
    pub first_dispatched_at: Timestamp,
    /// When the newest call may have left.
    pub dispatched_at: Timestamp,
    /// How many regenerate calls its record has allowed so far.
    pub calls: u32,
    /// What provider and Vault held before the call.
    pub baseline: Baseline,
    /// Where its time went so far, as the holder measured it.
    #[serde(default)]
    pub timings: Timings,
    /// It was closed, and taken up again with an answer that came late; no call is made for it any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reopened: bool,
    /// Its holder has stopped and can act no more: whoever comes next claims it without waiting for the claim to run out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub released: bool,
}

/// Who asked for a rotation, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What set it off.
    pub trigger: Trigger,
    /// An open grace window and a provider's lock are no reason to wait.
    pub emergency: bool,
    /// The caller's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The caller as the API knows it, such as `uid 1000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
}

/// What set a rotation off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The schedule.
    Scheduled,
    /// A person or program, over the API.
    Manual,
}

/// What the provider and Vault held before the call; a later read is compared with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The value that the provider showed, where it can be read: of several named keys, that of `slot`.
    pub provider: Option<Fingerprint>,
    /// What the provider showed of its key, where that changes with the key and the key cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<Fingerprint>,
    /// The value in the application's entry.
    pub entry: Option<Fingerprint>,
    /// The entry's version.
    pub entry_version: KvVersion,
    /// The provider's id of the key in the entry, where keys live side by side and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The name of the key that the call makes anew, where the provider has several; it never changes in a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<KeyId>,
}

impl Baseline {
    /// Whether provider and Vault held different keys: somebody rotated without keyturn.
    pub fn has_drift(&self) -> bool {
        let shown = self.provider.as_ref().filter(|_| self.slot.is_none());
        matches!((shown, &self.entry), (Some(shown), Some(entry)) if shown != entry)
    }
}

/// Why the outcome is not known, and what was tried to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The cause.
    pub doubt: Doubt,
    /// Since when.
    pub since: Timestamp,
    /// How many replays the record has allowed so far.
    pub replays: u32,
    /// Set once the provider refused a replay or a further call, which then is no way out any more.
    #[serde(default)]
    pub refused: bool,
    /// What the marker told, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<Marked>,
}

/// What the marker of a provider's key told about a lost call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marked {
    /// It is another than before the call, which took effect; nobody has its answer.
    Replaced,
    /// It could not be had in its time, or was refused, and another means goes on.
    Silent,
}

impl Unknown {
    /// A doubt about which nothing was tried yet.
    pub const fn begun(doubt: Doubt, since: Timestamp) -> Self {
        Self { doubt, since, replays: 0, refused: false, marker: None }
    }
}

/// What is known of the new key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When the key before it dies; `None`: assume it is dead.
    pub previous_expires_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Which call of the rotation brought it; an earlier call's answer is not the newest key.
    #[serde(default = "first_call")]
    pub call: u32,
    /// The provider's id of the key, where keys live side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
}

const fn first_call() -> u32 {
    1
}

/// Where and when a value was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The entry's version that holds it.
    pub version: KvVersion,
    /// When it was published.
    pub published_at: Timestamp,
}

/// The schedule is kept from starting rotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// What the person wrote.
    pub reason: String,
}

/// The next try after a passing failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Not before this time.
    pub not_before: Timestamp,
    /// How many tries have failed in a row.
    pub failures: u32,
    /// What is tried again.
    pub request: Request,
}
