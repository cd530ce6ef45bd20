//! What may be shown of a provider's error answer: declared members, bounded and cleaned, never the body.

use serde_json::Value;
use zeroize::Zeroizing;

use super::definition::ProblemShape;
use super::json::SecretJson;
use crate::rotation::Problem;
use crate::secret::SecretValue;

const MEMBER_CHARS_MAX: usize = 300;
const INVALID_FIELDS_MAX: usize = 20;

/// Reads an error answer. Where the body is not JSON, the status alone speaks.
///
/// Whatever contains a secret that was sent is left out, for some providers repeat what they were given.
pub(super) fn read(
    shape: &ProblemShape,
    status: u16,
    body: &Zeroizing<Vec<u8>>,
    sent: &[&SecretValue],
) -> Problem {
    let Some(json) = SecretJson::parse(body) else { return of_status(status) };
    let text = |value: Option<&Value>| value.and_then(|value| shown(value, sent));
    Problem {
        status: Some(status),
        code: text(json.at(&shape.code)),
        title: text(json.at(&shape.title)),
        detail: text(json.at(&shape.detail)),
        request_id: shape.request_id.as_ref().and_then(|pointer| text(json.at(pointer))),
        invalid_fields: invalid_fields(shape, json.at(&shape.invalid_fields), sent),
    }
}

/// A problem of which only the status is known.
pub(super) fn of_status(status: u16) -> Problem {
    Problem { status: Some(status), ..Problem::default() }
}

/// A problem with an answer that keyturn found itself.
pub(super) fn of_answer(status: u16, title: &str) -> Problem {
    Problem { status: Some(status), ..Problem::local(title) }
}

fn invalid_fields(shape: &ProblemShape, value: Option<&Value>, sent: &[&SecretValue]) -> Vec<String> {
    let names: Vec<String> = match value {
        Some(Value::Object(members)) => {
            members.keys().filter_map(|name| shown_text(name, sent)).take(INVALID_FIELDS_MAX).collect()
        }
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item {
                Value::Object(members) => members.get(&shape.invalid_field_name),
                other => Some(other),
            })
            .filter_map(|name| shown(name, sent))
            .take(INVALID_FIELDS_MAX)
            .collect(),
        _ => Vec::new(),
    };
    names
}

fn shown(value: &Value, sent: &[&SecretValue]) -> Option<String> {
    match value {
        Value::String(text) => shown_text(text, sent),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn shown_text(text: &str, sent: &[&SecretValue]) -> Option<String> {
    if sent.iter().any(|secret| !secret.is_empty() && text.contains(secret.expose())) {
        return Some("[left out: it repeats a secret]".into());
    }
    let clean: String = text.chars().filter(|c| !is_unprintable(*c)).take(MEMBER_CHARS_MAX).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Control characters, and those that turn or hide the text around them on a terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    fn read_json(shape: &ProblemShape, body: &str, sent: &[&SecretValue]) -> Problem {
        read(shape, 422, &Zeroizing::new(body.as_bytes().to_vec()), sent)
    }

    #[test]
    fn adyens_errors_are_read() {
        let catalog = Catalog::embedded();
        let shape = &catalog.get("adyen/api-key").unwrap().problem;
        let body = r#"{"type":"t","errorCode":"30_011","title":"Invalid","detail":"no","status":422,
            "requestId":"PSP1","invalidFields":[{"name":"apiCredentialId","value":"x","message":"m"}]}"#;
        assert_eq!(
            read_json(shape, body, &[]).to_string(),
            "HTTP 422, 30_011, Invalid, no, invalid fields: apiCredentialId, request id PSP1"
        );
    }

    #[test]
    fn both_forms_of_rfc_9457_errors_are_read() {
        let shape = ProblemShape::default();
        for errors in [r#"{"id":["bad"],"name":["worse"]}"#, r#"[{"field":"id"},{"field":"name"}]"#] {
            let body = format!(r#"{{"type":"urn:x","title":"T","errors":{errors}}}"#);
            let problem = read_json(&shape, &body, &[]);
            assert_eq!((problem.code.as_deref(), problem.title.as_deref()), (Some("urn:x"), Some("T")));
            assert_eq!(problem.invalid_fields, ["id", "name"]);
        }
    }

    #[test]
    fn members_are_bounded_cleaned_and_never_repeat_a_secret() {
        let shape = ProblemShape::default();
        let long = format!(
            r#"{{"title":"a\u001b[31m\nb\u202e","detail":"{}","type":"bad key s3cret!"}}"#,
            "x".repeat(1000)
        );
        let problem = read_json(&shape, &long, &[&SecretValue::new("s3cret".into())]);
        assert_eq!(problem.title.as_deref(), Some("a[31mb"));
        assert_eq!(problem.detail.unwrap().len(), MEMBER_CHARS_MAX);
        assert_eq!(problem.code.as_deref(), Some("[left out: it repeats a secret]"));
        assert_eq!(read_json(&shape, "<html>secret</html>", &[]), of_status(422));
    }
}
