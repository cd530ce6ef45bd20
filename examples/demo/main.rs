//! `cargo demo`: four real rotations, from a bare machine to a key in OpenBao, for the eyes.
//!
//! Everything in it is real but the providers: an OpenBao server, the `keyturn` binary as a process of its own, and
//! simulators that speak the providers' wire contracts on loopback. Nothing of it is left when it ends.

mod commands;
mod credentials;
mod keyturn_binary;
mod play;
mod proof;
mod rotations;
mod screen;
mod stage;
mod table;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use screen::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Rotates four provider-minted API keys into a real OpenBao and shows it happening.
///
/// Starts OpenBao (`bao` or `vault` where one is on the PATH, else fetched once), simulators of three providers on
/// loopback, and the keyturn sidecar; rotates; checks; and removes everything again. Exits with 1 when a check fails.
#[derive(Debug, Parser)]
#[command(name = "demo", bin_name = "cargo demo --", max_term_width = 100)]
struct Arguments {
    /// Leave everything running until Ctrl-C, and print commands to look at it with
    #[arg(long)]
    keep: bool,
    /// Use this keyturn binary, built with all its features, in place of building it first
    #[arg(long, value_name = "PATH")]
    keyturn: Option<PathBuf>,
}

/// What a shell reports of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut screen = Screen::new();
    match run(&arguments, &mut screen) {
        Ok(exit) => exit,
        // Whoever read along has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            screen.fail(&format!("the demo cannot go on: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the async runtime does not start")?.block_on(until_stopped(arguments, screen))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Dropping the play ends its processes and removes its files, at whatever point it is.
async fn until_stopped(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let played = tokio::select! {
        played = play::play(arguments, screen) => Some(played),
        () = signals.next() => None,
    };
    let Some(played) = played else {
        screen.fail("stopped; no process and no file is left");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let played = played?;
    if arguments.keep {
        signals.next().await;
    }
    played.stage.end().await?;
    if arguments.keep {
        screen.say("")?;
        screen.say("Stopped; no process and no file is left.")?;
    }
    Ok(if played.is_proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The signals that end the demo: the keyboard's, a supervisor's, and the closed terminal's.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let [interrupt, terminate, hangup] = signals;
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
