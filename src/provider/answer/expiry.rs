//! Times as providers write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::provider::definition::ExpiryForm;

/// The time that a member holds; nothing where it is not written like this.
pub(super) fn read(form: ExpiryForm, value: &Value, now: Timestamp) -> Option<Timestamp> {
    match form {
        ExpiryForm::Rfc3339 => value.as_str()?.parse().ok(),
        ExpiryForm::Date => {
            let date: Date = value.as_str()?.parse().ok()?;
            // Nobody says when on that day: its first moment promises least.
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        }
        ExpiryForm::UnixSeconds => Timestamp::from_second(number(value)?).ok(),
        ExpiryForm::UnixMilliseconds => Timestamp::from_millisecond(number(value)?).ok(),
        ExpiryForm::SecondsFromNow => {
            let seconds = u64::try_from(number(value)?).ok()?;
            now.checked_add(Duration::from_secs(seconds)).ok()
        }
    }
}

/// A whole number, which some providers write as text; of a fraction the whole part.
fn number(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    whole.parse().ok().filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_everything_else_is_not() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let at =
            |form, json: &str| read(form, &serde_json::from_str(json).unwrap(), now).map(|at| at.to_string());
        for (form, json, expected) in [
            (ExpiryForm::Rfc3339, r#""2026-11-26T13:00:00+01:00""#, "2026-11-26T12:00:00Z"),
            (ExpiryForm::Date, r#""2026-11-27""#, "2026-11-27T00:00:00Z"),
            (ExpiryForm::UnixSeconds, "1700000000", "2023-11-14T22:13:20Z"),
            (ExpiryForm::UnixSeconds, r#""1700000000""#, "2023-11-14T22:13:20Z"),
            (ExpiryForm::UnixSeconds, "1700000000.9", "2023-11-14T22:13:20Z"),
            (ExpiryForm::UnixMilliseconds, "1700000000999", "2023-11-14T22:13:20.999Z"),
            (ExpiryForm::SecondsFromNow, "3600", "2026-11-26T13:00:00Z"),
        ] {
            assert_eq!(at(form, json).as_deref(), Some(expected), "{form:?} {json}");
        }
        for (form, json) in [
            (ExpiryForm::Rfc3339, "1700000000"),
            (ExpiryForm::Rfc3339, r#""2026-11-27""#),
            (ExpiryForm::Date, r#""tomorrow""#),
            (ExpiryForm::UnixSeconds, r#""2026-11-27""#),
            (ExpiryForm::UnixSeconds, "true"),
            (ExpiryForm::UnixSeconds, "1e300"),
            (ExpiryForm::SecondsFromNow, "-1"),
            (ExpiryForm::SecondsFromNow, "null"),
        ] {
            assert_eq!(at(form, json), None, "{form:?} {json}");
        }
    }
}
