//! Where time comes from, so that a test can hold it in its hand.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

/// Wall time for people and schedules, monotonic time for claims and waits.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The wall clock; it may jump, so no claim is decided by it.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back.
    fn monotonic(&self) -> Duration;

    /// Ends after `delay` of monotonic time. Cancel-safe: nothing is lost when it is dropped.
    fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send;
}

/// The machine's own clocks; the monotonic one goes on while the machine sleeps, for claims run out then too.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn start() -> Self {
        Self { start: since_boot() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        since_boot().saturating_sub(self.start)
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }
}

fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}
