//! What keyturn itself puts into a body in place of a `{name}`.

use std::time::Duration;

use jiff::Timestamp;

use super::definition::NEW_SECRET;

/// Something that keyturn knows when it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// The rotation's id, the same in every call of one rotation.
    RotationId,
    /// The secret that signs the call.
    Secret,
    /// The key that keyturn chose.
    NewSecret,
    /// A length of time, in a unit.
    Length(Span, Unit),
    /// When a length of time that begins with the call is over.
    End(Span, TimeForm),
}

/// The lengths of time that a call can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// How long the old key goes on to work.
    Grace,
    /// How long the new key will work.
    Lifetime,
}

/// A unit of time, of which only whole ones are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    Rfc3339,
    Date,
    UnixSeconds,
    UnixMilliseconds,
}

const SPANS: [(&str, Span); 2] = [("grace", Span::Grace), ("lifetime", Span::Lifetime)];

const UNITS: [(&str, Unit); 5] = [
    ("milliseconds", Unit::Milliseconds),
    ("seconds", Unit::Seconds),
    ("minutes", Unit::Minutes),
    ("hours", Unit::Hours),
    ("days", Unit::Days),
];

const TIME_FORMS: [(&str, TimeForm); 4] = [
    ("end_rfc3339", TimeForm::Rfc3339),
    ("end_date", TimeForm::Date),
    ("end_unix_seconds", TimeForm::UnixSeconds),
    ("end_unix_milliseconds", TimeForm::UnixMilliseconds),
];

impl Fact {
    /// The fact of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        all().find(|(known, _)| known == name).map(|(_, fact)| fact)
    }

    /// All names, for a hint.
    pub(super) fn names() -> Vec<String> {
        all().map(|(name, _)| name).collect()
    }

    /// The smallest unit of time that it can tell.
    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Length(_, unit) => unit,
            Self::End(_, TimeForm::UnixMilliseconds) => Unit::Milliseconds,
            Self::End(_, TimeForm::Date) => Unit::Days,
            Self::End(_, TimeForm::Rfc3339 | TimeForm::UnixSeconds)
            | Self::RotationId
            | Self::Secret
            | Self::NewSecret => Unit::Seconds,
        }
    }

    /// The length of time that it tells of.
    pub(super) const fn span(self) -> Option<Span> {
        match self {
            Self::Length(span, _) | Self::End(span, _) => Some(span),
            Self::RotationId | Self::Secret | Self::NewSecret => None,
        }
    }
}

fn all() -> impl Iterator<Item = (String, Fact)> {
    let of_spans = SPANS.into_iter().flat_map(|(span_name, span)| {
        let lengths = UNITS.into_iter().map(move |(name, unit)| (name, Fact::Length(span, unit)));
        let ends = TIME_FORMS.into_iter().map(move |(name, form)| (name, Fact::End(span, form)));
        lengths.chain(ends).map(move |(name, fact)| (format!("{span_name}_{name}"), fact))
    });
    [("rotation_id", Fact::RotationId), ("secret", Fact::Secret), (NEW_SECRET, Fact::NewSecret)]
        .into_iter()
        .map(|(name, fact)| (name.to_owned(), fact))
        .chain(of_spans)
}

impl Unit {
    /// How many of it a length of time has; `None` where some of it would be left over.
    pub(super) fn count(self, length: Duration) -> Option<i64> {
        let unit = self.length().as_nanos();
        let whole = length.as_nanos().is_multiple_of(unit);
        i64::try_from(length.as_nanos() / unit).ok().filter(|_| whole)
    }

    const fn length(self) -> Duration {
        match self {
            Self::Milliseconds => Duration::from_millis(1),
            Self::Seconds => Duration::from_secs(1),
            Self::Minutes => Duration::from_mins(1),
            Self::Hours => Duration::from_hours(1),
            Self::Days => Duration::from_hours(24),
        }
    }

    /// What it is called, in the plural.
    pub(super) fn name(self) -> &'static str {
        UNITS.into_iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }
}

impl TimeForm {
    /// A moment as a number, where this form is one.
    pub(super) fn number(self, at: Timestamp) -> Option<i64> {
        match self {
            Self::UnixSeconds => Some(at.as_second()),
            Self::UnixMilliseconds => Some(at.as_millisecond()),
            Self::Rfc3339 | Self::Date => None,
        }
    }

    /// A moment as text, in UTC.
    pub(super) fn text(self, at: Timestamp) -> String {
        match self {
            Self::Rfc3339 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Date => at.strftime("%Y-%m-%d").to_string(),
            Self::UnixSeconds => at.as_second().to_string(),
            Self::UnixMilliseconds => at.as_millisecond().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again_and_no_two_are_the_same() {
        let names = Fact::names();
        assert_eq!(names.len(), 21);
        for name in &names {
            assert!(Fact::named(name).is_some(), "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        assert_eq!(Fact::named("grace_hours"), Some(Fact::Length(Span::Grace, Unit::Hours)));
        assert_eq!(Fact::named("grace"), None);
    }

    #[test]
    fn only_whole_units_are_counted() {
        assert_eq!(Unit::Hours.count(Duration::from_hours(2)), Some(2));
        assert_eq!(Unit::Hours.count(Duration::from_mins(90)), None);
        assert_eq!(Unit::Milliseconds.count(Duration::from_secs(2)), Some(2000));
        assert_eq!(Unit::Seconds.count(Duration::from_millis(1500)), None);
    }

    #[test]
    fn moments_are_written_in_utc() {
        let at = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
        assert_eq!(TimeForm::Rfc3339.text(at), "2023-11-14T22:13:20Z");
        assert_eq!(TimeForm::Date.text(at), "2023-11-14");
        assert_eq!(
            (TimeForm::UnixSeconds.number(at), TimeForm::Date.number(at)),
            (Some(1_700_000_000), None)
        );
        assert_eq!(TimeForm::UnixMilliseconds.text(at), "1700000000999");
    }
}
