//! `just e2e-pod` and `just e2e-kubernetes`: keyturn's image among real containers.
//!
//! What is outside keyturn is real (podman, Kubernetes, Helm, OpenBao), but for the provider, which is simulated. A step
//! that does not come out as it should ends the run with status 1; so does a tool that is missing.

mod cluster;
mod command;
mod pod;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs keyturn's image among real containers, and checks what comes of it.
#[derive(Debug, Parser)]
#[command(name = "e2e", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Place {
    /// In a pod of two containers under podman
    Pod {
        /// The image, as `just image` names it
        #[arg(long)]
        image: String,
    },
    /// In a Kubernetes cluster of one node
    Kubernetes,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to, if the error output is gone.
            writeln!(io::stderr(), "not as it should be: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &arguments.place {
        Place::Pod { image } => runtime.block_on(pod::run(image)),
        Place::Kubernetes => runtime.block_on(cluster::run()),
    }
}
