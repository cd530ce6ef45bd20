//! What all rounds came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::faults::{self, KINDS};
use super::report::{Broken, Report};
use super::tools::Tools;

/// The sums.
pub(crate) struct Table {
    seed: u64,
    tools: Tools,
    rounds: usize,
    by_kind: BTreeMap<&'static str, usize>,
    by_provider: BTreeMap<&'static str, usize>,
    by_outcome: BTreeMap<String, usize>,
    broken: BTreeMap<Broken, usize>,
    for_a_person: BTreeMap<String, usize>,
    calls: BTreeMap<usize, usize>,
    busy: Duration,
    slowest: Duration,
    spoilt: usize,
}

impl Table {
    pub(crate) const fn new(seed: u64, tools: Tools) -> Self {
        Self {
            seed,
            tools,
            rounds: 0,
            by_kind: BTreeMap::new(),
            by_provider: BTreeMap::new(),
            by_outcome: BTreeMap::new(),
            broken: BTreeMap::new(),
            for_a_person: BTreeMap::new(),
            calls: BTreeMap::new(),
            busy: Duration::ZERO,
            slowest: Duration::ZERO,
            spoilt: 0,
        }
    }

    /// Counts one more round.
    pub(crate) fn add(&mut self, report: Report) {
        self.rounds += 1;
        *self.by_kind.entry(report.kind).or_default() += 1;
        *self.by_provider.entry(report.provider).or_default() += 1;
        let first = report.outcome.first().cloned().unwrap_or_else(|| "spoilt".into());
        *self.by_outcome.entry(first).or_default() += 1;
        for (broken, _) in &report.broken {
            *self.broken.entry(*broken).or_default() += 1;
        }
        for reason in report.for_a_person {
            *self.for_a_person.entry(reason).or_default() += 1;
        }
        for (calls, rotations) in report.calls {
            *self.calls.entry(calls).or_default() += rotations;
        }
        self.busy += report.elapsed;
        self.slowest = self.slowest.max(report.elapsed);
        self.spoilt += usize::from(report.spoilt.is_some());
    }

    /// Whether no promise was broken, and every round was carried out.
    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty() && self.spoilt == 0 && self.rounds > 0
    }

    /// The table.
    pub(crate) fn text(&self, took: Duration) -> String {
        let mut lines = Vec::new();
        let mut row = |name: &str, count: usize| lines.push((name.to_owned(), count.to_string()));
        row("rounds", self.rounds);
        for kind in KINDS {
            match faults::left_out(kind, &self.tools) {
                Some(_) => row(&format!("  {} (NOT RUN)", kind.name), 0),
                None => row(&format!("  {}", kind.name), self.by_kind.get(kind.name).copied().unwrap_or(0)),
            }
        }
        row("providers", self.by_provider.len());
        self.by_provider.iter().for_each(|(name, count)| row(&format!("  {name}"), *count));
        row("first outcomes", self.by_outcome.values().sum());
        self.by_outcome.iter().for_each(|(name, count)| row(&format!("  {name}"), *count));
        row("rotations that reached the provider", self.calls.values().sum());
        self.calls.iter().for_each(|(calls, count)| row(&format!("  with {calls} calls"), *count));
        for broken in Broken::ALL {
            row(broken.in_words(), self.broken.get(&broken).copied().unwrap_or(0));
        }
        row("spoilt rounds", self.spoilt);
        row("left to a person", self.for_a_person.values().sum());
        self.for_a_person.iter().for_each(|(name, count)| row(&format!("  {name}"), *count));
        let mut text = String::from("\n");
        for (name, count) in lines {
            // A text grows without failing.
            writeln!(text, "{name:<44}{count:>8}").ok();
        }
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX).max(1);
        writeln!(
            text,
            "\nseed {}; {:.0} s in all, {:.2} s of a clock per round, mean {:.1} s and at most {:.1} s for one",
            self.seed,
            took.as_secs_f64(),
            (took / rounds).as_secs_f64(),
            (self.busy / rounds).as_secs_f64(),
            self.slowest.as_secs_f64()
        )
        .ok();
        text.push_str(if self.is_good() { "every promise was kept" } else { "PROMISES WERE BROKEN" });
        text
    }
}
