//! All chance of a simulation, from one number.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of chance that gives the same in every run with the same seed. A clone goes on where the other stands.
#[derive(Debug, Clone)]
pub struct Dice {
    state: Arc<AtomicU64>,
}

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(AtomicU64::new(seed)) }
    }

    /// Dice of their own, so that one user's throws do not change another's.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.next())
    }

    /// The next number: SplitMix64.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&self, bound: u64) -> u64 {
        let thrown = self.next();
        thrown.checked_rem(bound).unwrap_or_default()
    }

    /// Whether an event of so many in 10,000 happens.
    pub fn happens(&self, per_10_000: u64) -> bool {
        self.below(10_000) < per_10_000
    }

    /// A time between the two, the upper one excluded.
    pub fn between(&self, from: Duration, until: Duration) -> Duration {
        let span_ms = u64::try_from(until.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
        from + Duration::from_millis(self.below(span_ms))
    }

    /// One of several; `None` where there are none.
    pub fn pick<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(all.len() as u64)).unwrap_or_default();
        all.get(index)
    }
}

/// Decides at each operation anew what becomes of it.
pub struct Draw<Q, F>(Arc<dyn Fn(Q) -> Option<F> + Send + Sync>);

impl<Q, F> Draw<Q, F> {
    /// Asks `draw` at each operation.
    pub fn new(draw: impl Fn(Q) -> Option<F> + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    pub(super) fn ask(&self, question: Q) -> Option<F> {
        (self.0)(question)
    }
}

impl<Q, F> Clone for Draw<Q, F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Q, F> fmt::Debug for Draw<Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw")
    }
}
