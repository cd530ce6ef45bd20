//! What can happen to a credential. Time is part of the event; the core has no clock.

use std::time::Duration;

use jiff::Timestamp;

use super::history::{Decision, Timings};
use super::outcome::{Outcome, Problem, Refusal};
use super::revocation::Created;
use super::state::{Answer, Baseline, Request};
use crate::ids::{KeyId, KvVersion, ReplicaId, RotationId};
use crate::secret::Fingerprint;

/// One thing that happened, as the shell saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody, or the schedule, wants a rotation; nothing has been done for it yet.
    Requested {
        /// The id that the rotation will have.
        rotation_id: RotationId,
        /// Who asked, and how.
        request: Request,
        /// The time.
        now: Timestamp,
    },
    /// All is ready; nothing outside has been changed.
    Preflighted {
        /// The rotation's id.
        rotation_id: RotationId,
        /// Who asked, and how.
        request: Request,
        /// This replica.
        replica: ReplicaId,
        /// The version that the intent will have in the record.
        epoch: KvVersion,
        /// What provider and Vault hold.
        baseline: Baseline,
        /// The time.
        now: Timestamp,
    },
    /// The provider call ended.
    Called {
        /// What it came to.
        outcome: Outcome<Answer>,
        /// The time.
        now: Timestamp,
    },
    /// The reconcile read ended.
    Read {
        /// What it found.
        reading: Reading,
        /// The time.
        now: Timestamp,
    },
    /// The escrow holds the answer, or the disk refused it; the rotation goes on either way, for Vault is the
    /// better place.
    Sealed {
        /// The time.
        now: Timestamp,
    },
    /// The probe with the new key ended.
    Probed {
        /// What it showed.
        verdict: Verdict,
        /// The time.
        now: Timestamp,
    },
    /// The application's entry holds the new key.
    Published {
        /// The entry's version.
        version: KvVersion,
        /// The time.
        now: Timestamp,
    },
    /// The open rotation has published nothing, and nobody can any more without reading the record again.
    Fenced {
        /// The time.
        now: Timestamp,
    },
    /// A wait that the core asked for is over.
    Woke {
        /// The time.
        now: Timestamp,
    },
    /// Record, entry and escrow were read afresh: after a start, a hold, or a lost check-and-set.
    Resumed {
        /// This replica.
        replica: ReplicaId,
        /// The holder was silent for its whole claim and the margin after it, on this replica's monotonic clock.
        lapsed: bool,
        /// The version that the record's next write will have.
        epoch: KvVersion,
        /// What this replica holds for the open rotation.
        holding: Holding,
        /// The entry's publication by the open rotation, if there is one.
        published: Option<(Answer, KvVersion)>,
        /// The time.
        now: Timestamp,
    },
    /// A person decided about an unknown or halted rotation.
    Resolved {
        /// What.
        decision: Decision,
        /// This replica.
        replica: ReplicaId,
        /// The version that the record's next write will have.
        epoch: KvVersion,
        /// The time.
        now: Timestamp,
    },
    /// A key of a rotation that is not open was found in this replica's escrow, and the provider was asked which
    /// key lives.
    Orphaned {
        /// The rotation that it belongs to.
        rotation_id: RotationId,
        /// What is known of the key.
        answer: Answer,
        /// What the provider said.
        evidence: Evidence,
        /// What the entry holds.
        baseline: Baseline,
        /// How long the record has been unchanged, on this replica's monotonic clock.
        unchanged_for: Duration,
        /// This replica.
        replica: ReplicaId,
        /// The version that the record's next write will have.
        epoch: KvVersion,
        /// The time.
        now: Timestamp,
    },
    /// The provider listed the keys that it made for rotations, and no write of a closed rotation can reach the entry
    /// any more.
    Listed {
        /// The keys.
        keys: Vec<Created>,
        /// What the entry holds.
        entry: Option<Fingerprint>,
        /// The time.
        now: Timestamp,
    },
    /// The provider revoked a key, or did not know it any more.
    Revoked {
        /// Its id.
        key_id: KeyId,
    },
    /// This process stops while it waits: it does nothing any more, and no request of its own is under way.
    Released {
        /// This replica.
        replica: ReplicaId,
    },
    /// A person stops the schedule.
    Paused {
        /// Why.
        reason: String,
        /// The time.
        now: Timestamp,
    },
    /// A person lets the schedule run again.
    Unpaused,
    /// The shell measured where the open rotation's time went; the rotation closes with these figures.
    Measured {
        /// The figures.
        timings: Timings,
    },
}

impl Event {
    /// The event's stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Preflighted { .. } => "preflighted",
            Self::Called { .. } => "called",
            Self::Read { .. } => "read",
            Self::Sealed { .. } => "sealed",
            Self::Probed { .. } => "probed",
            Self::Published { .. } => "published",
            Self::Fenced { .. } => "fenced",
            Self::Woke { .. } => "woke",
            Self::Resumed { .. } => "resumed",
            Self::Resolved { .. } => "resolved",
            Self::Orphaned { .. } => "orphaned",
            Self::Listed { .. } => "listed",
            Self::Revoked { .. } => "revoked",
            Self::Released { .. } => "released",
            Self::Paused { .. } => "paused",
            Self::Unpaused => "unpaused",
            Self::Measured { .. } => "measured",
        }
    }
}

/// What this replica holds for the open rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// Nothing: it never had a slot, or another replica has it.
    Nothing,
    /// A slot from which no byte of a request has left.
    Unsent,
    /// A slot that says a request may have left.
    Sent,
    /// The answer, in memory or opened from escrow.
    Answer(Answer),
}

/// What a reconcile read found, compared with the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Another value than before the call: the new key, now in the shell's hand.
    Changed(Answer),
    /// What the provider shows of its key is another than before the call; the key itself it does not show.
    Replaced,
    /// The same value as before the call.
    Unchanged,
    /// The provider could not be asked now.
    Unavailable(Problem),
    /// The provider refused the question.
    Refused(Refusal),
}

/// What the provider says of an orphan and of the published key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It shows its present key.
    Shown(Fingerprint),
    /// It was asked about both.
    Probed {
        /// Whether it accepts the orphan.
        orphan: Verdict,
        /// Whether it accepts the published key.
        published: Verdict,
    },
    /// Nobody need be asked: keys live side by side, and no write of a closed rotation can reach the entry any more.
    Beside,
}

/// What a probe with the new key showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The provider accepts it.
    Accepted,
    /// The provider does not accept it (yet).
    NotAccepted,
    /// The provider could not be asked.
    Unavailable,
    /// The provider has no harmless probe.
    NoProbe,
}
