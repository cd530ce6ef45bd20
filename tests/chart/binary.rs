//! What the charts say to keyturn is what keyturn understands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser as _;
use keyturn::cli::Cli;
use keyturn::config::Config;
use keyturn::provider::Catalog;
use serde_json::Value;
use tempfile::TempDir;

use crate::renderings::{Charts, RENDERINGS, Rendering};
use crate::{containers, pods, tools};

/// What a stop takes besides the sent call, at most; and what the pod has beyond it.
const STOP: Duration = Duration::from_secs(10);
const MARGIN: Duration = Duration::from_secs(10);

/// The files that a rendering mounts beside each other.
struct Configuration {
    directory: TempDir,
}

impl Configuration {
    fn of(objects: &[Value]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let map = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
        for (file, text) in map["data"].as_object().unwrap() {
            fs::write(directory.path().join(file), text.as_str().unwrap()).unwrap();
        }
        Self { directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("keyturn.yaml")
    }
}

#[test]
fn every_rendered_configuration_passes_keyturns_own_check() {
    for Rendering { combination, objects, .. } in RENDERINGS.iter() {
        let configuration = Configuration::of(objects);
        let mut check = Command::new(env!("CARGO_BIN_EXE_keyturn"));
        let checked = check.args(["config", "check"]).arg(configuration.file()).output().unwrap();
        assert!(checked.status.success(), "{}: {}", combination.name, tools::said(&checked));
    }
}

#[test]
fn every_rendered_command_is_one_that_keyturn_understands() {
    for Rendering { combination, objects, .. } in RENDERINGS.iter() {
        for (name, pod) in pods(objects) {
            let containers = containers(pod);
            let ours = containers
                .iter()
                .filter(|container| container["image"].as_str().unwrap().contains("keyturn"));
            let commands: Vec<Vec<String>> = ours.flat_map(|container| commands(container)).collect();
            assert!(!commands.is_empty());
            for command in commands {
                let parsed = Cli::try_parse_from(&command);
                assert!(parsed.is_ok(), "{} {name}: {command:?}: {}", combination.name, parsed.unwrap_err());
            }
        }
    }
}

/// The image's entry point with the container's arguments, and every probe.
fn commands(container: &Value) -> Vec<Vec<String>> {
    let words = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut found = vec![[vec!["/keyturn".to_owned()], words(&container["args"])].concat()];
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| &container[probe]);
    found.extend(
        probes.into_iter().filter(|probe| !probe.is_null()).map(|probe| words(&probe["exec"]["command"])),
    );
    found
}

#[test]
fn every_command_that_an_installation_notes_is_one_that_keyturn_understands() {
    let charts = Charts::prepare();
    for chart in [&["keyturn", "--values", "keyturn/examples/shared.yaml"][..], &["example-application"]] {
        let dry =
            ["install", "release", "--dry-run=client", "--render-subchart-notes", "--namespace", "apps"];
        let installed = charts.helm(&[&dry, chart].concat());
        let said = tools::said(&installed);
        assert!(installed.status.success(), "{said}");
        let (_, notes) = said.split_once("NOTES:").expect("there are no notes");
        let commands: Vec<&str> =
            notes.lines().filter_map(|line| line.split_once("-- ")).map(|(_, own)| own).collect();
        assert!(commands.contains(&"/keyturn status"), "{notes}");
        for command in commands {
            let parsed = Cli::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn the_image_is_that_of_this_version() {
    for chart in ["keyturn", "example-application"] {
        let shown = Charts::prepare().helm(&["show", "chart", chart]);
        let chart: Value = serde_saphyr::from_str(&String::from_utf8(shown.stdout).unwrap()).unwrap();
        assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_time_to_stop_in_outlasts_a_sent_call() {
    for Rendering { combination, objects, .. } in RENDERINGS.iter() {
        let configuration = Configuration::of(objects);
        let config = Config::load(&configuration.file(), Catalog::embedded()).unwrap();
        let needed = config.timeouts.provider_call + STOP + MARGIN;
        for (name, pod) in pods(objects).into_iter().filter(|(name, _)| !name.starts_with("Pod/")) {
            let granted = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
            assert!(granted >= needed, "{} {name}: {granted:?} of {needed:?}", combination.name);
        }
    }
}

#[test]
fn every_file_that_the_configuration_names_is_mounted() {
    for Rendering { combination, objects, .. } in RENDERINGS.iter() {
        let configuration = Configuration::of(objects);
        let text = fs::read_to_string(configuration.file()).unwrap();
        let config: Value = serde_saphyr::from_str(&text).unwrap();
        let named: Vec<&str> = texts(&config).into_iter().filter(|text| text.starts_with('/')).collect();
        assert!(named.len() > 2);
        for (name, pod) in pods(objects).into_iter().filter(|(name, _)| !name.starts_with("Pod/")) {
            let containers = containers(pod);
            let keyturn = containers.iter().find(|container| container["name"] == "keyturn").unwrap();
            let mounts: Vec<_> = keyturn["volumeMounts"].as_array().unwrap().iter().collect();
            for place in &named {
                let below = mounts
                    .iter()
                    .any(|mount| Path::new(place).starts_with(mount["mountPath"].as_str().unwrap()));
                assert!(below, "{} {name}: nothing is mounted for {place}", combination.name);
            }
            for mount in &mounts {
                let held = ["volumes"].iter().any(|list| names(&pod[*list]).contains(&mount["name"]));
                let claimed = mount["name"] == "keyturn-escrow" && combination.name.contains("claims");
                assert!(held || claimed, "{} {name}: there is no volume {}", combination.name, mount["name"]);
            }
        }
    }
}

fn names(list: &Value) -> Vec<Value> {
    list.as_array().unwrap().iter().map(|item| item["name"].clone()).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
