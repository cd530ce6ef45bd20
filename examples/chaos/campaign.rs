//! Rounds after rounds, several at once, with one line for each and a table at the end.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::Arguments;
use super::binaries::Binaries;
use super::faults::{self, KINDS};
use super::house::House;
use super::providers::Provider;
use super::report::Report;
use super::round::{Keep, Round};
use super::table::Table;
use super::tools::Tools;

/// Runs it; gives whether every promise was kept.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let tools = Tools::look();
    let kinds = faults::drawn(arguments.quick, arguments.fault.as_deref(), &tools);
    ensure!(
        !kinds.is_empty(),
        "no such fault, or it cannot be run here; its name must be one of the table's"
    );
    let providers = Provider::all(arguments.provider.as_deref())?;
    ensure!(!providers.is_empty(), "no such credential; its name must be one of the table's");
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    say(&format!("{} rounds from seed {seed}, {} at once", arguments.rounds, arguments.jobs))?;
    for kind in KINDS {
        if let Some(why) = faults::left_out(kind, &tools) {
            say(&format!("NOT RUN: {}: {why}", kind.name))?;
        }
    }
    let last = arguments.first.saturating_add(arguments.rounds);
    let rounds: Vec<Round> = (arguments.first..last)
        .filter_map(|number| Round::choose(seed, number, &kinds, &providers))
        .collect();
    let places: Vec<_> = rounds.iter().map(|round| round.kind.place).collect();
    let binaries =
        Binaries { plain: arguments.keyturn.clone(), crashing: arguments.crashing_keyturn.clone() };
    let started = Instant::now();
    let house = House::open(binaries, tools.clone(), &places).await?;
    say(&format!("servers after {:.1} s", started.elapsed().as_secs_f64()))?;

    let keep = Keep { directory: keep_directory()?, all: arguments.keep };
    let mut table = Table::new(seed, tools);
    let began = Instant::now();
    let playing = rounds.into_iter().map(|round| round.run(&house, &keep));
    let mut playing = futures_util::stream::iter(playing).buffer_unordered(arguments.jobs.max(1));
    while let Some(report) = playing.next().await {
        say(&line(seed, &report, &keep.directory))?;
        table.add(report);
    }
    drop(playing);
    drop(house);
    say(&table.text(began.elapsed()))?;
    Ok(table.is_good())
}

fn line(seed: u64, report: &Report, keep: &Path) -> String {
    let outcome = match &report.spoilt {
        Some(why) => format!("SPOILT: {why}"),
        None => report.outcome.join(", "),
    };
    let mut text = format!(
        "{:>5}  {seed}  {:<12}  {:<22}  {outcome}  {} calls  {:.1} s",
        report.number,
        report.provider,
        report.kind,
        report.arrived,
        report.elapsed.as_secs_f64()
    );
    for (broken, what) in &report.broken {
        // A text grows without failing.
        write!(text, "\n       BROKEN: {}: {what}", broken.in_words()).ok();
    }
    if !report.broken.is_empty() || report.spoilt.is_some() {
        let place = keep.join(format!("round-{}", report.number));
        write!(text, "\n       {}; see {}", report.detail, place.display()).ok();
    }
    text
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn fresh_seed() -> u64 {
    // The end of it is random; short enough to be typed.
    u64::try_from(uuid::Uuid::now_v7().as_u128() % 1_000_000).unwrap_or_default()
}

/// Where the files of broken rounds are kept: beside the build.
fn keep_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the campaign's own path is not known")?;
    let target = program.ancestors().nth(3).context("the campaign runs outside of a target directory")?;
    Ok(target.join("chaos").join("broken"))
}
