//! What a task lets everybody see of its state and its doing.

use std::sync::Arc;

use super::driver::Driver;
use super::snapshot::{Activity, Role, Snapshot};
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::provider::Provider;
use crate::rotation::{Effect, State};
use crate::vault::Store;

impl<P, S, E, C> Driver<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    pub(super) fn show_state(&mut self, state: &State) {
        self.show_state_and(state, |_| {});
    }

    fn show_state_and(&mut self, state: &State, change: impl FnOnce(&mut Snapshot)) {
        let mine = state.phase.rotation().is_none_or(|open| open.holder == self.hands.replica);
        let role = if mine { Role::Own } else { Role::Follower };
        let next_due = self.due(state);
        let entry_version = self.hands.entry_version();
        let conditions = self.hands.conditions.clone();
        self.desk.show(|snapshot| {
            if snapshot.state.as_deref() != Some(state) {
                snapshot.state = Some(Arc::new(state.clone()));
            }
            snapshot.role = role;
            snapshot.next_due = next_due;
            snapshot.entry_version = entry_version.or(snapshot.entry_version);
            snapshot.conditions = conditions;
            change(snapshot);
        });
    }

    /// At rest nothing holds the task up any more.
    pub(super) fn show_rest(&mut self, state: &State) {
        self.show_state_and(state, |snapshot| {
            snapshot.activity = Activity::Idle;
            snapshot.hold = None;
        });
    }

    /// Progress is shown, and whatever held the task up is over once it acts outside again.
    pub(super) fn show_effect(&mut self, state: &State, effect: &Effect) {
        let activity = match effect {
            Effect::Preflight { .. } => Activity::Preflight,
            Effect::Save | Effect::Fence => Activity::Saving,
            Effect::Call => Activity::Calling,
            Effect::Read => Activity::Reading,
            Effect::Seal => Activity::Sealing,
            Effect::Probe | Effect::Verify => Activity::Probing,
            Effect::Publish => Activity::Publishing,
            Effect::Wait { .. } => Activity::Waiting,
            Effect::Erase { .. } | Effect::Leave => return,
        };
        if matches!(effect, Effect::Save | Effect::Preflight { .. }) {
            self.desk.show_activity(activity);
        } else {
            self.show_state_and(state, |snapshot| {
                snapshot.hold = None;
                snapshot.activity = activity;
            });
        }
    }
}
