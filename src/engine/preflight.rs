//! Checking that a rotation would succeed, before anything outside has changed.

use std::time::Duration;

use jiff::Timestamp;

use super::crash;
use super::hands::{Hands, Secrets};
use super::interruption::{Cause, Interruption};
use super::snapshot::Condition;
use super::stopwatch::Share;
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{KeyId, RotationId};
use crate::provider::{self, Provider};
use crate::rotation::{Baseline, Closed, ClosedAs, Event, RefusalClass, Request, Slot, State, idle_slot};
use crate::secret::{Fingerprint, SecretValue};
use crate::vault::{Entry, Needs, Store};

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Everything that a rotation needs, checked; outside nothing changes but the escrow's empty slot.
    pub(super) async fn preflight(
        &mut self,
        rotation_id: RotationId,
        request: Request,
    ) -> Result<Event, Interruption> {
        let baseline = self.inspect(request.emergency).await?;
        let name = self.credential.name.clone();
        let started = self.clock.monotonic();
        self.on_disk(move |escrow| escrow.prepare(&name, rotation_id)).await?;
        self.took(Share::Escrow, started);
        let identity = self.escrow.new_identity();
        let supplied = self.provider.choose_key().map_err(|_| {
            Interruption::Held(Cause::new("NO_RANDOMNESS", "the system gives no random bytes".to_owned()))
        })?;
        if let Some(record) = &mut self.record {
            record.supplied = supplied;
            record.identities.retain(|(id, _)| *id != rotation_id);
            record.identities.insert(0, (rotation_id, identity));
            record.identities.truncate(IDENTITIES_MAX);
        }
        crash::point("before-intent");
        self.keep_the_time_of(Some(rotation_id));
        let (replica, epoch, now) = (self.replica, self.epoch(), self.now());
        Ok(Event::Preflighted { rotation_id, request, replica, epoch, baseline, now })
    }

    /// The reading half of a preflight: what stands in the way, and what provider and Vault hold.
    pub(super) async fn inspect(&mut self, emergency: bool) -> Result<Baseline, Interruption> {
        if !emergency {
            self.leave_the_provider_alone()?;
        }
        self.conditions.retain(|condition| condition.is_about_a_file() || condition.is_of_a_comparison());
        let started = self.clock.monotonic();
        self.store.preflight(&self.needs()).await?;
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        self.refuse_record_behind_entry(&entry)?;
        self.entry = Some(entry);
        self.took(Share::Vault, started);
        self.signer = None;
        self.collect_secrets().await?;
        let held = self.entry.as_ref().and_then(|entry| self.secret_in(entry));
        let entry = held.map(|secret| self.fingerprint(&secret));
        let (slot, provider) = self.provider_baseline(entry.as_ref()).await?;
        let entry_version = self.entry_version().unwrap_or_default();
        let marker = self.marker_before().await?;
        let baseline = Baseline { provider, marker, entry, entry_version, key_id: None, slot };
        let drifted = |condition: &Condition| condition.code == "DRIFT";
        if baseline.provider.is_some() {
            self.conditions.retain(|condition| !drifted(condition));
        }
        if baseline.has_drift() {
            self.note(
                "DRIFT",
                format!(
                    "provider and Vault hold different keys at {}: somebody rotated without keyturn; \
                 this rotation puts the newest key into Vault",
                    self.credential.store
                ),
            );
        }
        Ok(baseline)
    }

    fn needs(&self) -> Needs {
        let signer = self.credential.signer.iter();
        let extra = self.credential.extra.iter().map(|(_, place)| place);
        Needs {
            credential: self.credential.name.clone(),
            entry: self.credential.store.path.clone(),
            secrets: signer.chain(extra).cloned().collect(),
            lasting: self.plan().claim,
        }
    }

    /// What has not begun waits for as long as the provider asked this account to stay away.
    fn leave_the_provider_alone(&self) -> Result<(), Interruption> {
        let Some(left) = self.provider.quiet_left() else { return Ok(()) };
        Err(Interruption::Held(Cause {
            code: RefusalClass::RateLimited.code(),
            message: format!(
                "the provider asked this account to stay away for {} more seconds, so nothing was rotated; keyturn \
                 goes on by itself",
                left.as_secs().saturating_add(1)
            ),
            // The record is followed meanwhile.
            retry_after: Some(left.min(QUIET_LOOK_MAX)),
        }))
    }

    /// Whether the entry was published by a newer record than Vault has now.
    pub(super) fn is_ahead_of_record(&self, entry: &Entry) -> bool {
        entry.stamp(&self.credential.store.field).is_some_and(|stamp| stamp.epoch > self.version)
    }

    /// A stamp that is newer than the record means that the record was deleted or Vault was restored from a
    /// snapshot: rotating now would be blind.
    fn refuse_record_behind_entry(&self, entry: &Entry) -> Result<(), Interruption> {
        if !self.is_ahead_of_record(entry) {
            return Ok(());
        }
        Err(Interruption::Held(Cause::new(
            "RECORD_BEHIND_ENTRY",
            format!(
                "the entry at {} was published by a newer record than Vault has now (version {}): the record was \
                 deleted, or Vault was restored from a snapshot; no key is touched. Check that the entry's key \
                 works, then remove its _keyturn member, and keyturn goes on",
                self.credential.store, self.version
            ),
        )))
    }

    /// The key that the call will replace, and its name where the provider has several.
    async fn provider_baseline(
        &mut self,
        entry: Option<&Fingerprint>,
    ) -> Result<(Option<KeyId>, Option<Fingerprint>), Interruption> {
        if self.plan().read.is_none() {
            return Ok((None, None));
        }
        if self.plan().slots.is_empty() {
            return Ok((None, Some(self.key_before(None).await?)));
        }
        let mut slots = Vec::new();
        for name in self.plan().slots.clone() {
            let key = self.key_before(Some(&name)).await?;
            slots.push(Slot { name, key });
        }
        match idle_slot(&slots, entry) {
            Some(slot) => Ok((Some(slot.name.clone()), Some(slot.key.clone()))),
            None => Err(Interruption::Held(Cause::new(
                "ENTRY_IN_NO_SLOT",
                format!(
                    "the key at {} is none of the provider's keys, so that nobody can tell which of them applications \
                     use, and none is made anew; put the one that they use there, and keyturn goes on",
                    self.credential.store
                ),
            ))),
        }
    }

    /// A key that the provider shows before anything is changed.
    async fn key_before(&mut self, slot: Option<&KeyId>) -> Result<Fingerprint, Interruption> {
        let answer = seen_before("its present key", self.read_provider(slot).await?)?;
        Ok(self.fingerprint(&answer.secret))
    }

    /// What changes with the provider's key, before anything is changed; nothing where it may still be that of the key before,
    /// so that another one later would not prove anything.
    async fn marker_before(&mut self) -> Result<Option<Fingerprint>, Interruption> {
        let Some(lag) = self.plan().marker else { return Ok(None) };
        let marker = seen_before("what changes with its key", self.read_marker().await?)?;
        if marker.is_none() {
            self.note(
                "MARKER_MISSING",
                "the provider does not show what changes with its key (`marker` in its definition), so that a lost answer is \
                 settled without it; if this stays, the definition looks in the wrong place"
                    .to_owned(),
            );
        }
        let state = self.record.as_ref().map(|record| &record.state);
        let is_settled = state.is_some_and(|state| has_settled(state, lag, self.unchanged_for(), self.now()));
        Ok(marker.filter(|_| is_settled).map(|marker| self.fingerprint(&marker.into())))
    }

    pub(super) async fn read_marker(
        &mut self,
    ) -> Result<provider::Reading<Option<SecretValue>>, Interruption> {
        self.collect_secrets().await?;
        let started = self.clock.monotonic();
        let reading = match &self.signer {
            Some(secrets) => self.provider.marker(secrets.signer()).await,
            None => return Err(Interruption::Reload),
        };
        self.took(Share::Provider, started);
        Ok(reading)
    }

    pub(super) async fn read_provider(
        &mut self,
        slot: Option<&KeyId>,
    ) -> Result<provider::Reading, Interruption> {
        self.collect_secrets().await?;
        let started = self.clock.monotonic();
        let reading = match &self.signer {
            Some(secrets) => self.provider.read(slot, secrets.signer()).await,
            None => return Err(Interruption::Reload),
        };
        self.took(Share::Provider, started);
        Ok(reading)
    }

    /// Reads the signing secrets, unless they are in hand.
    pub(super) async fn collect_secrets(&mut self) -> Result<(), Interruption> {
        if self.signer.is_some() {
            return Ok(());
        }
        let started = self.clock.monotonic();
        let main = match &self.credential.signer {
            Some(place) => self.store.read_secret(place).await?,
            None => self.own_secret().await?,
        };
        let mut extra = Vec::new();
        for (name, place) in &self.credential.extra {
            extra.push((name.clone(), self.store.read_secret(place).await?));
        }
        self.signer = Some(Secrets { main, extra });
        self.took(Share::Vault, started);
        Ok(())
    }

    async fn own_secret(&mut self) -> Result<SecretValue, Interruption> {
        let place = &self.credential.store;
        if self.entry.is_none() {
            self.entry = Some(self.store.read_entry(&place.path).await?);
        }
        let found = self.entry.as_ref().and_then(|entry| entry.field(&place.field));
        found.ok_or_else(|| {
            Interruption::Held(Cause::new(
                "FIRST_SECRET_MISSING",
                format!(
                    "the credential signs its own rotation, and {place} is empty; put the secret that the provider \
                     accepts now there, and keyturn goes on"
                ),
            ))
        })
    }
}

