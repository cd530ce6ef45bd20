//! Texts of a definition that are not fixed: `{name}` templates and JSON pointers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text in which `{name}` stands for a value that is known later; `{{` and `}}` are plain braces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Template(Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum Part {
    /// What stands there as it is.
    Text(String),
    /// The name of what will stand there.
    Name(String),
}

impl Template {
    /// The names that it needs, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Its parts, in their order.
    pub(in crate::provider) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The text with every name replaced, or the first name that has no value.
    pub fn render(&self, mut value_of: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Name(name) => text.push_str(&value_of(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(text)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut fixed = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    fixed.push(c);
                }
                '}' => return Err(BRACE_ALONE.into()),
                '{' => {
                    if !fixed.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut fixed)));
                    }
                    parts.push(Part::Name(read_name(&mut rest)?));
                }
                _ => fixed.push(c),
            }
        }
        if !fixed.is_empty() {
            parts.push(Part::Text(fixed));
        }
        Ok(Self(parts))
    }
}

fn read_name(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut name = String::new();
    for c in rest {
        match c {
            '}' if !name.is_empty() => return Ok(name),
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' => name.push(c),
            _ => break,
        }
    }
    Err(BRACES_WITHOUT_NAME.into())
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(fixed) => f.write_str(&fixed.replace('{', "{{").replace('}', "}}"))?,
                Part::Name(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

/// A JSON pointer (RFC 6901) into an answer, such as `/data/key`; the empty one is the whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Pointer(String);

impl Pointer {
    /// A pointer that this program's own text holds, unchecked.
    pub(in crate::provider) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(POINTER_WITHOUT_SLASH.into());
        }
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c == '~' && !matches!(rest.next(), Some('0' | '1')) {
                return Err(POINTER_TILDE.into());
            }
        }
        Ok(Self(text))
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

/// All that can be wrong with such a text; nothing in it comes from the text.
pub(super) const COMPLAINTS: [&str; 4] =
    [BRACE_ALONE, BRACES_WITHOUT_NAME, POINTER_WITHOUT_SLASH, POINTER_TILDE];

const BRACE_ALONE: &str = "'}' without '{'; a plain brace is written '}}'";
const BRACES_WITHOUT_NAME: &str =
    "between '{' and '}' stands a name of a-z, 0-9 and '_'; a plain brace is written '{{'";
const POINTER_WITHOUT_SLASH: &str = "a JSON pointer begins with '/'";
const POINTER_TILDE: &str = "in a JSON pointer '~' is written '~0', and '/' in a name '~1'";

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, String> {
        Template::try_from(text.to_owned())
    }

    #[test]
    fn names_are_replaced_and_doubled_braces_are_plain() {
        let parsed = template("/a/{one}/{{x}}/{two}").unwrap();
        assert_eq!(parsed.names().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(parsed.render(|name| Some(name.to_uppercase())).unwrap(), "/a/ONE/{x}/TWO");
        assert_eq!(parsed.render(|name| (name == "one").then(String::new)).unwrap_err(), "two");
        assert_eq!(parsed.to_string(), "/a/{one}/{{x}}/{two}");
    }

    #[test]
    fn broken_templates_and_pointers_are_refused() {
        for bad in ["{", "}", "{}", "{a", "{A}", "{a b}", "x}"] {
            assert!(template(bad).is_err(), "{bad:?} was taken");
        }
        for bad in ["key", "/a~", "/a~2"] {
            assert!(Pointer::try_from(bad.to_owned()).is_err(), "{bad:?} was taken");
        }
        assert!(Pointer::try_from("/a~1b/0".to_owned()).is_ok());
    }
}
