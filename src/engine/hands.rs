//! The effects: each touches one outside, once, and says what it saw.
//!
//! The secret in flight lives here and nowhere else in the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::anchor::Anchor;
use super::chores::Chores;
use super::credential::{Adapters, Credential};
use super::in_hand::{InHand, Kept};
use super::interruption::{Cause, Interruption};
use super::snapshot::Condition;
use super::stopwatch::{Share, Stopwatch};
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{KvVersion, ReplicaId, RotationId};
use crate::provider::{self, Provider, Signer};
use crate::rotation::{Answer, Outcome, Plan, Rotation, State};
use crate::secret::{Fingerprint, Secret, SecretValue};
use crate::vault::{Entry, Record, Store};

pub(super) struct Hands<P, S, E, C> {
    pub(super) credential: Credential,
    pub(super) replica: ReplicaId,
    pub(super) clock: C,
    pub(super) provider: P,
    pub(super) store: Arc<S>,
    pub(super) escrow: Arc<E>,
    pub(super) shutdown: CancellationToken,
    /// The record as it was last read or written, and its version.
    pub(super) record: Option<Record>,
    pub(super) version: KvVersion,
    /// The monotonic time at which `version` was first seen here.
    pub(super) seen_at: Duration,
    /// The new key, from the moment it is known until the rotation is closed.
    pub(super) in_hand: Option<InHand>,
    /// What the newest call of an open rotation came to when it gave no key: known here before it is durable.
    pub(super) heard: Option<(RotationId, u32, Outcome<Answer>)>,
    /// The application's entry, as the next publication will be based on.
    pub(super) entry: Option<Entry>,
    pub(super) signer: Option<Secrets>,
    pub(super) stopwatch: Stopwatch,
    /// Where the time of the open rotation starts.
    anchor: Option<Anchor>,
    /// What should be known of the open rotation, though it goes on.
    pub(super) conditions: Vec<Condition>,
    pub(super) chores: Chores,
}

/// The secrets that sign the provider's calls.
pub(super) struct Secrets {
    pub(super) main: SecretValue,
    pub(super) extra: Vec<(String, SecretValue)>,
}