/// Whether what the last rotation changed shows by now, by the clock that closed it and by how long the record was seen so.
fn has_settled(state: &State, lag: Duration, unchanged_for: Duration, now: Timestamp) -> bool {
    let has_changed =
        |closed: &Closed| matches!(closed.outcome, ClosedAs::Rotated { .. } | ClosedAs::Resolved { .. });
    let is_old = |closed: &Closed| closed.closed_at.checked_add(lag).is_ok_and(|shows_at| shows_at <= now);
    let is_newest = state.history.first().is_some_and(has_changed);
    (!is_newest || unchanged_for >= lag)
        && state.history.iter().all(|closed| !has_changed(closed) || is_old(closed))
}

/// What a look before the call showed; without it nothing is rotated.
fn seen_before<T>(what: &str, reading: provider::Reading<T>) -> Result<T, Interruption> {
    match reading {
        provider::Reading::Value(value) => Ok(value),
        provider::Reading::Unavailable(problem) => Err(Interruption::Held(Cause::new(
            "PROVIDER_UNREACHABLE",
            format!("the provider does not show {what} now, so nothing was rotated: {problem}"),
        ))),
        provider::Reading::Refused(refusal) => Err(Interruption::Held(Cause {
            code: refusal.class.code(),
            message: format!(
                "the provider refuses to show {what}, so nothing was rotated: {}",
                refusal.problem
            ),
            retry_after: refusal.retry_after,
        })),
    }
}

/// How long the task looks away at most while the provider wants to be left alone.
const QUIET_LOOK_MAX: Duration = Duration::from_mins(1);
/// The open rotation's escrow identity, and those of the rotations before it whose answers may come late.
const IDENTITIES_MAX: usize = 4;
