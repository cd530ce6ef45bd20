//! Lengths of time as an owner writes them, in a definition as in the configuration; a day is 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a length of time, such as `30d`, `12h` or `1h 30m`; nothing where it is none.
pub fn read_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

/// A length of time that has to be there.
pub(super) mod required {
    use std::time::Duration;

    pub(in crate::provider::definition) use jiff::fmt::serde::unsigned_duration::friendly::compact::required::serialize;
    use serde::de::{Deserialize as _, Deserializer, Error as _};

    pub(in crate::provider::definition) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::read_duration(&text).ok_or_else(|| D::Error::custom("no length of time"))
    }
}

/// A length of time that may be left out.
pub(super) mod optional {
    use std::time::Duration;

    pub(in crate::provider::definition) use jiff::fmt::serde::unsigned_duration::friendly::compact::optional::serialize;
    use serde::de::{Deserialize as _, Deserializer, Error as _};

    pub(in crate::provider::definition) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        super::read_duration(&text).map(Some).ok_or_else(|| D::Error::custom("no length of time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30d", 30 * 86_400),
            ("2w", 14 * 86_400),
            ("12h", 12 * 3600),
            ("90m", 5400),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("45s", 45),
            ("0s", 0),
        ] {
            assert_eq!(read_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "30", "d", "-1h", "1 month", "1y", "soon", "10%", "99999999999999999999d"] {
            assert!(read_duration(text).is_none(), "{text:?} was taken");
        }
    }
}
