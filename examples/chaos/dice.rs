//! All choices of a round, from its seed alone.

use std::time::Duration;

/// A small generator of numbers (splitmix64) that is the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one round of a campaign.
    pub(crate) fn of_round(seed: u64, round: u64) -> Self {
        let mut dice = Self(seed ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }

    /// Whether something with a chance of one in `chances` happens.
    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.roll(chances) == 0
    }

    /// A time below `most`.
    pub(crate) fn time(&mut self, most: Duration) -> Duration {
        let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.roll(most_us))
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        let sides = u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(1);
        let index = usize::try_from(self.roll(sides)).unwrap_or_default();
        index.checked_sub(1).and_then(|index| others.get(index)).copied().unwrap_or(first)
    }
}
