//! The commands in `docs/vault.md` run as they stand, and keyturn can log in with what they make.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use keyturn::clock::SystemClock;
use keyturn::testbed::openbao::OpenBao;
use keyturn::vault::{Auth, RoleId, Store, VaultStore};
use tempfile::TempDir;

use vault_bed::{name, options, settings, write};

const PAGE: &str = include_str!("../docs/vault.md");

fn commands() -> Vec<&'static str> {
    PAGE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn run(server: &OpenBao, directory: &Path, script: &str) {
    let script = format!("set -eu\nbao() {{ '{}' \"$@\"; }}\n{script}", server.program().display());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(directory)
        .env("HOME", directory)
        .env("BAO_ADDR", server.address())
        .env("BAO_TOKEN", server.root_token())
        .env("VAULT_ADDR", server.address())
        .env("VAULT_TOKEN", server.root_token())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_command_runs_and_its_login_works() {
    let (server, files) = (OpenBao::start(options()).await.unwrap(), TempDir::new().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ca".into()]).unwrap().self_signed(&key).unwrap();
    write(&files, "vault-policy.hcl", include_str!("../docs/vault-policy.hcl"));
    write(&files, "issuer.pem", &key.public_key_pem());
    write(&files, "ca.crt", &certificate.pem());
    write(&files, "clients-ca.pem", &certificate.pem());
    assert_eq!(commands().len(), 6);
    for script in commands() {
        run(&server, files.path(), script);
    }

    // Nothing is closed only afterwards: somebody could have read it in between.
    assert!(!PAGE.contains("chmod"));
    for secret in ["secret-id", "token"] {
        let mode = std::fs::metadata(files.path().join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }

    let file = |name| files.path().join(name);
    let approle = Auth::AppRole {
        mount: "approle".into(),
        role_id: RoleId::File(file("role-id")),
        secret_id_file: file("secret-id"),
    };
    for auth in [approle, Auth::TokenFile { path: file("token") }] {
        let store = VaultStore::connect(settings(&server.address(), auth), SystemClock::start()).unwrap();
        assert!(store.read_record(&name("documented")).await.unwrap().is_none());
    }
}

#[test]
fn every_error_code_is_explained() {
    let source = include_str!("../src/vault/error.rs");
    let codes: Vec<&str> =
        source.split('"').filter(|text| text.starts_with("VAULT_") && !text.contains(' ')).collect();
    assert!(codes.len() > 10);
    for code in codes {
        assert!(PAGE.contains(&format!("| `{code}` |")), "docs/vault.md does not explain {code}");
    }
}
