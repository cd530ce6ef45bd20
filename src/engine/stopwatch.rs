//! Where a rotation's time goes.

use std::time::Duration;

use crate::rotation::Timings;

/// Whose time it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Provider,
    Vault,
    Escrow,
    Waiting,
}

/// Adds up the time of one rotation, from its first preflight.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    started_at: Option<Duration>,
    provider: Duration,
    vault: Duration,
    escrow: Duration,
    waiting: Duration,
}

impl Stopwatch {
    /// A stopwatch that counts from `now`.
    pub(super) fn started(now: Duration) -> Self {
        Self { started_at: Some(now), ..Self::default() }
    }

    pub(super) fn add(&mut self, share: Share, time: Duration) {
        let sum = match share {
            Share::Provider => &mut self.provider,
            Share::Vault => &mut self.vault,
            Share::Escrow => &mut self.escrow,
            Share::Waiting => &mut self.waiting,
        };
        *sum = sum.saturating_add(time);
    }

    /// The figures up to `now`; what nobody else took is our own.
    pub(super) fn read(&self, now: Duration) -> Timings {
        let total = self.started_at.map(|start| now.saturating_sub(start)).unwrap_or_default();
        let others = self.provider + self.vault + self.escrow + self.waiting;
        Timings {
            provider_us: micros(self.provider),
            vault_us: micros(self.vault),
            escrow_us: micros(self.escrow),
            own_us: micros(total.saturating_sub(others)),
            waiting_us: micros(self.waiting),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
