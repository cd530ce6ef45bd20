//! The configuration file: parsed, checked as a whole, turned into what the engine needs.
//!
//! A file is read in three steps, and each goes on where it can, so that a person sees every mistake at once:
//! `document` reads YAML into plain values with their places; its `shape` holds these against the schema that is
//! derived from `raw`, and replaces what does not fit by stand-ins; the modules named after the file's sections
//! then check what the texts mean. What may only follow from a misfit is dropped.

mod binding;
mod change;
mod credentials;
mod listen;
mod process;
mod raw;
mod schedule;
mod store;
mod text;
mod vault;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::document::{Document, shape};
use crate::mistake::Mistake;
use crate::provider::Catalog;

pub use change::Change;
pub use credentials::{Credential, Signer};
pub use listen::{Listen, Tls, UnixSocket};
pub use process::{Escrow, Log, Timeouts};
pub use raw::{LogFormat, LogLevel};
pub use vault::Vault;

/// A configuration in which no mistake was found.
#[derive(Debug, Clone)]
pub struct Config {
    /// How Vault is reached, and where keyturn's records are.
    pub vault: Vault,
    /// Where keyturn is reached.
    pub listen: Listen,
    /// The local copy of provider answers.
    pub escrow: Escrow,
    /// Where metrics are served.
    pub metrics: Option<std::net::SocketAddr>,
    /// What is logged, and how.
    pub log: Log,
    /// How long calls and claims may take.
    pub timeouts: Timeouts,
    /// The credentials, in the order of the file.
    pub credentials: Vec<Credential>,
    /// All provider definitions, those of the file's own `providers` included.
    pub catalog: Catalog,
}

impl Config {
    /// Reads a configuration file; all mistakes at once, in the order of the file.
    ///
    /// Paths in it are meant from the directory that it is in. Nothing else is read than the definitions under
    /// `providers`, so a configuration can be checked where its other files are not.
    pub fn load(path: &Path, catalog: Catalog) -> Result<Self, Vec<Mistake>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![Mistake::new("", format!("{} cannot be read: {error}", path.display()))])?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")), catalog)
    }

    /// Reads a configuration from its text; relative paths in it are meant from `home`.
    pub fn parse(text: &str, home: &Path, catalog: Catalog) -> Result<Self, Vec<Mistake>> {
        let mut document = Document::parse(text).map_err(|mistake| vec![mistake])?;
        let misfits = shape::fit(&mut document.value, &schema());
        let file = raw::File::deserialize_fitted(document.value.take())?;
        let mut found = Found::new(home);
        let config = assemble(file, catalog, &mut found);
        let mut mistakes = misfits.mistakes.clone();
        mistakes.extend(found.mistakes.into_iter().filter(|mistake| !misfits.explain(&mistake.path)));
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(document.in_order(mistakes)),
        }
    }
}

/// The JSON Schema of the configuration file, for editors and for `docs/configuration.md`.
pub fn schema() -> Value {
    schemars::schema_for!(raw::File).to_value()
}

impl raw::File {
    fn deserialize_fitted(value: Value) -> Result<Self, Vec<Mistake>> {
        serde_json::from_value(value).map_err(|_| {
            // `shape` leaves only what fits, so this is not reached; and serde's words could repeat a value.
            vec![Mistake::new("", "the file does not have the shape of a configuration")]
        })
    }
}

fn assemble(file: raw::File, mut catalog: Catalog, found: &mut Found<'_>) -> Option<Config> {
    let own = binding::add_definitions(&file.providers, &mut catalog, found);
    let vault = vault::check(file.vault, found);
    let listen = listen::check(file.listen, found);
    let escrow = process::check_escrow(file.escrow, found);
    let metrics = process::check_metrics(file.metrics, found);
    let log = process::check_log(file.log.as_ref());
    let timeouts = process::check_timeouts(file.timeouts.as_ref(), found);
    let record_prefix = vault.as_ref().map(|vault| &vault.record_prefix);
    let context = credentials::Context { catalog: &catalog, own, timeouts, record_prefix };
    let credentials = credentials::check(&file.credentials, &context, found);
    Some(Config { vault: vault?, listen, escrow, metrics, log, timeouts, credentials, catalog })
}

/// The mistakes so far, and the directory from which paths are meant.
struct Found<'a> {
    home: &'a Path,
    mistakes: Vec<Mistake>,
}

impl<'a> Found<'a> {
    const fn new(home: &'a Path) -> Self {
        Self { home, mistakes: Vec::new() }
    }

    fn add(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// The value, or else its mistake is kept as one at `path`.
    fn take<T>(&mut self, path: &str, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.add(mistake.under(path))).ok()
    }

    /// The value of a text with a type of its own.
    fn parse<T>(&mut self, path: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr<Err = crate::ids::InvalidId>,
    {
        self.take(path, text.parse().map_err(|error: crate::ids::InvalidId| Mistake::new("", error.0)))
    }

    /// A path to a file or directory, seen from the configuration's own directory.
    fn place(&mut self, path: &str, text: &str) -> PathBuf {
        if text.trim().is_empty() || text.contains('\0') {
            self.add(Mistake::new(path, "this is no path"));
        } else if text.starts_with('~') || text.contains('$') {
            self.add(
                Mistake::new(path, "the path holds ~ or $, and neither is replaced")
                    .hint("write the path in full"),
            );
        }
        self.home.join(text)
    }
}
