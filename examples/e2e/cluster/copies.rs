//! The Secret with the copies of answers, at a real API server.

use std::time::Duration;

use anyhow::ensure;
use keyturn::testbed::{Fault, Gate};
use serde_json::json;

use super::kubernetes::{keyturn_in, kubectl, until_ready};
use super::scenes::{APPLICATION, SOCKET, at_rest, first_pod};
use super::stage::{CREDENTIAL, Stage};
use crate::watch::until;

/// All pods end at once with the answer in nothing but the Secret.
pub(crate) async fn delete_between_answer_and_store(stage: &Stage) -> anyhow::Result<()> {
    let calls = stage.provider.calls().len();
    let (pod, gate) = (first_pod()?, Gate::new());
    stage.provider.next_call(Fault::slow(Duration::ZERO).until(&gate));
    keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency", "--socket", SOCKET])?;
    gate.reached().await;
    stage.server.seal().await?;
    gate.release();
    until("the copy of the answer", || async { Ok(copies()? == 1) }).await?;
    kubectl(&["delete", "pods", "--selector", APPLICATION, "--grace-period=0", "--force"])?;
    until("another pod", || async { Ok(first_pod().is_ok_and(|other| other != pod)) }).await?;
    ensure!(!stage.provider.calls().is_empty() && copies()? == 1, "the copy is gone");
    stage.server.unseal().await?;
    until("the published key", || async { stage.is_published().await }).await?;
    until_ready(APPLICATION, 1).await?;
    at_rest(APPLICATION, "keyturn").await?;
    until("the Secret without copies", || async { Ok(copies()? == 0) }).await?;
    stage.assert_published(calls + 1).await
}

/// How many answers are in the Secret.
fn copies() -> anyhow::Result<usize> {
    let told = kubectl(&["get", "secret", "application-copies", "--output", "json"])?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    Ok(told.get("data").and_then(serde_json::Value::as_object).map_or(0, serde_json::Map::len))
}

/// The API server refuses copies, by right and by size: seen before a call, not after it.
pub(crate) async fn try_first(stage: &Stage) -> anyhow::Result<()> {
    let role = |verbs: &[&str]| {
        let patch = json!([{ "op": "replace", "path": "/rules/0/verbs", "value": verbs }]).to_string();
        kubectl(&["patch", "role", "application-keyturn-escrow", "--type", "json", "--patch", &patch])
    };
    role(&["get"])?;
    held_until(stage, "may not get and patch it", || role(&["get", "patch"])).await?;
    let ballast = |text: serde_json::Value| {
        let patch = json!({ "stringData": { "ballast": text } }).to_string();
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(&file, patch)?;
        let file = file.path().display().to_string();
        kubectl(&["patch", "secret", "application-copies", "--patch-file", &file])
    };
    ballast("x".repeat(SECRET_BYTES_MAX - 8 * 1024).into())?;
    let removed = json!({ "data": { "ballast": null } }).to_string();
    held_until(stage, "is the Secret full", || {
        kubectl(&["patch", "secret", "application-copies", "--patch", &removed])
    })
    .await
}

/// What the API server takes at most.
const SECRET_BYTES_MAX: usize = 1 << 20;

/// A rotation is held for this reason, without a call, until what stands in the way is mended.
async fn held_until(
    stage: &Stage,
    reason: &str,
    mend: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let calls = stage.provider.calls().len();
    let pod = first_pod()?;
    keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency", "--socket", SOCKET])?;
    until("the hold", || async {
        Ok(keyturn_in(&pod, "keyturn", &["status", CREDENTIAL, "--socket", SOCKET])?.contains(reason))
    })
    .await?;
    ensure!(
        stage.provider.calls().len() == calls,
        "the provider was called while copies could not be written"
    );
    mend()?;
    until("the rotation", || async {
        Ok(stage.provider.calls().len() > calls && stage.is_published().await?)
    })
    .await?;
    at_rest(APPLICATION, "keyturn").await?;
    stage.assert_published(calls + 1).await
}
