//! The composition root: what was typed is given to who carries it out; `composition` joins the concrete adapters.

mod composition;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use keyturn::cli::{self, Cli, Command, ConfigCommand, Console, EscrowCommand, Exit, Target};
use keyturn::config::{self, Config};
use keyturn::mistake::Mistake;
use keyturn::provider::Catalog;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut answers = io::BufReader::new(io::stdin());
    let at_terminal = out.is_terminal();
    let person = at_terminal && io::stdin().is_terminal();
    let mut console = Console::new(&mut out, &mut err);
    if at_terminal {
        console = console.on_terminal();
    }
    if person {
        console = console.with_person(&mut answers);
    }
    match dispatch(cli.command, &mut console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console.fail(&format!("{error:#}"));
            Exit::Unexpected.into()
        }
    }
}

fn dispatch(command: Command, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    match command {
        Command::Config(ConfigCommand::Check { file }) => {
            let mistakes = Config::load(&file, Catalog::embedded()).err().unwrap_or_default();
            Ok(cli::report_mistakes(&file, &mistakes, console))
        }
        Command::Config(ConfigCommand::Schema) => {
            console.print(&serde_json::to_string_pretty(&config::schema())?)?;
            Ok(Exit::Done)
        }
        Command::Escrow(EscrowCommand::List { dir, output }) => Ok(cli::list_escrow(&dir, &output, console)),
        Command::Doctor(arguments) => composition::diagnose(&arguments, console),
        Command::Providers(arguments) => {
            if arguments.is_live() {
                composition::forbid_core_dumps()?;
            }
            runtime()?.block_on(async { Ok(cli::providers(&arguments, &Catalog::embedded(), console).await) })
        }
        Command::Completions { shell } => Ok(cli::complete(shell, &mut io::stdout())),
        Command::Client(command) => {
            small_runtime()?.block_on(async { Ok(cli::execute(command, target_of, console).await) })
        }
        #[cfg(not(feature = "crash-points"))]
        Command::Run { config } => composition::serve(&config, console),
        #[cfg(feature = "crash-points")]
        Command::Run { config, crash_at } => {
            if let Some(point) = crash_at {
                anyhow::ensure!(
                    keyturn::engine::crash::POINTS.contains(&point.as_str())
                        || point == keyturn::engine::crash::PANIC,
                    "there is no crash point {point}"
                );
                keyturn::engine::crash::arm(point);
            }
            composition::serve(&config, console)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime does not start")
}

/// One thread, for a client: a probe is run every few seconds.
fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("the async runtime does not start")
}

fn target_of(file: &Path) -> Result<Target, Vec<Mistake>> {
    let listen = Config::load(file, Catalog::embedded())?.listen;
    composition::target(&listen).ok_or_else(|| {
        let mistake = Mistake::new(
            "listen",
            "keyturn has no Unix socket, and this file does not say by which name it is known over TLS",
        );
        vec![mistake.hint("say --address https://HOST:PORT")]
    })
}
