//! Reading record, entry and escrow afresh: what a start, a hold or a lost check-and-set begins with.

use super::hands::Hands;
use super::in_hand::{InHand, Kept};
use super::interruption::{Cause, Interruption};
use super::stopwatch::Share;
use crate::clock::Clock;
use crate::escrow::{Escrow, Slot};
use crate::ids::{KvVersion, RotationId};
use crate::provider::{self, Provider};
use crate::rotation::{Answer, Event, Holding, Phase, Rotation, State, is_wanted};
use crate::secret::{FingerprintKey, Secret};
use crate::vault::{Entry, Record, Store};

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Reads record, entry and escrow afresh; what follows from them is the core's to say.
    pub(super) async fn load(&mut self) -> Result<(State, Event), Interruption> {
        let started = self.clock.monotonic();
        let (record, version) = match self.store.read_record(&self.credential.name).await? {
            Some(found) => found,
            None => self.adopt().await?,
        };
        if version != self.version || self.record.is_none() {
            self.version = version;
            self.seen_at = self.clock.monotonic();
        }
        self.took(Share::Vault, started);
        self.keep_the_time_of(record.state.phase.rotation().map(|open| open.rotation_id));
        let state = record.state.clone().believed_at(self.plan(), self.now());
        self.note_what_is_owed(&state);
        self.record = Some(record);
        self.signer = None;
        self.entry = None;
        let (holding, published) = match state.phase.rotation() {
            Some(rotation) => {
                let holding = self.holding(&state, rotation).await?;
                let published = self.published(rotation).await?;
                if published.is_none() && self.is_displaced(rotation) {
                    self.seal_for_keeping(rotation.rotation_id).await?;
                    (Holding::Nothing, None)
                } else {
                    (holding, published)
                }
            }
            None => {
                self.let_go().await?;
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
            supplied: None,
            unknown: serde_json::Map::new(),
        };
        let version = self.store.write_record(&self.credential.name, &record, KvVersion(0)).await?;
        Ok((record, version))
    }

    async fn holding(&mut self, state: &State, rotation: &Rotation) -> Result<Holding, Interruption> {
        let id = rotation.rotation_id;
        self.take_staged(state, id).await?;
        if let Some(facts) = self.answer_facts(id) {
            return Ok(Holding::Answer(facts));
        }
        self.let_go().await?;
        match self.slot(id).await? {
            Slot::Missing => Ok(Holding::Nothing),
            Slot::Unsent => Ok(Holding::Unsent),
            Slot::Sent => Ok(Holding::Sent),
            Slot::Sealed => self.unseal(id).await,
        }
    }

    /// A staged key is in the record itself.
    async fn take_staged(&mut self, state: &State, id: RotationId) -> Result<(), Interruption> {
        let staged = self.record.as_mut().and_then(|record| record.staged.take());
        let (Some(secret), Some(facts)) = (staged, state.phase.answer()) else { return Ok(()) };
        if self.answer_facts(id).is_some_and(|held| held.fingerprint != facts.fingerprint) {
            self.let_go().await?;
        }
        let elsewhere =
            self.in_hand.as_ref().filter(|in_hand| in_hand.rotation_id == id && in_hand.is_kept());
        let kept = elsewhere.map_or(Kept::Record, |in_hand| in_hand.kept);
        let (previous_expires_at, received_at) = (facts.previous_expires_at, facts.received_at);
        let answer =
            provider::Answer { secret, previous_expires_at, received_at, key_id: facts.key_id.clone() };
        let identity = self.identity(id);
        // Vault has it, so the escrow need not.
        self.in_hand = Some(InHand { rotation_id: id, call: facts.call, answer, identity, kept });
        Ok(())
    }

    /// Drops a key that is not the open rotation's, once the escrow has it.
    async fn let_go(&mut self) -> Result<(), Interruption> {
        self.seal_in_hand().await;
        self.is_kept()?;
        self.in_hand = None;
        Ok(())
    }

    pub(super) async fn slot(&self, id: RotationId) -> Result<Slot, Interruption> {
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
            key_id: sealed.key_id,
        };
        let identity = self.identity(id);
        self.in_hand =
            Some(InHand { rotation_id: id, call: sealed.call, answer, identity, kept: Kept::Slot });
        Ok(self.answer_facts(id).map_or(Holding::Sent, Holding::Answer))
    }

    /// The key of a rotation's publication with all that was published with it. Whoever took a field of it away left none behind.
    pub(super) fn publication_in(&self, entry: &Entry, rotation: &Rotation) -> Option<Secret> {
        let stamp = entry.stamp(&self.credential.store.field)?;
        let secret = self.secret_in(entry)?;
        let is_whole = stamp.fields.keys().all(|name| secret.fields.contains_key(name));
        (is_whole && stamp.rotation_id == rotation.rotation_id).then_some(secret)
    }

    /// The open rotation's publication, recognised by its id in the entry's stamp.
    async fn published(&mut self, rotation: &Rotation) -> Result<Option<(Answer, KvVersion)>, Interruption> {
        let started = self.clock.monotonic();
        let entry = self.store.read_entry(&self.credential.store.path).await?;
        self.took(Share::Vault, started);
        let field = &self.credential.store.field;
        let stamp = entry.stamp(field);
        let published = stamp.zip(self.publication_in(&entry, rotation)).map(|(stamp, secret)| {
            let answer = Answer {
                fingerprint: self.fingerprint(&secret),
                previous_expires_at: stamp.previous_expires_at,
                received_at: stamp.published_at,
                call: stamp.call,
                key_id: stamp.key_id.clone(),
            };
            (answer, entry.version)
        });
        self.entry = Some(entry);
        let Some((answer, version)) =
            published.filter(|(answer, _)| is_wanted(self.plan(), rotation, answer))
        else {
            return Ok(None);
        };
        let creates = self.plan().creates.is_some();
        match self.answer_facts(rotation.rotation_id) {
            // Keys live side by side, and another call's was published: the one in hand is left to be revoked.
            Some(held) if creates && held.call != answer.call => self.let_go().await?,
            // A stamp can be copied beside another value; where the key is in hand, it must be the one.
            Some(held) if held.fingerprint != answer.fingerprint => return Ok(None),
            _ => {}
        }
        Ok(Some((answer, version)))
    }
}