impl Secrets {
    pub(super) fn signer(&self) -> Signer<'_> {
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
    pub(super) fn new(
        credential: Credential,
        adapters: Adapters<P, S, E, C>,
        shutdown: CancellationToken,
    ) -> Self {
        let now = adapters.clock.monotonic();
        Self {
            chores: Chores::starting(&credential.name, adapters.replica, now),
            credential,
            replica: adapters.replica,
            clock: adapters.clock,
            provider: adapters.provider,
            store: adapters.store,
            escrow: adapters.escrow,
            shutdown,
            record: None,
            version: KvVersion(0),
            seen_at: Duration::ZERO,
            in_hand: None,
            heard: None,
            entry: None,
            signer: None,
            stopwatch: Stopwatch::default(),
            anchor: None,
            conditions: Vec::new(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        self.provider.plan()
    }

    /// The open rotation's time; between rotations the wall clock's, by which schedules run.
    pub(super) fn now(&self) -> Timestamp {
        match &self.anchor {
            Some(anchor) => anchor.time_at(self.clock.monotonic()),
            None => self.clock.now(),
        }
    }

    /// From here on the time is this rotation's.
    pub(super) fn keep_the_time_of(&mut self, open: Option<RotationId>) {
        self.anchor = open.map(|open| match self.anchor {
            Some(anchor) if anchor.is_of(open) => anchor,
            _ => Anchor::drop_at(&self.clock, open),
        });
    }

    /// How long the record has been unchanged, on the monotonic clock.
    pub(super) fn unchanged_for(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.seen_at)
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

    /// Whether another replica's claim has run out on our own monotonic clock, with a margin in which a living
    /// holder that was cut off comes first.
    pub(super) fn holder_is_silent(&self, state: &State) -> bool {
        state.phase.rotation().is_some_and(|rotation| self.silence_left(rotation).is_zero())
    }

    /// How long until another replica's claim can have run out.
    pub(super) fn silence_left(&self, rotation: &Rotation) -> Duration {
        let claim = Duration::from_millis(rotation.claim_ms);
        claim.saturating_add(claim / 4).saturating_sub(self.unchanged_for())
    }

    pub(super) fn identity(&self, id: RotationId) -> Option<SecretValue> {
        let record = self.record.as_ref()?;
        let (_, identity) = record.identities.iter().find(|(rotation, _)| *rotation == id)?;
        Some(identity.duplicate())
    }

    /// What is known of the key in hand, if it is this rotation's.
    pub(super) fn answer_facts(&self, id: RotationId) -> Option<Answer> {
        self.in_hand.as_ref().filter(|in_hand| in_hand.rotation_id == id).map(|in_hand| self.facts(in_hand))
    }

    pub(super) fn facts(&self, in_hand: &InHand) -> Answer {
        Answer {
            fingerprint: self.fingerprint(&in_hand.answer.secret),
            previous_expires_at: in_hand.answer.previous_expires_at,
            received_at: in_hand.answer.received_at,
            call: in_hand.call,
            key_id: in_hand.answer.key_id.clone(),
        }
    }

    /// Takes a key that the provider showed into the hand; gives what is known of it.
    pub(super) fn take_in_hand(&mut self, rotation: &Rotation, mut answer: provider::Answer) -> Answer {
        if let Some(creates) = &self.plan().creates {
            // At the earliest: it is revoked so long after the close.
            let revoke_after = SignedDuration::try_from(creates.revoke_after).unwrap_or(SignedDuration::MAX);
            answer.previous_expires_at = answer.received_at.checked_add(revoke_after).ok();
        }
        let (rotation_id, call) = (rotation.rotation_id, rotation.calls);
        let identity = self.identity(rotation_id);
        let in_hand = InHand { rotation_id, call, answer, identity, kept: Kept::Nowhere };
        let facts = self.facts(&in_hand);
        self.in_hand = Some(in_hand);
        facts
    }

    /// Where what goes with a key is published; under its own name, what the definition has no word of any more.
    pub(super) fn fields_of(&self, secret: &Secret) -> BTreeMap<String, String> {
        let field = |name: &String| self.credential.fields.get(name).unwrap_or(name).clone();
        secret.fields.keys().map(|name| (name.clone(), field(name))).collect()
    }

    /// The credential's secret as an entry holds it.
    pub(super) fn secret_in(&self, entry: &Entry) -> Option<Secret> {
        entry.secret(&self.credential.store.field, &self.credential.fields)
    }

    pub(super) fn fingerprint(&self, secret: &Secret) -> Fingerprint {
        match &self.record {
            Some(record) => secret.fingerprint(&record.fingerprint_key),
            None => Fingerprint::from_text(""),
        }
    }

    pub(super) fn note(&mut self, code: &'static str, message: String) {
        if self.conditions.iter().any(|known| known.code == code && known.message == message) {
            return;
        }
        tracing::warn!(credential = %self.credential.name, code, "{message}");
        self.conditions.retain(|condition| condition.code != code || condition.is_about_a_file());
        self.conditions.push(Condition { code, message });
    }

    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&E) -> Result<T, crate::escrow::Error> + Send + 'static,
    ) -> Result<T, Interruption> {
        if !E::BLOCKS {
            return work(&self.escrow).map_err(Interruption::from);
        }
        let escrow = Arc::clone(&self.escrow);
        match tokio::task::spawn_blocking(move || work(&escrow)).await {
            Ok(done) => done.map_err(Interruption::from),
            Err(_) => {
                Err(Interruption::Held(Cause::new("ESCROW_DISK", "the disk work was cut off".to_owned())))
            }
        }
    }

    pub(super) fn took(&mut self, share: Share, started: Duration) {
        self.stopwatch.add(share, self.clock.monotonic().saturating_sub(started));
    }
}
