//! Where keyturn chooses the key: that all calls of one rotation bring the same.

use std::collections::{BTreeMap, BTreeSet};

use super::super::report::{Broken, Report};
use super::super::stage::Stage;

/// Holds what the calls brought against the rotations that the record knows, for the calls do not say whose they are.
pub(crate) fn one_key_for_all_calls(
    stage: &Stage<'_>,
    recorded: Option<&BTreeMap<String, usize>>,
    report: &mut Report,
) {
    if !stage.provider.plan().supplies {
        return;
    }
    let calls = stage.simulator.calls();
    let mut brought: Vec<_> = calls.iter().map(|call| call.brought).collect();
    if brought.contains(&None) {
        report.breaks(Broken::Swapped, "a call brought no key");
    }
    brought.dedup();
    let different: BTreeSet<_> = brought.iter().collect();
    if different.len() < brought.len() {
        report.breaks(Broken::Swapped, "a key was brought again after a newer one");
    }
    let rotations = recorded.map(|recorded| recorded.values().filter(|calls| **calls > 0).count());
    if rotations.is_some_and(|rotations| different.len() > rotations) {
        let count = rotations.unwrap_or_default();
        report.breaks(Broken::Swapped, format!("{count} rotations brought {} keys", different.len()));
    }
}
