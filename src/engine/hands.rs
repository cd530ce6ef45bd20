//! The effects: each touches one outside, once, and says what it saw.
//!
//! The secret in flight lives here and nowhere else in the process.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::crash;
use super::credential::{Adapters, Credential};
use super::interruption::{Cause, Interruption};
use super::snapshot::Condition;
use super::stopwatch::{Share, Stopwatch};
use crate::clock::Clock;
use crate::escrow::{Escrow, SealedAnswer, Slot};
use crate::ids::{KvVersion, ReplicaId, RotationId};
use crate::provider::{self, Probe, Provider, Signer};
use crate::rotation::{
    Answer, Baseline, Event, Holding, Outcome, Phase, Plan, Reading, Request, Rotation, State, Verdict,
};
use crate::secret::{FingerprintKey, SecretValue};
use crate::vault::{Entry, Needs, Record, Stamp, Store};

pub(super) struct Hands<P, S, E, C> {
    pub(super) credential: Credential,
    pub(super) replica: ReplicaId,
    pub(super) clock: C,
    pub(super) provider: P,
    pub(super) store: Arc<S>,
    pub(super) escrow: Arc<E>,
    /// The record as it was last read or written, and its version.
    pub(super) record: Option<Record>,
    pub(super) version: KvVersion,
    /// The monotonic time at which `version` was first seen here.
    seen_at: Duration,
    /// The new key, from the moment it is known until the rotation is closed.
    answer: Option<(RotationId, provider::Answer)>,
    /// What the newest call of an open rotation came to when it gave no key: known here before it is durable.
    heard: Option<(RotationId, u32, Outcome<Answer>)>,
    /// The application's entry, as the next publication will be based on.
    entry: Option<Entry>,
    signer: Option<Secrets>,
    pub(super) stopwatch: Stopwatch,
    /// What should be known of the open rotation, though it goes on.
    pub(super) conditions: Vec<Condition>,
}

/// The secrets that sign the provider's calls.
struct Secrets {
    main: SecretValue,
    extra: Vec<(String, SecretValue)>,
}

