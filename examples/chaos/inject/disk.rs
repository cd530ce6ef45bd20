//! Faults of the disk under the escrow.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use keyturn::testbed::sidecar::Sidecar;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::super::faults::When;
use super::super::settle::{self, Rest};
use super::super::stage::Stage;
use super::reach;

/// A small disk of its own; gone when dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"])
            .arg(directory)
            .status()?;
        ensure!(status.success(), "a tmpfs cannot be mounted");
        Ok(Self(directory.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may still hold it. There is nobody left to tell.
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

pub(super) async fn full(stage: &mut Stage<'_>, when: When) -> anyhow::Result<()> {
    let escrow = stage.escrows().pop().context("no replica")?;
    stage.mounts.push(Tmpfs::mount(&escrow)?);
    stage.start().await?;
    let reached = reach(stage, when).await;
    let filler = escrow.join("filler");
    fill(&filler)?;
    reached.go_on(stage).await;
    sleep(Duration::from_millis(600)).await;
    Ok(fs::remove_file(filler)?)
}

/// Writes until the disk refuses.
fn fill(path: &Path) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    for _ in 0..1_000 {
        if file.write_all(&[0; 1024]).is_err() {
            return Ok(());
        }
    }
    bail!("the small disk does not become full")
}

pub(super) async fn sync_error(stage: &mut Stage<'_>, first: u64) -> anyhow::Result<()> {
    stage.start().await?;
    let pid = stage.sidecars().next().context("no keyturn runs")?.pid();
    let tracer = tokio::task::spawn_blocking(move || Tracer::attach(pid, first)).await??;
    stage.ask().await;
    sleep(Duration::from_millis(800)).await;
    drop(tracer);
    Ok(())
}

/// A `strace` that lets syncs fail; the process goes on alone when it is dropped.
struct Tracer(Child);

impl Tracer {
    fn attach(pid: u32, first: u64) -> anyhow::Result<Self> {
        let calls = "fsync,fdatasync";
        let child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-p", &pid.to_string(), "-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:error=EIO:when={first}..{}", first + 2)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut tracer = Self(child);
        let mut line = String::new();
        if let Some(said) = tracer.0.stderr.take() {
            let mut said = BufReader::new(said);
            said.read_line(&mut line)?;
            tracer.0.stderr = Some(said.into_inner());
        }
        ensure!(line.contains("attached"), "strace does not attach: {}", line.trim());
        Ok(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended with its process already.
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok();
        self.0.wait().ok();
    }
}

/// Gives why a person had to look.
pub(super) async fn damaged(stage: &mut Stage<'_>, at: u64) -> anyhow::Result<Vec<String>> {
    let binary = stage.house.binaries.crashing.clone();
    let replica = stage.replicas.first_mut().context("no replica")?;
    let mut sidecar = Sidecar::start(&binary, &replica.installation, &["--crash-at", "after-seal"]).await?;
    sidecar.rotate(stage.provider.name(), false).await.ok();
    timeout(Duration::from_secs(30), sidecar.exit()).await.context("after-seal was not reached")??;
    drop(sidecar);
    let files = sealed_files(&replica.installation.escrow)?;
    ensure!(!files.is_empty(), "nothing was sealed at after-seal");
    for file in &files {
        flip(file, at)?;
    }
    stage.spawn_missing()?;
    let reason = match settle::settled(stage).await {
        Rest::Held(view) => view.hold.map(|hold| hold.reason).unwrap_or_default(),
        Rest::Stuck(seen) => bail!("no hold says that the file is damaged: {seen}"),
        // It went on without the file.
        Rest::Idle(_) | Rest::Halted(_) => return Ok(Vec::new()),
    };
    // What the hold's page tells a person to do: look, and take the file away.
    for file in files {
        fs::remove_file(file)?;
    }
    // The hold is shown until the next try.
    let deadline = Instant::now() + Duration::from_secs(30);
    while matches!(settle::settled(stage).await, Rest::Held(_)) && Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(vec![reason])
}

fn sealed_files(escrow: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = fs::read_dir(escrow)?.collect::<Result<Vec<_>, _>>()?;
    let paths = files.into_iter().map(|file| file.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == "age")).collect())
}

fn flip(file: &Path, at: u64) -> anyhow::Result<()> {
    let mut bytes = fs::read(file)?;
    let at = usize::try_from(at)? % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x55;
    }
    Ok(fs::write(file, bytes)?)
}
