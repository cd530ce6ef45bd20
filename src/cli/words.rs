//! Times and names as people read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A text without anything that could steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A protobuf enum's value as a word: `ROTATION_STATE_QUEUED` is `queued`.
pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', "-")
}

/// A length of time in its two largest units.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => pair(minutes, "m", seconds % 60, "s"),
        (0, _, _) => pair(hours, "h", minutes, "m"),
        _ => pair(days, "d", hours, "h"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

/// How long ago something was, or how far off it is.
pub(super) fn relative(then: Timestamp, now: Timestamp) -> String {
    let distance = then.duration_since(now);
    match span(distance.unsigned_abs()) {
        zero if zero == "0s" => "now".to_owned(),
        length if distance.is_negative() => format!("{length} ago"),
        length => format!("in {length}"),
    }
}

/// The length of time since something, or until it.
pub(super) fn distance(then: Timestamp, now: Timestamp) -> String {
    span(then.duration_since(now).unsigned_abs())
}

/// A point in time to the second.
pub(super) fn moment(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time of day to the second.
pub(super) fn time_of_day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3_660, "1h 1m"), (90_000, "1d 1h")];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn distances_tell_past_from_future() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        assert_eq!(relative("2026-11-21T09:57:00Z".parse().unwrap(), now), "3m ago");
        assert_eq!(relative("2026-11-22T10:00:00Z".parse().unwrap(), now), "in 1d");
        assert_eq!(relative(now, now), "now");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a [31mb c");
    }
}
