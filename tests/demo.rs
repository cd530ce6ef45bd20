//! The demo keeps its word: it rotates, it proves it, and it leaves nothing behind however it ends.
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

#[test]
fn in_a_pipe_it_rotates_proves_it_and_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]);
    let output = demo.output();
    let status = demo.child.wait().unwrap();
    assert!(status.success(), "{status}:\n{output}");
    assert!(!output.contains('\u{1b}'), "an escape in a pipe:\n{output}");
    let row = |start: &str, part: &str| {
        let wanted = |line: &&str| line.trim_start().starts_with(start) && line.contains(part);
        assert!(output.lines().any(|line| wanted(&line)), "no {part} of {start}:\n{output}");
    };
    for (credential, store) in [
        ("adyen-client", "secret/app/adyen#client_key v"),
        ("adyen-api", "secret/app/adyen#api_key v"),
        ("publicsquare", "secret/app/publicsquare#key v2"),
        ("spritz", "secret/app/spritz#secret v2"),
        ("spritz again", "secret/app/spritz#secret v3"),
    ] {
        row(credential, store);
        row(&format!("ok    {credential}"), "1 regenerate call");
    }
    // On a machine that is very busy nobody may have looked in time.
    row("ok    adyen-client", "staged");
    row("ok    spritz again", "signed by its new secret");
    let long: Vec<_> = output.lines().filter(|line| line.chars().count() > 120).collect();
    assert!(long.is_empty(), "more than 120 columns: {long:?}");
    demo.assert_nothing_is_left(&output);
}

/// A terminal sends Ctrl-C to every process of the group, not to the demo alone.
#[test]
fn ctrl_c_ends_a_kept_demo_without_a_trace() {
    let mut demo = Demo::start(&["--keep"]);
    let output = demo.output_until("runs until Ctrl-C");
    assert!(output.contains("grpcurl -plaintext -unix -authority localhost"), "{output}");
    kill_process_group(demo.pid(), Signal::INT).unwrap();
    let status = demo.child.wait().unwrap();
    assert!(status.success(), "{status}:\n{output}");
    demo.assert_nothing_is_left(&output);
}

#[test]
fn a_signal_in_the_midst_of_it_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]);
    let output = demo.output_until("staged");
    kill_process(demo.pid(), Signal::TERM).unwrap();
    let status = demo.child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{output}");
    demo.assert_nothing_is_left(&output);
}

/// A running demo with a directory for temporary files of its own.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    files: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args(["--keyturn", KEYTURN])
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

    /// What it says, up to the first line with this part.
    fn output_until(&mut self, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            assert_ne!(self.output.read_line(&mut text).unwrap(), 0, "no {part} in:\n{text}");
        }
        text
    }

    fn assert_nothing_is_left(&self, output: &str) {
        let files: Vec<_> =
            fs::read_dir(self.files.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.is_empty(), "files are left: {files:?}");

        let address = output.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let port = address.rsplit(':').next().unwrap();
        let home = target().join(format!("openbao/openbao/run/{}-{port}", self.child.id()));
        assert!(!home.exists(), "{} is left", home.display());

        let directory = self.files.path().to_string_lossy().into_owned();
        let left: Vec<_> = command_lines()
            .into_iter()
            .filter(|line| line.contains(&directory) || line.contains(&format!("={address}")))
            .collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}

impl Drop for Demo {
    /// A failed test leaves nothing behind either.
    fn drop(&mut self) {
        kill_process(self.pid(), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

/// `cargo test` builds the examples too; `cargo test --test demo` takes the one that is there.
fn program() -> PathBuf {
    let program = Path::new(KEYTURN).with_file_name("examples/demo");
    assert!(program.exists(), "{} is missing: run `cargo build --example demo`", program.display());
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
