//! One plan of each capability class, with times that fit the model's tick.

use std::time::Duration;

use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::rotation::{Plan, Propagation};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// No means at all. A request lives for less than a tick; a claim runs out after two.
pub(crate) fn none() -> Plan {
    Plan {
        schedule: Schedule {
            cadence: Cadence::Manual,
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        },
        self_authenticating: false,
        grace: None,
        lock: None,
        replay: None,
        read: None,
        redo: None,
        propagation: None,
        probe: false,
        call_timeout: seconds(25),
        settle: seconds(25),
        claim: seconds(72),
    }
}

pub(crate) fn read() -> Plan {
    Plan { read: Some(seconds(5)), ..none() }
}

pub(crate) fn replay() -> Plan {
    Plan { replay: Some(seconds(3600)), ..none() }
}

pub(crate) fn redo() -> Plan {
    Plan { redo: Some(2), grace: Some(seconds(3600)), ..none() }
}

pub(crate) fn redo_signing_itself() -> Plan {
    Plan { self_authenticating: true, grace: Some(seconds(240)), ..redo() }
}

pub(crate) fn staged() -> Plan {
    let propagation = Propagation { delay: seconds(54), poll: seconds(15), deadline: seconds(110) };
    Plan { propagation: Some(propagation), grace: Some(seconds(3600)), ..read() }
}

pub(crate) fn staged_and_probed() -> Plan {
    Plan { probe: true, ..staged() }
}
