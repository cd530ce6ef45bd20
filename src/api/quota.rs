//! How many connections each peer has, so that one peer cannot take them all.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Peer;

/// The seats of all peers of one listener.
#[derive(Debug)]
pub(super) struct Quota {
    seats: HashMap<Peer, Arc<Semaphore>>,
    each_max: usize,
}

impl Quota {
    /// At most so many seats for each peer.
    pub(super) fn of(each_max: usize) -> Self {
        Self { seats: HashMap::new(), each_max }
    }

    /// A seat for one more connection of the peer, if it has not too many; it is free once it is dropped.
    pub(super) fn seat(&mut self, peer: &Peer) -> Option<OwnedSemaphorePermit> {
        if !self.seats.contains_key(peer) {
            self.seats.retain(|_, free| free.available_permits() < self.each_max);
        }
        let free = self.seats.entry(peer.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each_max)));
        Arc::clone(free).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_has_all_its_seats_leaves_the_others_theirs() {
        let mut quota = Quota::of(2);
        let (first, _second) = (quota.seat(&Peer::User(7)).unwrap(), quota.seat(&Peer::User(7)).unwrap());
        assert!(quota.seat(&Peer::User(7)).is_none());
        drop(quota.seat(&Peer::User(8)).unwrap());
        assert!(quota.seat(&Peer::User(9)).is_some());
        assert_eq!(quota.seats.len(), 2, "a peer without connections is remembered");
        drop(first);
        assert!(quota.seat(&Peer::User(7)).is_some());
    }
}
