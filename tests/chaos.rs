//! The fault campaign in its quick form: its faults, its checks, and that nothing is left of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const KEYTURN: &str = env!("CARGO_BIN_EXE_keyturn");

/// One of each credential.
#[test]
fn a_quick_round_of_each_credential_keeps_every_promise_and_leaves_nothing_behind() {
    let mut campaign = Campaign::start(&["ROUNDS=15", "SEED=1", "JOBS=3"]);
    let output = campaign.output();
    let status = campaign.child.wait().unwrap();
    assert!(status.success(), "{status}:\n{output}");
    assert!(!output.contains('\u{1b}'), "an escape in a pipe:\n{output}");
    let sum = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).expect(name)
    };
    assert_eq!((sum("rounds"), sum("providers")), (15, 15), "{output}");
    assert!(sum("rotations that reached the provider") >= 15, "{output}");
    for promise in [
        "keys lost",
        "entries torn",
        "calls too many",
        "older after newer",
        "keys killed in use",
        "keys swapped",
        "strays left",
        "secrets shown",
        "stuck",
    ] {
        assert_eq!(sum(promise), 0, "{output}");
    }
    campaign.assert_nothing_is_left();
}

#[test]
fn a_seed_makes_the_same_choices_again() {
    let choices = || {
        let output = Campaign::start(&["ROUNDS=3", "SEED=5", "FIRST=40"]).output();
        let rounds = output.lines().filter(|line| line.contains("  5  "));
        let mut choices: Vec<_> = rounds.map(|line| line.chars().take(46).collect::<String>()).collect();
        choices.sort();
        choices
    };
    let first = choices();
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(first, choices());
}

/// A terminal sends Ctrl-C to every process of the group, not to the campaign alone.
#[test]
fn ctrl_c_ends_a_campaign_without_a_trace() {
    let mut campaign = Campaign::start(&["ROUNDS=50", "SEED=1", "JOBS=3"]);
    campaign.output_until(" calls  ");
    kill_process_group(campaign.pid(), Signal::INT).unwrap();
    assert_eq!(campaign.child.wait().unwrap().code(), Some(130));
    campaign.assert_nothing_is_left();
}

/// A running campaign with a directory for temporary files of its own.
struct Campaign {
    child: Child,
    output: BufReader<ChildStdout>,
    files: tempfile::TempDir,
}

impl Campaign {
    fn start(arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args(["--quick", "--keyturn", KEYTURN, "--crashing-keyturn", KEYTURN])
            .args(arguments)
            .env("TMPDIR", files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output, files }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn output(&mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }

    /// Reads up to the first line with this part.
    fn output_until(&mut self, part: &str) {
        let mut text = String::new();
        while !text.contains(part) {
            assert_ne!(self.output.read_line(&mut text).unwrap(), 0, "no {part} in:\n{text}");
        }
    }

    fn assert_nothing_is_left(&self) {
        let files: Vec<_> =
            fs::read_dir(self.files.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.is_empty(), "files are left: {files:?}");
        let servers = target().join("openbao").join("run");
        let own = format!("{}-", self.child.id());
        let left = fs::read_dir(servers).into_iter().flatten().flatten();
        let left: Vec<_> = left.filter(|home| home.file_name().to_string_lossy().starts_with(&own)).collect();
        assert!(left.is_empty(), "servers' files are left: {left:?}");
        let directory = self.files.path().to_string_lossy().into_owned();
        let left: Vec<_> = command_lines().into_iter().filter(|line| line.contains(&directory)).collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}

impl Drop for Campaign {
    /// A failed test leaves nothing behind either.
    fn drop(&mut self) {
        kill_process(self.pid(), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

/// `cargo test` builds the examples too; `cargo test --test chaos` takes the one that is there.
fn program() -> PathBuf {
    let program = Path::new(KEYTURN).with_file_name("examples/chaos");
    assert!(program.exists(), "{} is missing: run `cargo build --example chaos`", program.display());
    program
}

/// The directory above that of the profile.
fn target() -> PathBuf {
    Path::new(KEYTURN).ancestors().nth(2).unwrap().to_owned()
}

fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
