//! What a task does while no rotation is open: it revokes what is owed, looks for strays, settles orphan answers, and
//! compares provider with Vault.
//!
//! It can be dropped at any moment, for whatever a person wants comes first: it only reads, and what it writes outside
//! the record can be done again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::hands::Hands;
use super::interruption::Interruption;
use super::revoking::Owed;
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{CredentialName, ReplicaId, RotationId};
use crate::provider::{self, Probe, Provider};
use crate::rotation::{
    Baseline, Event, Evidence, Phase, State, Verdict, is_as_recorded, quiet_for, tells_at,
};
use crate::secret::{Fingerprint, SecretValue};
use crate::vault::Store;

/// What there is to do, and when, on the monotonic clock.
pub(super) struct Chores {
    /// Closed rotations with a sealed answer that nobody has settled.
    pub(super) orphans: VecDeque<RotationId>,
    examine_at: Duration,
    /// How often the provider was asked about orphans.
    examinations: u32,
    /// When a probe tells most of the orphan that was asked about last.
    tells_at: Option<Timestamp>,
    compare_at: Duration,
    comparisons: u32,
    /// Keys that the record says are to be revoked.
    pub(super) owed: Vec<Owed>,
    /// When the provider's keys are listed, and when that was tried last.
    pub(super) list_at: Duration,
    pub(super) listed_at: Duration,
}

impl Chores {
    pub(super) fn starting(name: &CredentialName, replica: ReplicaId, now: Duration) -> Self {
        let compare_at = now.saturating_add(spread(name, replica, 0, COMPARE_EVERY));
        Self {
            orphans: VecDeque::new(),
            examine_at: now,
            examinations: 0,
            tells_at: None,
            compare_at,
            comparisons: 0,
            owed: Vec::new(),
            list_at: now,
            listed_at: now,
        }
    }

    /// There is a new orphan.
    pub(super) const fn ask_soon(&mut self, now: Duration) {
        self.examine_at = now;
        self.examinations = 0;
    }

    /// How long until the provider is asked again: ever longer, as it may never tell; and when it is sure to tell more.
    fn examine_again_in(&self, now: Timestamp) -> Duration {
        let rounds = self.examinations / u32::try_from(self.orphans.len().max(1)).unwrap_or(u32::MAX);
        let usual = EXAMINE_EVERY.saturating_mul(1 << rounds.min(10)).min(EXAMINE_EVERY_MAX);
        let left = self.tells_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        left.filter(|left| !left.is_zero()).map_or(usual, |left| usual.min(left.saturating_add(AFTER_GRACE)))
    }
}

