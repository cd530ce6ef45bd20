//! keyturn's death in a rehearsal: it comes once, and the next life goes on with what was durable by then.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use tokio::sync::watch;

use super::clock::StageClock;
use crate::ids::KeyId;
use crate::provider::{
    HttpProvider, Listing, Probe, Provider, Reading, Regeneration, Response, Revoking, Signer,
};
use crate::rotation::{Phase, Plan, State};
use crate::secret::SecretValue;

/// An instant between two durable writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The record says that a call will be made, and no byte has left.
    AfterIntent,
    /// The slot is marked as sent, and no byte has left.
    BeforeSending,
    /// The answer has come, and is nowhere but in memory.
    AfterAnswer,
    /// The answer is sealed, and Vault knows nothing of it.
    AfterSealing,
    /// The record says that the outcome is unknown.
    AfterDoubt,
    /// The new key waits in the record.
    AfterStaging,
    /// The entry has the new key, and the rotation is not closed.
    AfterPublishing,
}

impl Moment {
    /// The instant after a record with this state was written.
    pub(super) const fn after_saving(state: &State) -> Option<Self> {
        match state.phase {
            Phase::Intended { .. } => Some(Self::AfterIntent),
            Phase::Unknown { .. } => Some(Self::AfterDoubt),
            Phase::Staged { .. } => Some(Self::AfterStaging),
            _ => None,
        }
    }
}

/// A death that comes at one moment, or never.
#[derive(Debug)]
pub(super) struct Death {
    at: Option<Moment>,
    is_due: AtomicBool,
    has_come: watch::Sender<bool>,
}

impl Death {
    pub(super) fn at(moment: Option<Moment>) -> Arc<Self> {
        Arc::new(Self { at: moment, is_due: AtomicBool::new(false), has_come: watch::Sender::new(false) })
    }

    /// Never returns where it is the first time that this moment is passed, and death comes at it.
    pub(super) async fn may_come(&self, moment: Moment) {
        self.approach(moment);
        self.may_come_late().await;
    }

    /// The same for whoever cannot wait: death comes at the next step of somebody who can.
    pub(super) fn approach(&self, moment: Moment) {
        if self.at == Some(moment) && !*self.has_come.borrow() {
            self.is_due.store(true, Ordering::Relaxed);
        }
    }

    /// Never returns where death has been approached.
    pub(super) async fn may_come_late(&self) {
        if self.is_due.swap(false, Ordering::Relaxed) {
            self.has_come.send_replace(true);
            future::pending::<()>().await;
        }
    }

    /// Ends when it comes, if it does.
    pub(super) async fn comes(&self) {
        let mut has_come = self.has_come.subscribe();
        has_come.wait_for(|has_come| *has_come).await.ok();
    }
}

/// The provider as somebody mortal asks it.
#[derive(Debug)]
pub(super) struct MortalProvider {
    pub(super) provider: HttpProvider<StageClock>,
    pub(super) death: Arc<Death>,
}

impl Provider for MortalProvider {
    fn plan(&self) -> &Plan {
        self.provider.plan()
    }

    fn quiet_left(&self) -> Option<Duration> {
        self.provider.quiet_left()
    }

    fn choose_key(&self) -> Result<Option<SecretValue>, Unspecified> {
        self.provider.choose_key()
    }

    async fn regenerate(&self, what: Regeneration<'_>, signer: Signer<'_>) -> Response {
        self.death.may_come(Moment::BeforeSending).await;
        let response = self.provider.regenerate(what, signer).await;
        self.death.may_come(Moment::AfterAnswer).await;
        response
    }

    async fn read(&self, slot: Option<&KeyId>, signer: Signer<'_>) -> Reading {
        self.provider.read(slot, signer).await
    }

    async fn marker(&self, signer: Signer<'_>) -> Reading<Option<SecretValue>> {
        self.provider.marker(signer).await
    }

    async fn probe(&self, key: &SecretValue, extra: &[(String, SecretValue)]) -> Probe {
        self.provider.probe(key, extra).await
    }

    async fn list(&self, signer: Signer<'_>) -> Listing {
        self.provider.list(signer).await
    }

    async fn revoke(&self, key: &KeyId, signer: Signer<'_>) -> Revoking {
        self.provider.revoke(key, signer).await
    }
}
