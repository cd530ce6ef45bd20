//! One account at a provider: what it was asked by one answer counts for all credentials that use it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use url::Url;

use super::retry_after::WISH_MAX;
use crate::ids::FieldPath;

/// One account at a provider, which may have asked to be left alone for a while. A clone is the same account.
///
/// It counts on the monotonic clock, so that a wall clock that jumps makes the wait neither shorter nor longer.
#[derive(Debug, Clone, Default)]
pub struct Account {
    quiet_until_ms: Arc<AtomicU64>,
}

impl Account {
    /// It asked for `wish` at the monotonic time `now`; a longer wish from before still counts, and a day is the most.
    pub fn asks(&self, wish: Duration, now: Duration) {
        let until = now.saturating_add(wish.min(WISH_MAX));
        // Rounded up, so that nobody comes too early.
        let until_ms = until.as_nanos().div_ceil(NANOS_PER_MILLI);
        self.quiet_until_ms.fetch_max(u64::try_from(until_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For how much longer it is to be left alone, at the monotonic time `now`.
    pub fn quiet_left(&self, now: Duration) -> Option<Duration> {
        let until = Duration::from_millis(self.quiet_until_ms.load(Ordering::Relaxed));
        until.checked_sub(now).filter(|left| !left.is_zero())
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;

/// The accounts of one process: one for each address and signing secret.
#[derive(Debug, Default)]
pub struct Accounts(BTreeMap<(String, FieldPath), Account>);

impl Accounts {
    /// The account of a credential; one that signs for itself is alone.
    pub fn of(&mut self, address: &Url, signer: Option<&FieldPath>) -> Account {
        let Some(signer) = signer else { return Account::default() };
        self.0.entry((address.to_string(), signer.clone())).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wish_counts_for_every_clone_and_for_a_day_at_most() {
        let seconds = Duration::from_secs;
        let account = Account::default();
        let other = account.clone();
        assert_eq!(other.quiet_left(Duration::ZERO), None);
        account.asks(seconds(30), seconds(100));
        account.asks(seconds(5), seconds(101));
        assert_eq!(other.quiet_left(seconds(110)), Some(seconds(20)));
        assert_eq!(other.quiet_left(seconds(130)), None);
        account.asks(Duration::MAX, seconds(200));
        assert_eq!(other.quiet_left(seconds(200)), Some(WISH_MAX));
        assert_eq!(Account::default().quiet_left(seconds(200)), None);
    }
}
