//! `keyturn doctor` as a person uses it: the real binary, a real OpenBao, and providers that hear nothing of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use keyturn::testbed::installation::Installation;
use serde_json::Value;
use support::world::{self, Providers, World};

/// What doctor says of an installation: its exit code, the level and words of each thing, and all that it wrote.
struct Said {
    code: i32,
    findings: BTreeMap<String, (String, String)>,
    all: String,
}

async fn doctor(config: &Path, more: &[&str]) -> Said {
    let arguments: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
    let config = config.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(world::BINARY);
        command.args(["doctor", "-o", "json", "--config"]).arg(config).args(arguments).output().unwrap()
    });
    let output = output.await.unwrap();
    let all = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    let report: Value = serde_json::from_str(&all).unwrap_or_else(|_| panic!("{all}"));
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter().map(|finding| {
        let words = format!("{} [{}]", text(finding, "what"), text(finding, "code"));
        (text(finding, "about"), (text(finding, "level"), words))
    });
    Said { code: output.status.code().unwrap(), findings: findings.collect(), all }
}

impl Said {
    fn shows(&self, about: &str, level: &str, part: &str) {
        let found = self.findings.get(about).unwrap_or_else(|| panic!("nothing about {about}: {}", self.all));
        assert!(found.0 == level && found.1.contains(part), "{about}: {found:?}");
        assert!(!self.all.contains(world::CANARY), "a secret is shown: {}", self.all);
    }
}

fn replace_in(installation: &Installation, from: &str, to: &str) {
    let text = fs::read_to_string(&installation.config).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&installation.config, text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_installation_is_well_and_each_thing_in_the_way_is_named() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setups = [world::client_key(&providers.client_key), world::spritz(&providers.spritz)];
    let installation = world.install(&setups).await;
    let config = &installation.config;

    let well = doctor(config, &[]).await;
    assert_eq!(well.code, 0, "{}", well.all);
    for name in ["client-key", "spritz"] {
        well.shows(&format!("credential {name}"), "ok", "as a rotation needs them");
    }
    well.shows("vault", "ok", "the approle login works");
    well.shows("keyturn", "ok", "does not run");
    let site = providers.client_key.base_url().strip_prefix("http://").unwrap().split('/').next().unwrap();
    well.shows(&format!("provider {site}"), "warning", "can send the one regenerate call again");
    assert!(!installation.escrow.exists(), "doctor made the escrow directory");
    assert_eq!(doctor(config, &["--strict"]).await.code, 8);
    for provider in [&providers.client_key, &providers.spritz] {
        assert!(provider.calls().is_empty(), "a provider was asked: {:?}", provider.calls());
    }

    let sidecar = world.sidecar(&installation).await;
    let beside = doctor(config, &[]).await;
    assert_eq!(beside.code, 0, "{}", beside.all);
    beside.shows("keyturn", "ok", "runs and serves");
    drop(sidecar);

    let policy = world.server.request("GET", &world.policy_path(), None).await.unwrap();
    let policy = policy.expect_success("reading the policy").unwrap();
    let policy = policy
        .pointer("/data/policy")
        .or_else(|| policy.pointer("/policy"))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    let entry = format!("path \"secret/data/{}", installation.prefix.strip_prefix("secret/").unwrap());
    let weaker: Vec<String> = policy
        .lines()
        .map(|line| if line.starts_with(&entry) { line.replace("\"update\", ", "") } else { line.to_owned() })
        .collect();
    world.server.write_policy(&world.policy(), &weaker.join("\n")).await.unwrap();
    let weak = doctor(config, &[]).await;
    assert_eq!(weak.code, 8);
    weak.shows("credential client-key", "problem", "\"update\" on \"secret/data/");
    weak.shows("credential client-key", "problem", "VAULT_CAPABILITIES_MISSING");

    world.server.seal().await.unwrap();
    let sealed = doctor(config, &[]).await;
    assert_eq!(sealed.code, 8);
    sealed.shows("vault", "problem", "VAULT_SEALED");
    sealed.shows("credential spritz", "unchecked", "Vault stands in the way");

    replace_in(&installation, &world.server.address(), "http://127.0.0.1:1");
    replace_in(&installation, providers.spritz.base_url(), "http://127.0.0.1:1");
    let away = doctor(config, &[]).await;
    away.shows("vault", "problem", "VAULT_UNAVAILABLE");
    away.shows("provider 127.0.0.1:1", "problem", "PROVIDER_UNREACHABLE");

    replace_in(&installation, "spritz/integrator-secret", "spritz/no-such-key");
    let wrong = doctor(config, &[]).await;
    assert_eq!(wrong.code, 8);
    wrong.shows("configuration", "problem", "credentials[1].provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table_and_what_to_do() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let installation = world.install(&[world::client_key(&providers.client_key)]).await;
    let secret_id = installation.directory.join("secret-id");
    fs::write(secret_id, "not-a-secret-id").unwrap();
    let config = installation.config.clone();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(world::BINARY).args(["doctor", "--config"]).arg(config).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(8), "{said}");
    for part in
        ["LOOKED AT", "[VAULT_LOGIN_REFUSED]", "docs/vault.md", "not checked", "problems: 1, warnings: "]
    {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
}
