//! Times that cannot be true yet: somebody's wall clock was wrong when they were written down.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::history::{Closed, ClosedAs};
use super::plan::Plan;
use super::state::State;
use super::step::later;

/// The longest that anything asks to wait before the next try.
const RETRY_IN_MAX: Duration = Duration::from_hours(24);

impl State {
    /// Whether the newest rotation was closed by a clock that was wrong, or this one was set back since.
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.history.first().is_some_and(|newest| newest.closed_at > now)
    }

    /// The same state with what lies in the future moved to `now`: else one clock that was wrong for a moment would hold
    /// every rotation back until its year has come.
    #[must_use]
    pub fn believed_at(mut self, plan: &Plan, now: Timestamp) -> Self {
        let newest = self.history.first().map_or(SignedDuration::ZERO, |closed| closed.ahead_of(now));
        if let Some(retry) = &mut self.retry {
            retry.not_before = back(retry.not_before, newest).min(later(now, RETRY_IN_MAX));
        }
        let told_at = self.history.first().map_or(Timestamp::MAX, |closed| closed.closed_at);
        for owed in self.revocations.iter_mut().filter(|owed| owed.due_at > told_at) {
            owed.due_at = back(owed.due_at, newest);
        }
        for closed in &mut self.history {
            closed.take_back(closed.ahead_of(now));
            closed.bound_the_old_keys_life(plan);
        }
        self
    }
}

impl Closed {
    /// The old key lives for as long as the provider grants at most, whatever clock its end was told by.
    fn bound_the_old_keys_life(&mut self, plan: &Plan) {
        let Some(granted) = plan.grace.or(plan.creates.as_ref().map(|creates| creates.revoke_after)) else {
            return;
        };
        let ClosedAs::Rotated { answer, .. } = &mut self.outcome else { return };
        let latest = later(self.closed_at, granted);
        answer.previous_expires_at = answer.previous_expires_at.map(|dies_at| dies_at.min(latest));
    }

    /// How far in the future it says that it was closed.
    fn ahead_of(&self, now: Timestamp) -> SignedDuration {
        self.closed_at.duration_since(now).max(SignedDuration::ZERO)
    }

    /// Moves everything that the same clock told by so much.
    fn take_back(&mut self, ahead: SignedDuration) {
        let told_at = self.closed_at;
        self.closed_at = back(self.closed_at, ahead);
        self.intended_at = back(self.intended_at, ahead);
        let ClosedAs::Rotated { answer, publication, .. } = &mut self.outcome else { return };
        publication.published_at = back(publication.published_at, ahead);
        // One that is over for that clock was said by the provider's.
        answer.previous_expires_at = answer
            .previous_expires_at
            .map(|dies_at| if dies_at > told_at { back(dies_at, ahead) } else { dies_at });
    }
}

fn back(time: Timestamp, ahead: SignedDuration) -> Timestamp {
    time.saturating_sub(ahead).unwrap_or(Timestamp::MIN)
}
