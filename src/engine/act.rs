//! The effects on provider, escrow and Vault: each is one attempt, and says what it saw.

use std::time::Duration;

use jiff::SignedDuration;

use super::crash;
use super::hands::Hands;
use super::interruption::{Cause, Interruption};
use super::stopwatch::Share;
use crate::clock::Clock;
use crate::escrow::{Escrow, SealedAnswer};
use crate::ids::RotationId;
use crate::provider::{self, Probe, Provider};
use crate::rotation::{Event, Outcome, Phase, Reading, Rotation, State, Verdict};
use crate::secret::SecretValue;
use crate::vault::{Stamp, Store};

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Writes the record; from here on `state` is what a restart finds.
    pub(super) async fn save(&mut self, state: &State) -> Result<(), Interruption> {
        let staged = state.phase.keeps_secret_in_record();
        let secret =
            staged.then(|| self.answer.as_ref().map(|(_, answer)| answer.secret.duplicate())).flatten();
        let Some(record) = &mut self.record else { return Err(Interruption::Reload) };
        record.state = state.clone();
        record.staged = secret;
        let started = self.clock.monotonic();
        let written = self.store.write_record(&self.credential.name, record, self.version).await;
        self.took(Share::Vault, started);
        self.version = written?;
        self.seen_at = started;
        self.heard = None;
        match state.phase {
            Phase::Intended { .. } => crash::point("after-intent"),
            Phase::Unknown { .. } => crash::point("after-unknown"),
            Phase::Staged { .. } => crash::point("after-stage"),
            Phase::Idle => crash::point("after-close"),
            Phase::Answered { .. } | Phase::Published { .. } | Phase::Halted { .. } => {}
        }
        Ok(())
    }

    /// Refuses to act on a claim that may have run out; the record is then read, and renewed, first.
    fn holds_claim(&self, rotation: &Rotation) -> Result<(), Interruption> {
        let held = self.clock.monotonic().saturating_sub(self.seen_at);
        if held > Duration::from_millis(rotation.claim_ms) {
            return Err(Interruption::Reload);
        }
        Ok(())
    }

    /// Makes the one call. Not to be dropped once the slot is marked as sent.
    pub(super) async fn call(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        self.collect_secrets().await?;
        self.holds_claim(rotation)?;
        let id = rotation.rotation_id;
        let name = self.credential.name.clone();
        let started = self.clock.monotonic();
        self.on_disk(move |escrow| escrow.mark_sent(&name, id)).await?;
        self.took(Share::Escrow, started);
        crash::point("after-sent");
        let Some(secrets) = &self.signer else { return Err(Interruption::Reload) };
        let started = self.clock.monotonic();
        let response = self.provider.regenerate(id, secrets.signer()).await;
        self.took(Share::Provider, started);
        crash::point("after-answer");
        if let Some(residue) = response.residue {
            self.seal_residue(id, residue).await;
        }
        let outcome = match response.outcome {
            Outcome::Applied(answer) => {
                let facts = self.facts(&answer);
                self.answer = Some((id, answer));
                crash::panic_with(&self.answer);
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

    /// A body that gave no value may still hold the key: it is kept for a person.
    async fn seal_residue(&mut self, id: RotationId, residue: SecretValue) {
        let Some(identity) = self.identity(id) else { return };
        let name = self.credential.name.clone();
        match self.on_disk(move |escrow| escrow.seal_residue(&name, id, &identity, &residue)).await {
            Ok(()) => self.note("RESIDUE", format!(
                "the provider reported success for rotation {id} in a form that keyturn could not use; what it \
                 said is sealed in escrow, and a person can open it there"
            )),
            Err(_) => self.note("RESIDUE_LOST", format!(
                "the provider reported success for rotation {id} in a form that keyturn could not use, and the \
                 disk refused to keep it"
            )),
        }
    }

    pub(super) async fn seal(&mut self, rotation: &Rotation) -> Event {
        let id = rotation.rotation_id;
        let started = self.clock.monotonic();
        if let (Some((_, answer)), Some(identity)) = (&self.answer, self.identity(id)) {
            let sealed = SealedAnswer {
                secret: answer.secret.duplicate(),
                previous_expires_at: answer.previous_expires_at,
                received_at: answer.received_at,
            };
            let name = self.credential.name.clone();
            let done = self.on_disk(move |escrow| escrow.seal(&name, id, &identity, &sealed)).await;
            if let Err(Interruption::Held(cause)) = done {
                tracing::error!(rotation_id = %id, code = cause.code, cause = cause.message,
                    "the answer could not be sealed; it goes to Vault at once");
                self.note(cause.code, format!(
                    "the escrow refused the answer of rotation {id} ({}); the key is held in memory until Vault has it",
                    cause.message
                ));
            }
        }
        self.took(Share::Escrow, started);
        crash::point("after-seal");
        Event::Sealed { now: self.now() }
    }

    pub(super) async fn read(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        let reading = match self.read_provider().await? {
            provider::Reading::Unavailable(problem) => Reading::Unavailable(problem),
            provider::Reading::Refused(refusal) => Reading::Refused(refusal),
            provider::Reading::Value(answer) => self.compare(rotation, answer),
        };
        Ok(Event::Read { reading, now: self.now() })
    }

    fn compare(&mut self, rotation: &Rotation, mut answer: provider::Answer) -> Reading {
        let before = rotation.baseline.provider.as_ref().or(rotation.baseline.entry.as_ref());
        if before == Some(&self.fingerprint(&answer.secret)) {
            return Reading::Unchanged;
        }
        let grace = self.plan().grace.and_then(|grace| SignedDuration::try_from(grace).ok());
        answer.previous_expires_at = grace.and_then(|grace| rotation.dispatched_at.checked_add(grace).ok());
        let facts = self.facts(&answer);
        self.answer = Some((rotation.rotation_id, answer));
        Reading::Changed(facts)
    }

    pub(super) async fn publish(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        self.holds_claim(rotation)?;
        let place = self.credential.store.clone();
        let started = self.clock.monotonic();
        if self.entry.is_none() {
            self.entry = Some(self.store.read_entry(&place.path).await?);
        }
        let (Some(entry), Some((_, answer))) = (&self.entry, &self.answer) else {
            return Err(Interruption::Reload);
        };
        let newer = entry.stamp(&place.field).is_some_and(|stamp| stamp.epoch > rotation.epoch);
        if newer {
            return Err(Interruption::Reload);
        }
        let stamp = Stamp {
            rotation_id: rotation.rotation_id,
            epoch: rotation.epoch,
            published_at: self.clock.now(),
            previous_expires_at: answer.previous_expires_at,
        };
        let written = self.store.publish(&place, entry, &answer.secret, &stamp).await;
        self.entry = None;
        self.took(Share::Vault, started);
        let version = written?;
        crash::point("after-publish");
        Ok(Event::Published { version, now: self.now() })
    }

    /// Asks the provider whether it accepts the staged key.
    pub(super) async fn probe(&mut self) -> Result<Event, Interruption> {
        self.collect_secrets().await?;
        let (Some((_, answer)), Some(secrets)) = (&self.answer, &self.signer) else {
            return Err(Interruption::Reload);
        };
        let started = self.clock.monotonic();
        let verdict = verdict(self.provider.probe(&answer.secret, &secrets.extra).await);
        self.took(Share::Provider, started);
        Ok(Event::Probed { verdict, now: self.now() })
    }

    /// Reads the published value back, and asks the provider whether it accepts it.
    pub(super) async fn verify(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        let started = self.clock.monotonic();
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        self.took(Share::Vault, started);
        let field = &self.credential.store.field;
        let ours = entry.stamp(field).is_some_and(|stamp| stamp.rotation_id == rotation.rotation_id);
        let Some(value) = entry.field(field).filter(|_| ours) else {
            return Err(Interruption::Held(Cause::new(
                "ENTRY_OVERWRITTEN",
                format!(
                    "somebody overwrote {} after it was published; keyturn publishes the new key again",
                    self.credential.store
                ),
            )));
        };
        self.entry = Some(entry);
        if !self.plan().probe {
            return Ok(Event::Probed { verdict: Verdict::NoProbe, now: self.now() });
        }
        self.collect_secrets().await?;
        let Some(secrets) = &self.signer else { return Err(Interruption::Reload) };
        let started = self.clock.monotonic();
        let verdict = verdict(self.provider.probe(&value, &secrets.extra).await);
        self.took(Share::Provider, started);
        Ok(Event::Probed { verdict, now: self.now() })
    }

    /// Erases a closed rotation's slot, and forgets the key; a slot that stays is found again at the next load.
    pub(super) async fn erase(&mut self, id: RotationId) {
        self.answer = None;
        self.signer = None;
        let name = self.credential.name.clone();
        if let Err(Interruption::Held(cause)) = self.on_disk(move |escrow| escrow.erase(&name, id)).await {
            tracing::warn!(rotation_id = %id, code = cause.code, cause = cause.message, "a slot could not be erased");
        }
    }
}

fn verdict(probe: Probe) -> Verdict {
    match probe {
        Probe::Accepted => Verdict::Accepted,
        Probe::NotAccepted(problem) => {
            tracing::debug!(%problem, "the provider does not accept the new key yet");
            Verdict::NotAccepted
        }
        Probe::Unavailable(problem) => {
            tracing::debug!(%problem, "the provider cannot be asked about the new key");
            Verdict::Unavailable
        }
    }
}
