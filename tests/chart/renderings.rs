//! What the charts make of the documented values: each combination of them, as Helm renders it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::tools;

/// The oldest Kubernetes, that of native sidecars, and the newest that the schemas know.
pub(crate) const OLDEST: &str = "1.20";
pub(crate) const NATIVE_SIDECARS: &str = "1.29";
pub(crate) const NEWEST: &str = "1.37";

/// One way to use a chart: its name is that of its golden file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Combination {
    pub(crate) name: &'static str,
    chart: &'static str,
    /// A file of values in the chart's examples.
    example: Option<&'static str>,
    settings: &'static [&'static str],
    /// The version for which it is rendered, and every other that it must be right for.
    pub(crate) versions: &'static [&'static str],
}

const EVERYWHERE: &[&str] = &[NEWEST, NATIVE_SIDECARS];

pub(crate) const COMBINATIONS: &[Combination] = &[
    Combination {
        name: "shared",
        chart: "keyturn",
        example: Some("shared.yaml"),
        settings: &[],
        versions: EVERYWHERE,
    },
    Combination {
        name: "shared-oldest",
        chart: "keyturn",
        example: Some("shared.yaml"),
        settings: &[],
        versions: &[OLDEST],
    },
    Combination {
        name: "shared-claims",
        chart: "keyturn",
        example: Some("shared-claims.yaml"),
        settings: &[],
        versions: EVERYWHERE,
    },
    Combination {
        name: "shared-claims-oldest",
        chart: "keyturn",
        example: Some("shared-claims.yaml"),
        settings: &[],
        versions: &[OLDEST],
    },
    Combination {
        name: "shared-monitored",
        chart: "keyturn",
        example: Some("shared.yaml"),
        settings: &[
            "metrics={\"enabled\":true,\"podMonitor\":{\"enabled\":true}}",
            "shared.networkPolicy.enabled=true",
        ],
        versions: EVERYWHERE,
    },
    Combination {
        name: "sidecar-monitored",
        chart: "example-application",
        example: None,
        settings: &[
            "keyturn.metrics={\"enabled\":true,\"podMonitor\":{\"enabled\":true,\"selector\":{\"app\":\"application\"}}}",
        ],
        versions: EVERYWHERE,
    },
    Combination {
        name: "shared-copies",
        chart: "keyturn",
        example: Some("shared.yaml"),
        settings: &["escrow.kubernetesSecret.name=keyturn-escrow", "shared.networkPolicy.enabled=true"],
        versions: EVERYWHERE,
    },
    Combination {
        name: "sidecar-copies",
        chart: "example-application",
        example: None,
        settings: &[
            "keyturn.escrow.kubernetesSecret.name=keyturn-escrow",
            "keyturn.escrow.kubernetesSecret.serviceAccount=application",
        ],
        versions: EVERYWHERE,
    },
    Combination {
        name: "sidecar",
        chart: "example-application",
        example: None,
        settings: &[],
        versions: EVERYWHERE,
    },
    Combination {
        name: "sidecar-ordinary-oldest",
        chart: "example-application",
        example: None,
        settings: &["keyturn.sidecar.native=false", "keyturn.sidecar.readiness=true"],
        versions: &[OLDEST, NEWEST],
    },
    Combination {
        name: "sidecar-claims",
        chart: "example-application",
        example: None,
        settings: &["keyturn.escrow.volume=claim", "keyturn.alerts.enabled=true"],
        versions: EVERYWHERE,
    },
];

/// All combinations, rendered once for all tests.
pub(crate) static RENDERINGS: LazyLock<Vec<Rendering>> = LazyLock::new(|| {
    let charts = Charts::prepare();
    COMBINATIONS.iter().map(|combination| charts.render(*combination)).collect()
});

/// A copy of the charts, the example application with its dependency.
#[derive(Debug)]
pub(crate) struct Charts {
    helm: PathBuf,
    directory: TempDir,
}

/// One combination, rendered.
#[derive(Debug)]
pub(crate) struct Rendering {
    pub(crate) combination: Combination,
    pub(crate) text: String,
    pub(crate) objects: Vec<Value>,
}

impl Charts {
    pub(crate) fn prepare() -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("charts"), directory.path());
        let charts = Self { helm: tools::helm(), directory };
        let updated = charts.helm(&["dependency", "update", "example-application"]);
        assert!(updated.status.success(), "{}", tools::said(&updated));
        charts
    }

    /// Runs Helm beside the charts, without the user's own settings.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Output {
        let mut helm = Command::new(&self.helm);
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(home, self.directory.path().join("home"));
        }
        helm.args(arguments).current_dir(self.directory.path()).output().unwrap()
    }

    fn render(&self, combination: Combination) -> Rendering {
        let Combination { name, versions, .. } = combination;
        let arguments = self.arguments(&combination, versions.first().unwrap(), &[]);
        let rendered = self.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(rendered.status.success(), "{name}: {}", tools::said(&rendered));
        let text = String::from_utf8(rendered.stdout).unwrap();
        let objects = parse(&text);
        Rendering { combination, text, objects }
    }

    /// What Helm says to a combination with further settings, at a version of Kubernetes.
    pub(crate) fn try_with(&self, name: &str, version: &str, settings: &[&str]) -> Output {
        let combination = COMBINATIONS.iter().find(|combination| combination.name == name).unwrap();
        let arguments = self.arguments(combination, version, settings);
        self.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn arguments(&self, combination: &Combination, version: &str, settings: &[&str]) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["template", "release", combination.chart, "--namespace", "apps", "--kube-version", version]
                .map(str::to_owned)
                .into();
        if let Some(example) = combination.example {
            let chart = self.directory.path().join(combination.chart);
            arguments.extend(["--values".into(), chart.join("examples").join(example).display().to_string()]);
        }
        for setting in combination.settings.iter().chain(settings) {
            arguments.extend(["--set-json".into(), json_setting(setting)]);
        }
        arguments
    }
}

/// `a.b=text` as JSON, where the value is none already.
fn json_setting(setting: &str) -> String {
    let (place, value) = setting.split_once('=').unwrap();
    let is_json = serde_json::from_str::<Value>(value).is_ok();
    if is_json { setting.to_owned() } else { format!("{place}={}", Value::from(value)) }
}

/// Helm's output as objects, by kind and name: the order in it is not the chart's.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut objects: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    objects
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // What a `helm dependency update` in the working copy left is none of the chart's.
        if entry.file_name() == "charts" || entry.file_name() == "Chart.lock" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
