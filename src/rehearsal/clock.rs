//! Time on the stage: it stands still while somebody works, and jumps to the end of every wait of the rotation.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, SystemClock};

/// A clock that only the waits of an open rotation move on.
#[derive(Debug, Clone)]
pub(super) struct StageClock {
    start: Timestamp,
    elapsed_ms: Arc<AtomicU64>,
    is_running: Arc<AtomicBool>,
}

impl StageClock {
    pub(super) fn start() -> Self {
        Self { start: SystemClock::start().now(), elapsed_ms: Arc::default(), is_running: Arc::default() }
    }

    /// Lets waits end while a rotation is open; before and after it nothing happens by itself.
    pub(super) fn run(&self, is_open: bool) {
        self.is_running.store(is_open, Ordering::Relaxed);
    }
}

impl Clock for StageClock {
    fn now(&self) -> Timestamp {
        self.start.checked_add(self.monotonic()).unwrap_or(self.start)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::Relaxed))
    }

    async fn sleep(&self, delay: Duration) {
        // Whoever else has something to do comes first.
        tokio::task::yield_now().await;
        if !self.is_running.load(Ordering::Relaxed) {
            future::pending::<()>().await;
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1);
        self.elapsed_ms.fetch_add(delay_ms, Ordering::Relaxed);
    }
}
