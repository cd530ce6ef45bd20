//! What the core knows of a credential's provider: capabilities and times, nothing else.

use std::time::Duration;

use super::schedule::Schedule;
use crate::ids::KeyId;

/// The facts by which one credential is rotated, taken from its provider's definition and the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// When the credential is due.
    pub schedule: Schedule,
    /// The credential signs its own regeneration.
    pub self_authenticating: bool,
    /// How long the provider accepts the old key too; `None` where it dies at once or nobody says.
    pub grace: Option<Duration>,
    /// How long after a rotation the provider refuses, or punishes, another.
    pub lock: Option<Duration>,
    /// The same idempotency key returns the same answer, for this long.
    pub replay: Option<Duration>,
    /// The current value can be read; a change shows at the latest after this time.
    pub read: Option<Duration>,
    /// The provider shows something that changes with the key, and not the key; a change shows at the latest after this time.
    /// Such a provider has no `read`, no `supplies`, no `slots` and no `creates`.
    pub marker: Option<Duration>,
    /// The call can be made again safely; at most this many calls in all for one rotation.
    pub redo: Option<u32>,
    /// The call brings a key that keyturn chose and that the record holds since the intent: made again, at any time, it
    /// brings the very same. `redo` then knows no bound.
    pub supplies: bool,
    /// The names of the provider's keys, of which the call makes one anew and leaves the others alone; empty where it has one.
    /// Such a provider has a `read`, and `grace` is the time for which keyturn leaves the old key alone.
    pub slots: Vec<KeyId>,
    /// The call makes another key beside the old one, which dies by a call of its own; `None`: it replaces the old one.
    /// Such a provider has no `grace` and no `read`, and a further call waits for no other.
    pub creates: Option<Creates>,
    /// The new key is not usable at once: it is staged first.
    pub propagation: Option<Propagation>,
    /// The provider has a harmless request that shows whether the new key is accepted.
    pub probe: bool,
    /// The longest time from the first byte of a provider call to its answer.
    pub call_timeout: Duration,
    /// How long a request that was sent may still take effect after its sender gave up or died.
    pub settle: Duration,
    /// How long a holder may be silent before another replica may claim the rotation.
    pub claim: Duration,
}

/// How a provider's new key becomes usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// Without a probe: publish after this time. With one: the first probe is made after it.
    pub delay: Duration,
    /// How often the probe is repeated.
    pub poll: Duration,
    /// With a probe: refused for longer than this, the rotation halts unpublished.
    pub deadline: Duration,
}

/// How keys live side by side at a provider whose call takes nothing from the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creates {
    /// How long after its rotation was closed the old key is revoked.
    pub revoke_after: Duration,
    /// How many keys the provider lets live at once.
    pub keys_max: Option<u32>,
    /// The keys can be listed with the rotations that they were made for, so that strays are found.
    pub lists: bool,
    /// There are two places, for the old key and a pending one, and no ids: the old one dies when the pending one is activated.
    pub phases: Option<Phases>,
    /// The id of the key that the entry held before keyturn's first rotation, where the owner knows it.
    pub first_key: Option<KeyId>,
}

/// How a pending key and the old one make room for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// A pending key that nobody got can be discarded.
    pub discards: bool,
}

impl Creates {
    /// Whether a key that nobody got is cleared away, so that another rotation can be tried by itself.
    pub fn clears_strays(&self) -> bool {
        self.lists || self.phases.is_some_and(|phases| phases.discards)
    }
}
