//! `keyturn providers`: the definitions that come along, what one does, and what is wrong with an own one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arguments::{ProvidersArguments, ProvidersCommand};
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::words::plain;
use super::{OutputArguments, rehearse, table};
use crate::mistake::Mistake;
use crate::provider::definition::{self, Finding};
use crate::provider::describe::{Block, Portrait, Way};
use crate::provider::{Catalog, Definition};

/// Carries out a command about provider definitions.
pub async fn providers(arguments: &ProvidersArguments, catalog: &Catalog, console: &mut Console<'_>) -> Exit {
    console.style(arguments.output());
    let ended = match &arguments.command {
        None => list(catalog, console),
        Some(ProvidersCommand::Show { name, .. }) => show(name, catalog, console),
        Some(ProvidersCommand::Check { files, .. }) => check(files, catalog, console),
        Some(ProvidersCommand::Test(test)) => rehearse::test(test, catalog, console).await,
        Some(ProvidersCommand::Schema) => schema(console),
    };
    ended.unwrap_or_else(|failure| failure.report(console))
}

impl ProvidersArguments {
    /// Whether secrets will be in memory.
    pub const fn is_live(&self) -> bool {
        matches!(&self.command, Some(ProvidersCommand::Test(test)) if test.live.live)
    }

    const fn output(&self) -> &OutputArguments {
        match &self.command {
            Some(ProvidersCommand::Show { output, .. } | ProvidersCommand::Check { output, .. }) => output,
            Some(ProvidersCommand::Test(test)) => &test.output,
            Some(ProvidersCommand::Schema) | None => &self.output,
        }
    }
}

fn schema(console: &mut Console<'_>) -> Result<Exit, Failure> {
    let schema = serde_json::to_string_pretty(&definition::schema()).map_err(io::Error::from)?;
    console.print(&schema)?;
    Ok(Exit::Done)
}

fn list(catalog: &Catalog, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let definitions = catalog.names().filter_map(|name| catalog.get(name));
    let portraits: Vec<Portrait> = definitions
        .map(|definition| portrait(Path::new(&definition.name), definition))
        .collect::<Result<_, _>>()?;
    if !console.is_table() {
        console.document(&portraits)?;
        return Ok(Exit::Done);
    }
    let rows = portraits.iter().map(|portrait| {
        let signers: Vec<&str> = portrait.ways.iter().map(|way| way.signed_by.as_str()).collect();
        let row = [
            portrait.name.clone(),
            portrait.title.clone(),
            signers.join(", or "),
            settled_by(&portrait.ways),
        ];
        (Tone::Plain, row)
    });
    table::print(console, ["NAME", "TITLE", "SIGNED BY", "A LOST ANSWER IS SETTLED BY"], rows)?;
    Ok(Exit::Done)
}

/// The means of every way; those of the second only where they differ.
fn settled_by(ways: &[Way]) -> String {
    let means =
        |way: &Way| if way.means.is_empty() { "a person".to_owned() } else { way.means.join(", else ") };
    match ways {
        [one, other] if means(one) != means(other) => {
            format!("{}; signed by {}: {}", means(one), other.signed_by, means(other))
        }
        ways => ways.first().map(means).unwrap_or_default(),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    portrait: &'a Portrait,
    findings: Vec<Finding>,
}

fn show(name: &str, catalog: &Catalog, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let found = catalog.find(name);
    let definition = found.map_err(|mistake| {
        let failure = unknown(name, mistake).note("`keyturn providers` lists them");
        if is_file(name) { failure.note(CHECK_IS_FOR_FILES) } else { failure }
    })?;
    let shown = Shown { portrait: &portrait(Path::new(name), definition)?, findings: definition.findings() };
    if console.is_table() {
        print(shown.portrait, &shown.findings, console)?;
    } else {
        console.document(&shown)?;
    }
    Ok(Exit::Done)
}

const CHECK_IS_FOR_FILES: &str =
    "this shows definitions that come along; `keyturn providers check FILE` says the same of a file";

/// A name that is none of a definition that comes along.
pub(super) fn unknown(name: &str, mistake: Mistake) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("{}: {}", plain(name), mistake.message));
    mistake.hint.into_iter().fold(failure, Failure::note)
}