impl Secrets {
    fn signer(&self) -> Signer<'_> {
        Signer { main: &self.main, extra: &self.extra }
    }
}

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    pub(super) fn new(credential: Credential, adapters: Adapters<P, S, E, C>) -> Self {
        Self {
            credential,
            replica: adapters.replica,
            clock: adapters.clock,
            provider: adapters.provider,
            store: adapters.store,
            escrow: adapters.escrow,
            record: None,
            version: KvVersion(0),
            seen_at: Duration::ZERO,
            answer: None,
            heard: None,
            entry: None,
            signer: None,
            stopwatch: Stopwatch::default(),
            conditions: Vec::new(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        self.provider.plan()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The version that the record's next write will have.
    pub(super) const fn epoch(&self) -> KvVersion {
        KvVersion(self.version.0 + 1)
    }

    pub(super) const fn entry_version(&self) -> Option<KvVersion> {
        match &self.entry {
            Some(entry) => Some(entry.version),
            None => None,
        }
    }

    /// Reads record, entry and escrow afresh; what follows from them is the core's to say.
    pub(super) async fn load(&mut self) -> Result<(State, Event), Interruption> {
        let (record, version) = match self.store.read_record(&self.credential.name).await? {
            Some(found) => found,
            None => self.adopt().await?,
        };
        if version != self.version || self.record.is_none() {
            self.version = version;
            self.seen_at = self.clock.monotonic();
        }
        let state = record.state.clone();
        self.record = Some(record);
        self.signer = None;
        self.entry = None;
        let (holding, published) = match state.phase.rotation() {
            Some(rotation) => (self.holding(&state, rotation).await?, self.published(rotation).await?),
            None => {
                self.answer = None;
                (Holding::Nothing, None)
            }
        };
        if let Some(event) = self.heard_already(&state) {
            return Ok((state, event));
        }
        let lapsed = self.holder_is_silent(&state);
        let (replica, epoch, now) = (self.replica, self.epoch(), self.now());
        Ok((state, Event::Resumed { replica, lapsed, epoch, holding, published, now }))
    }

    /// A call of this very process whose outcome could not be saved yet needs no guessing.
    fn heard_already(&self, state: &State) -> Option<Event> {
        let Phase::Intended { rotation } = &state.phase else { return None };
        let (id, calls, outcome) = self.heard.as_ref()?;
        let same = rotation.rotation_id == *id && rotation.calls == *calls && rotation.holder == self.replica;
        same.then(|| Event::Called { outcome: outcome.clone(), now: self.now() })
    }

    /// Writes the first record of a credential that keyturn has never seen.
    async fn adopt(&self) -> Result<(Record, KvVersion), Interruption> {
        let fingerprint_key = FingerprintKey::random().map_err(|_| {
            Interruption::Held(Cause::new("NO_RANDOMNESS", "the system gives no random bytes".to_owned()))
        })?;
        let record = Record {
            state: State::adopted(self.now()),
            fingerprint_key,
            identities: Vec::new(),
            staged: None,
            unknown: serde_json::Map::new(),
        };
        let version = self.store.write_record(&self.credential.name, &record, KvVersion(0)).await?;
        Ok((record, version))
    }

    /// Whether another replica's claim has run out on our own monotonic clock, with a margin in which a living
    /// holder that was cut off comes first.
    fn holder_is_silent(&self, state: &State) -> bool {
        let Some(rotation) = state.phase.rotation() else { return false };
        let claim = Duration::from_millis(rotation.claim_ms);
        let silent = self.clock.monotonic().saturating_sub(self.seen_at);
        silent > claim.saturating_add(claim / 4)
    }

    /// How long until another replica's claim can have run out.
    pub(super) fn silence_left(&self, rotation: &Rotation) -> Duration {
        let claim = Duration::from_millis(rotation.claim_ms);
        let silent = self.clock.monotonic().saturating_sub(self.seen_at);
        claim.saturating_add(claim / 4).saturating_sub(silent)
    }

    async fn holding(&mut self, state: &State, rotation: &Rotation) -> Result<Holding, Interruption> {
        let id = rotation.rotation_id;
        if let Some(staged) = self.record.as_mut().and_then(|record| record.staged.take())
            && let Some(facts) = state.phase.answer()
        {
            let answer = provider::Answer {
                secret: staged,
                previous_expires_at: facts.previous_expires_at,
                received_at: facts.received_at,
            };
            self.answer = Some((id, answer));
        }
        if let Some(facts) = self.answer_facts(id) {
            return Ok(Holding::Answer(facts));
        }
        self.answer = None;
        match self.slot(id).await? {
            Slot::Missing => Ok(Holding::Nothing),
            Slot::Unsent => Ok(Holding::Unsent),
            Slot::Sent => Ok(Holding::Sent),
            Slot::Sealed => self.unseal(id).await,
        }
    }

    async fn slot(&self, id: RotationId) -> Result<Slot, Interruption> {
        let name = self.credential.name.clone();
        self.on_disk(move |escrow| escrow.slot(&name, id)).await
    }

    async fn unseal(&mut self, id: RotationId) -> Result<Holding, Interruption> {
        let Some(identity) = self.identity(id) else {
            self.note(
                "ESCROW_IDENTITY_MISSING",
                format!(
                    "an answer of rotation {id} is sealed in escrow, but the record has no identity for it; \
                 an operator's break-glass key may open it with age"
                ),
            );
            return Ok(Holding::Sent);
        };
        let name = self.credential.name.clone();
        let sealed = self.on_disk(move |escrow| escrow.open(&name, id, &identity)).await?;
        let answer = provider::Answer {
            secret: sealed.secret,
            previous_expires_at: sealed.previous_expires_at,
            received_at: sealed.received_at,
        };
        self.answer = Some((id, answer));
        Ok(self.answer_facts(id).map_or(Holding::Sent, Holding::Answer))
    }

    fn identity(&self, id: RotationId) -> Option<SecretValue> {
        let record = self.record.as_ref()?;
        let (_, identity) = record.identities.iter().find(|(rotation, _)| *rotation == id)?;
        Some(identity.duplicate())
    }

    fn answer_facts(&self, id: RotationId) -> Option<Answer> {
        let (_, answer) = self.answer.as_ref().filter(|(rotation, _)| *rotation == id)?;
        Some(self.facts(answer))
    }

    fn facts(&self, answer: &provider::Answer) -> Answer {
        Answer {
            fingerprint: self.fingerprint(&answer.secret),
            previous_expires_at: answer.previous_expires_at,
            received_at: answer.received_at,
        }
    }

    pub(super) fn fingerprint(&self, secret: &SecretValue) -> crate::secret::Fingerprint {
        match &self.record {
            Some(record) => secret.fingerprint(&record.fingerprint_key),
            None => crate::secret::Fingerprint::from_text(""),
        }
    }

    /// The open rotation's publication, recognised by its id in the entry's stamp.
    async fn published(&mut self, rotation: &Rotation) -> Result<Option<(Answer, KvVersion)>, Interruption> {
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        let field = &self.credential.store.field;
        let found = entry.stamp(field).filter(|stamp| stamp.rotation_id == rotation.rotation_id);
        let published = found.zip(entry.field(field)).map(|(stamp, value)| {
            let answer = Answer {
                fingerprint: self.fingerprint(&value),
                previous_expires_at: stamp.previous_expires_at,
                received_at: stamp.published_at,
            };
            (answer, entry.version)
        });
        self.entry = Some(entry);
        Ok(published)
    }

    /// Everything that a rotation needs, checked; outside nothing changes but the escrow's empty slot.
    pub(super) async fn preflight(
        &mut self,
        rotation_id: RotationId,
        request: Request,
    ) -> Result<Event, Interruption> {
        let baseline = self.inspect().await?;
        let name = self.credential.name.clone();
        let started = self.clock.monotonic();
        self.on_disk(move |escrow| escrow.prepare(&name, rotation_id)).await?;
        self.took(Share::Escrow, started);
        let identity = self.escrow.new_identity();
        if let Some(record) = &mut self.record {
            record.identities.retain(|(id, _)| *id != rotation_id);
            record.identities.insert(0, (rotation_id, identity));
            record.identities.truncate(IDENTITIES_MAX);
        }
        crash::point("before-intent");
        let (replica, epoch, now) = (self.replica, self.epoch(), self.now());
        Ok(Event::Preflighted { rotation_id, request, replica, epoch, baseline, now })
    }

    /// The reading half of a preflight: what stands in the way, and what provider and Vault hold.
    pub(super) async fn inspect(&mut self) -> Result<Baseline, Interruption> {
        self.conditions.clear();
        let started = self.clock.monotonic();
        self.store.preflight(&self.needs()).await?;
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        self.refuse_record_behind_entry(&entry)?;
        self.entry = Some(entry);
        self.signer = None;
        self.collect_secrets().await?;
        self.took(Share::Vault, started);
        let field = self.entry.as_ref().and_then(|entry| entry.field(&self.credential.store.field));
        let baseline = Baseline {
            provider: self.provider_baseline().await?,
            entry: field.map(|value| self.fingerprint(&value)),
            entry_version: self.entry_version().unwrap_or_default(),
        };
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

    /// A stamp that is newer than the record means that the record was deleted or Vault was restored from a
    /// snapshot: rotating now would be blind.
    fn refuse_record_behind_entry(&self, entry: &Entry) -> Result<(), Interruption> {
        match entry.stamp(&self.credential.store.field) {
            Some(stamp) if stamp.epoch > self.version => Err(Interruption::Held(Cause::new(
                "RECORD_BEHIND_ENTRY",
                format!(
                    "the entry at {} was published by a newer record (epoch {}) than Vault has now (version {}): \
                     the record was deleted, or Vault was restored from a snapshot; no key is touched. Check \
                     that the entry's key works, then remove its _keyturn member, and keyturn goes on",
                    self.credential.store, stamp.epoch, self.version
                ),
            ))),
            _ => Ok(()),
        }
    }

    async fn provider_baseline(&mut self) -> Result<Option<crate::secret::Fingerprint>, Interruption> {
        if self.plan().read.is_none() {
            return Ok(None);
        }
        match self.read_provider().await? {
            provider::Reading::Value(answer) => Ok(Some(self.fingerprint(&answer.secret))),
            provider::Reading::Unavailable(problem) => Err(Interruption::Held(Cause::new(
                "PROVIDER_UNREACHABLE",
                format!("the provider's present key cannot be read, so nothing was rotated: {problem}"),
            ))),
            provider::Reading::Refused(refusal) => Err(Interruption::Held(Cause {
                code: refusal.class.code(),
                message: format!(
                    "the provider refuses to show its present key, so nothing was rotated: {}",
                    refusal.problem
                ),
                retry_after: refusal.retry_after,
            })),
        }
    }

    async fn read_provider(&mut self) -> Result<provider::Reading, Interruption> {
        self.collect_secrets().await?;
        let started = self.clock.monotonic();
        let reading = match &self.signer {
            Some(secrets) => self.provider.read(secrets.signer()).await,
            None => return Err(Interruption::Reload),
        };
        self.took(Share::Provider, started);
        Ok(reading)
    }

    /// Reads the signing secrets, unless they are in hand.
    async fn collect_secrets(&mut self) -> Result<(), Interruption> {
        if self.signer.is_some() {
            return Ok(());
        }
        let main = match &self.credential.signer {
            Some(place) => self.store.read_secret(place).await?,
            None => self.own_secret().await?,
        };
        let mut extra = Vec::new();
        for (name, place) in &self.credential.extra {
            extra.push((name.clone(), self.store.read_secret(place).await?));
        }
        self.signer = Some(Secrets { main, extra });
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

    pub(super) fn note(&mut self, code: &'static str, message: String) {
        tracing::warn!(credential = %self.credential.name, code, "{message}");
        self.conditions.retain(|condition| condition.code != code);
        self.conditions.push(Condition { code, message });
    }

    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&E) -> Result<T, crate::escrow::Error> + Send + 'static,
    ) -> Result<T, Interruption> {
        let escrow = Arc::clone(&self.escrow);
        match tokio::task::spawn_blocking(move || work(&escrow)).await {
            Ok(done) => done.map_err(Interruption::from),
            Err(_) => {
                Err(Interruption::Held(Cause::new("ESCROW_DISK", "the disk work was cut off".to_owned())))
            }
        }
    }

    fn took(&mut self, share: Share, started: Duration) {
        self.stopwatch.add(share, self.clock.monotonic().saturating_sub(started));
    }
}

/// The open rotation's escrow identity, and the one before it.
const IDENTITIES_MAX: usize = 2;

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
