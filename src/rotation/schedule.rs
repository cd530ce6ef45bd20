//! When a credential is due: a pure function of its schedule, its history and the time.

use std::time::Duration;

use aws_lc_rs::digest;
use croner::Cron;
use croner::parser::{CronParser, Year};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::ids::CredentialName;

/// When a credential should be rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What makes it due.
    pub cadence: Cadence,
    /// At most this many per cent spread credentials apart, by a hash: taken off the interval of
    /// [`Cadence::Every`], added to the times of [`Cadence::Cron`], and of a window's length where many wait for
    /// it to open.
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
        /// The pattern: five fields, or six with seconds; see [`parse_cron`].
        pattern: Box<Cron>,
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
    /// When it closes; `from` or earlier means the next day.
    pub until: Time,
    /// The zone in which days and times are read.
    pub zone: TimeZone,
}

/// When the next scheduled rotation is due; `None` where the schedule makes nothing due.
///
/// - [`Cadence::Every`]: the interval after the last rotation (or the adoption), less its jitter.
/// - [`Cadence::Cron`]: the pattern's next time after it, plus a jitter that is a share of the distance to the
///   time after that, so that it never reaches it. Times missed while nothing ran make one rotation due, not many.
/// - Never earlier than `min_interval` after the last rotation, and always inside the window. What waits for
///   the window to open is spread over its first part by the jitter, or all would start in the same second.
///
/// The same inputs give the same time on every replica, and a later `now` never gives an earlier one. A time in
/// the past means: due now.
pub fn next_due(
    schedule: &Schedule,
    name: &CredentialName,
    adopted_at: Timestamp,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let from = last.unwrap_or(adopted_at);
    let jitter = Jitter { name, percent: schedule.jitter_percent };
    let due = match &schedule.cadence {
        Cadence::Manual => return None,
        Cadence::Every(interval) => {
            let interval = signed(*interval);
            later(from, interval - jitter.share(from, interval))
        }
        Cadence::Cron { pattern, zone } => cron_due(pattern, zone, &jitter, from)?,
    };
    let earliest = last.map_or(Timestamp::MIN, |last| later(last, signed(schedule.min_interval)));
    in_window(schedule, name, due.max(earliest), now)
}

/// `due`, moved to the window's next opening where it falls outside; `None` where the window never opens.
pub fn in_window(
    schedule: &Schedule,
    name: &CredentialName,
    due: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    match &schedule.window {
        None => Some(due),
        Some(window) => window_due(window, &Jitter { name, percent: schedule.jitter_percent }, due, now),
    }
}

/// Reads a cron pattern: five fields, or six with seconds first. The error says what is wrong, in words.
pub fn parse_cron(pattern: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|error| error.to_string())
}

/// The first time of a cron pattern after `from`; `None` for a pattern that never comes.
pub fn cron_after(pattern: &Cron, zone: &TimeZone, from: Timestamp) -> Option<Timestamp> {
    let next = pattern.find_next_occurrence(&from.to_zoned(zone.clone()), false).ok()?;
    Some(next.timestamp())
}

fn cron_due(pattern: &Cron, zone: &TimeZone, jitter: &Jitter<'_>, from: Timestamp) -> Option<Timestamp> {
    let first = cron_after(pattern, zone, from)?;
    let distance = cron_after(pattern, zone, first).map(|following| following.duration_since(first));
    Some(later(first, jitter.share(from, distance.unwrap_or_default())))
}

fn window_due(window: &Window, jitter: &Jitter<'_>, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let enter = |opening: &Opening, wanted: Timestamp| {
        if wanted >= opening.from {
            return wanted;
        }
        later(opening.from, jitter.share(opening.from, opening.until.duration_since(opening.from)))
    };
    let due = enter(&window.opening_at_or_after(due)?, due);
    if due > now {
        return Some(due);
    }
    // The window may have closed since; then the next opening counts, as if it became due while it was closed.
    Some(enter(&window.opening_at_or_after(now)?, due))
}

/// One stretch of time in which a window is open.
struct Opening {
    from: Timestamp,
    until: Timestamp,
}

/// Two weeks: a weekly opening can fall into a gap of the clock once, never twice in a row.
const DAYS_SEARCHED: i32 = 15;

