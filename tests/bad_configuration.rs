//! A configuration with mistakes starts nothing: all of them are named at once, with their places and hints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::process::{Command, Output};

const BAD: &str = r#"
vault:
  address: http://vault.example.com:8200
  auth: { kubernetes: { role: keyturn } }
  record_prefix: secret/keyturn
listen: { unix: SOCKET }
escrow: { dir: ESCROW }
credentials:
  - name: unknown-field
    provider: adyen/client-key
    params: { company_id: Acme, api_credential_id: S2-1 }
    auth: { vault: "secret/payments/admin#key" }
    store: "secret/payments/adyen#client_key"
    shedule: { every: 30d }
  - name: unknown-provider
    provider: adyen/clientkey
    auth: { vault: "secret/payments/admin#key" }
    store: "secret/payments/other#key"
  - name: missing-parameter
    provider: adyen/api-key
    params: { company_id: Acme }
    auth: { vault: "secret/payments/admin#key" }
    store: "secret/payments/adyen#client_key"
  - name: bad-path
    provider: publicsquare/api-key
    params: { id: key_7Ay5mcUXAxwrN6wQEQUVEHBCJ }
    auth: { vault: "secret/payments/admin#key" }
    store: "/secret/../sys#key"
  - name: plain-http
    provider: publicsquare/api-key
    base_url: http://api.example.com
    params: { id: key_7Ay5mcUXAxwrN6wQEQUVEHBCJ }
    auth: { vault: "secret/payments/admin#key" }
    store: "secret/payments/plain#key"
  - name: locks-itself-out
    provider: publicsquare/api-key
    params: { id: key_7Ay5mcUXAxwrN6wQEQUVEHBCJ }
    auth: self
    store: "secret/payments/self#key"
"#;

/// What must be named: the place, and a word of the message or its hint.
const EXPECTED: &[(&str, &str)] = &[
    ("vault.address", "https"),
    ("credentials[0].shedule", "schedule"),
    ("credentials[1].provider", "adyen/client-key"),
    ("credentials[2].params.api_credential_id", "missing"),
    ("credentials[2].store", "credentials[0]"),
    ("credentials[3].store", "mount/path"),
    ("credentials[4].base_url", "http"),
    ("credentials[5]", "accept_lock_out"),
];

#[test]
fn run_and_check_name_every_mistake_exit_with_2_and_start_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, escrow) = (directory.path().join("k.sock"), directory.path().join("escrow"));
    let text = BAD.replace("SOCKET", socket.to_str().unwrap()).replace("ESCROW", escrow.to_str().unwrap());
    let file = directory.path().join("keyturn.yaml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [["run", "--config", file].as_slice(), ["config", "check", file].as_slice()] {
        let output = keyturn(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for (place, word) in EXPECTED {
            let line = said.lines().find(|line| line.contains(place));
            let line = line.unwrap_or_else(|| panic!("{place} is not named in:\n{said}"));
            assert!(line.contains(word), "{place}: {word:?} is not in {line:?}");
        }
        assert!(!said.contains('\u{1b}'), "escapes in a pipe");
        assert!(!socket.exists() && !escrow.exists(), "something was started");
    }
}

#[test]
fn a_right_configuration_is_called_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/keyturn.yaml");
    let output = keyturn(&["config", "check", example]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_schema_is_json() {
    let output = keyturn(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["credentials"].is_object());
}

fn keyturn(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyturn")).args(arguments).env_clear().output().unwrap()
}
