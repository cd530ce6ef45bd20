//! Rotations, asked for over gRPC, shown while they happen.

use std::time::Duration;

use anyhow::Context as _;
use keyturn::api::proto::{
    RotateRequest, Rotation, RotationState, WatchRotationRequest, WatchRotationResponse,
};
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::testbed::sidecar::is_over;
use tokio_stream::{StreamExt as _, StreamMap};
use tonic::Streaming;

use super::credentials::Managed;
use super::proof::{self, Claim, Evidence};
use super::screen::{Screen, Tone};
use super::stage::Stage;

/// How often a line on a terminal shows the time that has passed.
const TICK: Duration = Duration::from_millis(100);

/// Nothing in the demo should take as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A rotation that has come to its end, or halted.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) managed: &'a Managed<'a>,
    pub(crate) label: String,
    pub(crate) rotation: Rotation,
    pub(crate) claims: Vec<Claim>,
}

/// Rotates all of them at once and shows every phase.
pub(crate) async fn run<'a>(
    batch: &[&'a Managed<'a>],
    emergency: bool,
    stage: &Stage,
    screen: &mut Screen,
) -> anyhow::Result<Vec<Finished<'a>>> {
    let clock = SystemClock::start();
    let mut lines = Vec::new();
    for managed in batch {
        let label = if emergency { " again" } else { "" };
        let label = format!("{}{label}", managed.setup.name);
        lines.push(Line::new(managed, label, stage.served(managed).await?));
    }
    let mut watches = StreamMap::new();
    for (place, line) in lines.iter_mut().enumerate() {
        let (rotation, watch) = ask(line.managed, emergency, stage).await?;
        line.take(rotation, stage, clock, screen).await?;
        watches.insert(place, watch);
    }
    let watching = follow(&mut lines, watches, stage, clock, screen);
    tokio::time::timeout(PATIENCE, watching).await.context("a rotation took too long")??;
    let mut finished = Vec::new();
    for line in lines {
        finished.push(line.finish(stage).await?);
    }
    Ok(finished)
}

async fn ask(
    managed: &Managed<'_>,
    emergency: bool,
    stage: &Stage,
) -> anyhow::Result<(Rotation, Streaming<WatchRotationResponse>)> {
    let mut rotations = stage.sidecar.rotations().await?;
    let credential = managed.setup.name.clone();
    let request = RotateRequest { credential: credential.clone(), emergency, request_id: String::new() };
    let rotation = rotations.rotate(request).await?.into_inner().rotation.unwrap_or_default();
    let request = WatchRotationRequest { rotation_id: rotation.rotation_id.clone(), credential };
    Ok((rotation, rotations.watch_rotation(request).await?.into_inner()))
}

async fn follow(
    lines: &mut [Line<'_>],
    mut watches: StreamMap<usize, Streaming<WatchRotationResponse>>,
    stage: &Stage,
    clock: SystemClock,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(TICK);
    while !lines.iter().all(|line| is_over(line.rotation.state())) {
        tokio::select! {
            news = watches.next() => {
                let (place, message) = news.context("keyturn ended the stream before the rotations' end")?;
                let rotation = message?.rotation.unwrap_or_default();
                if let Some(line) = lines.get_mut(place) {
                    line.take(rotation, stage, clock, screen).await?;
                }
            }
            _ = tick.tick() => {}
        }
        let shown: Vec<String> = lines.iter().map(|line| line.live(clock, screen)).collect();
        screen.live(&shown)?;
    }
    Ok(())
}

/// One rotation on its way.
#[derive(Debug)]
struct Line<'a> {
    managed: &'a Managed<'a>,
    label: String,
    rotation: Rotation,
    trail: Vec<&'static str>,
    ended_after: Option<Duration>,
    calls_before: usize,
    key_before: String,
    is_seen_refused: bool,
}

impl<'a> Line<'a> {
    fn new(managed: &'a Managed<'a>, label: String, key_before: String) -> Self {
        Self {
            managed,
            label,
            rotation: Rotation::default(),
            trail: Vec::new(),
            ended_after: None,
            calls_before: managed.calls().len(),
            key_before,
            is_seen_refused: false,
        }
    }

