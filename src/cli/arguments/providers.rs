//! What can be typed about provider definitions.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

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
    /// Rehearse a definition's rotation on this machine, with everything that can go wrong; asks no provider but with --live.
    Test(TestArguments),
    /// Print the JSON schema of a definition, for an editor.
    Schema,
}

/// What `providers test` takes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("requests").args(["dry_run", "live"])))]
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
    #[arg(long, value_name = "NAME", requires = "requests")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) live: LiveArguments,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArguments,
}

/// What `providers test --live` takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "One real call")]
pub struct LiveArguments {
    /// Make one real call, which makes a real key; shows what that does, and asks
    #[arg(long, requires = "secret_file", requires = "new_key_to")]
    pub live: bool,
    /// The file with the secret that signs the call
    #[arg(long, value_name = "FILE", requires = "live")]
    pub secret_file: Option<PathBuf>,
    /// The file with a further secret that the definition asks for, as often as needed
    #[arg(long = "extra-secret-file", value_name = "NAME=FILE", value_parser = named_file, requires = "live")]
    pub extra_secret_files: Vec<(String, PathBuf)>,
    /// What the secret that signs is, where the definition has several authentication schemes
    #[arg(long, value_name = "NAME", requires = "live")]
    pub auth_scheme: Option<String>,
    /// The secret that signs is the very key that is made anew
    #[arg(long, requires = "live")]
    pub signs_itself: bool,
    /// The key that is made anew, where the provider has several
    #[arg(long, value_name = "NAME", requires = "live")]
    pub slot: Option<String>,
    /// A file that is not there yet, for the new key
    #[arg(long, value_name = "FILE", requires = "live")]
    pub new_key_to: Option<PathBuf>,
    /// Do not ask
    #[arg(long, requires = "live")]
    pub yes: bool,
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
