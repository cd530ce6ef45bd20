//! What may be shown of a provider's error answer: declared members, bounded and cleaned, never the body.

use serde_json::Value;
use zeroize::Zeroizing;

use super::definition::ProblemShape;
use super::json::SecretJson;
use super::sent::Sent;
use crate::rotation::Problem;

const MEMBER_CHARS_MAX: usize = 300;
const INVALID_FIELDS_MAX: usize = 20;

/// Reads an error answer. Where the body is not JSON, the status alone speaks.
///
/// Whatever contains a secret that was sent is left out, for some providers repeat what they were given.
pub(super) fn read(shape: &ProblemShape, status: u16, body: &Zeroizing<Vec<u8>>, sent: &Sent) -> Problem {
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

fn invalid_fields(shape: &ProblemShape, value: Option<&Value>, sent: &Sent) -> Vec<String> {
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

fn shown(value: &Value, sent: &Sent) -> Option<String> {
    match value {
        Value::String(text) => shown_text(text, sent),
        // A number of very many digits was read as a fraction and rounded: a secret in it would not be found.
        Value::Number(number) if !number.is_f64() => shown_text(&number.to_string(), sent),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn shown_text(text: &str, sent: &Sent) -> Option<String> {
    if sent.is_repeated_in(text) {
        return Some("[left out: it repeats a secret]".into());
    }
    let clean: String = text.chars().filter(|c| !is_unprintable(*c)).take(MEMBER_CHARS_MAX).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Control characters, and those that turn or hide the text around them on a terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;
    use crate::provider::wire::Signing;
    use crate::secret::SecretValue;

    fn sent(secret: &str) -> Sent {
        let basic = Signing::Basic { before: "user:".into(), after: String::new(), encoded: false };
        Sent::new(&basic, &SecretValue::new(secret.into()), &[])
    }

    fn read_json(shape: &ProblemShape, body: &str, sent: &Sent) -> Problem {
        read(shape, 422, &Zeroizing::new(body.as_bytes().to_vec()), sent)
    }

    #[test]
    fn adyens_errors_are_read() {
        let catalog = Catalog::embedded();
        let shape = &catalog.get("adyen/api-key").unwrap().problem;
        let body = r#"{"type":"t","errorCode":"30_011","title":"Invalid","detail":"no","status":422,
            "requestId":"PSP1","invalidFields":[{"name":"apiCredentialId","value":"x","message":"m"}]}"#;
        assert_eq!(
            read_json(shape, body, &Sent::default()).to_string(),
            "HTTP 422, 30_011, Invalid, no, invalid fields: apiCredentialId, request id PSP1"
        );
    }

    #[test]
    fn both_forms_of_rfc_9457_errors_are_read() {
        let shape = ProblemShape::default();
        for errors in [r#"{"id":["bad"],"name":["worse"]}"#, r#"[{"field":"id"},{"field":"name"}]"#] {
            let body = format!(r#"{{"type":"urn:x","title":"T","errors":{errors}}}"#);
            let problem = read_json(&shape, &body, &Sent::default());
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
        let problem = read_json(&shape, &long, &sent("s3cret"));
        assert_eq!(problem.title.as_deref(), Some("a[31mb"));
        assert_eq!(problem.detail.unwrap().len(), MEMBER_CHARS_MAX);
        assert_eq!(problem.code.as_deref(), Some("[left out: it repeats a secret]"));
        assert_eq!(read_json(&shape, "<html>secret</html>", &Sent::default()), of_status(422));
    }

    #[test]
    fn a_secret_is_not_joined_by_the_cleaning_and_not_shown_as_a_number() {
        let shape = ProblemShape::default();
        let hidden =
            r#"{"type":"4711\u200b0815","title":47110815,"detail":47110815.5,"errors":["47\n110815"]}"#;
        let problem = read_json(&shape, hidden, &sent("47110815"));
        let left_out = "[left out: it repeats a secret]";
        assert_eq!((problem.code.as_deref(), problem.title.as_deref()), (Some(left_out), Some(left_out)));
        assert_eq!((problem.detail, problem.invalid_fields.concat().as_str()), (None, left_out));
        let long = r#"{"type":"4711081612345678901234567890","title":12}"#;
        assert_eq!(
            read_json(&shape, long, &sent("47110815")).to_string(),
            "HTTP 422, 4711081612345678901234567890, 12"
        );
    }
}