/// How often the provider is asked about an orphan at first.
const EXAMINE_EVERY: Duration = Duration::from_mins(5);
/// And at last.
const EXAMINE_EVERY_MAX: Duration = Duration::from_hours(6);
/// What is waited for once a probe tells more.
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
        if state.phase != Phase::Idle {
            return None;
        }
        let chores = &self.chores;
        let examine_at = (!chores.orphans.is_empty()).then_some(chores.examine_at);
        let compare_at = self.can_ask().then_some(chores.compare_at);
        let list_at = self.looks_for_strays().then_some(chores.list_at);
        let quiet_at = self.seen_at.saturating_add(quiet_for(self.plan()));
        let asks_at = [examine_at, compare_at].into_iter().flatten().min().map(|at| at.max(quiet_at));
        // Strays and debts need no quiet: their keys can reach the entry no more.
        let revoke_at = chores.owed.iter().map(|owed| owed.at).min();
        let next = [asks_at, list_at, revoke_at].into_iter().flatten().min()?;
        let left = next.saturating_sub(self.clock.monotonic());
        Some(self.provider.quiet_left().map_or(left, |quiet| left.max(quiet)))
    }

    /// Whether the provider can be asked about a key at all.
    pub(super) fn can_ask(&self) -> bool {
        self.plan().read.is_some() || self.plan().probe
    }

    /// Does what is due. A chore that fails, or is dropped, holds nothing up; it is done again later.
    pub(super) async fn do_chore(&mut self, state: &State) -> Option<Event> {
        let now = self.clock.monotonic();
        self.signer = None;
        if let Some(event) = self.revoke_what_is_due(state).await {
            return Some(event);
        }
        if let Some(event) = self.find_strays(state).await {
            return Some(event);
        }
        if self.unchanged_for() < quiet_for(self.plan()) {
            return None;
        }
        if self.can_ask() && self.chores.compare_at <= now {
            self.chores.compare_at = now.saturating_add(COMPARE_AGAIN);
            self.chores.comparisons = self.chores.comparisons.wrapping_add(1);
            if self.compare_with_vault().await {
                let (name, replica) = (&self.credential.name, self.replica);
                let jitter = spread(name, replica, self.chores.comparisons, COMPARE_EVERY / 2);
                self.chores.compare_at = now.saturating_add(COMPARE_EVERY / 4 * 3 + jitter);
            }
        }
        if self.chores.orphans.is_empty() || self.chores.examine_at > now {
            return None;
        }
        self.chores.examine_at = now.saturating_add(self.chores.examine_again_in(self.now()));
        self.chores.examinations = self.chores.examinations.saturating_add(1);
        let examined = self.examine(state).await;
        self.chores.examine_at =
            self.chores.examine_at.min(now.saturating_add(self.chores.examine_again_in(self.now())));
        if !matches!(examined, Ok(Some(_))) {
            tracing::debug!(credential = %self.credential.name, ?examined, "nothing was found out");
        }
        examined.ok().flatten()
    }

    /// Compares provider and Vault; `false` where they differ, or nobody could tell.
    async fn compare_with_vault(&mut self) -> bool {
        let compared = self.comparison().await;
        let is_same = matches!(compared, Ok(Compared::Same));
        match compared {
            Ok(Compared::Same) => self.conditions.retain(|condition| !condition.is_of_a_comparison()),
            Ok(Compared::Differs(code, message)) => {
                self.conditions.retain(|condition| !condition.is_of_a_comparison() || condition.code == code);
                self.note(code, message);
            }
            Ok(Compared::NotTold) => {}
            Err(interruption) => {
                tracing::debug!(credential = %self.credential.name, ?interruption, "not compared");
            }
        }
        is_same
    }

    async fn comparison(&mut self) -> Result<Compared, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        let value = entry.field(&place.field);
        self.entry = Some(entry);
        let Some(value) = value else { return Ok(Compared::NotTold) };
        let compared = self.compare_key(&value).await?;
        // Another replica may have rotated since the entry was read.
        let changed = self.store.record_version(&self.credential.name).await? != self.version;
        Ok(if changed { Compared::NotTold } else { compared })
    }

    async fn compare_key(&mut self, value: &SecretValue) -> Result<Compared, Interruption> {
        let place = self.credential.store.clone();
        let published = self.fingerprint(value);
        if let Some(shown) = self.shown(&[&published]).await? {
            if shown == published {
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
        Ok(match self.accepts(value).await? {
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

    /// Asks the provider about the next orphan, unless the record is behind the entry: then nothing is settled.
    async fn examine(&mut self, state: &State) -> Result<Option<Event>, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        let Some(published) = entry.field(&place.field) else { return Ok(None) };
        let ahead = self.is_ahead_of_record(&entry);
        // A publication that follows is based on the very entry that is compared here.
        self.entry = Some(entry);
        let Some(rotation_id) = self.next_orphan().filter(|_| !ahead) else { return Ok(None) };
        let Some(found) = self.opened(rotation_id).await else { return Ok(None) };
        let answer = self.facts(&found);
        self.chores.tells_at = tells_at(state, &answer);
        let entry_key = self.fingerprint(&published);
        let entry_version = self.entry_version().unwrap_or_default();
        let evidence = match &self.plan().creates {
            None => self.evidence(&found.answer.secret, &published).await?,
            Some(_) if !is_as_recorded(state, Some(&entry_key)) => None,
            Some(_) => {
                self.fence_the_entry().await?;
                Some(Evidence::Beside)
            }
        };
        let Some(evidence) = evidence else { return Ok(None) };
        tracing::info!(credential = %self.credential.name, %rotation_id, ?evidence,
            orphan = %answer.fingerprint, published = %entry_key, "asked which key lives");
        self.in_hand = Some(found);
        let baseline = Baseline { entry: Some(entry_key), entry_version, ..Baseline::default() };
        let unchanged_for = self.unchanged_for();
        let (replica, epoch, now) = (self.replica, self.epoch(), self.now());
        Ok(Some(Event::Orphaned {
            rotation_id,
            answer,
            evidence,
            baseline,
            unchanged_for,
            replica,
            epoch,
            now,
        }))
    }

    /// The orphans take turns.
    fn next_orphan(&mut self) -> Option<RotationId> {
        self.chores.orphans.rotate_left(usize::from(!self.chores.orphans.is_empty()));
        self.chores.orphans.back().copied()
    }

    async fn evidence(
        &mut self,
        orphan: &SecretValue,
        published: &SecretValue,
    ) -> Result<Option<Evidence>, Interruption> {
        let expected = [self.fingerprint(published), self.fingerprint(orphan)];
        if let Some(shown) = self.shown(&expected.each_ref()).await? {
            return Ok(Some(Evidence::Shown(shown)));
        }
        if !self.plan().probe {
            return Ok(None);
        }
        let (orphan, published) = (self.accepts(orphan).await?, self.accepts(published).await?);
        Ok(Some(Evidence::Probed { orphan, published }))
    }

    /// The provider's present key, where it can be read now. Of several named keys, the first of the expected ones that is
    /// among them: whoever holds one of these is right, whatever the others are.
    async fn shown(&mut self, expected: &[&Fingerprint]) -> Result<Option<Fingerprint>, Interruption> {
        if self.plan().read.is_none() || self.provider.quiet_left().is_some() {
            return Ok(None);
        }
        let names: Vec<_> = self.plan().slots.iter().cloned().map(Some).collect();
        let mut keys = Vec::new();
        for slot in if names.is_empty() { vec![None] } else { names } {
            match self.read_provider(slot.as_ref()).await? {
                provider::Reading::Value(answer) => keys.push(self.fingerprint(&answer.secret)),
                provider::Reading::Unavailable(_) | provider::Reading::Refused(_) => return Ok(None),
            }
        }
        let found = expected.iter().find(|expected| keys.contains(expected)).map(|found| (*found).clone());
        Ok(found.or_else(|| keys.into_iter().next()))
    }

    pub(super) async fn accepts(&mut self, key: &SecretValue) -> Result<Verdict, Interruption> {
        if !self.plan().probe {
            return Ok(Verdict::NoProbe);
        }
        if self.provider.quiet_left().is_some() {
            return Ok(Verdict::Unavailable);
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
