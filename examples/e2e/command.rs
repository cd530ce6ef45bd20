//! Other people's programs, run to their end.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// What a program wrote to its output, if it succeeded.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said, complained) = run(program, arguments)?;
    if !succeeded {
        bail!("`{program} {}` failed: {}{}", arguments.join(" "), said.trim(), complained.trim());
    }
    Ok(said)
}

/// Whether a program succeeds, whatever it says.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> anyhow::Result<bool> {
    Ok(run(program, arguments)?.0)
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<(bool, String, String)> {
    let done = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started; is it on this machine?"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((done.status.success(), text(&done.stdout), text(&done.stderr)))
}
