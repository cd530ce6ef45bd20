//! The real `keyturn` binary, built by the cargo that built the demo.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// Builds the binary where it is not fresh, and gives its path; cargo shows its own progress.
pub(crate) async fn build() -> anyhow::Result<PathBuf> {
    let mut build = Build::start().context("cargo cannot be started to build keyturn")?;
    let messages = build.0.stdout.take().context("cargo's messages cannot be read")?;
    let binary = tokio::task::spawn_blocking(move || executable(messages)).await??;
    if !build.0.wait()?.success() {
        bail!("keyturn does not build; cargo said why above");
    }
    binary.context("cargo built keyturn and did not say where it is")
}

/// A running build, which ends with its handle, compilers included.
struct Build(Child);

impl Build {
    /// Example and binary together: their features unify, so that the binary shares every artifact of the demo.
    fn start() -> io::Result<Self> {
        let child = Command::new(env!("CARGO"))
            .args(["build", "--example", "demo", "--bin", "keyturn"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        let is_running = self.0.try_wait().is_ok_and(|status| status.is_none());
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let (true, Some(group)) = (is_running, group) {
            // It may end at this moment by itself; there is nobody left to tell.
            kill_process_group(group, Signal::TERM).ok();
            self.0.wait().ok();
        }
    }
}

/// The executable of the binary among cargo's messages.
fn executable(messages: ChildStdout) -> io::Result<Option<PathBuf>> {
    let mut found = None;
    for line in BufReader::new(messages).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let is_binary = message.pointer("/target/kind/0").and_then(Value::as_str) == Some("bin");
        let path = message.get("executable").and_then(Value::as_str);
        if let (true, Some(path)) = (is_binary, path) {
            found = Some(PathBuf::from(path));
        }
    }
    Ok(found)
}
