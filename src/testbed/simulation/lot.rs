//! What a seed draws for each credential: its provider's capabilities, its times, and when it is due.

use std::time::Duration;

use jiff::civil::time;
use jiff::tz::TimeZone;

use crate::rotation::schedule::{Cadence, Schedule, Window, parse_cron};
use crate::rotation::{Creates, Phases, Plan, Propagation};
use crate::testbed::fake::Dice;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// The names of the capability classes.
pub const CLASSES: &[&str] = &[
    "none",
    "read",
    "marked",
    "marked, else redo",
    "replay",
    "redo",
    "self redo",
    "staged",
    "staged probed",
    "probe",
    "replay read",
    "staged self",
    "supplied",
    "supplied read",
    "slots",
    "created",
    "created self",
    "created, two at most",
    "two phases",
];

/// A plan of one of the classes.
pub(super) fn plan(class: &str, dice: &Dice) -> Plan {
    let base = Plan { schedule: schedule(dice), ..bare(dice) };
    let staged = Some(Propagation { delay: seconds(40), poll: seconds(10), deadline: seconds(90) });
    let lag = seconds(dice.below(20));
    match class {
        "read" => Plan { read: Some(lag), ..base },
        "marked" => Plan { marker: Some(lag), ..base },
        "marked, else redo" => {
            Plan { marker: Some(lag), redo: Some(3), grace: Some(minutes(10)), probe: true, ..base }
        }
        "replay" => Plan { replay: Some(Duration::from_hours(24)), probe: dice.happens(5_000), ..base },
        "redo" => Plan { redo: Some(3), grace: Some(minutes(10)), probe: true, ..base },
        "self redo" => signing_itself(base),
        "staged" => Plan { propagation: staged, grace: Some(minutes(12)), read: Some(lag), ..base },
        "staged probed" => {
            Plan { propagation: staged, grace: Some(minutes(12)), read: Some(lag), probe: true, ..base }
        }
        "staged self" => Plan { propagation: staged, ..signing_itself(base) },
        "probe" => Plan { probe: true, grace: Some(minutes(8)), ..base },
        "supplied" => Plan {
            probe: dice.happens(5_000),
            grace: dice.happens(5_000).then_some(minutes(10)),
            ..supplied(base)
        },
        "supplied read" => Plan { read: Some(lag), ..supplied(base) },
        "slots" => {
            let slots = ["slot-a", "slot-b", "slot-c"].iter().take(if dice.happens(7_000) { 2 } else { 3 });
            let slots = slots.filter_map(|name| name.parse().ok()).collect();
            let probe = dice.happens(5_000);
            Plan { slots, read: Some(lag), grace: Some(minutes(10)), probe, ..base }
        }
        "created" => Plan {
            creates: Some(beside(None, dice)),
            redo: dice.happens(5_000).then_some(3),
            probe: true,
            ..base
        },
        "created self" => Plan { creates: Some(beside(None, dice)), self_authenticating: true, ..base },
        "created, two at most" => {
            Plan { creates: Some(beside(Some(2), dice)), probe: dice.happens(5_000), ..base }
        }
        "two phases" => {
            let phases = Some(Phases { discards: true });
            let creates = Creates { phases, lists: false, first_key: None, ..beside(Some(2), dice) };
            Plan { creates: Some(creates), self_authenticating: dice.happens(5_000), probe: true, ..base }
        }
        "replay read" => Plan { replay: Some(minutes(30)), read: Some(lag), ..base },
        _ => base,
    }
}

/// Keys live side by side; a listing finds those that nobody needs.
fn beside(keys_max: Option<u32>, dice: &Dice) -> Creates {
    let revoke_after = minutes(1 + dice.below(9));
    let first_key = dice.happens(7_000).then(|| "id-0".parse().ok()).flatten();
    Creates { revoke_after, keys_max, lists: true, phases: None, first_key }
}

/// keyturn chooses the key, and makes the same call until it is answered.
fn supplied(plan: Plan) -> Plan {
    Plan { supplies: true, redo: Some(u32::MAX), ..plan }
}

fn signing_itself(plan: Plan) -> Plan {
    Plan { self_authenticating: true, grace: Some(minutes(10)), redo: Some(3), probe: true, ..plan }
}

/// No capability at all; short times, or those of a usual provider.
fn bare(dice: &Dice) -> Plan {
    let usual = dice.happens(2_000);
    let call_timeout = if usual { seconds(30) } else { seconds(5) };
    Plan {
        schedule: schedule(dice),
        self_authenticating: false,
        grace: None,
        lock: dice.happens(2_000).then_some(minutes(4)),
        replay: None,
        read: None,
        marker: None,
        redo: None,
        supplies: false,
        slots: Vec::new(),
        creates: None,
        propagation: None,
        probe: false,
        call_timeout,
        settle: call_timeout,
        claim: if usual { minutes(2) } else { seconds(20) },
    }
}

fn schedule(dice: &Dice) -> Schedule {
    let cron = |pattern: &str| match parse_cron(pattern) {
        Ok(pattern) => Cadence::Cron { pattern: pattern.into(), zone: TimeZone::UTC },
        Err(_) => Cadence::Manual,
    };
    let cadence = match dice.below(20) {
        0 => Cadence::Manual,
        1 | 2 => cron("*/5 * * * *"),
        3 => cron("2,17,32,47 * * * *"),
        _ => Cadence::Every(minutes(1 + dice.below(4))),
    };
    let window = dice.happens(700).then(|| Window {
        days: [true; 7],
        from: time(4, 0, 0, 0),
        until: time(20, 0, 0, 0),
        zone: TimeZone::UTC,
    });
    Schedule {
        cadence,
        jitter_percent: u8::try_from(dice.below(40)).unwrap_or_default(),
        window,
        min_interval: if dice.happens(3_000) { minutes(2) } else { Duration::ZERO },
    }
}
