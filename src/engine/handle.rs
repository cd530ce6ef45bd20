//! How the rest of the program speaks to the credentials' tasks.

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::snapshot::Snapshot;
use crate::ids::RotationId;
use crate::rotation::Decision;

/// What somebody who wants a rotation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateRequest {
    /// An open grace window and a provider's lock are no reason to wait.
    pub emergency: bool,
    /// Makes the request idempotent: the same id gives the same rotation.
    pub request_id: Option<String>,
    /// The caller as the API knows it.
    pub caller: Option<String>,
}

/// One credential's task, from outside: snapshots to look at, commands to send.
#[derive(Debug, Clone)]
pub struct Handle {
    snapshots: watch::Receiver<Snapshot>,
    commands: mpsc::Sender<Command>,
}

/// What a handle asks of its task; each is answered once.
#[derive(Debug)]
pub(crate) enum Command {
    Rotate(RotateRequest, oneshot::Sender<Result<RotationId, Rejection>>),
    Cancel(RotationId, oneshot::Sender<Result<(), Rejection>>),
    Resolve(RotationId, Decision, oneshot::Sender<Result<(), Rejection>>),
    Pause(String, oneshot::Sender<Result<(), Rejection>>),
    Resume(oneshot::Sender<Result<(), Rejection>>),
    Plan(bool, oneshot::Sender<Result<PlanReport, Rejection>>),
}

impl Command {
    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_forsaken(&self) -> bool {
        match self {
            Self::Rotate(_, reply) => reply.is_closed(),
            Self::Cancel(_, reply)
            | Self::Resolve(_, _, reply)
            | Self::Pause(_, reply)
            | Self::Resume(reply) => reply.is_closed(),
            Self::Plan(_, reply) => reply.is_closed(),
        }
    }

    /// Answers with a refusal, whatever was asked; an asker who has gone misses nothing.
    pub(crate) fn reject(self, rejection: Rejection) {
        match self {
            Self::Rotate(_, reply) => drop(reply.send(Err(rejection))),
            Self::Cancel(_, reply)
            | Self::Resolve(_, _, reply)
            | Self::Pause(_, reply)
            | Self::Resume(reply) => {
                drop(reply.send(Err(rejection)));
            }
            Self::Plan(_, reply) => drop(reply.send(Err(rejection))),
        }
    }
}

impl Handle {
    pub(crate) const fn new(snapshots: watch::Receiver<Snapshot>, commands: mpsc::Sender<Command>) -> Self {
        Self { snapshots, commands }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }

    /// A receiver that sees every newest snapshot; it ends when the task ends.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// Whether both are handles of the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        self.commands.same_channel(&other.commands)
    }

    /// Whether the task is there; it ends at the shutdown, and when it breaks.
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Starts a rotation and gives its id at once; the same `request_id` gives the same rotation.
    pub async fn rotate(&self, request: RotateRequest) -> Result<RotationId, Rejection> {
        self.ask(|reply| Command::Rotate(request, reply)).await
    }

    /// Drops a rotation whose intent is not written yet.
    pub async fn cancel(&self, rotation: RotationId) -> Result<(), Rejection> {
        self.ask(|reply| Command::Cancel(rotation, reply)).await
    }

    /// Carries out a person's decision about an unknown or halted rotation.
    pub async fn resolve(&self, rotation: RotationId, decision: Decision) -> Result<(), Rejection> {
        self.ask(|reply| Command::Resolve(rotation, decision, reply)).await
    }

    /// Keeps the schedule from starting rotations; an open one goes on.
    pub async fn pause(&self, reason: String) -> Result<(), Rejection> {
        self.ask(|reply| Command::Pause(reason, reply)).await
    }

    /// Lets the schedule run again.
    pub async fn resume(&self) -> Result<(), Rejection> {
        self.ask(Command::Resume).await
    }

    /// Says what a rotation would do, and what would stand in its way; changes nothing.
    pub async fn plan(&self, emergency: bool) -> Result<PlanReport, Rejection> {
        self.ask(|reply| Command::Plan(emergency, reply)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Command,
    ) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Rejection::Stopping)?;
        answer.await.unwrap_or(Err(Rejection::Stopping))
    }
}

