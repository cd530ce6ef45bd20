//! Faults of Vault: what it allows, whether it answers, and what it remembers.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::sleep;

use super::super::faults::{Restore, When};
use super::super::house::Vault;
use super::super::settle;
use super::super::stage::Stage;
use super::reach;

pub(super) async fn token_revoked(stage: &mut Stage<'_>, when: When) -> anyhow::Result<()> {
    stage.start().await?;
    let reached = reach(stage, when).await;
    let token = stage.to_vault.tokens().pop().context("no token passed")?;
    stage.vault.server().await?.revoke(&token).await?;
    reached.go_on(stage).await;
    Ok(())
}

pub(super) async fn policy_withdrawn(
    stage: &mut Stage<'_>,
    when: When,
    lasts: Duration,
) -> anyhow::Result<()> {
    stage.start().await?;
    let policy = format!("keyturn-{}", stage.name);
    let path = format!("sys/policies/acl/{policy}");
    let answer = stage.vault.server().await?.request("GET", &path, None).await?.expect_success("read it")?;
    let rules = answer.pointer("/data/policy").and_then(Value::as_str).context("a policy without rules")?;
    let reached = reach(stage, when).await;
    let nothing = "path \"secret/data/nothing\" { capabilities = [\"read\"] }";
    stage.vault.server().await?.write_policy(&policy, nothing).await?;
    reached.go_on(stage).await;
    sleep(lasts).await;
    Ok(stage.vault.server().await?.write_policy(&policy, rules).await?)
}

pub(super) async fn sealed(stage: &mut Stage<'_>, when: When, lasts: Duration) -> anyhow::Result<()> {
    stage.start().await?;
    let reached = reach(stage, when).await;
    stage.vault.server().await?.seal().await?;
    reached.go_on(stage).await;
    sleep(lasts).await;
    Ok(stage.vault.server().await?.unseal().await?)
}

pub(super) async fn killed(stage: &mut Stage<'_>, when: When, lasts: Duration) -> anyhow::Result<()> {
    stage.start().await?;
    let reached = reach(stage, when).await;
    match &mut stage.vault {
        Vault::Turn(server) => server.kill(),
        _ => bail!("this server is not ours to kill"),
    }
    reached.go_on(stage).await;
    sleep(lasts).await;
    match &mut stage.vault {
        Vault::Turn(server) => Ok(server.restart().await?),
        _ => bail!("this server is not ours to start"),
    }
}

/// Gives whether Vault had the newest key, and has forgotten it.
pub(super) async fn restored(
    stage: &mut Stage<'_>,
    restore: Restore,
    restart: bool,
    after: Duration,
) -> anyhow::Result<bool> {
    stage.start().await?;
    let before = stage.vault.server().await?.snapshot().await?;
    let reached = reach(stage, When::InCall).await;
    let snapshot = match restore {
        Restore::CallToEnd => stage.vault.server().await?.snapshot().await?,
        Restore::BeforeToCall | Restore::BeforeToEnd => before,
    };
    if restore == Restore::BeforeToCall {
        let server = stage.vault.server().await?;
        // The answer arrives while Vault is busy with going back.
        let (restored, ()) = tokio::join!(server.restore(snapshot), async {
            sleep(after).await;
            reached.go_on(stage).await;
        });
        restored?;
    } else {
        reached.go_on(stage).await;
        settle::settled(stage).await;
        stage.vault.server().await?.restore(snapshot).await?;
    }
    if restart {
        stage.restart().await?;
    }
    Ok(restore == Restore::BeforeToEnd)
}

pub(super) async fn leader_killed(stage: &mut Stage<'_>, when: When) -> anyhow::Result<()> {
    stage.start().await?;
    let reached = reach(stage, when).await;
    match &mut stage.vault {
        Vault::Cluster(cluster) => cluster.kill_leader().await?,
        _ => bail!("this server has no leader"),
    }
    reached.go_on(stage).await;
    sleep(Duration::from_millis(500)).await;
    match &mut stage.vault {
        Vault::Cluster(cluster) => Ok(cluster.bring_back().await?),
        _ => bail!("this server has no leader"),
    }
}
