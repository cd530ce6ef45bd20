//! The provider: which keys it made, and which of them it accepts.

use keyturn::rotation::Plan;

use super::world::{Key, Number, ROTATIONS_MAX, TICK_SECONDS, small};

/// The keys that were in the slots before keyturn came.
const UNKNOWN: Key = 200;

#[derive(Clone)]
pub(crate) struct Provider {
    /// Whose call made each key, and when; the first is nobody's.
    pub(crate) made: Vec<Made>,
    /// By rotation: requests that left and were not refused.
    pub(crate) sent: [u8; ROTATIONS_MAX],
    /// It refused, hid or failed what would have settled a doubt.
    pub(crate) turned_away: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub(crate) rotation: Number,
    /// Which of several named keys it is.
    pub(crate) slot: u8,
    pub(crate) tick: u8,
    /// When it was revoked.
    pub(crate) revoked: Option<u8>,
    /// When the entry got another key in its place.
    pub(crate) left: Option<u8>,
}

pub(crate) fn has_phases(plan: &Plan) -> bool {
    plan.creates.as_ref().is_some_and(|creates| creates.phases.is_some())
}

impl Made {
    const fn by(rotation: Number, slot: u8, tick: u8) -> Self {
        Self { rotation, slot, tick, revoked: None, left: None }
    }
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self { made: vec![Made::by(0, 0, 0)], sent: [0; ROTATIONS_MAX], turned_away: false }
    }

    pub(crate) fn newest(&self) -> Key {
        small(self.made.len() - 1)
    }

    pub(crate) fn maker(&self, key: Key) -> Number {
        self.made[usize::from(key)].rotation
    }

    pub(crate) fn made_at(&self, key: Key) -> u8 {
        self.made[usize::from(key)].tick
    }

    /// Whether the provider accepts the key now: usable already, and the newest or within its grace.
    pub(crate) fn accepts(&self, plan: &Plan, key: Key, tick: u8) -> bool {
        let usable = key == 0 || plan.propagation.is_none() || tick > self.made_at(key);
        usable && self.dies_at(plan, key).is_none_or(|dies_at| tick < dies_at)
    }

    /// The first tick at which the key is accepted no more, where there is a newer one.
    pub(crate) fn dies_at(&self, plan: &Plan, key: Key) -> Option<u8> {
        if plan.creates.is_some() {
            return self.made[usize::from(key)].revoked;
        }
        let mut later = self.made.iter().skip(usize::from(key) + 1);
        if !plan.slots.is_empty() {
            let slot = self.made[usize::from(key)].slot;
            return later.find(|made| made.slot == slot).map(|made| made.tick);
        }
        let next = later.next()?;
        let grace = plan.grace.map_or(0, |grace| grace.as_secs().div_ceil(TICK_SECONDS));
        Some(next.tick.saturating_add(small(grace)))
    }

    /// The keys that live, oldest first.
    pub(crate) fn living(&self) -> Vec<Key> {
        let living = self.made.iter().enumerate().filter(|(_, made)| made.revoked.is_none());
        living.map(|(key, _)| small(key)).collect()
    }

    /// The key that waits to be activated, where the provider has phases.
    pub(crate) fn pending(&self) -> Option<Key> {
        let living = self.living();
        living.last().copied().filter(|_| living.len() > 1)
    }

    pub(crate) fn end(&mut self, key: Key, tick: u8) {
        self.made[usize::from(key)].revoked.get_or_insert(tick);
    }

    /// The key that a slot shows; one that was never made anew has a key that nobody knows.
    pub(crate) fn shown(&self, slot: u8) -> Key {
        let newest = self.made.iter().rposition(|made| made.slot == slot);
        newest.map_or(UNKNOWN + slot, small)
    }

    /// A call takes effect; the same rotation id gives the same key where the provider replays. One that brings its key makes
    /// that the newest again.
    pub(crate) fn apply(&mut self, plan: &Plan, (rotation, slot): (Number, u8), tick: u8) -> Key {
        if plan.supplies && self.maker(self.newest()) == rotation {
            return self.newest();
        }
        let known = self.made.iter().position(|made| made.rotation == rotation);
        match known.filter(|_| plan.replay.is_some()) {
            Some(index) => small(index),
            None => {
                if has_phases(plan)
                    && let Some(pending) = self.pending()
                {
                    // The worst that a start can do.
                    self.end(pending, tick);
                }
                self.made.push(Made::by(rotation, slot, tick));
                self.newest()
            }
        }
    }
}
