//! `keyturn doctor`: what was found, for people and for programs.

use std::path::Path;

use serde::Serialize;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::arguments::DoctorArguments;
use super::connect::{Session, Target};
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::table;
use super::words::plain;
use crate::doctor::{Finding, Level};

const ABOUT: &str = "keyturn";

/// Asks a running keyturn whether it serves; that none runs is no problem.
pub async fn look_at_keyturn(target: Target) -> Finding {
    let shown = target.to_string();
    let socket_is_there = match &target {
        Target::Socket(path) => path.exists(),
        Target::Address(_) | Target::Tls(..) => true,
    };
    let mut session = match Session::open(target).await {
        Ok(session) => session,
        Err(_) if !socket_is_there => {
            return Finding::ok(ABOUT, format!("does not run: there is no {shown}"));
        }
        Err(failure) => {
            let finding = Finding::warning(ABOUT, failure.what);
            return finding.help("fine if keyturn is not meant to run now; else see its log");
        }
    };
    match session.health.check(HealthCheckRequest::default()).await.map(|answer| answer.into_inner().status())
    {
        Ok(ServingStatus::Serving) => Finding::ok(ABOUT, format!("runs and serves at {shown}")),
        Ok(_) => Finding::problem(ABOUT, format!("runs at {shown}, but does not serve yet"))
            .help("it waits for Vault, or for a record; `keyturn status` says for which"),
        Err(status) => Finding::problem(
            ABOUT,
            format!("what listens at {shown} is not keyturn: {}", plain(status.message())),
        ),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    /// The worst of all findings.
    level: Level,
    findings: &'a [Finding],
}

/// Shows what was found, the worst last, and ends with the code that says whether anything stands in the way.
pub fn show_findings(
    file: &Path,
    mut findings: Vec<Finding>,
    arguments: &DoctorArguments,
    console: &mut Console<'_>,
) -> Exit {
    console.style(&arguments.output);
    findings.sort_by_key(|finding| finding.level);
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let shown = if console.is_table() {
        show(file, &findings, worst, console)
    } else {
        console.document(&Report { level: worst, findings: &findings }).map_err(Failure::from)
    };
    let tolerated = if arguments.strict { Level::Ok } else { Level::Warning };
    let exit = if worst > tolerated { Exit::Findings } else { Exit::Done };
    shown.map_or_else(|failure| failure.report(console), |()| exit)
}

fn show(file: &Path, findings: &[Finding], worst: Level, console: &mut Console<'_>) -> Result<(), Failure> {
    let rows = findings.iter().map(|finding| {
        let code = finding.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let row = [word(finding.level).to_owned(), plain(&finding.about), plain(&finding.what) + &code];
        (tone(finding.level), row)
    });
    table::print(console, ["", "LOOKED AT", "FOUND"], rows)?;
    let helps = findings.iter().filter(|finding| finding.level > Level::Ok);
    for finding in helps {
        if let Some(help) = &finding.help {
            console.say(&format!("\n{}: {}", plain(&finding.about), plain(help)))?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (tone, text) = match worst {
        Level::Ok => (Tone::Good, "nothing stands in the way".to_owned()),
        Level::Warning => (Tone::Caution, format!("keyturn can rotate; warnings: {}", count(Level::Warning))),
        Level::Unchecked | Level::Problem => {
            (Tone::Alarm, format!("problems: {}, warnings: {}", count(Level::Problem), count(Level::Warning)))
        }
    };
    console.say("")?;
    Ok(console.paint(tone, &format!("{}: {text}", file.display()))?)
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Unchecked => "not checked",
        Level::Warning => "warning",
        Level::Problem => "problem",
    }
}

const fn tone(level: Level) -> Tone {
    match level {
        Level::Ok => Tone::Plain,
        Level::Unchecked => Tone::Faint,
        Level::Warning => Tone::Caution,
        Level::Problem => Tone::Alarm,
    }
}
