//! The Helm charts: every documented way to use them renders to what is expected, what Kubernetes takes, what the
//! restricted Pod Security Standard asks for, and what keyturn itself understands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod binary;
mod page;
mod policy;
mod renderings;
mod tools;
mod values;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use renderings::{COMBINATIONS, Charts, NATIVE_SIDECARS, NEWEST, OLDEST, RENDERINGS, Rendering, parse};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GOLDEN: &str = "tests/golden/chart";

#[test]
fn every_chart_passes_the_strict_lint_with_every_documented_example() {
    let charts = Charts::prepare();
    for arguments in [
        &["keyturn", "--values", "keyturn/examples/shared.yaml"][..],
        &["keyturn", "--values", "keyturn/examples/shared-claims.yaml"],
        &["example-application"],
    ] {
        let linted = charts.helm(&[&["lint", "--strict"], arguments].concat());
        assert!(linted.status.success(), "{arguments:?}: {}", tools::said(&linted));
    }
}

/// Renew them with `cp target/tmp/chart/* tests/golden/chart/`.
#[test]
fn every_combination_renders_to_its_golden_file() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chart");
    // What an earlier run left is of another time.
    fs::remove_dir_all(&fresh).ok();
    let mut stale = Vec::new();
    for Rendering { combination, text, objects } in RENDERINGS.iter() {
        let file = format!("{}.yaml", combination.name);
        let golden = fs::read_to_string(Path::new(ROOT).join(GOLDEN).join(&file)).unwrap_or_default();
        // Versions of Helm write the same objects in other orders and with other empty lines.
        if parse(&golden) != *objects {
            fs::create_dir_all(&fresh).unwrap();
            fs::write(fresh.join(&file), text).unwrap();
            stale.push(file);
        }
    }
    assert!(stale.is_empty(), "look at the difference to target/tmp/chart: {stale:#?}");
    let expected: BTreeSet<_> =
        COMBINATIONS.iter().map(|combination| format!("{}.yaml", combination.name)).collect();
    let found = fs::read_dir(Path::new(ROOT).join(GOLDEN)).unwrap();
    let found: BTreeSet<_> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_rendering_is_what_its_kubernetes_takes_to_the_last_field() {
    let directory = tempfile::tempdir().unwrap();
    for version in [OLDEST, NATIVE_SIDECARS, NEWEST] {
        let meant = RENDERINGS.iter().filter(|rendering| rendering.combination.versions.contains(&version));
        let files: Vec<PathBuf> = meant
            .map(|rendering| {
                let file = directory.path().join(rendering.combination.name);
                fs::write(&file, &rendering.text).unwrap();
                file
            })
            .collect();
        assert!(files.len() > 2, "{version}");
        assert_eq!(tools::mistakes_in_objects(version, &files), "", "Kubernetes {version}");
    }
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("misspelt.yaml");
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: a, imag: b }] }\n";
    fs::write(&file, pod).unwrap();
    for version in [OLDEST, NEWEST] {
        let mistakes = tools::mistakes_in_objects(version, std::slice::from_ref(&file));
        assert!(mistakes.contains("imag"), "{version}: {mistakes}");
    }
}

#[test]
fn a_native_sidecar_is_refused_where_kubernetes_would_wait_for_its_end() {
    let charts = Charts::prepare();
    let refused = charts.try_with("sidecar", "1.28", &[]);
    assert!(!refused.status.success());
    let said = tools::said(&refused);
    assert!(said.contains("set sidecar.native to false"), "{said}");
    assert!(charts.try_with("sidecar", "1.28", &["keyturn.sidecar.native=false"]).status.success());
}

#[test]
fn a_kubernetes_older_than_the_oldest_is_refused() {
    let refused = Charts::prepare().try_with("shared", "1.19", &[]);
    assert!(!refused.status.success());
    assert!(tools::said(&refused).contains("kubeVersion"), "{}", tools::said(&refused));
}

#[test]
fn pods_restart_where_keyturn_does_not_take_a_change_up_by_itself() {
    let charts = Charts::prepare();
    let stamp = |settings: &[&str]| {
        let output = charts.try_with("shared", NEWEST, settings);
        let objects = parse(&String::from_utf8(output.stdout).unwrap());
        let pod = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let annotations = &pod["spec"]["template"]["metadata"]["annotations"];
        annotations["keyturn/configuration"].as_str().unwrap().to_owned()
    };
    let before = stamp(&[]);
    let credential = "config.credentials[0].store=secret/payments/other#client_key";
    assert_eq!(stamp(&[credential]), before);
    for change in [
        "vault.role=other",
        "config.timeouts={\"settle\":\"1m\"}",
        "config.log={\"level\":\"debug\"}",
        "definitions={\"own.yaml\":\"name: own/key\"}",
        "escrow.recipients=[\"age1\"]",
        "operators=[1000]",
    ] {
        assert_ne!(stamp(&[change]), before, "{change}");
    }
    assert_ne!(stamp(&["reload=false"]), stamp(&["reload=false", credential]));
}

/// Renew them with `cp target/tmp/charts/keyturn/files/alerts.yaml charts/keyturn/files/`.
#[test]
fn the_alerts_are_those_of_the_page() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/metrics.md")).unwrap();
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts/keyturn/files");
    fs::create_dir_all(&fresh).unwrap();
    fs::write(fresh.join("alerts.yaml"), shown).unwrap();
    let shown: Value = serde_saphyr::from_str(shown).unwrap();
    let mut seen = 0;
    for Rendering { objects, .. } in RENDERINGS.iter() {
        for rule in objects.iter().filter(|object| object["kind"] == "PrometheusRule") {
            assert_eq!(rule["spec"], shown);
            seen += 1;
        }
    }
    assert!(seen > 1);
}

/// The pods of a rendering: name of the object, and its pod's specification.
fn pods(objects: &[Value]) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for object in objects {
        let name =
            format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let spec = &object["spec"];
        match object["kind"].as_str().unwrap() {
            "Pod" => found.push((name, spec)),
            "Deployment" | "StatefulSet" => found.push((name, &spec["template"]["spec"])),
            _ => {}
        }
    }
    assert!(!found.is_empty());
    found
}

/// All containers of a pod, those that come first included.
fn containers(pod: &Value) -> Vec<&Value> {
    let lists = ["initContainers", "containers"].map(|list| pod[list].as_array());
    lists.into_iter().flatten().flatten().collect()
}
