//! The keys that a simulated provider has minted, and which of them it accepts when.

use std::time::Duration;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};

/// One place at the provider that holds one key at a time.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The name by which handlers and tests ask for it.
    pub(super) name: &'static str,
    /// What every key minted for it begins with.
    pub(super) prefix: String,
    /// How long a new key is refused at first.
    pub(super) propagation: Duration,
    /// How long a read shows the old key after a new one was minted.
    pub(super) read_lag: Duration,
}

/// All keys that were ever minted, by slot; a slot's newest key is its current one.
#[derive(Debug)]
pub(super) struct Keyring {
    slots: Vec<(Slot, Vec<Key>)>,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) value: String,
    pub(super) minted_at: Timestamp,
    pub(super) usable_at: Timestamp,
    pub(super) dies_at: Option<Timestamp>,
}

impl Keyring {
    /// A keyring whose slots hold one settled key each.
    pub(super) fn new(slots: impl IntoIterator<Item = Slot>) -> Self {
        let long_ago = Timestamp::UNIX_EPOCH;
        let settled = |slot: Slot| {
            let key = Key { value: mint(&slot), minted_at: long_ago, usable_at: long_ago, dies_at: None };
            (slot, vec![key])
        };
        Self { slots: slots.into_iter().map(settled).collect() }
    }

    /// The keys of one place, oldest first, as somebody else minted them.
    pub(super) fn holding(name: &'static str, keys: Vec<Key>) -> Self {
        let (propagation, read_lag) = (Duration::ZERO, Duration::ZERO);
        Self { slots: vec![(Slot { name, prefix: String::new(), propagation, read_lag }, keys)] }
    }

    /// Mints a key; the one before it lives for `grace` more, and those before that as long as they had.
    pub(super) fn regenerate(&mut self, slot: &str, now: Timestamp, grace: Duration) -> String {
        let Some((slot, keys)) = self.slots.iter_mut().find(|(known, _)| known.name == slot) else {
            return String::new();
        };
        if let Some(previous) = keys.last_mut() {
            previous.dies_at = Some(later(now, grace));
        }
        let value = mint(slot);
        let usable_at = later(now, slot.propagation);
        keys.push(Key { value: value.clone(), minted_at: now, usable_at, dies_at: None });
        value
    }

    /// Ends the life of every key but the slots' newest.
    pub(super) fn retire_old(&mut self, now: Timestamp) {
        for (_, keys) in &mut self.slots {
            let old = keys.len().saturating_sub(1);
            keys.iter_mut().take(old).for_each(|key| key.dies_at = Some(now));
        }
    }

    /// The slot's newest key, usable yet or not.
    pub(super) fn current(&self, slot: &str) -> String {
        self.keys(slot).last().map(|key| key.value.clone()).unwrap_or_default()
    }

    /// All keys that were ever minted for a slot, oldest first.
    pub(super) fn values(&self, slot: &str) -> Vec<String> {
        self.keys(slot).iter().map(|key| key.value.clone()).collect()
    }

    /// The key that a read shows.
    pub(super) fn shown(&self, slot: &str, now: Timestamp) -> String {
        let lag = self.slot(slot).map(|slot| slot.read_lag).unwrap_or_default();
        let visible = |key: &&Key| later(key.minted_at, lag) <= now;
        self.keys(slot).iter().rev().find(visible).map(|key| key.value.clone()).unwrap_or_default()
    }

    /// When the slot's newest key was minted.
    pub(super) fn modified_at(&self, slot: &str) -> Timestamp {
        self.keys(slot).last().map(|key| key.minted_at).unwrap_or_default()
    }

    /// The keys of a slot that the provider accepts now.
    pub(super) fn accepted(&self, slot: &str, now: Timestamp) -> impl Iterator<Item = &str> {
        let alive = move |key: &&Key| key.usable_at <= now && key.dies_at.is_none_or(|dies_at| now < dies_at);
        self.keys(slot).iter().filter(alive).map(|key| key.value.as_str())
    }

    /// Whether the provider accepts the key now, in whichever slot.
    pub(super) fn accepts(&self, value: &str, now: Timestamp) -> bool {
        self.slots.iter().any(|(slot, _)| self.accepted(slot.name, now).any(|key| key == value))
    }

    fn keys(&self, slot: &str) -> &[Key] {
        self.slots.iter().find(|(known, _)| known.name == slot).map_or(&[], |(_, keys)| keys)
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().map(|(slot, _)| slot).find(|slot| slot.name == name)
    }
}

/// `time` and `delay` later, or the end of time.
pub(super) fn later(time: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| time.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}

/// 128 random bits as hex.
pub(super) fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    // The operating system's generator fails only while the machine boots; then the nonce is not random.
    rand::fill(&mut bytes).ok();
    HEXLOWER.encode(&bytes)
}

fn mint(slot: &Slot) -> String {
    format!("{}{}", slot.prefix, random_hex())
}
