//! Where a key dies by a call of keyturn's alone: that none died while applications had it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyturn::testbed::derived::DerivedKey;

use super::super::report::{Broken, Report};
use super::super::stage::Stage;
use super::{Version, value_in};

/// A key, and the time in which the entry had it; without an end, if it has it still.
struct Use {
    value: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// What the entry had when.
pub(crate) struct Uses(Vec<Use>);

impl Uses {
    /// From the entry's versions; one that only writes the key again ends no use.
    pub(crate) fn of(stage: &Stage<'_>, versions: &[Version]) -> Self {
        let mut uses: Vec<Use> = Vec::new();
        for Version { written_at, data, .. } in versions {
            let value = value_in(stage, data);
            match uses.last_mut() {
                Some(last) if last.value == value => continue,
                Some(last) => last.until = Some(*written_at),
                None => {}
            }
            uses.push(Use { value: value.to_owned(), from: *written_at, until: None });
        }
        Self(uses)
    }
}

/// Checks every key that the entry ever had. `is_early` is whether a clock was wrong, so that an old key may have died
/// before its time.
pub(crate) fn no_key_in_use_died(stage: &Stage<'_>, uses: &Uses, is_early: bool, report: &mut Report) {
    let plan = stage.provider.plan();
    let Some(derived) = &stage.derived else { return };
    if plan.creates.is_none() && plan.slots.is_empty() {
        return;
    }
    let respite = plan.creates.as_ref().filter(|_| !is_early).map(|creates| creates.revoke_after);
    let keys = derived.keys();
    for used in &uses.0 {
        let Some((number, key)) = keys.iter().enumerate().find(|(_, key)| key.value == used.value) else {
            continue;
        };
        if let Some(wrong) = died_too_early(used, key, respite.unwrap_or_default()) {
            report.breaks(Broken::Killed, format!("key {number} {wrong}"));
        }
    }
    for (number, key) in keys.iter().enumerate().filter(|(_, key)| key.is_foreign && plan.creates.is_some()) {
        if let Some(died_at) = key.dies_at {
            report.breaks(Broken::Killed, format!("key {number}, none of keyturn's, died at {died_at}"));
        }
    }
}

fn died_too_early(used: &Use, key: &DerivedKey, respite: Duration) -> Option<String> {
    let died_at = key.dies_at?;
    let Some(until) = used.until else {
        return Some(format!("is in the entry since {}, and died at {died_at}", used.from));
    };
    let respite = SignedDuration::try_from(respite).unwrap_or(SignedDuration::MAX);
    let may_die_at = until.checked_add(respite).unwrap_or(Timestamp::MAX);
    (died_at < may_die_at).then(|| {
        format!("was in the entry from {} until {until}, and died at {died_at}, before its time", used.from)
    })
}
