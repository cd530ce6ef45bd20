//! What must hold where keys live side by side: which are revoked, and which are left.

use std::time::Duration;

use jiff::Timestamp;

use super::docket::{Docket, Verdict, after};
use crate::rotation::Creates;

/// How long after its time an old key may still live, once nothing goes wrong any more.
const OVERDUE: Duration = Duration::from_mins(10);

impl Docket {
    /// P6: no key is revoked that anybody needs: the one in the entry, one that an open rotation is about to publish,
    /// or one that was in the entry and still has its time.
    pub(super) fn revoked(
        &mut self,
        key: &str,
        took: Duration,
        now: Timestamp,
        clocks_are_right: bool,
    ) -> Verdict {
        let number = self.number(key)?;
        // It does not say which rotation's key is meant.
        if self.has_phases() && took > self.plan.call_timeout + self.plan.settle {
            self.late.insert(number);
            return Ok(());
        }
        let revoke_after = self.plan.creates.as_ref().map(|creates| creates.revoke_after).unwrap_or_default();
        let is_of_the_open = self.open().map(|open| open.rotation_id) == self.mint.maker_of(number);
        if number == self.entry || number > 0 && is_of_the_open {
            return Err(format!("P6: key {number} was revoked, and is needed"));
        }
        let early =
            self.left_the_entry.get(&number).is_some_and(|left_at| now < after(*left_at, revoke_after));
        if early && clocks_are_right {
            return Err(format!("P6: key {number} was revoked before its time"));
        }
        Ok(())
    }

    fn has_phases(&self) -> bool {
        self.plan.creates.as_ref().is_some_and(|creates| creates.phases.is_some())
    }

    /// Where keys live side by side: whether only the published key lives, what is owed and in its time, and what was made
    /// by hand. A person who has put a key into the entry keeps the others alive, too.
    pub(super) fn is_cleared(&self, now: Timestamp) -> bool {
        let Some(state) = &self.state else { return true };
        let finds = self.plan.creates.as_ref().is_some_and(Creates::clears_strays);
        let published = state.last_rotated().map(|last| last.rotation_id);
        if !finds || self.mint.maker_of(self.entry) != published {
            return true;
        }
        // A pending key that came too late, or the published one that a late request discarded: a person has to say.
        if self.has_phases() && !self.late.is_empty() {
            return true;
        }
        let overdue = state.revocations.iter().any(|owed| now > after(owed.due_at, OVERDUE));
        // Where there are no ids, one key at most is owed.
        let owed = |number: usize| {
            let own = format!("id-{number}");
            state.revocations.iter().any(|owed| self.has_phases() || owed.key_id.as_str() == own)
        };
        let needed = |number: usize| {
            let maker = self.mint.maker_of(number);
            number == self.entry || maker.is_none() || owed(number)
        };
        let live = self.mint.live_keys(now);
        !overdue && live.iter().filter_map(|key| self.mint.number_of(key)).all(needed)
    }

    /// P1, where keys live side by side: an erased key is published, owed, or dead.
    pub(super) fn is_not_missed(&self, number: usize, now: Timestamp) -> Verdict {
        let key = format!("key-{number}");
        let id = format!("id-{number}");
        let owed = self.state.iter().flat_map(|state| &state.revocations);
        let is_owed = owed.map(|owed| owed.key_id.as_str()).any(|owed| owed == id);
        // What was published last is owed at the next close.
        let last = self.state.as_ref().and_then(|state| state.last_rotated()?.outcome.answer());
        let is_owed =
            is_owed || last.and_then(|last| last.key_id.as_ref()).is_some_and(|last| last.as_str() == id);
        if self.has_phases() || number == self.entry || is_owed || !self.mint.accepts(&key, now) {
            return Ok(());
        }
        Err(format!("P1: key {number} was erased, and lives unknown to anybody"))
    }
}