impl Window {
    /// The stretch that is open at `time`, else the next one.
    fn opening_at_or_after(&self, time: Timestamp) -> Option<Opening> {
        let today = time.to_zoned(self.zone.clone()).date();
        // Yesterday's may last past midnight.
        (-1..DAYS_SEARCHED)
            .filter_map(|offset| self.opening_on(today.checked_add(offset.days()).ok()?))
            .find(|opening| opening.until > time)
    }

    fn opening_on(&self, day: Date) -> Option<Opening> {
        let index = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !*self.days.get(index)? {
            return None;
        }
        let last_day = if self.until > self.from { day } else { day.tomorrow().ok()? };
        // A time that the clock skips comes later by the gap; one that it repeats is the first of the two.
        let at = |day: Date, time: Time| day.to_datetime(time).to_zoned(self.zone.clone()).ok();
        let opening =
            Opening { from: at(day, self.from)?.timestamp(), until: at(last_day, self.until)?.timestamp() };
        (opening.from < opening.until).then_some(opening)
    }
}

/// Spreads credentials apart without a random number, so that all replicas agree and no check rolls again.
struct Jitter<'a> {
    name: &'a CredentialName,
    percent: u8,
}

impl Jitter<'_> {
    /// Between nothing and the percentage of `span`, as a hash of the name and `seed` has it.
    fn share(&self, seed: Timestamp, span: SignedDuration) -> SignedDuration {
        let text = format!("{}\0{}", self.name, seed.as_nanosecond());
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let fraction = hash.as_ref().iter().take(4).fold(0_i128, |sum, byte| sum << 8 | i128::from(*byte));
        let nanoseconds = (span.as_nanos() / 100 * i128::from(self.percent.min(100)) * fraction) >> 32;
        SignedDuration::try_from_nanos_i128(nanoseconds).unwrap_or(SignedDuration::ZERO)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn name(text: &str) -> CredentialName {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn amsterdam() -> TimeZone {
        TimeZone::get("Europe/Amsterdam").unwrap()
    }

    fn window(days: &str, from: (i8, i8), until: (i8, i8)) -> Window {
        let open: Vec<bool> = days.chars().map(|day| day != '-').collect();
        Window {
            days: open.try_into().unwrap(),
            from: Time::constant(from.0, from.1, 0, 0),
            until: Time::constant(until.0, until.1, 0, 0),
            zone: amsterdam(),
        }
    }

    fn every(interval: Duration) -> Schedule {
        Schedule {
            cadence: Cadence::Every(interval),
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        }
    }

    fn cron(pattern: &str) -> Schedule {
        Schedule {
            cadence: Cadence::Cron { pattern: parse_cron(pattern).unwrap().into(), zone: amsterdam() },
            ..every(Duration::ZERO)
        }
    }

    fn due(schedule: &Schedule, last: &str, now: &str) -> String {
        let due =
            next_due(schedule, &name("stripe"), time("2020-01-01T00:00:00Z"), Some(time(last)), time(now));
        due.map_or("never".into(), |due| due.to_string())
    }

    #[test]
    fn an_interval_counts_from_the_last_rotation_else_from_the_adoption() {
        let schedule = every(24 * HOUR);
        let (adopted, now) = (time("2026-01-01T00:00:00Z"), time("2026-01-01T00:00:00Z"));
        let first = next_due(&schedule, &name("stripe"), adopted, None, now);
        assert_eq!(first, Some(time("2026-01-02T00:00:00Z")));
        assert_eq!(due(&schedule, "2026-03-01T12:00:00Z", "2026-09-01T00:00:00Z"), "2026-03-02T12:00:00Z");
        let manual = Schedule { cadence: Cadence::Manual, ..schedule };
        assert_eq!(due(&manual, "2026-03-01T12:00:00Z", "2026-09-01T00:00:00Z"), "never");
    }

    #[test]
    fn a_due_time_outside_the_window_waits_for_its_opening() {
        let office = Schedule { window: Some(window("MTWTF--", (9, 0), (16, 0))), ..every(24 * HOUR) };
        for (last, now, expected) in [
            // Inside: as it is. Tuesday 10:00 in winter is 09:00 UTC.
            ("2026-01-05T09:00:00Z", "2026-01-05T10:00:00Z", "2026-01-06T09:00:00Z"),
            // Friday 17:00 -> Monday 09:00.
            ("2026-01-08T16:00:00Z", "2026-01-08T16:00:00Z", "2026-01-12T08:00:00Z"),
            // Over the weekend of the spring change: Monday 09:00 is 07:00 UTC.
            ("2026-03-26T20:00:00Z", "2026-03-26T20:00:00Z", "2026-03-30T07:00:00Z"),
            // Over the weekend of the autumn change: Monday 09:00 is 08:00 UTC again.
            ("2026-10-22T20:00:00Z", "2026-10-22T20:00:00Z", "2026-10-26T08:00:00Z"),
            // Due on Tuesday, looked at while Tuesday's window is open: still Tuesday's time.
            ("2026-01-05T09:00:00Z", "2026-01-06T14:00:00Z", "2026-01-06T09:00:00Z"),
            // Looked at after it closed: Wednesday's opening.
            ("2026-01-05T09:00:00Z", "2026-01-06T15:00:00Z", "2026-01-07T08:00:00Z"),
            // And on Wednesday it is due since the opening.
            ("2026-01-05T09:00:00Z", "2026-01-07T12:00:00Z", "2026-01-07T08:00:00Z"),
        ] {
            assert_eq!(due(&office, last, now), expected, "last {last}, now {now}");
        }
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_opens_on() {
        let night = Schedule { window: Some(window("----F--", (22, 0), (4, 0))), ..every(HOUR) };
        // Saturday 03:00 in summer is still Friday's window, 04:00 is not.
        assert_eq!(due(&night, "2026-07-04T00:00:00Z", "2026-07-04T00:00:00Z"), "2026-07-04T01:00:00Z");
        assert_eq!(due(&night, "2026-07-04T01:00:00Z", "2026-07-04T01:00:00Z"), "2026-07-10T20:00:00Z");
        // The night of the spring change ends at 04:00 summer time, an hour earlier.
        let before_change = Schedule { window: Some(window("-----S-", (22, 0), (4, 0))), ..every(HOUR) };
        assert_eq!(
            due(&before_change, "2026-03-29T00:59:00Z", "2026-03-29T00:00:00Z"),
            "2026-03-29T01:59:00Z"
        );
        assert_eq!(
            due(&before_change, "2026-03-29T01:00:00Z", "2026-03-29T00:00:00Z"),
            "2026-04-04T20:00:00Z"
        );
    }

    #[test]
    fn a_window_that_the_clock_skips_opens_when_the_clock_goes_on_or_a_week_later() {
        let skipped = Schedule { window: Some(window("------S", (2, 30), (3, 0))), ..every(HOUR) };
        assert_eq!(due(&skipped, "2026-03-28T00:00:00Z", "2026-03-28T00:00:00Z"), "2026-04-05T00:30:00Z");
        let shifted = Schedule { window: Some(window("------S", (2, 30), (5, 0))), ..every(HOUR) };
        assert_eq!(due(&shifted, "2026-03-28T00:00:00Z", "2026-03-28T00:00:00Z"), "2026-03-29T01:30:00Z");
        // In autumn 02:30 comes twice; the window opens at the first.
        assert_eq!(due(&shifted, "2026-10-24T00:00:00Z", "2026-10-24T00:00:00Z"), "2026-10-25T00:30:00Z");
    }

    #[test]
    fn a_cron_time_is_read_in_its_zone_over_both_clock_changes() {
        let daily = cron("30 2 * * *");
        assert_eq!(due(&daily, "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"), "2026-01-02T01:30:00Z");
        assert_eq!(due(&daily, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"), "2026-07-02T00:30:00Z");
        let skipped = due(&daily, "2026-03-28T12:00:00Z", "2026-03-28T12:00:00Z");
        assert!(skipped.starts_with("2026-03-29T01:"), "not just after the gap: {skipped}");
        assert_eq!(due(&daily, "2026-10-24T12:00:00Z", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(due(&daily, "2026-10-25T00:30:01Z", "2026-10-25T00:31:00Z"), "2026-10-26T01:30:00Z");
        // Months without anybody running it make one rotation due.
        assert_eq!(due(&daily, "2026-01-01T12:00:00Z", "2026-09-01T12:00:00Z"), "2026-01-02T01:30:00Z");
        let seconds = cron("15 30 2 * * MON");
        assert_eq!(due(&seconds, "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"), "2026-01-05T01:30:15Z");
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused_and_one_that_never_comes_makes_nothing_due() {
        for pattern in ["", "x", "61 * * * *", "0 0 0 1 1 * 2030"] {
            assert!(parse_cron(pattern).is_err(), "{pattern}");
        }
        assert_eq!(due(&cron("0 0 30 2 *"), "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"), "never");
    }

    #[test]
    fn the_minimum_interval_holds_whatever_the_pattern_says() {
        let schedule = Schedule { min_interval: 6 * HOUR, ..cron("0 * * * *") };
        assert_eq!(due(&schedule, "2026-01-01T12:10:00Z", "2026-01-01T12:10:00Z"), "2026-01-01T18:10:00Z");
    }

    #[test]
    fn what_waits_for_a_window_does_not_start_in_one_second() {
        let schedule = Schedule {
            window: Some(window("MTWTF--", (9, 0), (16, 0))),
            jitter_percent: 10,
            ..every(24 * HOUR)
        };
        let last = Some(time("2026-01-09T20:00:00Z"));
        let mut times: Vec<Timestamp> = (0..100)
            .filter_map(|number| next_due(&schedule, &name(&format!("key-{number}")), last?, last, last?))
            .collect();
        times.sort();
        times.dedup();
        assert_eq!(times.len(), 100);
        assert!(times[0] >= time("2026-01-12T08:00:00Z") && times[99] < time("2026-01-12T08:42:00Z"));
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let cadence = prop_oneof![
            (60_u64..100 * 86_400).prop_map(|seconds| Cadence::Every(Duration::from_secs(seconds))),
            prop::sample::select(vec!["30 2 * * *", "0 * * * *", "0 9 * * MON", "0 3 1 * *"]).prop_map(
                |pattern| Cadence::Cron { pattern: parse_cron(pattern).unwrap().into(), zone: amsterdam() }
            ),
        ];
        let time = || (0_i8..24, 0_i8..60);
        let window = (any::<[bool; 7]>(), time(), time()).prop_map(|(mut days, from, until)| {
            days[0] = true;
            Window { days, ..window("-------", from, until) }
        });
        (cadence, 0_u8..=50, prop::option::of(window), 0_u64..86_400 * 10).prop_map(
            |(cadence, jitter_percent, window, minimum)| Schedule {
                cadence,
                jitter_percent,
                window,
                min_interval: Duration::from_secs(minimum),
            },
        )
    }

    /// Minutes of 2026 and a bit of a second, so that the clock changes are often met.
    fn times() -> impl Strategy<Value = Timestamp> {
        (0_i64..365 * 1440, 0_i32..1_000_000_000).prop_map(|(minute, nanosecond)| {
            Timestamp::new(time("2026-01-01T00:00:00Z").as_second() + minute * 60, nanosecond).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn a_due_time_is_after_the_last_rotation_inside_the_window_and_stable(
            schedule in schedules(), last in times(), now in times(),
        ) {
            let due = next_due(&schedule, &name("stripe"), last, Some(last), now).unwrap();
            prop_assert_eq!(next_due(&schedule, &name("stripe"), last, Some(last), now), Some(due));
            prop_assert!(due > last && due >= later(last, signed(schedule.min_interval)));
            if let Some(window) = &schedule.window {
                let opening = window.opening_at_or_after(due).unwrap();
                prop_assert!(opening.from <= due && due < opening.until);
                let now_open = window.opening_at_or_after(now).is_some_and(|opening| opening.from <= now);
                prop_assert!(due > now || now_open, "due while the window is closed");
            }
        }

        #[test]
        fn a_later_look_never_makes_it_due_earlier_and_waiting_makes_it_due(
            schedule in schedules(), last in times(), now in times(), wait in 0_u64..20 * 86_400,
        ) {
            let next = |now| next_due(&schedule, &name("stripe"), last, Some(last), now).unwrap();
            let due = next(now);
            prop_assert!(next(later(now, signed(Duration::from_secs(wait)))) >= due);
            let reached = due.max(now);
            prop_assert!(next(reached) <= reached, "due at {}, but not when that time came", due);
        }
    }
}
