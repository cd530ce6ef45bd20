//! The effects on provider, escrow and Vault: each is one attempt, and says what it saw.

use std::time::Duration;

use jiff::SignedDuration;

use super::crash;
use super::hands::Hands;
use super::interruption::{Cause, Interruption};
use super::stopwatch::Share;
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::RotationId;
use crate::provider::{self, Probe, Provider, Regeneration};
use crate::rotation::{
    Answer, Closed, ClosedAs, Event, Outcome, Phase, Problem, Reading, Refusal, RefusalClass, Rotation,
    State, Verdict,
};
use crate::secret::Secret;
use crate::vault::{Record, Stamp, Store};

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Writes the record; from here on `state` is what a restart finds.
    pub(super) async fn save(&mut self, state: &State) -> Result<(), Interruption> {
        let secret = self.secret_for_record(state)?;
        let Some(record) = &mut self.record else { return Err(Interruption::Reload) };
        record.state = state.clone();
        record.staged = secret;
        if state.phase.rotation().is_none() {
            record.supplied = None;
        }
        forget_refused(record);
        let started = self.clock.monotonic();
        let written = self.store.write_record(&self.credential.name, record, self.version).await;
        self.took(Share::Vault, started);
        self.version = written?;
        self.seen_at = started;
        self.heard = None;
        self.note_what_is_owed(state);
        self.keep_the_time_of(state.phase.rotation().map(|open| open.rotation_id));
        match state.phase {
            Phase::Intended { .. } => crash::point("after-intent"),
            Phase::Unknown { .. } => crash::point("after-unknown"),
            Phase::Staged { .. } => crash::point("after-stage"),
            Phase::Idle => crash::point("after-close"),
            Phase::Answered { .. } | Phase::Published { .. } | Phase::Halted { .. } => {}
        }
        Ok(())
    }

    /// The key that the record must hold in this state; a record that needs one is never written without it.
    fn secret_for_record(&self, state: &State) -> Result<Option<Secret>, Interruption> {
        if !state.phase.keeps_secret_in_record() {
            return Ok(None);
        }
        let id = state.phase.rotation().map(|open| open.rotation_id);
        let in_hand = self.in_hand.as_ref().filter(|in_hand| Some(in_hand.rotation_id) == id);
        match in_hand {
            Some(in_hand) => Ok(Some(in_hand.answer.secret.duplicate())),
            None => Err(Interruption::Held(Cause::new(
                "STAGED_SECRET_MISSING",
                "the staged key is not in hand, so the record that holds it is not overwritten".to_owned(),
            ))),
        }
    }

    /// Refuses to act on a claim that may have run out; the record is then read, and renewed, first.
    fn holds_claim(&self, rotation: &Rotation) -> Result<(), Interruption> {
        if self.unchanged_for() > Duration::from_millis(rotation.claim_ms) {
            return Err(Interruption::Reload);
        }
        Ok(())
    }

    /// Makes the one call. Not to be dropped once the slot is marked as sent.
    pub(super) async fn call(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        if let Some(refusal) = self.speaks_against_the_call(rotation).await? {
            return Ok(Event::Called { outcome: Outcome::NotApplied(refusal), now: self.now() });
        }
        self.get_ready_to_call(rotation).await?;
        crash::point("after-sent");
        let id = rotation.rotation_id;
        let Some(secrets) = &self.signer else { return Err(Interruption::Reload) };
        let started = self.clock.monotonic();
        let response = self.provider.regenerate(self.regeneration(rotation), secrets.signer()).await;
        self.took(Share::Provider, started);
        crash::point("after-answer");
        if let Some(residue) = response.residue {
            self.seal_residue(id, residue.into()).await;
        }
        let outcome = match response.outcome {
            Outcome::Applied(answer) => {
                let facts = self.take_in_hand(rotation, answer);
                crash::panic_with(&self.in_hand);
                Outcome::Applied(facts)
            }
            Outcome::NotApplied(refusal) => Outcome::NotApplied(refusal),
            Outcome::AppliedNoValue => Outcome::AppliedNoValue,
            Outcome::Unknown(doubt) => Outcome::Unknown(doubt),
        };
        if !matches!(outcome, Outcome::Applied(_)) {
            self.heard = Some((id, rotation.calls, outcome.clone()));
        }
        Ok(Event::Called { outcome, now: self.now() })
    }

    /// What the call is for, and the key that the record has for it.
    fn regeneration<'a>(&'a self, rotation: &'a Rotation) -> Regeneration<'a> {
        let supplied = self.record.as_ref().and_then(|record| record.supplied.as_ref());
        let supplied = supplied.filter(|_| self.plan().supplies);
        Regeneration { rotation: rotation.rotation_id, supplied, slot: rotation.baseline.slot.as_ref() }
    }

    /// Why the call is not made after all: it would bring another key than the one that was chosen before the first call, or make
    /// another one anew than the one that nobody used then.
    async fn speaks_against_the_call(
        &mut self,
        rotation: &Rotation,
    ) -> Result<Option<Refusal>, Interruption> {
        let refused =
            |class, what: &str| Ok(Some(Refusal { class, problem: Problem::local(what), retry_after: None }));
        if let Some(refusal) = self.has_another_slot(rotation) {
            return Ok(Some(refusal));
        }
        if self.plan().supplies && self.regeneration(rotation).supplied.is_none() {
            let what = "the record does not hold the key that was chosen for this rotation";
            return refused(RefusalClass::Invalid, what);
        }
        if rotation.baseline.slot.is_some() {
            let entry = self.store.read_entry(&self.credential.store.path).await?;
            let held = self.secret_in(&entry).map(|secret| self.fingerprint(&secret));
            if held != rotation.baseline.entry {
                // Somebody may have changed over to the very key that was to be made anew.
                return refused(
                    RefusalClass::Unreachable,
                    "the entry has another key than when the slot was chosen",
                );
            }
        }
        Ok(None)
    }

    /// The definition's named keys may be others than when the rotation began.
    fn has_another_slot(&self, rotation: &Rotation) -> Option<Refusal> {
        let slots = &self.plan().slots;
        let fits = rotation.baseline.slot.as_ref().map_or(slots.is_empty(), |slot| slots.contains(slot));
        let problem =
            || Problem::local("the definition's named keys are others than when this rotation began");
        (!fits).then(|| Refusal { class: RefusalClass::Invalid, problem: problem(), retry_after: None })
    }

    /// Everything before the first byte; the slot is marked last.
    async fn get_ready_to_call(&mut self, rotation: &Rotation) -> Result<(), Interruption> {
        let id = rotation.rotation_id;
        let name = self.credential.name.clone();
        let mut ready = self.collect_secrets().await.and_then(|()| self.holds_claim(rotation));
        let mut may_be_marked = rotation.calls > 1;
        if ready.is_ok() && self.shutdown.is_cancelled() && rotation.calls <= 1 {
            // The next start makes the call; begun now, it might be cut off.
            return Err(Interruption::Stop);
        }
        if ready.is_ok() {
            let started = self.clock.monotonic();
            ready = self.on_disk(move |escrow| escrow.mark_sent(&name, id)).await;
            self.took(Share::Escrow, started);
            may_be_marked = true;
        }
        // A disk can stall for longer than a claim lasts.
        let ready = ready.and_then(|()| self.holds_claim(rotation));
        if ready.is_err() && may_be_marked {
            // The slot may say "sent", and only this process knows better.
            let problem = Problem::local("the request was not sent");
            let refusal = Refusal { class: RefusalClass::Unreachable, problem, retry_after: None };
            self.heard = Some((id, rotation.calls, Outcome::NotApplied(refusal)));
        }
        ready
    }

    /// Asks for the provider's present key. What it shows was true when it was asked for: an answer can lie in a
    /// frozen process, while a late request takes effect.
    pub(super) async fn read(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        let asked_at = self.now();
        if let Some(refusal) = self.has_another_slot(rotation) {
            return Ok(Event::Read { reading: Reading::Refused(refusal), now: asked_at });
        }
        if self.plan().marker.is_some() {
            let reading = self.compare_marker(rotation).await?;
            return Ok(Event::Read { reading, now: asked_at });
        }
        let reading = match self.read_provider(rotation.baseline.slot.as_ref()).await? {
            provider::Reading::Unavailable(problem) => Reading::Unavailable(problem),
            provider::Reading::Refused(refusal) => Reading::Refused(refusal),
            provider::Reading::Value(answer) => self.compare(rotation, answer),
        };
        Ok(Event::Read { reading, now: asked_at })
    }

    /// Whether what the provider shows of its key is another than before the call.
    async fn compare_marker(&mut self, rotation: &Rotation) -> Result<Reading, Interruption> {
        Ok(match self.read_marker().await? {
            provider::Reading::Unavailable(problem) => Reading::Unavailable(problem),
            provider::Reading::Refused(refusal) => Reading::Refused(refusal),
            provider::Reading::Value(None) => {
                let problem = Problem::local("the provider does not show any more what changes with its key");
                Reading::Refused(Refusal { class: RefusalClass::NotFound, problem, retry_after: None })
            }
            provider::Reading::Value(Some(marker)) => {
                let marker = Some(self.fingerprint(&marker.into()));
                if marker == rotation.baseline.marker { Reading::Unchanged } else { Reading::Replaced }
            }
        })
    }

    fn compare(&mut self, rotation: &Rotation, mut answer: provider::Answer) -> Reading {
        let shown = Some(self.fingerprint(&answer.secret));
        // A read can lag: right after a rotation the baseline shows the key before the entry's, which is no new key.
        if shown == rotation.baseline.provider || shown == rotation.baseline.entry {
            return Reading::Unchanged;
        }
        let grace = self.plan().grace.and_then(|grace| SignedDuration::try_from(grace).ok());
        answer.previous_expires_at =
            grace.and_then(|grace| rotation.first_dispatched_at.min(self.now()).checked_add(grace).ok());
        Reading::Changed(self.take_in_hand(rotation, answer))
    }

    pub(super) async fn publish(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        self.holds_claim(rotation)?;
        let place = self.credential.store.clone();
        let started = self.clock.monotonic();
        // Before the record is compared: who closes the rotation without this key writes the entry again, so that this
        // write fails.
        if self.entry.is_none() {
            self.entry = Some(self.store.read_entry(&place.path).await?);
        }
        // Somebody else may have settled the rotation since the last save: that is seen before anything is written.
        if self.store.record_version(&self.credential.name).await? != self.version {
            return Err(Interruption::Reload);
        }
        let (Some(entry), Some(in_hand)) = (&self.entry, &self.in_hand) else {
            return Err(Interruption::Reload);
        };
        let newer = entry.stamp(&place.field).is_some_and(|stamp| stamp.epoch > rotation.epoch);
        if newer || self.is_displaced(rotation) {
            return Err(Interruption::Reload);
        }
        let stamp = Stamp {
            rotation_id: rotation.rotation_id,
            epoch: rotation.epoch,
            published_at: self.clock.now(),
            previous_expires_at: in_hand.answer.previous_expires_at,
            call: in_hand.call,
            key_id: in_hand.answer.key_id.clone(),
            fields: self.fields_of(&in_hand.answer.secret),
        };
        let written = self.store.publish(&place, entry, &in_hand.answer.secret, &stamp).await;
        self.entry = None;
        self.took(Share::Vault, started);
        let version = written?;
        crash::point("after-publish");
        // What a comparison said of the key before it is over.
        self.conditions.retain(|condition| !condition.is_of_a_comparison());
        Ok(Event::Published { version, now: self.now() })
    }

    /// Whether somebody put another key into the entry since a rotation was taken up again: it is not overwritten.
    pub(super) fn is_displaced(&self, rotation: &Rotation) -> bool {
        let entry = self.entry.as_ref().and_then(|entry| self.secret_in(entry));
        let entry = entry.map(|secret| self.fingerprint(&secret));
        let answer = self.answer_facts(rotation.rotation_id).map(|facts| facts.fingerprint);
        rotation.reopened && entry != rotation.baseline.entry && entry != answer
    }

    /// Asks the provider whether it accepts the staged key.
    pub(super) async fn probe(&mut self) -> Result<Event, Interruption> {
        self.collect_secrets().await?;
        let (Some(in_hand), Some(secrets)) = (&self.in_hand, &self.signer) else {
            return Err(Interruption::Reload);
        };
        let (asked_at, started) = (self.now(), self.clock.monotonic());
        let probe = self.provider.probe(&in_hand.answer.secret.key, &secrets.extra).await;
        self.took(Share::Provider, started);
        let verdict = self.verdict(probe);
        Ok(Event::Probed { verdict, now: asked_at })
    }

    /// Reads the published value back, and asks the provider whether it accepts it.
    /// The entry must hold the very key that the record is about to name: a write of another call can come later.
    pub(super) async fn verify(
        &mut self,
        rotation: &Rotation,
        answer: &Answer,
    ) -> Result<Event, Interruption> {
        let started = self.clock.monotonic();
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        self.took(Share::Vault, started);
        let stamp = entry
            .stamp(&self.credential.store.field)
            .filter(|stamp| stamp.rotation_id == rotation.rotation_id);
        let is_it = |secret: &Secret| stamp.is_some() && self.fingerprint(secret) == answer.fingerprint;
        let Some(secret) = self.secret_in(&entry).filter(is_it) else {
            if stamp.is_some_and(|stamp| stamp.call != answer.call) {
                return Err(Interruption::Reload);
            }
            return Err(Interruption::Held(Cause::new(
                "ENTRY_OVERWRITTEN",
                format!(
                    "somebody overwrote {} after it was published; keyturn publishes the new key again",
                    self.credential.store
                ),
            )));
        };
        self.entry = Some(entry);
        if self.plan().creates.is_some() && rotation.calls > 1 {
            // Nor may a write of another call come after it: it would find another version.
            self.fence_the_entry().await?;
        }
        if !self.plan().probe {
            return Ok(Event::Probed { verdict: Verdict::NoProbe, now: self.now() });
        }
        self.collect_secrets().await?;
        let Some(secrets) = &self.signer else { return Err(Interruption::Reload) };
        let (asked_at, started) = (self.now(), self.clock.monotonic());
        let probe = self.provider.probe(&secret.key, &secrets.extra).await;
        self.took(Share::Provider, started);
        let verdict = self.verdict(probe);
        Ok(Event::Probed { verdict, now: asked_at })
    }

    /// Drops the secrets in hand; what is durable stays.
    pub(super) fn forget(&mut self) {
        self.in_hand = None;
        self.signer = None;
    }

    /// Erases a closed rotation's slot, with the answer of the call that is named, and forgets the key; a slot that
    /// stays is found again at the next load.
    pub(super) async fn erase(&mut self, id: RotationId, sealed_by: Option<u32>) {
        self.forget();
        let name = self.credential.name.clone();
        let erased = self.on_disk(move |escrow| escrow.erase(&name, id, sealed_by)).await;
        if let Err(Interruption::Held(cause)) = erased {
            tracing::warn!(rotation_id = %id, code = cause.code, cause = cause.message, "a slot could not be erased");
        }
    }

    fn verdict(&mut self, probe: Probe) -> Verdict {
        match probe {
            Probe::Accepted => Verdict::Accepted,
            Probe::NotAccepted(problem) => {
                tracing::debug!(%problem, "the provider does not accept the new key yet");
                Verdict::NotAccepted
            }
            Probe::Unavailable(problem) => {
                self.note(
                    "PROBE_UNAVAILABLE",
                    format!("the provider cannot be asked whether it accepts the new key: {problem}"),
                );
                Verdict::Unavailable
            }
        }
    }
}

/// A call that was refused brought nothing that its identity could open.
fn forget_refused(record: &mut Record) {
    let newest = record.state.history.first();
    if let Some(Closed { rotation_id, outcome: ClosedAs::Failed { .. }, .. }) = newest {
        record.identities.retain(|(id, _)| id != rotation_id);
    }
}
