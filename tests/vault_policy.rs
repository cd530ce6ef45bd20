//! `docs/vault-policy.hcl` is enough, and every line of it is needed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::time::Duration;

use keyturn::clock::SystemClock;
use keyturn::ids::KvVersion;
use keyturn::testbed::openbao::OpenBao;
use keyturn::vault::{Auth, Error, Needs, RoleId, Store, VaultStore};
use serde_json::json;
use tempfile::TempDir;

use vault_bed::{name, options, place, record, secret, settings, stamp, write};

const POLICY: &str = include_str!("../docs/vault-policy.hcl");
const MAY_BE_MISSING: &str = "auth/token/revoke-self";

fn needs() -> Needs {
    Needs {
        credential: name("adyen-client-key"),
        entry: "secret/payments/adyen".parse().unwrap(),
        secrets: vec![place("secret/payments/adyen-admin#api_key")],
        lasting: Duration::from_mins(1),
    }
}

/// A store whose role has this policy and nothing else, not even `default`.
async fn store(server: &OpenBao, files: &TempDir, policy: &str) -> VaultStore<SystemClock> {
    server.write_policy("keyturn", policy).await.unwrap();
    let role = json!({ "token_policies": ["keyturn"], "token_no_default_policy": true, "token_ttl": "1h" });
    let role = server.create_approle("approle", "keyturn", &role).await.unwrap();
    let auth = Auth::AppRole {
        mount: "approle".into(),
        role_id: RoleId::Given(role.role_id),
        secret_id_file: write(files, "secret-id", &role.secret_id),
    };
    VaultStore::connect(settings(&server.address(), auth), SystemClock::start()).unwrap()
}

async fn server() -> OpenBao {
    let server = OpenBao::start(options()).await.unwrap();
    server.enable_auth("approle", "approle").await.unwrap();
    server.put("secret/payments/adyen-admin", &json!({ "api_key": "admin" })).await.unwrap();
    server
}

#[tokio::test]
async fn the_documented_policy_is_enough_for_a_whole_rotation() {
    let (server, files) = (server().await, TempDir::new().unwrap());
    let store = store(&server, &files, POLICY).await;
    let needs = needs();
    store.preflight(&needs).await.unwrap();
    store.read_secret(&needs.secrets[0]).await.unwrap();
    assert!(store.read_record(&needs.credential).await.unwrap().is_none());
    store.write_record(&needs.credential, &record(None), KvVersion(0)).await.unwrap();
    store.write_record(&needs.credential, &record(None), KvVersion(1)).await.unwrap();
    assert_eq!(store.record_version(&needs.credential).await.unwrap(), KvVersion(2));
    let place = place("secret/payments/adyen#client_key");
    for epoch in 1..3 {
        let entry = store.read_entry(&place.path).await.unwrap();
        store.publish(&place, &entry, &secret("new").into(), &stamp(epoch)).await.unwrap();
    }
}

#[tokio::test]
async fn without_any_one_line_the_preflight_names_what_is_missing() {
    let (server, files) = (server().await, TempDir::new().unwrap());
    for (path, capability, policy) in weaker_policies().filter(|(path, ..)| path != MAY_BE_MISSING) {
        let store = store(&server, &files, &policy).await;
        let error = store.preflight(&needs()).await.unwrap_err();
        let seen = path.replace('*', "adyen-client-key");
        assert!(error.to_string().contains(&seen), "without {capability} on {path}: {error}");
        assert!(error.to_string().contains(&capability), "without {capability} on {path}: {error}");
        let expected = ["VAULT_CAPABILITIES_MISSING", "VAULT_PERMISSION_DENIED"];
        assert!(expected.contains(&error.code()), "{error}");
    }
}

#[tokio::test]
async fn the_token_ends_with_the_store_where_the_policy_lets_it() {
    let (server, files) = (server().await, TempDir::new().unwrap());
    let without = weaker_policies().find(|(path, ..)| path == MAY_BE_MISSING).unwrap().2;
    for (policy, left) in [(POLICY, 0), (&without, 1)] {
        let before = tokens(&server).await;
        let store = store(&server, &files, policy).await;
        store.preflight(&needs()).await.unwrap();
        assert_eq!(tokens(&server).await, before + 1);
        store.close().await;
        assert_eq!(tokens(&server).await, before + left);
    }
}

async fn tokens(server: &OpenBao) -> usize {
    let answer = server.request("LIST", "auth/token/accessors", None).await.unwrap();
    let listed = answer.expect_success("list tokens").unwrap();
    listed.pointer("/data/keys").unwrap().as_array().unwrap().len()
}

#[tokio::test]
async fn everything_that_is_missing_is_named_at_once() {
    let (server, files) = (server().await, TempDir::new().unwrap());
    let policy = POLICY.replace("\"update\", ", "").replace("adyen-admin", "someone-else");
    let store = store(&server, &files, &policy).await;
    let error = store.preflight(&needs()).await.unwrap_err();
    let Error::CapabilitiesMissing { missing } = &error else { panic!("{error}") };
    let named: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            r#""update" on "secret/data/keyturn/adyen-client-key""#,
            r#""update" on "secret/data/payments/adyen""#,
            r#""read" on "secret/data/payments/adyen-admin""#,
            r#""update" on "secret/metadata/keyturn/adyen-client-key""#,
        ]
    );
}

/// The policy without each single capability: its path, the capability, and what is left.
fn weaker_policies() -> impl Iterator<Item = (String, String, String)> {
    let mut path = "";
    let mut weaker = Vec::new();
    for line in POLICY.lines() {
        if let Some(rest) = line.strip_prefix("path \"") {
            path = rest.split('"').next().unwrap();
        }
        let Some(list) = line.trim().strip_prefix("capabilities = ") else { continue };
        let capabilities: Vec<String> = serde_json::from_str(list).unwrap();
        for capability in &capabilities {
            let left: Vec<&String> = capabilities.iter().filter(|other| *other != capability).collect();
            let old = format!("path \"{path}\" {{\n{line}");
            assert!(POLICY.contains(&old), "{old}");
            let new = format!("path \"{path}\" {{\n  capabilities = {}", json!(left));
            weaker.push((path.to_owned(), capability.clone(), POLICY.replace(&old, &new)));
        }
    }
    assert_eq!(weaker.len(), 14);
    weaker.into_iter()
}
