//! What can be typed about provider definitions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OutputArguments;

/// What `providers` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProvidersArguments {
    /// What to do; list them, if nothing is said.
    #[command(subcommand)]
    pub command: Option<ProvidersCommand>,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArguments,
}

/// What can be asked about provider definitions.
#[derive(Debug, Subcommand)]
pub enum ProvidersCommand {
    /// Say what a definition needs, sends and does, and what happens when the answer is lost.
    Show {
        /// The definition's name, such as provider/kind-of-key.
        name: String,
        /// How to show it.
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Say everything that is wrong in definitions of your own; of right ones, what they do and what to know.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to show it.
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Rehearse a definition's rotation on this machine, with everything that can go wrong; asks no provider.
    Test(TestArguments),
    /// Print the JSON schema of a definition, for an editor.
    Schema,
}

/// What `providers test` takes.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// The definition's name, or a file with one of your own.
    #[arg(value_name = "NAME|FILE")]
    pub definition: String,
    /// What a credential says about itself, as often as needed
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub params: Vec<(String, String)>,
    /// Only show each request as it would leave, secrets masked
    #[arg(long)]
    pub dry_run: bool,
    /// The environment to which the requests would go; the definition's default, if left out
    #[arg(long, value_name = "NAME", requires = "dry_run")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArguments,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
