//! What a cluster does to pods, and what must come of it: the provider's key is in Vault, and nobody was called twice.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use keyturn::testbed::{Fault, Gate};
use serde_json::json;

use super::copies;
use super::kubernetes::{NAMESPACE, keyturn_in, kubectl, pods, until_ready};
use super::phases;
use super::stage::{CREDENTIAL, Stage};
use crate::command::output;
use crate::watch::{Watch, until};

const SHARED: &str = "app.kubernetes.io/instance=keyturn";
pub(crate) const APPLICATION: &str = "app=application";
pub(crate) const SOCKET: &str = "/run/keyturn/keyturn.sock";

/// A deployment of keyturn's own, as the page for readers makes it.
pub(crate) async fn shared(stage: &Stage, watch: &mut Watch) -> anyhow::Result<()> {
    stage.reader.follow(1, 4)?;
    stage.vouch_for_the_provider()?;
    watch.step("page, steps 1 to 4: Vault lets pods log in, has the keys, and keyturn a certificate")?;
    stage.reader.follow(5, 5)?;
    watch.step("page, step 5: helm install --wait and helm test over the Service with TLS")?;
    stage.reader.follow(6, 6)?;
    stage.assert_published(1).await?;
    watch.step("page, step 6: doctor finds nothing, and a key is rotated by one call")?;

    kubectl(&["scale", "deployment/keyturn", "--replicas=3"])?;
    until_ready(SHARED, 3).await?;
    let asking = pods(SHARED)?.into_iter().map(|pod| {
        tokio::task::spawn_blocking(move || {
            // One of them begins it; the others are told that it is under way, or wait for the same one.
            keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency"]).is_ok()
        })
    });
    let mut accepted = 0;
    for asked in asking.collect::<Vec<_>>() {
        accepted += usize::from(asked.await?);
    }
    ensure!(accepted >= 1, "nobody took the rotation");
    until("the rotation of one of three", || async {
        Ok(stage.is_published().await? && stage.provider.calls().len() == 2)
    })
    .await?;
    at_rest(SHARED, "keyturn").await?;
    stage.assert_published(2).await?;
    watch.step("three replicas, each asked at once: one call")
}

