//! The cluster, as `kubectl` and `helm` see it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::command::output;
use crate::watch::until;

/// What everything is installed into.
pub(crate) const NAMESPACE: &str = "apps";

/// The output of `kubectl` in the applications' namespace.
pub(crate) fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    let mut all = vec!["--namespace", NAMESPACE];
    all.extend(arguments);
    output("kubectl", &all)
}

/// Makes or changes objects.
pub(crate) fn apply(objects: &Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut kubectl = Command::new("kubectl")
        .args(["--namespace", NAMESPACE, "apply", "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = kubectl.stdin.take().context("kubectl takes no input")?;
    input.write_all(objects.to_string().as_bytes())?;
    drop(input);
    if !kubectl.wait()?.success() {
        bail!("kubectl refuses {objects}");
    }
    Ok(())
}

/// The names of the pods with this label that are not on their way out.
pub(crate) fn pods(label: &str) -> anyhow::Result<Vec<String>> {
    let told = kubectl(&["get", "pods", "--selector", label, "--output", "json"])?;
    let told: Value = serde_json::from_str(&told)?;
    let items = told.get("items").and_then(Value::as_array).context("kubectl tells no pods")?;
    let lives = |pod: &&Value| {
        pod.pointer("/metadata/deletionTimestamp").is_none()
            && !matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Failed" | "Succeeded"))
    };
    let name = |pod: &Value| pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    Ok(items.iter().filter(lives).filter_map(name).collect())
}

/// Whether so many pods with this label are ready, and there is no other.
pub(crate) fn are_ready(label: &str, count: usize) -> anyhow::Result<bool> {
    let told = kubectl(&["get", "pods", "--selector", label, "--output", "json"])?;
    let told: Value = serde_json::from_str(&told)?;
    let items = told.get("items").and_then(Value::as_array).context("kubectl tells no pods")?;
    let ready = |pod: &Value| {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it.get("type") == Some(&"Ready".into()) && it.get("status") == Some(&"True".into()))
        })
    };
    Ok(items.len() == count && items.iter().all(ready))
}

/// Waits until so many pods with this label are ready, and there is no other.
pub(crate) async fn until_ready(label: &str, count: usize) -> anyhow::Result<()> {
    let ready = until(&format!("{count} ready pods of {label}"), || async { are_ready(label, count) }).await;
    ready.with_context(|| {
        kubectl(&["describe", "pods", "--selector", label]).unwrap_or_else(|error| format!("{error:#}"))
    })
}

/// Runs keyturn's command line in a container of a pod.
pub(crate) fn keyturn_in(pod: &str, container: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut all = vec!["exec", pod, "--container", container, "--", "/keyturn"];
    all.extend(arguments);
    kubectl(&all)
}
