//! Commands that need no running keyturn.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory as _;

use super::arguments::Cli;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::{OutputArguments, table};
use crate::escrow::{Listed, RESIDUE, list_directory};
use crate::mistake::Mistake;

/// Writes a shell's completions.
pub fn complete(shell: clap_complete::Shell, out: &mut dyn Write) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keyturn", &mut script);
    match out.write_all(&script).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Unexpected,
        _ => Exit::Done,
    }
}

/// Says what is wrong in a configuration file, or that nothing is.
pub fn report_mistakes(file: &Path, mistakes: &[Mistake], console: &mut Console<'_>) -> Exit {
    if !mistakes.is_empty() {
        return Failure::mistakes(file, mistakes).report(console);
    }
    match console.paint(Tone::Good, &format!("{} is right", file.display())) {
        Ok(()) => Exit::Done,
        Err(error) => Failure::from(error).report(console),
    }
}

/// Lists an escrow directory; opens nothing.
pub fn list_escrow(dir: &Path, output: &OutputArguments, console: &mut Console<'_>) -> Exit {
    console.style(output);
    let listed = list_directory(dir, None)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()).note(cause(&error)));
    let shown = listed.and_then(|listed| show(dir, &listed, console));
    shown.map_or_else(|failure| failure.report(console), |()| Exit::Done)
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

fn show(dir: &Path, listed: &[Listed], console: &mut Console<'_>) -> Result<(), Failure> {
    if !console.is_table() {
        return Ok(console.document(&listed)?);
    }
    if listed.is_empty() {
        return Ok(console.say(&format!("{} holds no slot: nothing waits for Vault", dir.display()))?);
    }
    let rows = listed.iter().map(|slot| {
        let tone = if slot.holds == RESIDUE { Tone::Caution } else { Tone::Plain };
        let path = slot.path.display().to_string();
        (tone, [slot.credential.to_string(), slot.rotation_id.to_string(), slot.holds.clone(), path])
    });
    table::print(console, ["CREDENTIAL", "ROTATION", "HOLDS", "FILE"], rows)?;
    Ok(())
}