/// No open rotation, as each pod tells it.
pub(crate) async fn at_rest(label: &str, container: &str) -> anyhow::Result<()> {
    until("rest", || async {
        for pod in pods(label)? {
            let told =
                keyturn_in(&pod, container, &["status", CREDENTIAL, "--output", "json", "--socket", SOCKET])?;
            if told.contains("\"current_rotation\": {") {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// A keyturn in each pod of an application.
pub(crate) async fn sidecar(stage: &Stage, watch: &mut Watch) -> anyhow::Result<()> {
    stage.reader.follow(7, 7)?;
    until_ready(APPLICATION, 2).await?;
    watch.step("page, step 7: an application with a keyturn in each of its two pods")?;
    keep_the_user_of_claims(stage)?;
    watch.step("claims: an upgrade to another user is refused, others are not")?;
    stage.reader.follow(8, 8)?;
    until_ready(APPLICATION, 0).await?;
    until_ready(SHARED, 0).await?;
    ensure!(stage.is_published().await?, "the key went with the releases");
    watch.step("page, step 8: both uninstalled; the key stays in Vault")?;
    stage.reader.follow(7, 7)?;
    until_ready(APPLICATION, 2).await?;
    watch.step("installed again: it goes on from its record")?;

    rotate_from_the_application(stage).await?;
    watch.step("the application asks through the shared socket: one call")?;
    scale(stage).await?;
    watch.step("scaled to 1, 3 and 0 and back, a rotation at each but 0: one call each")?;
    kill_the_container(stage).await?;
    watch.step("kill -9 of keyturn's container: started again, and it rotates")?;
    for (what, end) in [
        ("deleted", End::Delete),
        ("evicted", End::Evict),
        ("drained", End::Drain),
        ("rolled over", End::RollOver),
    ] {
        end_with_a_call_under_way(stage, end).await?;
        watch.step(format!("{what} while a call is under way: it comes to its end, one call"))?;
    }
    phases::each(stage, watch).await?;
    copies::delete_between_answer_and_store(stage).await?;
    watch.step("all pods deleted at once between answer and store, Vault sealed: the copy in the cluster reaches Vault")?;
    copies::try_first(stage).await?;
    watch.step("copies that may not be written, or find no room: no call before they can, then one")?;
    start_late(stage, "keyturn", "localhost/keyturn:0.1.0").await?;
    watch.step("an application that starts before keyturn: it finds the socket when it is there, and is not restarted")?;
    start_late(stage, "application", "localhost/application:e2e").await?;
    watch.step("an application that starts after keyturn: it finds the socket at once")?;
    start_before_vault(stage).await?;
    watch.step("started while Vault is sealed: the application runs, keyturn waits and then serves")?;
    change_the_configuration(stage).await?;
    watch.step("a broken configuration is refused as a whole, a good one taken up, without a restart")?;
    output("helm", &["uninstall", "application", "--namespace", NAMESPACE]).map(drop)
}

/// The pods stay pending, for nobody provides volumes here; the StatefulSet is all that counts.
fn keep_the_user_of_claims(stage: &Stage) -> anyhow::Result<()> {
    let upgrade = "helm upgrade --install claimed charts/keyturn --namespace apps --values charts/keyturn/examples/shared.yaml \
        --set escrow.volume=claim --set escrow.kubernetesSecret.name= --set image.repository=\"$IMAGE\" \
        --set vault.address=\"$VAULT_ADDRESS\"";
    stage.reader.run(upgrade)?;
    stage.reader.run(&format!("{upgrade} --set terminationGracePeriodSeconds=90"))?;
    let refused =
        stage.reader.run(&format!("{upgrade} --set user=70000")).err().context("it was upgraded")?;
    ensure!(format!("{refused:#}").contains("updates to statefulset spec"), "{refused:#}");
    stage.reader.run(
        "helm uninstall claimed --namespace apps; \
         kubectl --namespace apps delete persistentvolumeclaims --selector app.kubernetes.io/instance=claimed",
    )
}

/// Asks as the application and waits for the end.
pub(crate) async fn rotate_from_the_application(stage: &Stage) -> anyhow::Result<()> {
    let calls = stage.provider.calls().len();
    let pod = first_pod()?;
    until("a rotation", || async {
        // A pod that has just started follows the record before it takes orders.
        Ok(keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency", "--wait", "--socket", SOCKET])
            .is_ok())
    })
    .await?;
    keyturn_in(&pod, "application", &["status", CREDENTIAL, "--socket", SOCKET])?;
    stage.assert_published(calls + 1).await
}

pub(crate) fn first_pod() -> anyhow::Result<String> {
    pods(APPLICATION)?.into_iter().next().context("there is no pod of the application")
}

async fn scale(stage: &Stage) -> anyhow::Result<()> {
    for replicas in [1, 3, 0, 1] {
        kubectl(&["scale", "deployment/application", &format!("--replicas={replicas}")])?;
        until_ready(APPLICATION, replicas).await?;
        if replicas > 0 {
            rotate_from_the_application(stage).await?;
        }
    }
    Ok(())
}

async fn kill_the_container(stage: &Stage) -> anyhow::Result<()> {
    let restarts = || {
        kubectl(&[
            "get",
            "pods",
            "--selector",
            APPLICATION,
            "--output",
            "jsonpath={.items[*].status.containerStatuses[?(@.name==\"keyturn\")].restartCount}",
        ])
    };
    let before = restarts()?;
    output("pkill", &["-KILL", "--full", "^/keyturn run --config"])?;
    until("a restart of the container", || async { Ok(restarts()? != before) }).await?;
    until_ready(APPLICATION, 1).await?;
    rotate_from_the_application(stage).await
}

/// How a pod comes to its end.
#[derive(Clone, Copy)]
enum End {
    Delete,
    Evict,
    Drain,
    RollOver,
}

impl End {
    fn begin(self, pod: &str) -> anyhow::Result<()> {
        match self {
            Self::Delete => kubectl(&["delete", "pod", pod, "--wait=false"]).map(drop),
            Self::Evict => {
                let eviction = json!({ "apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": { "name": pod, "namespace": NAMESPACE } });
                let file = tempfile::NamedTempFile::new()?;
                std::fs::write(&file, eviction.to_string())?;
                let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
                output(
                    "kubectl",
                    &["create", "--raw", &path, "--filename", &file.path().display().to_string()],
                )
                .map(drop)
            }
            Self::Drain => {
                output(
                    "kubectl",
                    &[
                        "drain",
                        "node",
                        "--ignore-daemonsets",
                        "--delete-emptydir-data",
                        "--force",
                        "--timeout=1s",
                    ],
                )
                .ok();
                Ok(())
            }
            Self::RollOver => kubectl(&["rollout", "restart", "deployment/application"]).map(drop),
        }
    }

    fn undo(self) -> anyhow::Result<()> {
        match self {
            Self::Drain => output("kubectl", &["uncordon", "node"]).map(drop),
            _ => Ok(()),
        }
    }
}

async fn end_with_a_call_under_way(stage: &Stage, end: End) -> anyhow::Result<()> {
    let calls = stage.provider.calls().len();
    let (pod, gate) = (first_pod()?, Gate::new());
    stage.provider.next_call(Fault::slow(Duration::ZERO).until(&gate));
    keyturn_in(&pod, "keyturn", &["rotate", CREDENTIAL, "--emergency", "--socket", SOCKET])?;
    gate.reached().await;
    end.begin(&pod)?;
    until("the pod on its way out", || async { Ok(!pods(APPLICATION)?.contains(&pod)) }).await.or_else(
        |error| {
            // A rolling update keeps the old pod until the new one is ready.
            if matches!(end, End::RollOver) { Ok(()) } else { Err(error) }
        },
    )?;
    gate.release();
    until("the end of the pod", || async { Ok(kubectl(&["get", "pod", &pod]).is_err()) }).await?;
    // What was staged when the pod was asked to stop is published by whoever takes over.
    end.undo()?;
    until("the published key", || async { stage.is_published().await }).await?;
    until_ready(APPLICATION, 1).await?;
    at_rest(APPLICATION, "keyturn").await?;
    stage.assert_published(calls + 1).await
}

/// One container of a new pod starts later than the other, for its image is not there yet.
async fn start_late(stage: &Stage, late: &str, image: &str) -> anyhow::Result<()> {
    let old = first_pod()?;
    kubectl(&["set", "image", "deployment/application", &format!("{late}=localhost/not-yet:e2e")])?;
    let new = || anyhow::Ok(pods(APPLICATION)?.into_iter().find(|pod| *pod != old));
    let status = |pod: &str, container: &str, what: &str| {
        let path = format!("jsonpath={{.status.containerStatuses[?(@.name==\"{container}\")].{what}}}");
        kubectl(&["get", "pod", pod, "--output", &path])
    };
    let early = if late == "keyturn" { "application" } else { "keyturn" };
    until("one container of two", || async {
        let Some(pod) = new()? else { return Ok(false) };
        Ok(!status(&pod, early, "state.running")?.is_empty()
            && !status(&pod, late, "state.waiting")?.is_empty())
    })
    .await?;
    let pod = new()?.context("the new pod is gone")?;
    let asks = || keyturn_in(&pod, "application", &["status", CREDENTIAL, "--socket", SOCKET]);
    ensure!(asks().is_err(), "the application is answered by nobody");
    kubectl(&["set", "image", &format!("pod/{pod}"), &format!("{late}={image}")])?;
    until("an answer to the application", || async { Ok(asks().is_ok()) }).await?;
    ensure!(status(&pod, early, "restartCount")? == "0", "{early} was restarted");
    kubectl(&["rollout", "undo", "deployment/application"])?;
    until_ready(APPLICATION, 1).await?;
    rotate_from_the_application(stage).await
}

async fn start_before_vault(stage: &Stage) -> anyhow::Result<()> {
    stage.server.seal().await?;
    let pod = first_pod()?;
    kubectl(&["delete", "pod", &pod, "--wait=true"])?;
    until("a pod whose application runs", || async {
        Ok(first_pod().is_ok_and(|pod| {
            keyturn_in(&pod, "application", &["health", "--for", "live", "--socket", SOCKET]).is_ok()
        }))
    })
    .await?;
    let pod = first_pod()?;
    ensure!(
        keyturn_in(&pod, "keyturn", &["health", "--service", "keyturn.v1.RotateService"]).is_err(),
        "keyturn serves rotations without Vault"
    );
    stage.server.unseal().await?;
    until("keyturn ready", || async {
        Ok(keyturn_in(&pod, "keyturn", &["health", "--service", "keyturn.v1.RotateService"]).is_ok())
    })
    .await?;
    rotate_from_the_application(stage).await
}

async fn change_the_configuration(stage: &Stage) -> anyhow::Result<()> {
    let pod = first_pod()?;
    let old = configuration()?;
    put_configuration(&old.replace("schedule:", "shedule:"))?;
    until("the refusal in the log", || async {
        Ok(kubectl(&["logs", &pod, "--container", "keyturn"])?.contains("shedule"))
    })
    .await?;
    rotate_from_the_application(stage).await?;
    let due = || {
        let told = keyturn_in(&pod, "keyturn", &["status", CREDENTIAL, "--output", "json"])?;
        anyhow::Ok(told.lines().find(|line| line.contains("\"next_due_time\"")).map(str::to_owned))
    };
    let before = due()?.context("nothing is due")?;
    put_configuration(&old.replace("every: 30d", "every: 10d"))?;
    until("another due time", || async { Ok(due()?.is_some_and(|due| due != before)) }).await?;
    ensure!(first_pod()? == pod, "the pod was replaced");
    put_configuration(&old)
}

const CONFIG_MAP: &str = "application-keyturn";

fn configuration() -> anyhow::Result<String> {
    kubectl(&["get", "configmap", CONFIG_MAP, "--output", "jsonpath={.data.keyturn\\.yaml}"])
}

fn put_configuration(text: &str) -> anyhow::Result<()> {
    let patch = json!({ "data": { "keyturn.yaml": text } }).to_string();
    kubectl(&["patch", "configmap", CONFIG_MAP, "--type", "merge", "--patch", &patch]).map(drop)
}
