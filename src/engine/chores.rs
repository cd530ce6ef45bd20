//! What a task does while no rotation is open: it settles orphan answers, mends a record that Vault lost, and
//! compares provider with Vault.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::hands::Hands;
use super::in_hand::InHand;
use super::interruption::Interruption;
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{CredentialName, ReplicaId, RotationId};
use crate::provider::{self, Probe, Provider};
use crate::rotation::{Baseline, ClosedAs, Event, Evidence, Phase, State, Verdict, quiet_for};
use crate::secret::SecretValue;
use crate::vault::{Entry, Store};

/// What there is to do, and when, on the monotonic clock.
pub(super) struct Chores {
    /// Closed rotations with a sealed answer that nobody has settled.
    pub(super) orphans: VecDeque<RotationId>,
    /// Vault holds an older record than before, or an entry that its record does not know.
    pub(super) restored: bool,
    examine_at: Duration,
    compare_at: Duration,
    comparisons: u32,
}

impl Chores {
    pub(super) fn starting(name: &CredentialName, replica: ReplicaId, now: Duration) -> Self {
        let compare_at = now.saturating_add(spread(name, replica, 0, COMPARE_EVERY));
        Self { orphans: VecDeque::new(), restored: false, examine_at: now, compare_at, comparisons: 0 }
    }

    /// Vault may have been restored: that is looked into as soon as the record is quiet.
    pub(super) const fn suspect_a_restore(&mut self, now: Duration) {
        if !self.restored {
            self.restored = true;
            self.compare_at = now;
        }
    }
}

/// How often the provider is asked about an orphan.
const EXAMINE_EVERY: Duration = Duration::from_mins(5);
/// What is waited for after a grace window's end, for clocks that differ.
const AFTER_GRACE: Duration = Duration::from_secs(10);
/// How often provider and Vault are compared.
const COMPARE_EVERY: Duration = Duration::from_hours(6);
/// The same while they differ, or could not be compared.
const COMPARE_AGAIN: Duration = Duration::from_mins(30);

/// A share of `whole` that is this replica's own.
fn spread(name: &CredentialName, replica: ReplicaId, count: u32, whole: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (name, replica, count).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    whole.saturating_mul(share) / 1000
}

/// What a comparison showed.
enum Compared {
    Same,
    Differs(&'static str, String),
    NotTold,
}

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// How long until the next chore; `None` where there is none.
    pub(super) fn chore_in(&self, state: &State) -> Option<Duration> {
        if state.phase != Phase::Idle || !self.can_ask() {
            return None;
        }
        let chores = &self.chores;
        let something = chores.restored || !chores.orphans.is_empty();
        let examine_at = something.then_some(chores.examine_at);
        let next = examine_at.map_or(chores.compare_at, |at| at.min(chores.compare_at));
        let quiet_at = self.seen_at.saturating_add(quiet_for(self.plan()));
        Some(next.max(quiet_at).saturating_sub(self.clock.monotonic()))
    }

    /// Whether the provider can be asked about a key at all.
    pub(super) fn can_ask(&self) -> bool {
        self.plan().read.is_some() || self.plan().probe
    }

    /// After a rotation what a comparison said of the key before it is over, and orphans may be outdated.
    pub(super) async fn clear_up_after(&mut self, state: &State) -> Result<(), Interruption> {
        let newest = state.history.first().map(|closed| &closed.outcome);
        if matches!(newest, Some(ClosedAs::Rotated { .. })) {
            self.conditions.retain(|condition| !condition.is_of_a_comparison());
        }
        if self.chores.orphans.is_empty() { Ok(()) } else { self.look_after_leftovers(state, None).await }
    }

    /// When the provider is asked about an orphan again: the end of a grace window tells which key is the older.
    fn examine_again_in(&self, state: &State) -> Duration {
        let left = state.grace_until().map(|until| until.duration_since(self.now()));
        let left = left.and_then(|left| Duration::try_from(left).ok()).filter(|left| !left.is_zero());
        left.map_or(EXAMINE_EVERY, |left| EXAMINE_EVERY.min(left.saturating_add(AFTER_GRACE)))
    }

    /// Does what is due. A chore that fails holds nothing up; it is done again later.
    pub(super) async fn do_chore(&mut self, state: &State) -> Option<Event> {
        let now = self.clock.monotonic();
        self.signer = None;
        if self.chores.compare_at <= now {
            self.chores.comparisons = self.chores.comparisons.wrapping_add(1);
            let (name, replica) = (&self.credential.name, self.replica);
            let jitter = spread(name, replica, self.chores.comparisons, COMPARE_EVERY / 2);
            let settled = self.compare_with_vault().await;
            let next = match settled {
                true => COMPARE_EVERY / 4 * 3 + jitter,
                false if self.chores.restored => EXAMINE_EVERY,
                false => COMPARE_AGAIN,
            };
            self.chores.compare_at = now.saturating_add(next);
        }
        if self.chores.examine_at > now {
            return None;
        }
        self.chores.examine_at = now.saturating_add(self.examine_again_in(state));
        let examined = self.examine().await;
        if !matches!(examined, Ok(Some(_))) {
            tracing::debug!(credential = %self.credential.name, ?examined, "nothing was found out");
            self.forget();
        }
        examined.ok().flatten()
    }

