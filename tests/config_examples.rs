//! The documented configurations work, and the documentation knows every field.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may fail like tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use keyturn::config::{self, Config, Signer};
use keyturn::mistake::Mistake;
use keyturn::provider::{Catalog, Definition};
use keyturn::rotation::schedule::Cadence;
use serde_json::Value;

fn load(name: &str) -> Result<Config, Vec<Mistake>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name);
    Config::load(&path, Catalog::embedded())
}

fn loaded(name: &str) -> Config {
    load(name).unwrap_or_else(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{name}:\n{}", lines.join("\n"))
    })
}

#[test]
fn the_short_example_is_what_it_says() {
    let config = loaded("keyturn.yaml");
    assert_eq!(config.vault.address.as_str(), "https://vault.svc:8200/");
    assert_eq!(config.listen.unix.unwrap().mode, 0o660);
    assert_eq!(config.timeouts.claim, Duration::from_mins(2));
    let [adyen, spritz] = config.credentials.as_slice() else { panic!("not two credentials") };
    assert_eq!(adyen.signer, Signer::Vault("secret/payments/adyen-admin#api_key".parse().unwrap()));
    let schedule = &adyen.definition.plan().schedule;
    assert_eq!(schedule.cadence, Cadence::Every(Duration::from_hours(720)));
    assert_eq!(schedule.jitter_percent, 10);
    assert_eq!(spritz.signer, Signer::Itself);
    assert_eq!(spritz.definition.plan().grace, Some(Duration::from_hours(1)));
    assert_eq!(spritz.definition.plan().schedule.cadence, Cadence::Manual);
}

#[test]
fn the_full_example_loads_and_its_files_are_sought_beside_it() {
    let config = loaded("full.yaml");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/vault-ca.pem");
    assert_eq!(config.vault.ca_file.as_deref(), Some(beside.as_path()));
    let mistake = config.vault.settings().unwrap_err();
    assert_eq!(mistake.path, "vault.ca_file");
    assert_eq!((config.listen.operators, config.listen.tcp), (vec![1000], "0.0.0.0:7443".parse().ok()));
    let tls = config.listen.tls.unwrap();
    assert_eq!(tls.operators, ["spiffe://cluster.local/ns/ops/sa/admin"]);
    assert_eq!(tls.client_ca_file.as_deref(), Some(Path::new("/run/keyturn/tls/ca.crt")));
    assert_eq!(config.credentials[0].definition.plan().call_timeout, Duration::from_secs(20));
}

#[test]
fn every_example_in_the_documentation_loads() {
    let page = include_str!("../docs/configuration.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole: Vec<&str> = blocks.into_iter().filter(|block| block.starts_with("vault:")).collect();
    assert!(!whole.is_empty());
    for block in whole {
        let config = Config::parse(block, Path::new("/etc/keyturn"), Catalog::embedded());
        assert!(config.is_ok(), "{config:#?}\n{block}");
    }
}

#[test]
fn the_documentation_describes_every_field_and_no_other() {
    let page = include_str!("../docs/configuration.md");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut known = BTreeSet::new();
    fields("", &config::schema(), &config::schema(), &mut known);
    let missing: Vec<_> = known.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&known).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:#?}\nno longer there: {stale:#?}");
}

/// Every field with its place, and that the schema says what each is.
fn fields(place: &str, schema: &Value, root: &Value, known: &mut BTreeSet<String>) {
    let follow = |schema: &Value| {
        let target = schema["$ref"].as_str().map(|target| target.trim_start_matches('#').to_owned());
        target.and_then(|target| root.pointer(&target).cloned()).unwrap_or_else(|| schema.clone())
    };
    let schema = follow(schema);
    for inner in schema["anyOf"].as_array().into_iter().flatten() {
        fields(place, inner, root, known);
    }
    if schema["items"].is_object() {
        fields(&format!("{place}[]"), &schema["items"], root, known);
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        assert!(inner["description"].is_string(), "{place} has no description");
        fields(&place, inner, root, known);
        known.insert(place);
    }
}

#[test]
fn ten_thousand_credentials_are_a_normal_size() {
    let definition = "name: own/key\ntitle: Own\nenvironments: { live: https://own.example }\n\
        default_environment: live\nauth: [{ header: { name: X-Key } }]\nself: never\n\
        regenerate: { method: POST, path: /keys }\nanswer: { secret: /key }\ngrace: none\n";
    let mut catalog = Catalog::embedded();
    catalog.add(Definition::parse(definition).unwrap()).unwrap();
    let mut text = include_str!("../docs/examples/keyturn.yaml").to_owned();
    let credential = "  - name: key-NUMBER
    provider: own/key
    params: {}
    secrets: {}
    auth: { vault: secret/payments/own-admin#api_key }
    store: secret/payments/own#key_NUMBER
    schedule: { every: 30d, jitter: 10%, min_interval: 1h, window: Sat-Sun 00:00-24:00 UTC }
";
    text.extend((0..10_000).map(|number| credential.replace("NUMBER", &number.to_string())));
    let config = Config::parse(&text, Path::new("/etc/keyturn"), catalog).unwrap();
    assert_eq!(config.credentials.len(), 10_002);
}
