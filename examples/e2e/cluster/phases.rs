//! A pod that is deleted at each phase of a rotation: whoever comes next brings it to its end.

use anyhow::ensure;
use keyturn::testbed::{Fault, Gate};

use super::kubernetes::{keyturn_in, kubectl, pods, until_ready};
use super::scenes::{APPLICATION, SOCKET, at_rest, first_pod, rotate_from_the_application};
use super::stage::{CREDENTIAL, Stage};
use crate::watch::{Watch, until};

const RECORD_WRITTEN: &str = "POST /v1/secret/data/keyturn/adyen-client-key ";
const ENTRY_WRITTEN: &str = "POST /v1/secret/data/payments/adyen ";

pub(crate) async fn each(stage: &Stage, watch: &mut Watch) -> anyhow::Result<()> {
    before_the_call(stage).await?;
    watch.step("deleted before the call leaves: the provider's read settles it, no call and no key, the old one stands")?;
    for end in [End::Deleted, End::Forced] {
        call_under_way(stage, end).await?;
        watch.step(format!("{end} with a call under way: one key"))?;
        staged(stage, end).await?;
        watch.step(format!("{end} with a staged key: the next pod goes on at once, one key"))?;
        published(stage, end).await?;
        watch.step(format!("{end} between publication and close: recognised and closed, one key"))?;
    }
    Ok(())
}

/// How the pod ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As pods usually do: it is asked to.
    Deleted,
    /// By force: another takes its place at once, and it has two seconds.
    Forced,
}

impl End {
    /// Begins the end; ends when another pod is to take its place.
    async fn begin(self, pod: &str) -> anyhow::Result<()> {
        let how: &[&str] = match self {
            Self::Deleted => &["--wait=false"],
            Self::Forced => &["--grace-period=0", "--force"],
        };
        kubectl(&[&["delete", "pod", pod], how].concat())?;
        until("the pod on its way out", || async { Ok(!pods(APPLICATION)?.iter().any(|other| other == pod)) })
            .await
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deleted => "deleted",
            Self::Forced => "deleted by force",
        })
    }
}

/// A rotation that has begun, and what the provider had seen before it.
struct Begun {
    pod: String,
    calls: usize,
    minted: usize,
}

fn begin(stage: &Stage) -> anyhow::Result<Begun> {
    let (calls, minted) = (stage.provider.calls().len(), stage.provider.minted_count());
    let pod = first_pod()?;
    keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency", "--socket", SOCKET])?;
    Ok(Begun { pod, calls, minted })
}

/// Vault has the provider's key after so many calls, each of which made one.
async fn ends_well(stage: &Stage, begun: &Begun, calls: usize) -> anyhow::Result<()> {
    until("the end of the pod", || async { Ok(kubectl(&["get", "pod", &begun.pod]).is_err()) }).await?;
    until_ready(APPLICATION, 1).await?;
    until("the end of the rotation", || async {
        Ok(stage.provider.minted_count() >= begun.minted + calls && stage.phase().await? == "idle")
    })
    .await?;
    at_rest(APPLICATION, "keyturn").await?;
    let minted = stage.provider.minted_count() - begun.minted;
    ensure!(minted == calls, "{minted} keys for one rotation");
    stage.assert_published(begun.calls + calls).await
}

async fn before_the_call(stage: &Stage) -> anyhow::Result<()> {
    stage.valve.close_after(RECORD_WRITTEN);
    let begun = begin(stage)?;
    stage.valve.closed().await;
    ensure!(stage.phase().await? == "intended", "the first write is no intent");
    End::Deleted.begin(&begun.pod).await?;
    stage.valve.reopen();
    ends_well(stage, &begun, 0).await
}

async fn call_under_way(stage: &Stage, end: End) -> anyhow::Result<()> {
    let gate = Gate::new();
    stage.provider.next_call(Fault::held(&gate));
    let begun = begin(stage)?;
    gate.reached().await;
    end.begin(&begun.pod).await?;
    gate.release();
    ends_well(stage, &begun, 1).await
}

async fn staged(stage: &Stage, end: End) -> anyhow::Result<()> {
    let begun = begin(stage)?;
    until("the staged key", || async { Ok(stage.phase().await? == "staged") }).await?;
    end.begin(&begun.pod).await?;
    until("the release", || async { stage.is_released().await }).await?;
    ends_well(stage, &begun, 1).await
}

async fn published(stage: &Stage, end: End) -> anyhow::Result<()> {
    stage.valve.close_after(ENTRY_WRITTEN);
    let begun = begin(stage)?;
    stage.valve.closed().await;
    ensure!(stage.is_published().await? && stage.phase().await? != "idle", "it is closed, or not published");
    end.begin(&begun.pod).await?;
    stage.valve.reopen();
    ends_well(stage, &begun, 1).await?;
    rotate_from_the_application(stage).await
}
