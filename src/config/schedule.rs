//! A credential's `schedule`: texts turned into what the core reckons with.

use std::time::Duration;

use jiff::Timestamp;

use super::{Found, raw, text};
use crate::mistake::Mistake;
use crate::rotation::schedule::{Cadence, Schedule, cron_after, parse_cron};

const MINUTE: Duration = Duration::from_mins(1);
const TEN_YEARS: Duration = Duration::from_hours(24 * 3650);

/// The schedule, with stand-ins where mistakes were found; without one, a credential is rotated on request only.
pub(super) fn check(raw: Option<&raw::Schedule>, place: &str, found: &mut Found<'_>) -> Schedule {
    let Some(raw) = raw else {
        return Schedule { cadence: Cadence::Manual, jitter_percent: 0, window: None, min_interval: MINUTE };
    };
    let cadence = cadence(raw, place, found).unwrap_or(Cadence::Manual);
    let at = |name: &str| format!("{place}.{name}");
    let jitter = raw.jitter.as_ref().and_then(|text| found.take(&at("jitter"), text::percent(text)));
    let window = raw.window.as_ref().and_then(|text| found.take(&at("window"), text::window(text)));
    let min_interval = raw.min_interval.as_ref().and_then(|text| {
        found.take(&at("min_interval"), text::duration_within(text, Duration::ZERO, TEN_YEARS))
    });
    Schedule {
        cadence,
        jitter_percent: jitter.unwrap_or(0),
        window,
        min_interval: min_interval.unwrap_or(MINUTE),
    }
}

fn cadence(raw: &raw::Schedule, place: &str, found: &mut Found<'_>) -> Option<Cadence> {
    if raw.zone.is_some() && raw.cron.is_none() {
        let mistake = Mistake::new(format!("{place}.zone"), "only cron has a zone of its own");
        found.add(mistake.hint("leave it out; a window names its own"));
    }
    let manual = raw.manual.unwrap_or(false);
    match (&raw.every, &raw.cron, manual) {
        (Some(every), None, false) => {
            let interval = text::duration_within(every, MINUTE, TEN_YEARS);
            found.take(&format!("{place}.every"), interval).map(Cadence::Every)
        }
        (None, Some(pattern), false) => cron(pattern, raw.zone.as_deref(), place, found),
        (None, None, true) => Some(Cadence::Manual),
        _ => {
            found.add(
                Mistake::new(place, "a schedule needs exactly one of every, cron and manual")
                    .hint("such as every: 30d, or manual: true for on request only"),
            );
            None
        }
    }
}

fn cron(pattern: &str, zone: Option<&str>, place: &str, found: &mut Found<'_>) -> Option<Cadence> {
    let place_of_zone = format!("{place}.zone");
    let zone = if let Some(name) = zone {
        found.take(&place_of_zone, text::zone(name))
    } else {
        let mistake = Mistake::new(place_of_zone, "it is missing: a cron pattern is read in a time zone");
        found.add(mistake.hint("such as Europe/Amsterdam or UTC"));
        None
    };
    let place_of_cron = format!("{place}.cron");
    let wrong = |what: &str| {
        Err(Mistake::new("", what)
            .hint("five fields, minute first, such as \"30 3 * * MON\"; six with seconds first"))
    };
    let parsed = parse_cron(pattern).or_else(|_| wrong("this is no cron pattern"));
    let parsed = found.take(&place_of_cron, parsed)?;
    let zone = zone?;
    // From any time at all: what never comes from here never comes.
    if cron_after(&parsed, &zone, Timestamp::UNIX_EPOCH).is_none() {
        found.take(&place_of_cron, wrong("the pattern matches no day of any year"));
    }
    Some(Cadence::Cron { pattern: Box::new(parsed), zone })
}