    /// Compares provider and Vault; `false` where they differ, or nobody could tell.
    async fn compare_with_vault(&mut self) -> bool {
        match self.comparison().await {
            Ok(Compared::Same) => {
                self.conditions.retain(|condition| !condition.is_of_a_comparison());
                self.chores.restored = false;
                true
            }
            Ok(Compared::Differs(code, message)) => {
                self.chores.restored = false;
                self.conditions.retain(|condition| !condition.is_of_a_comparison());
                self.note(code, message);
                false
            }
            Ok(Compared::NotTold) => false,
            Err(interruption) => {
                tracing::debug!(credential = %self.credential.name, ?interruption, "not compared");
                false
            }
        }
    }

    async fn comparison(&mut self) -> Result<Compared, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        let value = entry.field(&place.field);
        let ahead = self.is_ahead_of_record(&entry);
        self.entry = Some(entry);
        let Some(value) = value else { return Ok(Compared::NotTold) };
        if ahead {
            self.chores.restored = true;
            return Ok(Compared::NotTold);
        }
        if let Some(shown) = self.shown().await? {
            if shown == self.fingerprint(&value) {
                return Ok(Compared::Same);
            }
            return Ok(Compared::Differs(
                "DRIFT",
                format!(
                    "provider and Vault hold different keys at {place}: somebody rotated without keyturn, or Vault was \
                 restored from a snapshot. Nothing is changed by itself; the next rotation, or `keyturn rotate`, \
                 puts a new key there"
                ),
            ));
        }
        Ok(match self.accepts(&value).await? {
            Verdict::Accepted => Compared::Same,
            Verdict::NotAccepted => Compared::Differs(
                "PUBLISHED_KEY_REFUSED",
                format!(
                    "the provider does not accept the key at {place}: it was replaced or revoked without keyturn, or \
                 Vault was restored from a snapshot. Nothing is changed by itself; put the right key there, or \
                 `keyturn rotate`"
                ),
            ),
            Verdict::Unavailable | Verdict::NoProbe => Compared::NotTold,
        })
    }

    /// Asks the provider about the next key that has no open rotation.
    async fn examine(&mut self) -> Result<Option<Event>, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        let Some(published) = entry.field(&place.field) else { return Ok(None) };
        let ahead = self.is_ahead_of_record(&entry);
        let found = if ahead { self.of_entry(&entry) } else { self.next_orphan().await };
        let (entry_version, entry_key) = (entry.version, self.fingerprint(&published));
        // A publication that follows is based on the very entry that is compared here.
        self.entry = Some(entry);
        let Some(found) = found else { return Ok(None) };
        let (rotation_id, orphan) = (found.rotation_id, found.answer.secret.duplicate());
        self.in_hand = Some(found);
        let Some(answer) = self.answer_facts(rotation_id) else { return Ok(None) };
        let Some(evidence) = self.evidence(&orphan, &published).await? else { return Ok(None) };
        tracing::info!(credential = %self.credential.name, %rotation_id, ?evidence,
            orphan = %answer.fingerprint, published = %entry_key, "asked which key lives");
        let baseline = Baseline { provider: None, entry: Some(entry_key), entry_version };
        let unchanged_for = self.clock.monotonic().saturating_sub(self.seen_at);
        let (replica, epoch, now) = (self.replica, self.epoch(), self.now());
        let event = Event::Orphaned {
            rotation_id,
            answer,
            evidence,
            baseline,
            record_is_behind: ahead,
            unchanged_for,
            replica,
            epoch,
            now,
        };
        Ok(Some(event))
    }

    /// The published key itself, where the record does not know that it was published.
    fn of_entry(&self, entry: &Entry) -> Option<InHand> {
        let field = &self.credential.store.field;
        let (stamp, secret) = entry.stamp(field).zip(entry.field(field))?;
        let (previous_expires_at, received_at) = (stamp.previous_expires_at, stamp.published_at);
        let answer = provider::Answer { secret, previous_expires_at, received_at };
        // Vault has it, so the escrow need not.
        Some(InHand {
            rotation_id: stamp.rotation_id,
            call: stamp.call,
            answer,
            identity: None,
            sealed: true,
        })
    }

    /// The orphans take turns.
    async fn next_orphan(&mut self) -> Option<InHand> {
        let id = self.chores.orphans.pop_front()?;
        self.chores.orphans.push_back(id);
        self.opened(id).await
    }

    async fn evidence(
        &mut self,
        orphan: &SecretValue,
        published: &SecretValue,
    ) -> Result<Option<Evidence>, Interruption> {
        if let Some(shown) = self.shown().await? {
            return Ok(Some(Evidence::Shown(shown)));
        }
        if !self.plan().probe {
            return Ok(None);
        }
        let (orphan, published) = (self.accepts(orphan).await?, self.accepts(published).await?);
        Ok(Some(Evidence::Probed { orphan, published }))
    }

    /// The provider's present key, where it can be read now.
    async fn shown(&mut self) -> Result<Option<crate::secret::Fingerprint>, Interruption> {
        if self.plan().read.is_none() {
            return Ok(None);
        }
        Ok(match self.read_provider().await? {
            provider::Reading::Value(answer) => Some(self.fingerprint(&answer.secret)),
            provider::Reading::Unavailable(_) | provider::Reading::Refused(_) => None,
        })
    }

    async fn accepts(&mut self, key: &SecretValue) -> Result<Verdict, Interruption> {
        if !self.plan().probe {
            return Ok(Verdict::NoProbe);
        }
        self.collect_secrets().await?;
        let Some(secrets) = &self.signer else { return Ok(Verdict::Unavailable) };
        Ok(match self.provider.probe(key, &secrets.extra).await {
            Probe::Accepted => Verdict::Accepted,
            Probe::NotAccepted(_) => Verdict::NotAccepted,
            Probe::Unavailable(_) => Verdict::Unavailable,
        })
    }
}
