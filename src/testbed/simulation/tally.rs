//! What happened in one or many simulations, in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts of one or many simulations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many worlds were run.
    pub seeds: u64,
    /// The virtual time in all of them.
    pub simulated: Duration,
    /// Everything that was counted, by its name.
    pub events: BTreeMap<&'static str, u64>,
    /// The faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts an event.
    pub(super) fn count(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    /// Counts a fault.
    pub(super) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// How often an event was counted.
    pub fn of(&self, event: &str) -> u64 {
        self.events.get(event).copied().unwrap_or_default()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        for (name, count) in &other.events {
            *self.events.entry(name).or_default() += count;
        }
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.simulated.as_secs() / 86_400;
        writeln!(f, "{:<44}{:>12}", "worlds", self.seeds)?;
        writeln!(f, "{:<44}{days:>12}", "simulated days")?;
        for (name, count) in &self.events {
            writeln!(f, "{name:<44}{count:>12}")?;
        }
        writeln!(f, "{:<44}{:>12}", "faults", self.faults.values().sum::<u64>())?;
        for (name, count) in &self.faults {
            writeln!(f, "  {name:<42}{count:>12}")?;
        }
        Ok(())
    }
}