/// Whether a word that is no name means a file.
fn is_file(word: &str) -> bool {
    let file = Path::new(word);
    let extension = file.extension().and_then(OsStr::to_str);
    file.is_file() || matches!(extension, Some("yaml" | "yml"))
}

fn portrait(file: &Path, definition: &Definition) -> Result<Portrait, Failure> {
    Portrait::of(definition).map_err(|mistakes| Failure::mistakes(file, &mistakes))
}

/// What came of one file.
#[derive(Serialize)]
struct Checked {
    file: String,
    mistakes: Vec<Mistake>,
    findings: Vec<Finding>,
    definition: Option<Portrait>,
}

impl Checked {
    fn new(file: &Path, catalog: &Catalog) -> Self {
        let (mut checked, judged) = (
            Self {
                file: file.display().to_string(),
                mistakes: Vec::new(),
                findings: Vec::new(),
                definition: None,
            },
            judge(file, catalog),
        );
        match judged {
            Ok((portrait, findings)) => (checked.definition, checked.findings) = (Some(portrait), findings),
            Err(mistakes) => checked.mistakes = mistakes,
        }
        checked
    }
}

fn judge(file: &Path, catalog: &Catalog) -> Result<(Portrait, Vec<Finding>), Vec<Mistake>> {
    let text = fs::read_to_string(file)
        .map_err(|error| vec![Mistake::new("", format!("it cannot be read: {error}"))])?;
    let (definition, found) = Definition::judge(&text)?;
    let findings = taken_name(&definition.name, catalog).into_iter().chain(found).collect();
    Ok((Portrait::of(&definition)?, findings))
}

/// By itself a definition may have any name; no configuration takes two of the same.
fn taken_name(name: &str, catalog: &Catalog) -> Option<Finding> {
    catalog.get(name).map(|_| Finding {
        path: "name".to_owned(),
        place: None,
        what: format!(
            "a definition that comes along is named {name} already, and a configuration refuses another one"
        ),
        help: "give yours another name".to_owned(),
    })
}

fn check(files: &[PathBuf], catalog: &Catalog, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let checked: Vec<Checked> = files.iter().map(|file| Checked::new(file, catalog)).collect();
    let is_right = checked.iter().all(|checked| checked.mistakes.is_empty());
    if console.is_table() {
        for (file, checked) in files.iter().zip(&checked) {
            match &checked.definition {
                Some(portrait) => {
                    print(portrait, &checked.findings, console)?;
                    console.paint(Tone::Good, &format!("\n{} is right", file.display()))?;
                }
                None => {
                    Failure::mistakes(file, &checked.mistakes).report(console);
                }
            }
        }
    } else {
        console.document(&checked)?;
    }
    Ok(if is_right { Exit::Done } else { Exit::Usage })
}

fn print(portrait: &Portrait, findings: &[Finding], console: &mut Console<'_>) -> Result<(), Failure> {
    console.paint(Tone::Strong, &plain(&format!("{}  {}", portrait.name, portrait.title)))?;
    for block in portrait.page() {
        print_block(&block, console)?;
    }
    if !findings.is_empty() {
        console.paint(Tone::Strong, "\nTo know")?;
    }
    for finding in findings {
        let place = finding.place.map(|place| format!(", {place}")).unwrap_or_default();
        console.paint(Tone::Caution, &plain(&format!("  {}{place}: {}", finding.path, finding.what)))?;
        console.say(&plain(&format!("    {}", finding.help)))?;
    }
    Ok(())
}

fn print_block(block: &Block, console: &mut Console<'_>) -> io::Result<()> {
    match block {
        Block::Heading(text) => console.paint(Tone::Strong, &format!("\n{}", plain(text))),
        Block::Text(text) => console.say(&format!("  {}", plain(text))),
        Block::Items(items) => items.iter().try_for_each(|item| console.say(&format!("  - {}", plain(item)))),
        Block::Steps(steps) => (1..)
            .zip(steps)
            .try_for_each(|(number, step)| console.say(&format!("  {number}. {}", plain(step)))),
        Block::Verbatim(lines) => {
            lines.iter().try_for_each(|line| console.say(&format!("  {}", plain(line))))
        }
    }
}
