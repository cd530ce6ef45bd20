//! How many watch streams there are at once, because every one of them costs memory for as long as it likes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::status;

/// The most credentials that all streams together look at: a hundred that watch a fleet of 10,000, or many more that
/// watch their own. Each costs a few hundred bytes.
const WATCHED_MAX: u32 = 1 << 20;

/// The watch streams of this process.
#[derive(Debug, Clone)]
pub(super) struct Watches {
    streams: Arc<Semaphore>,
    watched: Arc<Semaphore>,
}

impl Watches {
    /// At most so many streams at once.
    pub(super) fn up_to(streams_max: usize) -> Self {
        Self {
            streams: Arc::new(Semaphore::new(streams_max.min(Semaphore::MAX_PERMITS))),
            watched: Arc::new(Semaphore::new(WATCHED_MAX as usize)),
        }
    }

    /// A place for a stream over this many credentials; it is free again once it is dropped.
    pub(super) fn begin(&self, credentials: usize) -> Result<Watch, Status> {
        let credentials = u32::try_from(credentials).unwrap_or(u32::MAX).min(WATCHED_MAX);
        let stream = Arc::clone(&self.streams).try_acquire_owned();
        let watched = Arc::clone(&self.watched).try_acquire_many_owned(credentials);
        match (stream, watched) {
            (Ok(stream), Ok(watched)) => Ok(Watch { _stream: stream, _watched: watched }),
            _ => Err(status::too_many_watches()),
        }
    }
}

/// The place of one stream.
#[derive(Debug)]
pub(super) struct Watch {
    _stream: OwnedSemaphorePermit,
    _watched: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_over_whole_fleets_use_the_room_up_sooner() {
        let watches = Watches::up_to(16_384);
        let fleets: Vec<_> = std::iter::from_fn(|| watches.begin(10_000).ok()).collect();
        assert_eq!(fleets.len(), 104);
        drop(fleets);
        let owners: Vec<_> = std::iter::from_fn(|| watches.begin(1).ok()).collect();
        assert_eq!(owners.len(), 16_384);
    }
}
