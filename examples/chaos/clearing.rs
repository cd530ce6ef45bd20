//! Where keys live side by side: waiting until none lives that nobody needs, and what a person does where keyturn cannot.

use std::collections::BTreeSet;
use std::time::Duration;

use keyturn::rotation::{Creates, owed_for_at_most};
use keyturn::testbed::derived::{Derived, DerivedKey};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::checks;
use super::report::{Broken, Report};
use super::stage::Stage;

/// How much longer than usual old keys and strays may take. What failed is tried again after minutes only; a restart tries at once.
const PATIENCE: Duration = Duration::from_secs(4);
const PATIENCE_AFTER_A_RESTART: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Waits until no key lives but the published one and those that are none of keyturn's. `forgot` is whether Vault was made
/// to forget rotations: a key of one of these is a person's to revoke.
pub(crate) async fn cleared(stage: &mut Stage<'_>, forgot: bool, report: &mut Report) -> anyhow::Result<()> {
    if stage.provider.plan().creates.is_none() {
        return Ok(());
    }
    // A pending key that nobody got is discarded only once no start can come any more.
    let usual = stage.provider.is_busy_for().max(owed_for_at_most(stage.provider.plan()));
    if left_after(stage, usual + PATIENCE, forgot).await.is_none() {
        return Ok(());
    }
    report.outcome.push("cleared after a restart".into());
    stage.restart().await?;
    if let Some(left) = left_after(stage, PATIENCE_AFTER_A_RESTART, forgot).await {
        report.breaks(Broken::Stray, left);
    }
    Ok(())
}

/// What is left after so long a time, unless all was cleared before.
async fn left_after(stage: &Stage<'_>, patience: Duration, forgot: bool) -> Option<String> {
    let deadline = Instant::now() + patience;
    loop {
        let left = match left(stage, forgot).await {
            Ok(left) => left?,
            Err(error) => format!("Vault does not tell: {error:#}"),
        };
        if Instant::now() > deadline {
            return Some(left);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What is left to clear.
async fn left(stage: &Stage<'_>, forgot: bool) -> anyhow::Result<Option<String>> {
    let owed = owed(stage).await?;
    if !owed.is_empty() {
        return Ok(Some(format!("owed and not revoked: {owed:?}")));
    }
    let known = checks::recorded_calls(stage).await?;
    let is_forgotten = |key: &DerivedKey| {
        forgot && key.rotation_id.as_ref().is_none_or(|rotation| !known.contains_key(rotation))
    };
    let mut strays = unneeded(stage).await?;
    strays.retain(|(_, key)| !is_forgotten(key));
    let numbers: Vec<_> = strays.iter().map(|(number, _)| number).collect();
    Ok((!strays.is_empty()).then(|| format!("strays that are not revoked: {numbers:?}")))
}

/// Revokes strays at the provider, as a person has to where they cannot be listed with their rotations; and a pending key that
/// Vault was made to forget, which nothing finds.
pub(crate) async fn by_hand(stage: &Stage<'_>, forgot: bool) -> anyhow::Result<()> {
    let creates = stage.provider.plan().creates.as_ref();
    let not_found = |creates: &Creates| !creates.clears_strays() || forgot && creates.phases.is_some();
    let Some(derived) = stage.derived.as_ref().filter(|_| creates.is_some_and(not_found)) else {
        return Ok(());
    };
    let owed = owed(stage).await?;
    for (number, _) in unneeded(stage).await?.into_iter().filter(|(_, key)| !owed.contains(&key.id)) {
        derived.revoke_by_hand(number);
    }
    Ok(())
}

/// The keys of keyturn's that live and are not published.
async fn unneeded(stage: &Stage<'_>) -> anyhow::Result<Vec<(usize, DerivedKey)>> {
    let (data, _) = stage.entry().await?;
    let published = checks::value_in(stage, &data);
    let keys = stage.derived.iter().flat_map(Derived::keys).enumerate();
    let unneeded = |key: &DerivedKey| key.dies_at.is_none() && !key.is_foreign && key.value != published;
    Ok(keys.filter(|(_, key)| unneeded(key)).collect())
}

/// The ids of the keys that the record says are to be revoked.
async fn owed(stage: &Stage<'_>) -> anyhow::Result<BTreeSet<String>> {
    let record = stage.record().await?.unwrap_or_default();
    let owed = record.pointer("/state/revocations").and_then(Value::as_array).cloned().unwrap_or_default();
    let ids = owed.iter().filter_map(|owed| owed.get("key_id").and_then(Value::as_str));
    Ok(ids.map(str::to_owned).collect())
}
