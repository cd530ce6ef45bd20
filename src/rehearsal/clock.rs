//! Time on the stage: it stands still while somebody works, and jumps to the end of every wait of the play.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::{Clock, SystemClock};

/// A clock that only waits move on, and only up to a moment.
#[derive(Debug, Clone)]
pub(super) struct StageClock {
    start: Timestamp,
    elapsed_ms: Arc<AtomicU64>,
    stops_at_ms: Arc<AtomicU64>,
    stopped: Arc<watch::Sender<bool>>,
}

impl StageClock {
    pub(super) fn start() -> Self {
        Self {
            start: SystemClock::start().now(),
            elapsed_ms: Arc::default(),
            stops_at_ms: Arc::default(),
            stopped: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets waits end for so much longer; after that nothing happens by itself.
    pub(super) fn run_for(&self, time: Duration) {
        self.stops_at_ms.store(millis(self.monotonic().saturating_add(time)), Ordering::Relaxed);
    }

    /// Lets no wait end any more.
    pub(super) fn stand_still(&self) {
        self.stops_at_ms.store(0, Ordering::Relaxed);
    }

    /// Whether the time is over for which it was to run.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
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
        let stops_at_ms = self.stops_at_ms.load(Ordering::Relaxed);
        if self.elapsed_ms.load(Ordering::Relaxed) >= stops_at_ms {
            self.stopped.send_replace(stops_at_ms > 0);
            future::pending::<()>().await;
        }
        self.elapsed_ms.fetch_add(millis(delay).max(1), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
