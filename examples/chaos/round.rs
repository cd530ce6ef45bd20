//! One round: a rotation, a fault, the fault gone again, rest, and the checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyturn::api::proto::{Credential, Rotation, RotationState};
use tokio::time::{Instant, sleep, timeout};

use super::checks::{self, Uses, Whereabouts};
use super::clearing;
use super::dice::Dice;
use super::faults::{Bad, Fault, Kind, Restore};
use super::house::House;
use super::inject::{self, Aftermath};
use super::leaks;
use super::providers::Provider;
use super::report::{Broken, Report};
use super::settle::{self, Rest};
use super::stage::Stage;

/// Where files of rounds are kept, and of which.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) directory: PathBuf,
    pub(crate) all: bool,
}

/// Everything about a round that is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) provider: Arc<Provider>,
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    pub(crate) dice: Dice,
}

impl Round {
    /// The choices for a number, from the campaign's seed.
    pub(crate) fn choose(
        seed: u64,
        number: u64,
        kinds: &[Kind],
        providers: &[Arc<Provider>],
    ) -> Option<Self> {
        let mut dice = Dice::of_round(seed, number);
        let turn = number.checked_rem(u64::try_from(providers.len()).ok()?)?;
        let provider = Arc::clone(providers.get(usize::try_from(turn).ok()?)?);
        let (kind, fault) = Fault::draw(kinds, &provider, &mut dice)?;
        Some(Self { number, provider, kind, fault, dice })
    }

    /// Carries it out; what cannot be carried out is reported as spoilt.
    pub(crate) async fn run(mut self, house: &House, keep: &Keep) -> Report {
        let mut report = Report {
            number: self.number,
            provider: self.provider.name(),
            kind: self.kind.name,
            detail: detail(&self.fault),
            outcome: Vec::new(),
            broken: Vec::new(),
            for_a_person: Vec::new(),
            arrived: 0,
            calls: BTreeMap::new(),
            elapsed: Duration::ZERO,
            spoilt: None,
        };
        if let Err(error) = self.play(house, keep, &mut report).await {
            report.spoilt = Some(format!("{error:#}").lines().next().unwrap_or_default().to_owned());
        }
        report
    }

    async fn play(&mut self, house: &House, keep: &Keep, report: &mut Report) -> anyhow::Result<()> {
        let vault = house.vault(self.kind.place).await?;
        // The wait for its turn is no part of the round.
        let started = Instant::now();
        let name = format!("r{}", self.number);
        let call = self.call_timeout();
        let mut stage =
            Stage::set(house, Arc::clone(&self.provider), vault, name, self.replicas(), call).await?;
        let played = self.play_on(&mut stage, report).await;
        report.elapsed = started.elapsed();
        if keep.all || played.is_err() || !report.broken.is_empty() {
            keep_files(&stage, &keep.directory.join(format!("round-{}", self.number)), report)?;
        }
        played
    }

    async fn play_on(&mut self, stage: &mut Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        let aftermath = inject::inject(stage, self.fault, &mut self.dice).await?;
        report.for_a_person.extend(aftermath.for_a_person.iter().cloned());
        let rest = settle::settled(stage).await;
        judge(stage, &rest, &aftermath, report).await?;
        let forgot = matches!(self.fault, Fault::Restored { .. });
        calm(stage);
        if needs_another(&rest, &aftermath, report) {
            get_out(stage, &rest, report).await?;
            clearing::by_hand(stage, forgot).await?;
            clearing::cleared(stage, forgot, report).await?;
            once_more(stage, report).await?;
        }
        clearing::cleared(stage, forgot, report).await?;
        let versions = checks::versions(stage).await?;
        checks::history(stage, &versions, report);
        let recorded = if forgot { None } else { Some(checks::recorded_calls(stage).await?) };
        if !forgot {
            let is_early = matches!(self.fault, Fault::ClockJump { .. });
            checks::no_key_in_use_died(stage, &Uses::of(stage, &versions), is_early, report);
        }
        checks::one_key_for_all_calls(stage, recorded.as_ref(), report);
        let unkept = match self.fault {
            Fault::Answers { bad: Bad::ActsAnd(_), times } => usize::try_from(times)?,
            _ => 0,
        };
        checks::calls(stage, recorded.as_ref(), unkept, report);
        for place in leaks::found(stage).await {
            report.breaks(Broken::Leaked, place);
        }
        Ok(())
    }

