//! Time inside one rotation: the wall clock's where the rotation was first seen here, and the monotonic clock's after.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::ids::RotationId;

/// Where the time of one rotation starts in this process: a wall clock that jumps can neither cut a wait short nor
/// draw it out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    rotation_id: RotationId,
    wall: Timestamp,
    monotonic: Duration,
}

impl Anchor {
    /// The rotation's time starts now.
    pub(super) fn drop_at(clock: &impl Clock, rotation_id: RotationId) -> Self {
        Self { rotation_id, wall: clock.now(), monotonic: clock.monotonic() }
    }

    pub(super) fn is_of(&self, rotation_id: RotationId) -> bool {
        self.rotation_id == rotation_id
    }

    /// The time, after `monotonic` has passed on the clock that it was dropped at.
    pub(super) fn time_at(&self, monotonic: Duration) -> Timestamp {
        let passed = SignedDuration::try_from(monotonic.saturating_sub(self.monotonic));
        self.wall.saturating_add(passed.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
    }
}
