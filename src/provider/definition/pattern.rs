//! The regular expression that a whole value must match, compiled once for all credentials.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A regular expression over a whole value. One that cannot be compiled is kept as text, and matches nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Pattern {
    text: String,
    whole: Option<Regex>,
}

impl Pattern {
    /// The expression as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a regular expression at all.
    pub fn is_valid(&self) -> bool {
        self.whole.is_some()
    }

    /// Whether the whole value matches.
    pub fn matches(&self, value: &str) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.is_match(value))
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        // By itself too: a text that closes the group around it would not be held to the whole value.
        let whole = Regex::new(&text).and_then(|_| Regex::new(&format!("^(?:{text})$"))).ok();
        Self { text, whole }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_value_must_match_and_a_broken_pattern_matches_nothing() {
        let pattern = |text: &str| Pattern::from(text.to_owned());
        let either = pattern("a|b+");
        assert!(either.is_valid() && either.matches("bb"));
        assert!(!either.matches("ab") && !either.matches("b\n"));
        for broken in ["(", "a)|(?:b", "(?x) a # to the end"] {
            assert!(!pattern(broken).is_valid() && !pattern(broken).matches("a"), "{broken}");
        }
    }
}
