//! Faults of the process itself: killed, restarted, frozen, beside others, asked too often, wrong about the time.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault as AnswerFault, Gate};
use tokio::time::{Instant, sleep, timeout};

use super::super::dice::Dice;
use super::super::faults::When;
use super::super::stage::{Replica, Stage};
use super::reach;

pub(super) async fn kill_anytime(
    stage: &mut Stage<'_>,
    after: Duration,
    answer_after: Duration,
) -> anyhow::Result<()> {
    stage.start().await?;
    stage.simulator.next_call(AnswerFault::slow(answer_after));
    tokio::join!(stage.ask(), async {
        sleep(after).await;
        if let Some(sidecar) = stage.sidecars().next() {
            // Killed while somebody still asks it; it is reaped below.
            sidecar.kill_at_once().ok();
        }
    });
    kill(stage.replicas.first_mut())?;
    stage.spawn_missing()
}

fn kill(replica: Option<&mut Replica>) -> anyhow::Result<()> {
    if let Some(mut sidecar) = replica.and_then(|replica| replica.sidecar.take()) {
        sidecar.kill()?;
    }
    Ok(())
}

pub(super) async fn kill_at(stage: &mut Stage<'_>, point: &'static str) -> anyhow::Result<()> {
    if point == "after-unknown" {
        stage.simulator.next_call(AnswerFault::answer_lost());
    }
    start_first(stage, &["--crash-at", point]).await?;
    stage.ask().await;
    let replica = stage.replicas.first_mut().context("no replica")?;
    if let Some(mut sidecar) = replica.sidecar.take() {
        sidecar.exit().await.with_context(|| format!("{point} was not reached"))?;
    }
    stage.spawn_missing()
}

/// Starts the first replica as the binary with named points.
async fn start_first(stage: &mut Stage<'_>, arguments: &[&str]) -> anyhow::Result<()> {
    let binary = stage.house.binaries.crashing.clone();
    let replica = stage.replicas.first_mut().context("no replica")?;
    replica.sidecar = Some(Sidecar::start(&binary, &replica.installation, arguments).await?);
    Ok(())
}

pub(super) async fn restart_loop(
    stage: &mut Stage<'_>,
    times: u64,
    lives: Duration,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    stage.start().await?;
    stage.ask().await;
    sleep(dice.time(lives)).await;
    for _ in 0..times {
        kill(stage.replicas.first_mut())?;
        stage.spawn_missing()?;
        sleep(lives / 2 + dice.time(lives)).await;
    }
    Ok(())
}

/// The claim of ten seconds and a quarter of it, and a little.
const PAST_THE_CLAIM: Duration = Duration::from_millis(12_800);

pub(super) async fn freeze(stage: &mut Stage<'_>, with_twin: bool) -> anyhow::Result<()> {
    let binary = stage.house.binaries.plain.clone();
    let (first, twins) = stage.replicas.split_first_mut().context("no replica")?;
    let sidecar = Sidecar::start(&binary, &first.installation, &[]).await?;
    let gate = Gate::new();
    stage.simulator.next_call(AnswerFault::held(&gate));
    sidecar.rotate(stage.provider.name(), false).await.ok();
    timeout(Duration::from_secs(5), gate.reached()).await.ok();
    sidecar.freeze()?;
    gate.release();
    if let (true, Some(twin)) = (with_twin, twins.first_mut()) {
        twin.sidecar = Some(Sidecar::spawn(&binary, &twin.installation, &[])?);
        let deadline = Instant::now() + PAST_THE_CLAIM * 2;
        while Instant::now() < deadline && is_open(stage).await {
            sleep(Duration::from_millis(100)).await;
        }
    } else {
        sleep(PAST_THE_CLAIM).await;
    }
    sidecar.thaw()?;
    if let Some(first) = stage.replicas.first_mut() {
        first.sidecar = Some(sidecar);
    }
    Ok(())
}

async fn is_open(stage: &Stage<'_>) -> bool {
    let record = stage.record().await.ok().flatten();
    let phase = record.as_ref().and_then(|record| record.pointer("/state/phase/phase")?.as_str());
    !matches!(phase, Some("idle" | "halted"))
}

pub(super) async fn replicas(
    stage: &mut Stage<'_>,
    kill_after: Option<Duration>,
    comes_back: bool,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    stage.start().await?;
    let Some(after) = kill_after else {
        stage.ask().await;
        return Ok(());
    };
    tokio::join!(stage.ask(), sleep(after));
    let count = u64::try_from(stage.replicas.len())?;
    let victim = usize::try_from(dice.roll(count))?;
    kill(stage.replicas.get_mut(victim))?;
    if comes_back { stage.spawn_missing() } else { Ok(()) }
}

pub(super) async fn triggers(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.start().await?;
    let sidecar = stage.sidecars().next().context("no keyturn runs")?;
    let name = stage.provider.name();
    let asking = (0..100).map(|_| async {
        let patience = Duration::from_secs(30);
        timeout(patience, sidecar.rotate(name, false)).await.is_ok()
    });
    let answered = join_all(asking).await;
    anyhow::ensure!(answered.into_iter().all(|answered| answered), "a request got no answer in time");
    Ok(())
}

pub(super) async fn clock_jump(stage: &mut Stage<'_>, when: When, seconds: i64) -> anyhow::Result<()> {
    let library = stage.house.tools.faketime.clone().context("libfaketime is gone")?;
    let file = stage.directory.path().join("time");
    set_time(&file, 0)?;
    let environment = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let binary = stage.house.binaries.plain.clone();
    let replica = stage.replicas.first_mut().context("no replica")?;
    let mut sidecar = Sidecar::spawn_in(&binary, &replica.installation, &[], &environment)?;
    sidecar.serving().await?;
    replica.sidecar = Some(sidecar);
    let reached = reach(stage, when).await;
    set_time(&file, seconds)?;
    reached.go_on(stage).await;
    sleep(Duration::from_millis(600)).await;
    set_time(&file, 0)
}

fn set_time(file: &Path, seconds: i64) -> anyhow::Result<()> {
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{seconds:+}s"))?;
    Ok(std::fs::rename(next, file)?)
}
