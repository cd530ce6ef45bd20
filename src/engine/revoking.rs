//! Keys that live side by side: those that nobody needs are found, owed in the record, and revoked at the provider.

use std::time::Duration;

use super::hands::Hands;
use super::interruption::{Cause, Interruption};
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::ids::{KeyId, RotationId};
use crate::provider::{Listing, Provider, Revoking};
use crate::rotation::{
    Event, Phase, Revocation, Rotation, State, Verdict, is_as_recorded, owed_for_at_most, quiet_for,
    shows_the_published, strays,
};
use crate::secret::Secret;
use crate::vault::{Entry, Store};

/// A key that the record says is to be revoked, and when, on the monotonic clock.
pub(super) struct Owed {
    what: Revocation,
    pub(super) at: Duration,
    tries: u32,
}

/// What is owed, in words.
fn not_done(key_id: &KeyId) -> String {
    if *key_id == KeyId::of_the_old_key() {
        "the published key is not activated, so that the old one lives on".to_owned()
    } else if *key_id == KeyId::of_the_pending_key() {
        "a pending key that nobody got is not discarded".to_owned()
    } else {
        format!("the old key {key_id} is not revoked")
    }
}

/// How often a key that could not be revoked is tried again at first, and at last.
const AGAIN_MIN: Duration = Duration::from_mins(1);
const AGAIN_MAX: Duration = Duration::from_hours(6);
/// How often the keys are listed, for a late call makes a key at any time; and how soon after a failure.
const LIST_EVERY: Duration = Duration::from_hours(6);
const LIST_AGAIN: Duration = Duration::from_mins(5);

