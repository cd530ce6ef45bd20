//! What is said of a definition that cannot be read, without repeating any of it.

use serde_saphyr::Error;

use crate::mistake::Mistake;
use crate::provider::nearest::did_you_mean;
use crate::provider::template;

/// The mistake with its line and column, in words of our own: a definition should hold no secret, but one may
/// have been pasted into it, or a wrong file given, and what the library says repeats a part of it.
pub(super) fn mistake(error: &Error) -> Mistake {
    let place = error.location().map_or_else(String::new, |location| {
        format!("line {}, column {}: ", location.line(), location.column())
    });
    let (message, hint) = words(innermost(error));
    let mistake = Mistake::new("definition", format!("{place}{message}"));
    match hint {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    }
}

fn innermost(mut error: &Error) -> &Error {
    while let Error::AliasError { error: inner, .. } | Error::WithSnippet { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// Only names from our own schema are said.
fn words(error: &Error) -> (String, Option<String>) {
    let near = |wrong: &str, known: &[&'static str]| Some(did_you_mean(wrong, known.iter().copied()));
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            ("there is no such field here".to_owned(), near(field, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            ("there is no such choice here".to_owned(), near(variant, expected))
        }
        Error::SerdeMissingField { field, .. } => (format!("the field {field} is missing"), None),
        Error::DuplicateMappingKey { .. } => ("a field is given twice".to_owned(), None),
        Error::Message { msg, .. } => match template::COMPLAINTS.into_iter().find(|own| own == msg) {
            Some(own) => (own.to_owned(), None),
            None => of_another_kind(),
        },
        Error::Unexpected { .. }
        | Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::SerdeInvalidLength { .. }
        | Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::NullIntoString { .. }
        | Error::UnexpectedValueForUnit { .. } => of_another_kind(),
        _ => (
            "this cannot be read as a definition".to_owned(),
            Some("look for wrong indentation, a missing quote or colon, or a tab".to_owned()),
        ),
    }
}

fn of_another_kind() -> (String, Option<String>) {
    let hint =
        "look at the schema: text is quoted where it looks like a number, and a duration is 30s, 5m or 1h";
    ("a value of another kind belongs here".to_owned(), Some(hint.to_owned()))
}
