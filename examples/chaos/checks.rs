//! What must be true at the end of a round: of the provider's ledger, Vault and the escrow directories together.

use std::collections::BTreeMap;

use anyhow::Context as _;
use keyturn::testbed::{Call, CallOutcome, break_glass};
use serde_json::Value;

use super::report::{Broken, Report};
use super::stage::Stage;

/// Checks the entry's whole history, and how often the provider was called.
pub(crate) async fn history(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let keys = stage.simulator.keys();
    let versions = versions(stage).await?;
    let first = versions.first().map(|(_, data)| others(stage, data));
    let mut newest = 0;
    for (version, data) in &versions {
        if Some(others(stage, data)) != first {
            report.breaks(Broken::Torn, format!("version {version} has other fields than the first"));
        }
        let value = data.get(stage.field()).and_then(Value::as_str).unwrap_or_default();
        let Some(place) = keys.iter().position(|key| key == value) else {
            report.breaks(Broken::Torn, format!("version {version} holds no key that the provider made"));
            continue;
        };
        if place < newest {
            report.breaks(Broken::Older, format!("version {version} holds key {place} after key {newest}"));
        }
        newest = newest.max(place);
        if let Err(wrong) = stamp_fits(stage, data, place) {
            report.breaks(Broken::Torn, format!("version {version}: {wrong}"));
        }
    }
    Ok(())
}

/// All versions of the entry that Vault remembers, oldest first.
async fn versions(stage: &Stage<'_>) -> anyhow::Result<Vec<(u64, Value)>> {
    let (_, last) = stage.entry().await?;
    let server = stage.vault.server().await?;
    let mut found = Vec::new();
    for version in 1..=last {
        let path = stage.entry_path().replacen("secret/", "secret/data/", 1);
        let answer = server.request("GET", &format!("{path}?version={version}"), None).await?;
        let data = answer.expect_success("read an old version")?.pointer("/data/data").cloned();
        found.push((version, data.context("a version without data")?));
    }
    Ok(found)
}

/// The entry without what keyturn writes.
fn others(stage: &Stage<'_>, data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(data) = data.as_object_mut() {
        data.remove(stage.field());
        data.remove("_keyturn");
    }
    data
}

/// Whether the stamp is that of the rotation whose call made the key.
fn stamp_fits(stage: &Stage<'_>, data: &Value, place: usize) -> Result<(), String> {
    let stamp = data.get("_keyturn").and_then(|stamps| stamps.get(stage.field()));
    let id = stamp.and_then(|stamp| stamp.get("rotation_id")).and_then(Value::as_str);
    let Some(made_by) = place.checked_sub(1) else {
        return if id.is_none() { Ok(()) } else { Err("the first key has a stamp".into()) };
    };
    let id = id.ok_or("a new key without a stamp")?;
    if !stage.provider.sends_rotation_id() {
        return Ok(());
    }
    let made: Vec<Call> =
        stage.simulator.calls().into_iter().filter(|call| call.outcome == CallOutcome::Done).collect();
    let maker = made.get(made_by).and_then(|call| call.idempotency_key.as_deref());
    if maker == Some(id) { Ok(()) } else { Err(format!("the stamp is of rotation {id}, the key of another")) }
}

/// Counts the calls of each rotation, and whether one had too many.
///
/// `recorded` is what keyturn says of them; nothing, where Vault was made to forget rotations. `unkept` is how many
/// calls acted and were told to have failed: a provider keeps no such answer, so that a replay acts again.
pub(crate) fn calls(
    stage: &Stage<'_>,
    recorded: Option<&BTreeMap<String, usize>>,
    unkept: usize,
    report: &mut Report,
) {
    let calls = stage.simulator.calls();
    let (keys_max, calls_max) =
        (stage.provider.keys_per_rotation_max(unkept), stage.provider.calls_per_rotation_max());
    let mut counts = BTreeMap::<String, (usize, usize)>::new();
    report.arrived = calls.len();
    if stage.provider.sends_rotation_id() {
        for call in &calls {
            let id = call.idempotency_key.clone().unwrap_or_default();
            let (arrived, made) = counts.entry(id).or_default();
            *arrived += 1;
            *made += usize::from(call.outcome == CallOutcome::Done);
        }
    } else if let Some(recorded) = recorded {
        // A request that was sent and never arrived is counted by the record alone.
        counts.extend(recorded.iter().map(|(id, calls)| (id.clone(), (*calls, 0))));
        let sum: usize = recorded.values().sum();
        if calls.len() > sum {
            report
                .breaks(Broken::Doubled, format!("{} calls arrived, the record knows of {sum}", calls.len()));
        }
    }
    for (id, (arrived, made)) in counts {
        *report.calls.entry(arrived).or_default() += 1;
        if made > keys_max || calls_max.is_some_and(|most| arrived > most) {
            report.breaks(
                Broken::Doubled,
                format!("rotation {id}: {arrived} calls arrived, {made} made a key"),
            );
        }
    }
}

/// Where the provider's newest key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// In the application's entry.
    Vault,
    /// In keyturn's record, where it waits.
    Record,
    /// In a sealed file that keyturn reports.
    Reported,
    /// In a sealed file of which nobody is told.
    Unreported,
    /// Nowhere.
    Nowhere,
}

/// Looks for the newest key; `told` is whether keyturn shows that something is kept, or asks a person.
pub(crate) async fn whereabouts(stage: &Stage<'_>, told: bool) -> anyhow::Result<Whereabouts> {
    let newest = stage.simulator.current_key();
    let (data, _) = stage.entry().await?;
    if data.get(stage.field()).and_then(Value::as_str) == Some(newest.as_str()) {
        return Ok(Whereabouts::Vault);
    }
    let record = stage.record().await?;
    let staged = record.as_ref().and_then(|record| record.get("staged")).and_then(Value::as_str);
    if staged == Some(newest.as_str()) {
        return Ok(Whereabouts::Record);
    }
    if !is_in_escrow(stage, &newest) {
        return Ok(Whereabouts::Nowhere);
    }
    Ok(if told { Whereabouts::Reported } else { Whereabouts::Unreported })
}

fn is_in_escrow(stage: &Stage<'_>, newest: &str) -> bool {
    stage.escrows().iter().any(|escrow| break_glass::holds(escrow, &stage.break_glass, newest))
}

/// How many calls each rotation has made, as the record says; the open one is at its end.
pub(crate) async fn recorded_calls(stage: &Stage<'_>) -> anyhow::Result<BTreeMap<String, usize>> {
    let record = stage.record().await?.unwrap_or_default();
    let closed = record.pointer("/state/history").and_then(Value::as_array).cloned().unwrap_or_default();
    let open = record.pointer("/state/phase/rotation").cloned();
    let calls = closed.into_iter().chain(open).map(|rotation| {
        let id = rotation.get("rotation_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let calls = rotation.get("calls").and_then(Value::as_u64).unwrap_or_default();
        anyhow::Ok((id, usize::try_from(calls)?))
    });
    calls.collect()
}
