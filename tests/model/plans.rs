//! One plan of each capability class, with times that fit the model's tick.

use std::time::Duration;

use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::rotation::{Creates, Phases, Plan, Propagation};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Long enough that no old key dies while a search goes on.
const GRACE: Option<Duration> = Some(seconds(1200));

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
        marker: None,
        redo: None,
        supplies: false,
        slots: Vec::new(),
        creates: None,
        propagation: None,
        probe: false,
        call_timeout: seconds(25),
        settle: seconds(25),
        claim: seconds(72),
    }
}

pub(crate) fn none_signing_itself() -> Plan {
    Plan { self_authenticating: true, grace: GRACE, ..none() }
}

pub(crate) fn read() -> Plan {
    Plan { read: Some(seconds(5)), ..none() }
}

pub(crate) fn read_with_grace() -> Plan {
    Plan { grace: GRACE, ..read() }
}

/// The provider shows whether its key has changed, and not the key.
pub(crate) fn marked() -> Plan {
    Plan { marker: Some(seconds(5)), ..none() }
}

pub(crate) fn marked_else_redo() -> Plan {
    Plan { redo: Some(2), grace: GRACE, ..marked() }
}

pub(crate) fn replay() -> Plan {
    Plan { replay: Some(seconds(3600)), ..none() }
}

pub(crate) fn replay_else_read() -> Plan {
    Plan { replay: Some(seconds(110)), ..read() }
}

pub(crate) fn redo() -> Plan {
    Plan { redo: Some(2), grace: GRACE, ..none() }
}

/// The old key signs the second call, and dies after four ticks.
pub(crate) fn redo_signing_itself() -> Plan {
    Plan { self_authenticating: true, grace: Some(seconds(240)), ..redo() }
}

/// A new key works a tick after it was made, and nothing shows when.
pub(crate) fn staged() -> Plan {
    let propagation = Propagation { delay: seconds(54), poll: seconds(15), deadline: seconds(110) };
    Plan { propagation: Some(propagation), grace: Some(seconds(480)), ..none() }
}

pub(crate) fn staged_and_read() -> Plan {
    Plan { read: Some(seconds(5)), ..staged() }
}

/// The first probe may come too early.
pub(crate) fn staged_and_probed() -> Plan {
    let propagation = Propagation { delay: seconds(0), poll: seconds(15), deadline: seconds(110) };
    Plan { probe: true, propagation: Some(propagation), grace: Some(seconds(600)), ..staged_and_read() }
}

/// keyturn chooses the key, and makes the same call until it is answered.
pub(crate) fn supplied() -> Plan {
    Plan { supplies: true, redo: Some(u32::MAX), ..none() }
}

pub(crate) fn supplied_and_read() -> Plan {
    Plan { grace: GRACE, read: Some(seconds(5)), ..supplied() }
}

/// Two named keys, of which the one that the entry does not hold is made anew.
pub(crate) fn slots() -> Plan {
    let slots = ["first", "second"].map(|name| name.parse().unwrap()).into();
    Plan { slots, ..read_with_grace() }
}

pub(crate) fn published_and_probed() -> Plan {
    Plan { probe: true, ..redo() }
}

/// Keys live side by side, and the old one is revoked after two ticks.
pub(crate) fn created() -> Plan {
    let creates = Creates {
        revoke_after: seconds(120),
        keys_max: None,
        lists: true,
        phases: None,
        first_key: Some("k0".parse().unwrap()),
    };
    Plan { creates: Some(creates), ..none() }
}

/// A pending key beside the old one, which dies two ticks later when the pending one is activated.
pub(crate) fn two_phases() -> Plan {
    let phases = Some(Phases { discards: true });
    let creates = created().creates.unwrap();
    let creates = Creates { keys_max: Some(2), lists: false, phases, first_key: None, ..creates };
    Plan { creates: Some(creates), probe: true, ..none() }
}

pub(crate) fn created_again() -> Plan {
    Plan { redo: Some(2), ..created() }
}

pub(crate) fn created_signing_itself() -> Plan {
    Plan { self_authenticating: true, ..created() }
}

/// Every class by its name.
pub(crate) fn all() -> Vec<(&'static str, Plan)> {
    vec![
        ("none", none()),
        ("none, signing itself", none_signing_itself()),
        ("read", read()),
        ("read, grace", read_with_grace()),
        ("marked", marked()),
        ("marked, else redo", marked_else_redo()),
        ("replay", replay()),
        ("replay, else read", replay_else_read()),
        ("redo", redo()),
        ("redo, signing itself", redo_signing_itself()),
        ("staged", staged()),
        ("staged, read", staged_and_read()),
        ("staged, probed", staged_and_probed()),
        ("published, probed", published_and_probed()),
        ("supplied", supplied()),
        ("supplied, read", supplied_and_read()),
        ("slots", slots()),
        ("created", created()),
        ("created, called again", created_again()),
        ("created, signing itself", created_signing_itself()),
        ("two phases", two_phases()),
    ]
}
