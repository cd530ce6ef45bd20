//! `just chaos`: a fault campaign against real processes.
//!
//! Each round gives a real keyturn a provider (simulated), a Vault (a real OpenBao) and one fault that is chosen from
//! a seed, takes the fault away again, and then checks what must be true whatever happened: the provider's newest key
//! is in Vault or known to be elsewhere, no entry is torn, no call was made too often, no secret was shown.

mod binaries;
mod campaign;
mod checks;
mod clearing;
mod dice;
mod faults;
mod house;
mod inject;
mod leaks;
mod providers;
mod report;
mod round;
mod settle;
mod stage;
mod table;
mod tools;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Breaks what a rotation depends on, round after round, and checks that no key is lost.
///
/// Settings may be written as in `ROUNDS=1000 SEED=7 JOBS=3` too. Exits with 1 if a promise was broken in any round.
#[derive(Debug, Parser)]
#[command(name = "chaos", bin_name = "just chaos", max_term_width = 100)]
struct Arguments {
    /// How many rounds
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// What all choices are made from; a fresh one, if left out
    #[arg(long)]
    seed: Option<u64>,
    /// How many rounds run at once
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// The number of the first round; with the seed of a campaign it repeats that round's choices
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this fault, by its name in the table
    #[arg(long)]
    fault: Option<String>,
    /// Only this credential, by its name in the table
    #[arg(long)]
    provider: Option<String>,
    /// Only faults that cost little time, and no server but one
    #[arg(long)]
    quick: bool,
    /// Keep the logs of every round, not only of those in which something was broken
    #[arg(long)]
    keep: bool,
    /// The keyturn binary
    #[arg(long, value_name = "PATH")]
    keyturn: PathBuf,
    /// A keyturn binary with named crash points
    #[arg(long, value_name = "PATH")]
    crashing_keyturn: PathBuf,
}

/// What a shell reports of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(std::env::args_os().map(as_option));
    match run(&arguments) {
        Ok(exit) => exit,
        Err(error) => {
            // Nothing is left to tell it to, if the error output is gone.
            writeln!(io::stderr(), "the campaign cannot go on: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// `ROUNDS=10` as `--rounds=10`.
fn as_option(argument: OsString) -> OsString {
    let setting = argument.to_str().and_then(|text| text.split_once('='));
    match setting {
        Some((name, value)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            format!("--{}={value}", name.to_lowercase()).into()
        }
        _ => argument,
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the async runtime does not start")?.block_on(until_stopped(arguments))
}

/// Dropping the campaign ends its processes and removes its files, at whatever point it is.
async fn until_stopped(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<Signal>>>()
        .context("signals cannot be received")?;
    let stopped = futures_util::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv())));
    tokio::select! {
        ran = campaign::run(arguments) => Ok(if ran? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        _ = stopped => {
            writeln!(io::stderr(), "stopped; no process and no file is left").ok();
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}