    /// Taking a snapshot and going back to it takes longer than a second, and the answer shall arrive.
    const fn call_timeout(&self) -> &'static str {
        match self.fault {
            Fault::Restored { restore: Restore::BeforeToCall, .. } => "5s",
            _ => "1s",
        }
    }

    const fn replicas(&self) -> usize {
        match self.fault {
            Fault::Replicas { count, .. } => count,
            Fault::Freeze { with_twin: true } => 2,
            _ => 1,
        }
    }
}

/// Where the newest key is once all is at rest, and whether that is good.
async fn judge(
    stage: &Stage<'_>,
    rest: &Rest,
    aftermath: &Aftermath,
    report: &mut Report,
) -> anyhow::Result<()> {
    let told = match rest {
        Rest::Idle(view) => {
            report.outcome.push(ending(view.last_rotation.as_ref()));
            let orphans = view.conditions.iter().map(|condition| condition.reason.clone());
            let orphans: Vec<_> = orphans.filter(|reason| reason != "PROBE_UNAVAILABLE").collect();
            report.outcome.extend(orphans.iter().cloned());
            !orphans.is_empty()
        }
        Rest::Halted(view) => {
            let halt = view.current_rotation.as_ref().and_then(|open| open.halt.as_ref());
            let reason = halt.map(|halt| halt.reason.clone()).unwrap_or_default();
            report.outcome.push(format!("halted: {reason}"));
            report.for_a_person.push(reason);
            // It says so itself: the key may be gone, and a person is asked.
            return Ok(());
        }
        Rest::Held(view) => {
            let reason = view.hold.as_ref().map(|hold| hold.reason.clone()).unwrap_or_default();
            report.outcome.push(format!("held: {reason}"));
            report.for_a_person.push(reason);
            true
        }
        Rest::Stuck(seen) => {
            report.outcome.push("stuck".into());
            report.breaks(Broken::Stuck, seen.clone());
            false
        }
    };
    match checks::whereabouts(stage, told).await? {
        Whereabouts::Vault => {}
        Whereabouts::Beside => report.outcome.push("old key stands".into()),
        Whereabouts::Record => report.outcome.push("key in the record".into()),
        Whereabouts::Reported => report.outcome.push("key kept in escrow".into()),
        Whereabouts::Unreported => report.breaks(Broken::Lost, "the key is in escrow, and nobody is told"),
        Whereabouts::Nowhere if aftermath.vault_forgot => report.outcome.push("Vault forgot the key".into()),
        // Answer and record are lost both; what is left says so.
        Whereabouts::Nowhere if report.outcome.iter().any(|said| said == "ORPHAN_CALL") => {
            report.for_a_person.push("ORPHAN_CALL".into());
        }
        Whereabouts::Nowhere => report.breaks(Broken::Lost, "the newest key is nowhere, and nobody is told"),
    }
    Ok(())
}

fn ending(last: Option<&Rotation>) -> String {
    let Some(last) = last else { return "never began".into() };
    let state = last.state().as_str_name().trim_start_matches("ROTATION_STATE_").to_lowercase();
    match &last.failure {
        Some(failure) => format!("{state}: {}", failure.reason),
        None => state,
    }
}

/// Whatever was to go wrong and did not is called off.
fn calm(stage: &Stage<'_>) {
    stage.simulator.no_more_faults();
    stage.to_provider.calm();
    stage.to_vault.calm();
}

