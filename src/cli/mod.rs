//! The command line: what a person types, and what a person reads.
//!
//! `main` parses [`Cli`] and dispatches: it runs the server and checks configurations itself, because both need
//! adapters; everything that needs only gRPC or files is [`execute`]d here. Commands write to a [`Console`] and
//! end with an [`Exit`]; nothing in here prints or exits by itself.

mod arguments;
mod connect;
mod console;
mod doctor;
mod exit;
mod failure;
mod follow;
mod health;
mod history;
mod live;
mod local;
mod pause;
mod plan;
mod providers;
mod rehearse;
mod resolve;
mod rotate;
mod sentences;
mod status;
mod table;
mod view;
mod watch;
mod words;

pub use arguments::{
    Cli, ClientCommand, ColorChoice, Command, ConfigCommand, DoctorArguments, EscrowCommand, LiveArguments,
    OutputArguments, OutputFormat, ProvidersArguments, ProvidersCommand, ServerArguments, TestArguments,
};
pub use connect::{Target, TlsFiles};
pub use console::Console;
pub use doctor::{look_at_keyturn, show_findings};
pub use exit::Exit;
pub use failure::Failure;
pub use local::{complete, list_escrow, report_mistakes};
pub use providers::providers;

use std::path::Path;

use crate::mistake::Mistake;
use connect::Session;

/// Carries out a command that speaks to a running keyturn.
///
/// `target_of` finds the server's address in a configuration file, for `--config`.
pub async fn execute(
    command: ClientCommand,
    target_of: impl Fn(&Path) -> Result<Target, Vec<Mistake>>,
    console: &mut Console<'_>,
) -> Exit {
    console.style(command.output());
    let target = match command.server().target(target_of) {
        Ok(target) => target,
        Err(failure) => return failure.report(console),
    };
    let result = match Session::open(target).await {
        Ok(mut session) => dispatch(command, &mut session, console).await,
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| failure.report(console))
}

async fn dispatch(
    command: ClientCommand,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    match command {
        ClientCommand::Rotate(arguments) if arguments.dry_run => {
            plan::plan(arguments, session, console).await
        }
        ClientCommand::Rotate(arguments) => rotate::rotate(arguments, session, console).await,
        ClientCommand::Status(arguments) => status::status(arguments, session, console).await,
        ClientCommand::Watch(arguments) => watch::watch(arguments, session, console).await,
        ClientCommand::History(arguments) => history::history(arguments, session, console).await,
        ClientCommand::Pause(arguments) => pause::pause(arguments, session, console).await,
        ClientCommand::Resume(arguments) => pause::resume(arguments, session, console).await,
        ClientCommand::Resolve(arguments) => resolve::resolve(arguments, session, console).await,
        ClientCommand::Health(arguments) => health::health(arguments, session, console).await,
    }
}