/// What a rotation would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanReport {
    /// The steps, in words, in their order.
    pub steps: Vec<String>,
    /// What would happen if the provider's answer were lost, in words.
    pub if_answer_is_lost: String,
    /// When the old key would die, and what that asks of applications, in words.
    pub old_key: String,
    /// What a person would be asked about, in words.
    pub a_person_is_asked: Vec<String>,
    /// What the preflight found; empty where nothing stands in the way.
    pub findings: Vec<Finding>,
}

/// One thing that stands in a rotation's way, or should be known before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its stable name.
    pub code: &'static str,
    /// What it is and what to do, in words.
    pub message: String,
    /// Whether the rotation would be held or refused because of it.
    pub blocking: bool,
}

/// Why a task does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A rotation is open already.
    #[error("rotation {rotation_id} is open already; watch it, or wait for its end")]
    InProgress {
        /// The open rotation.
        rotation_id: RotationId,
    },
    /// The old key of the last rotation is still accepted; rotating now would kill it early.
    #[error(
        "the grace window of the last rotation is open until {until:.0}; wait, or ask for an emergency rotation"
    )]
    GraceWindowOpen {
        /// Until when.
        until: Timestamp,
    },
    /// The provider's own lock, or the configured minimum interval, is not over.
    #[error("the next rotation is allowed at {until:.0}; wait, or ask for an emergency rotation")]
    TooSoon {
        /// Until when.
        until: Timestamp,
    },
    /// The provider lets no further key live before an old one is revoked.
    #[error(
        "the provider has no place for a further key until an old one is revoked, which is due at {until:.0}; keyturn does \
         it by itself, unless a condition of the credential says otherwise"
    )]
    KeySlotsFull {
        /// When the first old key is due.
        until: Timestamp,
    },
    /// The credential is paused.
    #[error("the credential is paused ({reason}); resume it, or ask for an emergency rotation")]
    Paused {
        /// What the person wrote.
        reason: String,
    },
    /// The rotation has no such id here, or is closed.
    #[error("rotation {rotation_id} is not open")]
    NotOpen {
        /// The id that was asked for.
        rotation_id: RotationId,
    },
    /// Its intent is written; from here only the end of the rotation, or `resolve`, gets out.
    #[error("rotation {rotation_id} has begun and cannot be cancelled; it ends by itself or is resolved")]
    TooLateToCancel {
        /// The open rotation.
        rotation_id: RotationId,
    },
    /// The decision does not fit what the rotation waits for.
    #[error("that decision is not possible now: {why}")]
    DecisionNotPossible {
        /// Why, and which would be possible.
        why: String,
    },
    /// The request id was used before, for another request.
    #[error("request id {request_id:?} was used for another request")]
    RequestIdReused {
        /// The id.
        request_id: String,
    },
    /// The record cannot be reached now, so nothing can be promised.
    #[error("the credential is held up: {message}")]
    Held {
        /// The hold's code.
        code: &'static str,
        /// The hold's message.
        message: String,
    },
    /// The process is shutting down.
    #[error("keyturn is shutting down")]
    Stopping,
}

impl Rejection {
    /// The stable name in status details, metrics and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InProgress { .. } => "ROTATION_IN_PROGRESS",
            Self::GraceWindowOpen { .. } => "GRACE_WINDOW_OPEN",
            Self::TooSoon { .. } => "TOO_SOON",
            Self::KeySlotsFull { .. } => "KEY_SLOTS_FULL",
            Self::Paused { .. } => "CREDENTIAL_PAUSED",
            Self::NotOpen { .. } => "ROTATION_NOT_OPEN",
            Self::TooLateToCancel { .. } => "TOO_LATE_TO_CANCEL",
            Self::DecisionNotPossible { .. } => "DECISION_NOT_POSSIBLE",
            Self::RequestIdReused { .. } => "REQUEST_ID_REUSED",
            Self::Held { code, .. } => code,
            Self::Stopping => "STOPPING",
        }
    }
}