impl<P, S, E, C> Hands<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Takes over from the record what is owed. A due time is a wall clock's where it is first seen here, and the
    /// monotonic clock's from there on; one that lies too far off was taken from a clock that was wrong.
    pub(super) fn note_what_is_owed(&mut self, state: &State) {
        if self.plan().creates.is_none() {
            return;
        }
        let longest = owed_for_at_most(self.plan());
        let (now, monotonic) = (self.now(), self.clock.monotonic());
        let known = std::mem::take(&mut self.chores.owed);
        let due = |revocation: &Revocation| {
            let left = Duration::try_from(revocation.due_at.duration_since(now)).unwrap_or_default();
            Owed { what: revocation.clone(), at: monotonic.saturating_add(left.min(longest)), tries: 0 }
        };
        // Of the rotation, too: where keys have no ids, each rotation's old key goes by the same name.
        let (kept, new): (Vec<_>, Vec<_>) = state
            .revocations
            .iter()
            .partition(|revocation| known.iter().any(|owed| owed.what == **revocation));
        self.chores.owed = known
            .into_iter()
            .filter(|owed| kept.iter().any(|revocation| owed.what == **revocation))
            .chain(new.into_iter().map(due))
            .collect();
        // What was made shows by then; changes that follow each other put it off no further.
        if self.seen_at > self.chores.listed_at {
            let shows_at = self.seen_at.saturating_add(quiet_for(self.plan()));
            self.chores.list_at = self.chores.list_at.min(shows_at);
        }
    }

    /// Whether the provider's keys are listed at all.
    pub(super) fn looks_for_strays(&self) -> bool {
        self.plan().creates.as_ref().is_some_and(|creates| creates.lists)
    }

    /// Revokes the first key that is due.
    pub(super) async fn revoke_what_is_due(&mut self, state: &State) -> Option<Event> {
        let now = self.clock.monotonic();
        if !self.chores.owed.iter().any(|owed| owed.at <= now) {
            return None;
        }
        let revoked = self.revoke_next(state).await;
        self.found_out(revoked)
    }

    /// Looks for strays, if it is time.
    pub(super) async fn find_strays(&mut self, state: &State) -> Option<Event> {
        if !self.looks_for_strays() || self.chores.list_at > self.clock.monotonic() {
            return None;
        }
        let found = self.look_for_strays(state).await;
        self.found_out(found)
    }

    fn found_out(&self, found: Result<Option<Event>, Interruption>) -> Option<Event> {
        if let Err(interruption) = &found {
            tracing::debug!(credential = %self.credential.name, ?interruption, "nothing was cleared away");
        }
        found.ok().flatten()
    }

    /// Revokes the key that has been due for longest, unless anything speaks against it.
    async fn revoke_next(&mut self, state: &State) -> Result<Option<Event>, Interruption> {
        let now = self.clock.monotonic();
        let Some(owed) = self.chores.owed.iter_mut().min_by_key(|owed| owed.at) else { return Ok(None) };
        // Before it is tried: what is dropped on the way is not tried again at once.
        owed.at = now.saturating_add(AGAIN_MIN.saturating_mul(1 << owed.tries.min(10)).min(AGAIN_MAX));
        owed.tries = owed.tries.saturating_add(1);
        let key_id = owed.what.key_id.clone();
        if let Some(reason) = self.speaks_against(state).await? {
            self.note("REVOCATION_HELD", format!("{} yet: {reason}", not_done(&key_id)));
            return Ok(None);
        }
        self.collect_secrets().await?;
        // Whoever publishes another key writes the record first.
        if self.store.record_version(&self.credential.name).await? != self.version {
            return Ok(None);
        }
        let Some(secrets) = &self.signer else { return Ok(None) };
        match self.provider.revoke(&key_id, secrets.signer()).await {
            Revoking::Revoked => {
                tracing::info!(credential = %self.credential.name, %key_id, "what was owed to the provider is done");
                return Ok(Some(Event::Revoked { key_id }));
            }
            Revoking::Unavailable(problem) => self.note(
                "REVOCATION_HELD",
                format!("{} yet; it is tried again: {problem}", not_done(&key_id)),
            ),
            Revoking::Refused(refusal) if refusal.class.is_passing() => self.note(
                "REVOCATION_HELD",
                format!("{} yet; it is tried again: {}", not_done(&key_id), refusal.problem),
            ),
            Revoking::Refused(refusal) => self.note(
                "REVOCATION_REFUSED",
                format!(
                    "{}, which the provider refuses ({}). Give the signing credential the right, or do it at the provider: \
                     keyturn asks again, and is content when it is done",
                    not_done(&key_id),
                    refusal.problem
                ),
            ),
        }
        Ok(None)
    }

    /// Why no key is revoked now: the published one must be the record's, and proven to work where that can be asked.
    async fn speaks_against(&mut self, state: &State) -> Result<Option<String>, Interruption> {
        let place = self.credential.store.clone();
        let Some((_, secret)) = self.recorded_entry(state).await? else {
            let what_helps = if self.has_phases() {
                "put the key that keyturn published last there, and keyturn goes on"
            } else {
                "after the next rotation keyturn goes on by itself"
            };
            return Ok(Some(format!(
                "{place} holds a key that keyturn did not publish, so that nobody can tell which of the provider's keys \
                 it is; {what_helps}"
            )));
        };
        if !self.plan().probe {
            return Ok(None);
        }
        Ok(match self.accepts(&secret.key).await? {
            Verdict::Accepted => None,
            Verdict::NotAccepted if self.has_phases() => Some(format!(
                "the provider does not accept the key at {place}, so another is pending, or none"
            )),
            Verdict::NotAccepted => Some(format!("the provider does not accept the key at {place}")),
            Verdict::Unavailable | Verdict::NoProbe => {
                Some(format!("the provider cannot be asked whether it accepts the key at {place}"))
            }
        })
    }

    fn has_phases(&self) -> bool {
        self.plan().creates.as_ref().is_some_and(|creates| creates.phases.is_some())
    }

    /// The entry as it is now, with its key, where that is the one that the record says.
    async fn recorded_entry(&mut self, state: &State) -> Result<Option<(Entry, Secret)>, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        // The key that signs, where it signs for itself.
        self.entry = None;
        self.signer = None;
        let Some(secret) = self.secret_in(&entry) else { return Ok(None) };
        let fingerprint = self.fingerprint(&secret);
        let recorded = !self.is_ahead_of_record(&entry) && is_as_recorded(state, Some(&fingerprint));
        Ok(recorded.then_some((entry, secret)))
    }

    /// Lists the provider's keys; those that nobody needs are owed from here on.
    async fn look_for_strays(&mut self, state: &State) -> Result<Option<Event>, Interruption> {
        let now = self.clock.monotonic();
        (self.chores.listed_at, self.chores.list_at) = (now, now.saturating_add(LIST_AGAIN));
        self.collect_secrets().await?;
        let Some(secrets) = &self.signer else { return Ok(None) };
        let keys = match self.provider.list(secrets.signer()).await {
            Listing::Keys(keys) if !shows_the_published(state, &keys) => {
                self.note(
                    "STRAYS_UNKNOWN",
                    "the provider's list does not show the key that is in Vault, so nothing in it is believed and no stray \
                     is cleared away; if this stays, the definition takes the key's id from two different things".to_owned(),
                );
                return Ok(None);
            }
            Listing::Keys(keys) => strays(state, keys),
            Listing::Unavailable(problem) => {
                tracing::debug!(credential = %self.credential.name, %problem, "the keys were not listed");
                return Ok(None);
            }
            Listing::Refused(refusal) => {
                self.note(
                    "STRAYS_UNKNOWN",
                    format!(
                        "the provider refuses to list its keys ({}), so that a key whose answer was lost is not found and \
                         goes on to work; give the signing credential the right",
                        refusal.problem
                    ),
                );
                return Ok(None);
            }
        };
        self.conditions.retain(|condition| condition.code != "STRAYS_UNKNOWN");
        self.chores.list_at = now.saturating_add(LIST_EVERY);
        if keys.is_empty() {
            return Ok(None);
        }
        let Some((entry, secret)) = self.recorded_entry(state).await? else { return Ok(None) };
        let fingerprint = self.fingerprint(&secret);
        self.entry = Some(entry);
        self.fence_the_entry().await?;
        Ok(Some(Event::Listed { keys, entry: Some(fingerprint), now: self.now() }))
    }

    /// Makes sure that the open rotation has published nothing, and that nobody else is about to.
    pub(super) async fn fence(&mut self, rotation: &Rotation) -> Result<Event, Interruption> {
        let place = self.credential.store.clone();
        let entry = self.store.read_entry(&place.path).await?;
        if entry.stamp(&place.field).is_some_and(|stamp| stamp.rotation_id == rotation.rotation_id) {
            return Err(match self.publication_in(&entry, rotation) {
                Some(_) => Interruption::Reload,
                None => Interruption::Held(Cause::new(
                    "ENTRY_INCOMPLETE",
                    format!(
                        "rotation {} was published at {place}, and somebody has taken a part of it away since; put it back, \
                         or remove the stamp under `_keyturn`: the rotation is then given up, and its key is revoked at the \
                         provider where it can be found",
                        rotation.rotation_id
                    ),
                )),
            });
        }
        self.entry = Some(entry);
        self.fence_the_entry().await?;
        Ok(Event::Fenced { now: self.now() })
    }

    /// Where keys live side by side, a rotation that a person gives up in doubt publishes nothing afterwards: nobody would owe
    /// the key that it replaced.
    pub(super) async fn fence_off(&mut self, given_up: RotationId) -> Result<(), Interruption> {
        let phase = self.record.as_ref().map(|record| &record.state.phase);
        match phase.filter(|_| self.plan().creates.is_some()) {
            Some(Phase::Unknown { rotation, .. }) if rotation.rotation_id == given_up => {
                let open = rotation.clone();
                self.fence(&open).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Writes the entry that was read again as it is: a holder of a rotation that was closed without it, and that slept
    /// before it published, finds another version.
    pub(super) async fn fence_the_entry(&mut self) -> Result<(), Interruption> {
        let Some(entry) = self.entry.take() else { return Err(Interruption::Reload) };
        self.store.rewrite(&self.credential.store.path, &entry).await?;
        Ok(())
    }

    /// Says what is left of old keys; what is over is not said any more.
    pub(super) fn tell_of_old_keys(&mut self, state: &State) {
        if state.revocations.is_empty() {
            self.conditions.retain(|condition| !condition.is_of_a_revocation());
        }
        let last = state.last_rotated().filter(|_| self.plan().creates.is_some());
        let unknown =
            last.filter(|last| last.entry.is_some() && last.outcome.previous_expires_at().is_none());
        match unknown.map(|last| last.rotation_id) {
            None => self.conditions.retain(|condition| condition.code != "OLD_KEY_UNKNOWN"),
            Some(id) => self.note(
                "OLD_KEY_UNKNOWN",
                format!(
                    "rotation {id} replaced a key whose id at the provider keyturn does not know, so it is not revoked and \
                     goes on to work; revoke it at the provider once nothing uses it"
                ),
            ),
        }
    }
}