    /// Takes news of the rotation; a new phase is a line in a pipe.
    async fn take(
        &mut self,
        rotation: Rotation,
        stage: &Stage,
        clock: SystemClock,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        self.rotation = rotation;
        let phase = phase(self.rotation.state());
        if self.trail.last() == Some(&phase) {
            return Ok(());
        }
        self.trail.push(phase);
        if self.rotation.state() == RotationState::Staged {
            let is_old = stage.served(self.managed).await? == self.key_before;
            self.is_seen_refused = is_old && !self.managed.accepts(&self.managed.current_key());
        }
        let passed = clock.monotonic();
        if is_over(self.rotation.state()) {
            self.ended_after = Some(passed);
        }
        if !screen.is_terminal() {
            let label = &self.label;
            let seconds = passed.as_secs_f64();
            screen.say(&format!("  {seconds:>6.3} s  {label:<12}  {phase:<9}  {}", self.sentence()))?;
        }
        Ok(())
    }

    /// The line as it stands on a terminal.
    fn live(&self, clock: SystemClock, screen: &Screen) -> String {
        let seconds = self.ended_after.unwrap_or_else(|| clock.monotonic()).as_secs_f64();
        let (before, now) = match self.trail.split_last() {
            Some((now, before)) => (before.join(" > "), *now),
            None => (String::new(), ""),
        };
        let tone = match self.rotation.state() {
            RotationState::Succeeded => Tone::Good,
            state if is_over(state) => Tone::Alarm,
            _ => Tone::Strong,
        };
        let arrow = if before.is_empty() { "" } else { " > " };
        let before = screen.painted(Tone::Faint, &format!("{before}{arrow}"));
        let now = screen.painted(tone, now);
        let sentence = match self.rotation.state() {
            RotationState::Succeeded => String::new(),
            _ => format!("  {}", screen.painted(Tone::Faint, &self.sentence())),
        };
        format!("  {seconds:>4.1} s  {:<12}  {before}{now}{sentence}", self.label)
    }

    fn sentence(&self) -> String {
        let provider = self.managed.provider;
        match self.rotation.state() {
            RotationState::Queued => "asked for; what could stand in its way is checked first".into(),
            RotationState::Intended => format!("the intent is in OpenBao; {provider} is called"),
            RotationState::Answered => "the answer is sealed on disk, not in OpenBao yet".into(),
            RotationState::Staged if self.is_seen_refused => {
                format!("{provider} refuses the new key, OpenBao serves the old one")
            }
            RotationState::Staged => format!("waits until {provider} accepts the new key"),
            RotationState::Published => "OpenBao serves the new key".into(),
            RotationState::Succeeded => format!("done; version {}", self.rotation.entry_version),
            _ => cause(&self.rotation),
        }
    }

    async fn finish(self, stage: &Stage) -> anyhow::Result<Finished<'a>> {
        let served = stage.served(self.managed).await?;
        let evidence = Evidence {
            managed: self.managed,
            rotation: &self.rotation,
            key_before: &self.key_before,
            served: &served,
            calls: self.managed.calls().split_off(self.calls_before),
            is_seen_refused: self.is_seen_refused,
        };
        let claims = proof::claims(&evidence);
        Ok(Finished { managed: self.managed, label: self.label, rotation: self.rotation, claims })
    }
}

fn phase(state: RotationState) -> &'static str {
    match state {
        RotationState::Unspecified => "unspecified",
        RotationState::Queued => "queued",
        RotationState::Intended => "intended",
        RotationState::Unknown => "unknown",
        RotationState::Answered => "answered",
        RotationState::Staged => "staged",
        RotationState::Published => "published",
        RotationState::Halted => "halted",
        RotationState::Succeeded => "succeeded",
        RotationState::Failed => "failed",
        RotationState::Resolved => "resolved",
        RotationState::Cancelled => "cancelled",
    }
}

/// What keyturn says about a rotation that did not come to its good end.
fn cause(rotation: &Rotation) -> String {
    let failure = rotation.failure.as_ref().map(|failure| &failure.message);
    let halt = rotation.halt.as_ref().map(|halt| &halt.message);
    let unknown = rotation.unknown.as_ref().map(|unknown| &unknown.message);
    failure.or(halt).or(unknown).cloned().unwrap_or_default()
}
