//! What can be typed.

mod providers;
mod server;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit::Exit;
use crate::ids::{CredentialName, RotationId};

pub use providers::{LiveArguments, ProvidersArguments, ProvidersCommand, TestArguments};
pub use server::ServerArguments;

/// Rotates provider-minted API keys into Vault or OpenBao without ever losing one.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version, after_help = Exit::table(), max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What keyturn can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run keyturn: rotate what is due, serve applications and operators.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Die as by `kill -9` at the first pass of this point of the crash table.
        #[cfg(feature = "crash-points")]
        #[arg(long, value_name = "POINT", hide = true)]
        crash_at: Option<String>,
    },
    /// Check a configuration, or show its schema.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// A command to a running keyturn.
    #[command(flatten)]
    Client(ClientCommand),
    /// Look at an escrow directory.
    #[command(subcommand)]
    Escrow(EscrowCommand),
    /// Check an installation from where keyturn runs, and say what stands in the way; changes nothing.
    Doctor(DoctorArguments),
    /// List the provider definitions that come along; show one, check your own.
    Providers(ProvidersArguments),
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What can be asked about configurations.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong in a configuration file, or that nothing is.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Print the JSON schema of the configuration file.
    Schema,
}

/// What can be asked about an escrow directory.
#[derive(Debug, Subcommand)]
pub enum EscrowCommand {
    /// List the slots, without opening any; safe beside a running keyturn.
    List {
        /// The escrow directory of the configuration.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// How to show it.
        #[command(flatten)]
        output: OutputArguments,
    },
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Warnings count as problems in the exit code
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What a running keyturn can be asked.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Rotate a credential now.
    Rotate(RotateArguments),
    /// Show all credentials in one line each, or one in full.
    Status(StatusArguments),
    /// Show every change as it happens.
    Watch(WatchArguments),
    /// Show a credential's last rotations.
    History(HistoryArguments),
    /// Keep the schedule from starting rotations; an open one goes on.
    Pause(PauseArguments),
    /// Let the schedule run again.
    Resume(ResumeArguments),
    /// Decide about a rotation whose outcome is unknown, or that is halted.
    Resolve(ResolveArguments),
    /// Ask whether a service serves; for probes.
    Health(HealthArguments),
}

impl ClientCommand {
    pub(super) const fn server(&self) -> &ServerArguments {
        match self {
            Self::Rotate(arguments) => &arguments.server,
            Self::Status(arguments) => &arguments.server,
            Self::Watch(arguments) => &arguments.server,
            Self::History(arguments) => &arguments.server,
            Self::Pause(arguments) => &arguments.server,
            Self::Resume(arguments) => &arguments.server,
            Self::Resolve(arguments) => &arguments.server,
            Self::Health(arguments) => &arguments.server,
        }
    }

    pub(super) const fn output(&self) -> &OutputArguments {
        match self {
            Self::Rotate(arguments) => &arguments.output,
            Self::Status(arguments) => &arguments.output,
            Self::Watch(arguments) => &arguments.output,
            Self::History(arguments) => &arguments.output,
            Self::Pause(arguments) => &arguments.output,
            Self::Resume(arguments) => &arguments.output,
            Self::Resolve(arguments) => &arguments.output,
            Self::Health(arguments) => &arguments.output,
        }
    }
}

/// How to show what was found.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArguments {
    /// For people: table; for programs: json or yaml
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table, help_heading = "Output")]
    pub output: OutputFormat,
    /// When to use colour
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto, help_heading = "Output")]
    pub color: ColorChoice,
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Words and columns.
    Table,
    /// JSON; one line per message where messages stream.
    Json,
    /// YAML; one document per message where messages stream.
    Yaml,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, and never in a pipe.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `rotate` takes.
#[derive(Debug, Args)]
pub struct RotateArguments {
    /// The credential's name in the configuration.
    #[arg(value_name = "NAME")]
    pub credential: CredentialName,
    /// Stay until the rotation has ended, and say each step
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// Go ahead though the old key's grace window, the provider's lock or a pause stands against it;
    /// applications that still use the old key may break
    #[arg(long)]
    pub emergency: bool,
    /// Only say what would happen, and what stands in the way
    #[arg(long)]
    pub dry_run: bool,
    /// Makes the request safe to repeat: the same id gives the same rotation
    #[arg(long, value_name = "ID", conflicts_with = "dry_run")]
    pub request_id: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `status` takes.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// One credential; all, if none is named.
    #[arg(value_name = "NAME")]
    pub credential: Option<CredentialName>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `watch` takes.
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// The credentials; all, if none is named.
    #[arg(value_name = "NAME")]
    pub credentials: Vec<CredentialName>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `history` takes.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// The credential's name in the configuration.
    #[arg(value_name = "NAME")]
    pub credential: CredentialName,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `pause` takes.
#[derive(Debug, Args)]
pub struct PauseArguments {
    /// The credential's name in the configuration.
    #[arg(value_name = "NAME")]
    pub credential: CredentialName,
    /// Why, for the people who find it paused
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `resume` takes.
#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// The credential's name in the configuration.
    #[arg(value_name = "NAME")]
    pub credential: CredentialName,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What `resolve` takes.
#[derive(Debug, Args)]
pub struct ResolveArguments {
    /// The credential's name in the configuration.
    #[arg(value_name = "NAME")]
    pub credential: CredentialName,
    /// The decision
    #[arg(long = "as", value_enum, value_name = "DECISION")]
    pub decision: DecisionArgument,
    /// The rotation that you looked at; without it, the open one
    #[arg(long, value_name = "ID")]
    pub rotation: Option<RotationId>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What a person can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecisionArgument {
    /// What Vault holds is right; close the rotation and do nothing else
    KeepCurrent,
    /// Publish the new key, although the provider did not accept it yet
    PublishAnyway,
    /// Try the automatic means again, with what was mended meanwhile
    TryAgain,
    /// Give this rotation up and regenerate once more; its key may be lost
    RotateAgain,
}

/// What an orchestrator's probe wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Whether keyturn has started: it listens, and every credential's task runs
    Startup,
    /// Whether keyturn's own tasks are there; nothing outside counts, Vault least of all
    Live,
    /// Whether callers are answered
    Ready,
}

/// What `health` takes.
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// What a probe wants to know [default: ready]
    #[arg(long = "for", value_enum, value_name = "PROBE")]
    pub probe: Option<Probe>,
    /// A service by its name, such as keyturn.v1.RotateService, instead
    #[arg(long, conflicts_with = "probe")]
    pub service: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}
