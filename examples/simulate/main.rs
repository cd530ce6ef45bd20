//! Runs seeded simulations of the real engine until its time is over, and sums up what happened.
//!
//! `--seconds N` (60) or `--rotations N` says how long, `--from N` (0) with which seed it begins; `--seed N` runs one
//! world alone and shows what happened in it.
#![allow(clippy::print_stdout, clippy::use_debug, reason = "it prints for the eyes")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::testbed::simulation::storm::{Crowd, storm};
use keyturn::testbed::simulation::{CLASSES, Options, Tally, simulate};

#[derive(Debug, Parser)]
struct Arguments {
    /// Run this world alone, and show what happened in it.
    #[arg(long)]
    seed: Option<u64>,
    /// Let the faults of each world stop after so many hours at the latest.
    #[arg(long)]
    hours_max: Option<u64>,
    /// Let all credentials be of this class of providers; left out, each world draws its own.
    #[arg(long, value_parser = class_of)]
    class: Option<&'static str>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Stop after so many rotations, too.
    #[arg(long)]
    rotations: Option<u64>,
    /// Let crowds of so many sidecars knock at one Vault instead.
    #[arg(long)]
    storm: Option<usize>,
}

fn main() -> std::io::Result<ExitCode> {
    let arguments = Arguments::parse();
    match (arguments.storm, arguments.seed) {
        (Some(sidecars), _) => show_storms(sidecars),
        (None, Some(seed)) => show(seed, &arguments),
        (None, None) => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let clock = SystemClock::start();
    let (mut tally, mut broken) = (Tally::default(), 0);
    let budget = Duration::from_secs(arguments.seconds);
    let mut seed = arguments.from;
    let options = options(arguments);
    let enough =
        |tally: &Tally| arguments.rotations.is_some_and(|enough| tally.of("rotations started") >= enough);
    while clock.monotonic() < budget && !enough(&tally) && broken < BROKEN_MAX {
        let concluded = simulate(seed, options)?;
        if let Some(why) = &concluded.broken {
            broken += 1;
            let hours = arguments.hours_max.map(|hours| format!(" --hours-max {hours}")).unwrap_or_default();
            let class = arguments.class.map(|class| format!(" --class '{class}'")).unwrap_or_default();
            println!("seed {seed}: {why}");
            println!(
                "  see it: cargo run --release --example simulate --features testbed -- --seed {seed}{hours}{class}"
            );
        }
        tally.add(&concluded.tally);
        seed += 1;
    }
    println!(
        "seeds {} to {}, {:.0} seconds\n{tally}",
        arguments.from,
        seed - 1,
        clock.monotonic().as_secs_f64()
    );
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Worlds with a broken promise after which it stops.
const BROKEN_MAX: u32 = 20;

fn options(arguments: &Arguments) -> Options {
    Options { hours_max: arguments.hours_max, class: arguments.class, ..Options::default() }
}

fn class_of(name: &str) -> Result<&'static str, String> {
    let known = CLASSES.iter().copied().find(|class| *class == name);
    known.ok_or_else(|| format!("the classes are {}", CLASSES.join(", ")))
}

fn show(seed: u64, arguments: &Arguments) -> std::io::Result<ExitCode> {
    let concluded = simulate(seed, Options { keeps_trail: true, ..options(arguments) })?;
    concluded.trail.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}, trace {:016x}\n{}", concluded.trace, concluded.tally);
    Ok(match concluded.broken {
        None => ExitCode::SUCCESS,
        Some(why) => {
            println!("broken: {why}");
            ExitCode::FAILURE
        }
    })
}

fn show_storms(sidecars: usize) -> std::io::Result<ExitCode> {
    let hour = Duration::from_hours(1);
    let sealed =
        Crowd { sidecars, share_one_credential: false, due_after: hour, sealed_for: hour, jitter_percent: 0 };
    let shared = Crowd { share_one_credential: true, ..sealed };
    let herd = Crowd { sealed_for: Duration::ZERO, jitter_percent: 10, ..sealed };
    let no_jitter = Crowd { jitter_percent: 0, ..herd };
    for crowd in [sealed, shared, herd, no_jitter] {
        println!("{crowd:?}\n  {:?}", storm(crowd)?);
    }
    Ok(ExitCode::SUCCESS)
}