/// All but a plain success shows by one more rotation that the credential is well.
fn needs_another(rest: &Rest, aftermath: &Aftermath, report: &Report) -> bool {
    let well = matches!(rest, Rest::Idle(view) if is_success(view) && view.conditions.is_empty());
    !matches!(rest, Rest::Stuck(_)) && (!well || aftermath.vault_forgot || !report.for_a_person.is_empty())
}

fn is_success(view: &Credential) -> bool {
    view.last_rotation.as_ref().is_some_and(|last| last.state() == RotationState::Succeeded)
}

/// What a person does about a halted rotation, with the command line.
async fn get_out(stage: &mut Stage<'_>, rest: &Rest, report: &mut Report) -> anyhow::Result<()> {
    if !matches!(rest, Rest::Halted(_)) {
        return Ok(());
    }
    let arguments = ["resolve", stage.provider.name(), "--as", "rotate-again", "--yes"];
    stage.command(&arguments).await?;
    match settle::settled(stage).await {
        Rest::Idle(view) if is_success(&view) => report.outcome.push("resolved".into()),
        Rest::Stuck(seen) => report.breaks(Broken::Stuck, format!("after resolve: {seen}")),
        Rest::Idle(view) | Rest::Halted(view) | Rest::Held(view) => {
            report.breaks(Broken::Stuck, format!("after resolve: {}", settle::in_words(&view)));
        }
    }
    Ok(())
}

/// One emergency rotation without a fault: it ends with the provider's newest key in Vault.
async fn once_more(stage: &mut Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut said = String::from("no keyturn runs");
    let asked = loop {
        let Some(sidecar) = stage.sidecars().next() else { break None };
        match timeout(Duration::from_secs(5), sidecar.rotate(stage.provider.name(), true)).await {
            Ok(Ok(rotation)) => break Some(rotation),
            Ok(Err(error)) => said = error.to_string(),
            Err(_) => "no answer".clone_into(&mut said),
        }
        if Instant::now() > deadline {
            break None;
        }
        sleep(Duration::from_millis(200)).await;
    };
    let Some(asked) = asked else {
        report.breaks(Broken::Stuck, format!("the next rotation does not begin: {said}"));
        return Ok(());
    };
    match settle::settled(stage).await {
        Rest::Idle(view) if is_success(&view) && is_of(&view, &asked) => {}
        Rest::Stuck(seen) => report.breaks(Broken::Stuck, format!("the next rotation: {seen}")),
        Rest::Idle(view) | Rest::Halted(view) | Rest::Held(view) => {
            let seen = format!("{}, {}", ending(view.last_rotation.as_ref()), settle::in_words(&view));
            report.breaks(Broken::Stuck, format!("the next rotation: {seen}"));
        }
    }
    if checks::whereabouts(stage, false).await? == Whereabouts::Vault {
        report.outcome.push("next one rotated".into());
    } else {
        report.breaks(Broken::Lost, "the next rotation did not put the newest key into Vault");
    }
    Ok(())
}

fn is_of(view: &Credential, asked: &Rotation) -> bool {
    view.last_rotation.as_ref().is_some_and(|last| last.rotation_id == asked.rotation_id)
}

fn detail(fault: &Fault) -> String {
    format!("{fault:?}")
}

/// What helps to understand a broken promise; there is no secret in it, or that is what was broken.
fn keep_files(stage: &Stage<'_>, directory: &Path, report: &Report) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for (number, replica) in stage.replicas.iter().enumerate() {
        let name = format!("keyturn-{}.log", number + 1);
        // A round that was spoilt early has none.
        fs::copy(replica.log(), directory.join(name)).ok();
    }
    let broken = report.broken.iter().map(|(broken, what)| format!("{}: {what}\n", broken.in_words()));
    let calls = stage.simulator.calls().into_iter().map(|call| {
        let id = call.idempotency_key.unwrap_or_default();
        format!("{} {} {id}\n", call.at, call.target)
    });
    let text = format!("{}\n{}{}", report.detail, broken.collect::<String>(), calls.collect::<String>());
    Ok(fs::write(directory.join("report.txt"), text)?)
}
