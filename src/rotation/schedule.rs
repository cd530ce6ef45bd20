//! When a credential is due: a pure function of its schedule, its history and the time.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

/// When a credential should be rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What makes it due.
    pub cadence: Cadence,
    /// At most this many per cent of the interval are taken off, by a hash of the credential's name.
    pub jitter_percent: u8,
    /// The hours in which a scheduled rotation may start; always, where there is none.
    pub window: Option<Window>,
    /// Two rotations are never closer than this, whoever asks (emergencies excepted).
    pub min_interval: Duration,
}

/// What makes a credential due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cadence {
    /// Only when somebody asks.
    Manual,
    /// This long after the last one.
    Every(Duration),
    /// At the times of a cron pattern, in a time zone.
    Cron {
        /// The pattern: five fields, or six with seconds.
        pattern: String,
        /// The zone in which it is read.
        zone: TimeZone,
    },
}

/// Hours of the week, in a named time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Days on which it opens, Monday first.
    pub days: [bool; 7],
    /// When it opens.
    pub from: Time,
    /// When it closes; earlier than `from` means the next day.
    pub until: Time,
    /// The zone in which days and times are read.
    pub zone: TimeZone,
}

/// Stand-in until the schedule is built.
pub fn next_due(
    schedule: &Schedule,
    _name: &crate::ids::CredentialName,
    adopted_at: jiff::Timestamp,
    last: Option<jiff::Timestamp>,
    _now: jiff::Timestamp,
) -> Option<jiff::Timestamp> {
    match schedule.cadence {
        Cadence::Every(interval) => Some(super::step::later(last.unwrap_or(adopted_at), interval)),
        _ => None,
    }
}
