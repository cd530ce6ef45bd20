//! What one credential's task lets everybody see.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::credential::Credential;
use crate::ids::{CredentialName, FieldPath, KvVersion, RotationId};
use crate::rotation::{Phase, Request, State};

/// One credential as its task sees it now. Published whole at every change; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The credential.
    pub credential: CredentialName,
    /// The provider definition's name, such as `adyen/client-key`.
    pub provider: String,
    /// Where the secret is published.
    pub store: FieldPath,
    /// The fields of the same entry for what goes with it, by the definition's names.
    pub fields: BTreeMap<String, String>,
    /// The state as last known; `None` until the record was read for the first time.
    pub state: Option<Arc<State>>,
    /// The entry's version as last known.
    pub entry_version: Option<KvVersion>,
    /// Whether this replica drives the open rotation.
    pub role: Role,
    /// What the task is doing at this moment.
    pub activity: Activity,
    /// A rotation that was asked for and has not written its intent yet.
    pub pending: Option<(RotationId, Request)>,
    /// Set while something outside keeps the task from going on.
    pub hold: Option<Hold>,
    /// When the next rotation is due; `None` where only a request makes it due, or while paused.
    pub next_due: Option<Timestamp>,
    /// What somebody should know, though nothing waits for it.
    pub conditions: Vec<Condition>,
    /// Requests that ended before their intent was written, newest first; bounded, and forgotten at a restart.
    pub withdrawn: Vec<Withdrawn>,
}

impl Snapshot {
    /// A credential of which nothing is known yet.
    pub(super) fn starting(credential: &Credential) -> Self {
        Self {
            credential: credential.name.clone(),
            provider: credential.provider.clone(),
            store: credential.store.clone(),
            fields: credential.fields.clone(),
            state: None,
            entry_version: None,
            role: Role::Own,
            activity: Activity::Loading,
            pending: None,
            hold: None,
            next_due: None,
            conditions: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    /// Whether a rotation is open or about to begin, as far as is known.
    pub fn may_be_open(&self) -> bool {
        let is_idle = self.state.as_ref().is_some_and(|state| state.phase == Phase::Idle);
        self.pending.is_some() || !is_idle
    }
}

/// A rotation that was asked for and never began; nothing has happened to the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The id that was promised.
    pub rotation_id: RotationId,
    /// Who asked.
    pub request: Request,
    /// When it ended.
    pub at: Timestamp,
    /// Why, as a stable name: `CANCELLED`, or the code of what came in between.
    pub code: &'static str,
    /// Why, in words.
    pub message: String,
}

/// Who drives the open rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// No rotation is open, or this replica drives it.
    Own,
    /// Another replica drives it, and this one follows the record.
    Follower,
}

/// What a task is doing at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Reading record and escrow.
    Loading,
    /// Nothing; waiting for the next due time or a request.
    Idle,
    /// Checking that a rotation would succeed.
    Preflight,
    /// Writing the record.
    Saving,
    /// The regenerate call is on its way.
    Calling,
    /// Sealing the answer into escrow.
    Sealing,
    /// Asking the provider for its current value.
    Reading,
    /// Asking the provider whether it accepts the new key.
    Probing,
    /// Writing the application's entry.
    Publishing,
    /// Waiting on purpose: for propagation, or until a doubt can be settled.
    Waiting,
    /// Held up; see the snapshot's hold.
    Held,
    /// Ended.
    Stopped,
}

/// Something outside keeps the task from going on; it tries again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The cause's stable name, such as `VAULT_SEALED`.
    pub code: &'static str,
    /// The cause, what it means for the key, and what helps, in words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// When the next try is made.
    pub next_try_at: Timestamp,
}

/// Something that somebody should know: drift, an orphan answer, a residue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its stable name.
    pub code: &'static str,
    /// What it is, what it means for the key, and what to do, in words.
    pub message: String,
}

impl Condition {
    /// Whether it tells of a file in escrow, which is there until somebody takes it away.
    pub(super) fn is_about_a_file(&self) -> bool {
        matches!(self.code, "ORPHAN_ANSWER" | "ORPHAN_CALL" | "RESIDUE")
    }

    /// Whether it tells of a key that is owed and not revoked yet.
    pub(super) fn is_of_a_revocation(&self) -> bool {
        matches!(self.code, "REVOCATION_HELD" | "REVOCATION_REFUSED")
    }

    /// Whether it tells what a comparison of provider and Vault showed.
    pub(super) fn is_of_a_comparison(&self) -> bool {
        matches!(self.code, "DRIFT" | "PUBLISHED_KEY_REFUSED")
    }
}
