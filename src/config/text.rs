//! Short texts with a meaning: durations, shares, windows, zones. Each error says what to write instead.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::mistake::{Mistake, did_you_mean};
use crate::provider::definition::read_duration;
use crate::rotation::schedule::Window;

/// Reads a duration, such as `30d`, `12h` or `1h30m`; a day is 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, Mistake> {
    read_duration(text).ok_or_else(|| {
        Mistake::new("", "this is no duration")
            .hint("write a number with w, d, h, m or s, such as 30d or 1h30m")
    })
}

/// Reads a duration within bounds.
pub(super) fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, Mistake> {
    let duration = duration(text)?;
    if duration < least || duration > most {
        return Err(Mistake::new("", "this duration is out of bounds").hint(format!(
            "from {} to {}",
            in_words(least),
            in_words(most)
        )));
    }
    Ok(duration)
}

/// A duration as a person writes it.
pub(super) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = [(86_400, 'd'), (3600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, letter) = whole.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

const JITTER_PERCENT_MAX: u8 = 50;

/// Reads a share, such as `10%`.
pub(super) fn percent(text: &str) -> Result<u8, Mistake> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse::<u8>().ok());
    number
        .filter(|number| *number <= JITTER_PERCENT_MAX)
        .ok_or_else(|| Mistake::new("", "this is no share").hint("write 0% to 50%, such as 10%"))
}

/// Reads the name of a time zone, such as `Europe/Amsterdam`.
pub(super) fn zone(text: &str) -> Result<TimeZone, Mistake> {
    TimeZone::get(text).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        Mistake::new("", "there is no such time zone")
            .hint(did_you_mean(text, names.iter().map(String::as_str)))
    })
}

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads a window, such as `Mon-Fri 09:00-16:00 Europe/Amsterdam`.
pub(super) fn window(text: &str) -> Result<Window, Mistake> {
    let wrong = |what: &str| {
        Mistake::new("", what.to_owned())
            .hint("write days, hours and a time zone, such as \"Mon-Fri 09:00-16:00 Europe/Amsterdam\"")
    };
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [days, hours, name] = parts.as_slice() else {
        return Err(wrong("a window has three parts"));
    };
    let days = days_of(days).ok_or_else(|| wrong("these are no days"))?;
    let (from, until) = hours_of(hours).ok_or_else(|| wrong("these are no hours"))?;
    Ok(Window { days, from, until, zone: zone(name)? })
}

/// Days and ranges of days, such as `Mon,Wed-Fri`; a range may pass Sunday.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let index = |name: &str| DAY_NAMES.iter().position(|day| name.trim().eq_ignore_ascii_case(day));
    let mut open = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (index(first)?, index(last)?),
            None => (index(part)?, index(part)?),
        };
        let length = (last + 7 - first) % 7;
        for offset in 0..=length {
            *open.get_mut((first + offset) % 7)? = true;
        }
    }
    Some(open)
}

/// Hours, such as `09:00-16:00`; the end may be on the next day, `24:00` is midnight.
fn hours_of(text: &str) -> Option<(Time, Time)> {
    let (from, until) = text.split_once('-')?;
    let (from, until_time) =
        (time_of(from)?, if until == "24:00" { Time::midnight() } else { time_of(until)? });
    (from != until_time || until == "24:00").then_some((from, until_time))
}

fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_take_ranges_lists_and_nights() {
        for (text, days, from, until) in [
            ("Mon-Fri 09:00-16:00 Europe/Amsterdam", "MTWTF--", "09:00:00", "16:00:00"),
            ("sat,SUN 00:00-24:00 UTC", "-----SS", "00:00:00", "00:00:00"),
            ("Fri-Mon 22:00-04:30 America/New_York", "M---FSS", "22:00:00", "04:30:00"),
            ("Wed,Fri-Fri 08:00-24:00 UTC", "--W-F--", "08:00:00", "00:00:00"),
        ] {
            let window = window(text).unwrap();
            let open: Vec<bool> = days.chars().map(|day| day != '-').collect();
            assert_eq!(window.days.to_vec(), open, "{text}");
            assert_eq!(
                (window.from.to_string(), window.until.to_string()),
                (from.into(), until.into()),
                "{text}"
            );
        }
        for text in [
            "",
            "09:00-16:00",
            "Mon-Fri 09:00-16:00",
            "Mon-Fri 9:00-16:00 UTC",
            "Mon-Fri 09:00-09:00 UTC",
            "Mon-Fri 09:00-25:00 UTC",
            "Mon-Fry 09:00-16:00 UTC",
            "Mon- 09:00-16:00 UTC",
            "Mon-Fri 09:00-16:00 Europe/Amsterdam x",
        ] {
            assert!(window(text).is_err(), "{text:?} was taken");
        }
        let hint = window("Mon-Fri 09:00-16:00 Europe/Amsterdan").unwrap_err().hint.unwrap();
        assert_eq!(hint, "did you mean \"Europe/Amsterdam\"?");
    }

    #[test]
    fn shares_end_at_a_half() {
        assert_eq!((percent("0%").unwrap(), percent("10 %").unwrap(), percent("50%").unwrap()), (0, 10, 50));
        for text in ["", "10", "51%", "-1%", "1.5%"] {
            assert!(percent(text).is_err(), "{text:?} was taken");
        }
    }
}
