//! How long a provider asks us to stay away.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// A longer wish than this is a provider's mistake, and would only keep the old key alive.
pub(super) const WISH_MAX: Duration = Duration::from_hours(24);

/// The `Retry-After` header in either form; a date counts from the provider's own `Date`.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        let from = date(headers).unwrap_or(now);
        Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO)
    };
    Some(wish.min(WISH_MAX))
}

/// The provider's clock, as its `Date` header shows it.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(DATE)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn wish(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        read(&headers, "1994-11-06T08:49:00Z".parse().unwrap())
    }

    #[test]
    fn both_forms_are_read() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(wish("17", None), seconds(17));
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:37 GMT", None), seconds(37));
        let date = Some("Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:37 GMT", date), seconds(7));
        assert_eq!(wish("Sun, 06 Nov 1994 08:00:00 GMT", date), seconds(0));
        assert_eq!(wish("18446744073709551615", None), Some(WISH_MAX));
        assert_eq!(wish("soon", None), None);
        assert_eq!(wish("-5", None), None);
    }
}
