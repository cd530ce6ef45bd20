//! A clock that runs on the runtime's time, which a test can pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
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

/// One replica's clock, whose wall time can be set wrong while its monotonic time goes on.
#[derive(Debug, Clone)]
pub struct SkewedClock {
    right: FakeClock,
    skew_seconds: Arc<AtomicI64>,
}

impl SkewedClock {
    /// A clock that shows what `right` shows.
    pub fn new(right: FakeClock) -> Self {
        Self { right, skew_seconds: Arc::default() }
    }

    /// Lets the wall time differ from the right one by so much, from now on.
    pub fn set_skew(&self, seconds: i64) {
        self.skew_seconds.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew_seconds.load(Ordering::Relaxed));
        self.right.now().saturating_add(skew).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.right.monotonic()
    }

    async fn sleep(&self, delay: Duration) {
        self.right.sleep(delay).await;
    }
}
