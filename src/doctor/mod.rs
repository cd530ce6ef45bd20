//! What stands in the way of an installation, looked at from where keyturn runs.
//!
//! Each module looks at one outside and says what it found; nothing in here changes anything, and no request goes to
//! a provider.

mod disk;
mod mesh;
mod store;
mod way;

use serde::Serialize;

pub use disk::look_at_escrow;
pub use mesh::look_for_meshes;
pub use store::{look_at_credential, look_at_login, look_at_server};
pub use way::{Way, look_at_provider, ways};

use crate::mistake::Mistake;

/// One thing that was looked at, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `vault` or `provider api.example.com:443`.
    pub about: String,
    /// How it stands.
    pub level: Level,
    /// What was seen, and what it means for the keys.
    pub what: String,
    /// What to do, where there is something to do.
    pub help: Option<String>,
    /// The stable name of what is wrong, where it has one.
    pub code: Option<&'static str>,
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not looked at, because something before it stands in the way.
    Unchecked,
    /// keyturn works, and a key may be at risk.
    Warning,
    /// keyturn cannot rotate like this.
    Problem,
}

impl Finding {
    /// Something that is as it should be.
    pub fn ok(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(about, Level::Ok, what)
    }

    /// Something that could not be looked at.
    pub fn unchecked(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(about, Level::Unchecked, what)
    }

    /// Something that puts a key at risk.
    pub fn warning(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(about, Level::Warning, what)
    }

    /// Something with which keyturn cannot rotate.
    pub fn problem(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(about, Level::Problem, what)
    }

    /// A mistake in the configuration, or in a file that it names.
    pub fn mistake(mistake: &Mistake) -> Self {
        let finding = Self::problem("configuration", format!("{}: {}", mistake.path, mistake.message));
        Self { help: mistake.hint.clone(), ..finding }
    }

    fn new(about: impl Into<String>, level: Level, what: impl Into<String>) -> Self {
        Self { about: about.into(), level, what: what.into(), help: None, code: None }
    }

    /// The same with what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same with the name of what is wrong.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}
