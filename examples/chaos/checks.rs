//! What must be true at the end of a round: of the provider's ledger, Vault and the escrow directories together.

mod supplied;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::Timestamp;
use keyturn::testbed::derived::Derived;
use keyturn::testbed::{Call, CallOutcome, break_glass};
use serde_json::Value;

use super::report::{Broken, Report};
use super::stage::Stage;

pub(crate) use supplied::one_key_for_all_calls;
pub(crate) use uses::{Uses, no_key_in_use_died};

/// One version of the application's entry.
pub(crate) struct Version {
    number: u64,
    written_at: Timestamp,
    data: Value,
}

/// All versions of the entry that keyturn saw and Vault remembers, oldest first.
pub(crate) async fn versions(stage: &Stage<'_>) -> anyhow::Result<Vec<Version>> {
    let (_, last) = stage.entry().await?;
    let server = stage.vault.server().await?;
    let mut found = Vec::new();
    for number in stage.first_version..=last {
        let path = stage.entry_path().replacen("secret/", "secret/data/", 1);
        let answer = server.request("GET", &format!("{path}?version={number}"), None).await?;
        // Vault keeps ten, and a fence is one.
        if answer.status == 404 {
            continue;
        }
        let answer = answer.expect_success("read an old version")?;
        let written_at = answer.pointer("/data/metadata/created_time").and_then(Value::as_str);
        found.push(Version {
            number,
            written_at: written_at.context("a version without a time")?.parse()?,
            data: answer.pointer("/data/data").cloned().context("a version without data")?,
        });
    }
    Ok(found)
}

/// Checks the entry's whole history.
pub(crate) fn history(stage: &Stage<'_>, versions: &[Version], report: &mut Report) {
    let keys = stage.simulator.keys();
    let first = versions.first().map(|first| others(stage, &first.data));
    let mut newest = 0;
    for Version { number, data, .. } in versions {
        if Some(others(stage, data)) != first {
            report.breaks(Broken::Torn, format!("version {number} has other fields than the first"));
        }
        let value = value_in(stage, data);
        let Some(place) = keys.iter().position(|key| key == value) else {
            report.breaks(Broken::Torn, format!("version {number} holds no key that the provider made"));
            continue;
        };
        if place < newest {
            report.breaks(Broken::Older, format!("version {number} holds key {place} after key {newest}"));
        }
        newest = newest.max(place);
        for wrong in
            [stamp_fits(stage, data, place), fields_fit(stage, data)].into_iter().filter_map(Result::err)
        {
            report.breaks(Broken::Torn, format!("version {number}: {wrong}"));
        }
    }
}

/// The key in the entry.
pub(crate) fn value_in<'a>(stage: &Stage<'_>, data: &'a Value) -> &'a str {
    data.get(stage.field()).and_then(Value::as_str).unwrap_or_default()
}

/// The entry without what keyturn writes.
fn others(stage: &Stage<'_>, data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(data) = data.as_object_mut() {
        let written = stage.provider.fields().chain([stage.field(), "_keyturn"]);
        written.for_each(|field| drop(data.remove(field)));
    }
    data
}

fn stamp<'a>(stage: &Stage<'_>, data: &'a Value) -> Option<&'a Value> {
    data.get("_keyturn").and_then(|stamps| stamps.get(stage.field()))
}

/// Whether the stamp is that of the rotation whose call made the key.
fn stamp_fits(stage: &Stage<'_>, data: &Value, place: usize) -> Result<(), String> {
    let id = stamp(stage, data).and_then(|stamp| stamp.get("rotation_id")).and_then(Value::as_str);
    let Some(made_by) = place.checked_sub(stage.keys_before) else {
        return match id {
            _ if place + 1 < stage.keys_before => Err("the key is none of keyturn's".into()),
            None => Ok(()),
            Some(_) => Err("the first key has a stamp".into()),
        };
    };
    let id = id.ok_or("a new key without a stamp")?;
    let calls = stage.simulator.calls();
    if !carry_ids(&calls) {
        return Ok(());
    }
    let made: Vec<_> = calls.iter().filter(|call| call.outcome == CallOutcome::Done).collect();
    let maker = made.get(made_by).and_then(|call| call.idempotency_key.as_deref());
    if maker == Some(id) { Ok(()) } else { Err(format!("the stamp is of rotation {id}, the key of another")) }
}

/// Whether this provider's calls carry the rotation's id.
fn carry_ids(calls: &[Call]) -> bool {
    calls.iter().any(|call| call.idempotency_key.is_some())
}

/// Whether what goes with the key is of the very answer that brought the key, and the stamp says so.
fn fields_fit(stage: &Stage<'_>, data: &Value) -> Result<(), String> {
    let keys = stage.derived.as_ref().map(Derived::keys).unwrap_or_default();
    let Some(key) = keys.into_iter().find(|key| key.value == value_in(stage, data)) else { return Ok(()) };
    let of_the_key =
        |name: &str| data.get(name).and_then(Value::as_str) == key.fields.get(name).map(String::as_str);
    if let Some(name) = stage.provider.fields().find(|name| !of_the_key(name)) {
        return Err(format!("its {name} is not the one of its key"));
    }
    let Some(stamp) = stamp(stage, data) else { return Ok(()) };
    let said = stamp.get("fields").and_then(Value::as_object);
    let said: BTreeSet<_> = said.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if said == stage.provider.fields().collect() {
        Ok(())
    } else {
        Err("its stamp names other fields".into())
    }
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
    if carry_ids(&calls) {
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
    /// Wherever it is: the key in the entry lives beside it.
    Beside,
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
    let published = value_in(stage, &data);
    if published == newest {
        return Ok(Whereabouts::Vault);
    }
    if stage.provider.plan().creates.is_some() && stage.simulator.accepts(published) {
        return Ok(Whereabouts::Beside);
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
