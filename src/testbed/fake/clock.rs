//! A clock that runs on the runtime's time, which a test can pause.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::testbed::keyring::later;

/// A clock whose wall time is a fixed start plus the runtime's time since it was made.
#[derive(Debug, Clone, Copy)]
pub struct FakeClock {
    wall_start: Timestamp,
    start: Instant,
}

impl FakeClock {
    /// A clock that shows `wall_start` now.
    pub fn starting_at(wall_start: Timestamp) -> Self {
        Self { wall_start, start: Instant::now() }
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        later(self.wall_start, self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }
}
