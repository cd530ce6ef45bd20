//! Every way to a token, how it is kept, and how it is replaced.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use keyturn::clock::{Clock, SystemClock};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::vault::{Auth, Error, Needs, RoleId, Settings, Store, VaultStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use vault_bed::proxy::Proxy;
use vault_bed::{PATIENCE, eventually, name, options, replace, server, settings, write};

const MAY_READ: &str = r#"
path "secret/*" { capabilities = ["create", "update", "read"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"#;

fn connect(address: &str, auth: Auth) -> VaultStore<SystemClock> {
    VaultStore::connect(settings(address, auth), SystemClock::start()).unwrap()
}

async fn can_read(store: &VaultStore<SystemClock>) -> bool {
    store.read_record(&name("session")).await.is_ok()
}

/// A role on a mount of the test's own, with both ids in files that end in a new line.
async fn approle(mount: &str, files: &TempDir, role: Value) -> Auth {
    let server = server().await;
    server.write_policy("may-read", MAY_READ).await.unwrap();
    server.enable_auth("approle", mount).await.unwrap();
    let role = server.create_approle(mount, "keyturn", &role).await.unwrap();
    Auth::AppRole {
        mount: mount.into(),
        role_id: RoleId::File(write(files, "role-id", &format!("{}\n", role.role_id))),
        secret_id_file: write(files, "secret-id", &format!("{}\n", role.secret_id)),
    }
}

#[tokio::test]
async fn a_short_token_is_renewed_and_replaced_when_renewal_ends() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let role = json!({ "token_policies": ["may-read"], "token_ttl": "1s", "token_max_ttl": "3s" });
    let store = connect(&proxy.address, approle("short", &files, role).await);
    store.login_now().await.unwrap();
    assert!(*store.ready().borrow());
    eventually("one renewal and three logins", || async {
        assert!(can_read(&store).await, "a token ran out");
        proxy.seen("auth/token/renew-self") > 0 && proxy.seen("auth/short/login") >= 3
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_replaced_alive_is_revoked() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let role = json!({ "token_policies": ["may-read"], "token_ttl": "4s", "token_max_ttl": "4s" });
    let store = connect(&proxy.address, approle("replaced", &files, role).await);
    // A token is revoked once nobody sends with it, which may be at a later look than its replacement.
    eventually("a second login, and a replaced token revoked", || async {
        assert!(can_read(&store).await, "the wrong token was revoked");
        proxy.seen("auth/replaced/login") >= 2 && proxy.seen("auth/token/revoke-self") >= 1
    })
    .await;
    let revoked = proxy.seen("auth/token/revoke-self");
    store.close().await;
    assert!(proxy.seen("auth/token/revoke-self") > revoked, "the last token lives on");
}

#[tokio::test]
async fn a_revoked_token_costs_one_login_and_the_request_is_answered() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let auth = approle("revoked", &files, json!({ "token_policies": ["may-read"] })).await;
    let store = connect(&proxy.address, auth);
    assert!(can_read(&store).await);
    let revoke = server().await.request("PUT", "sys/leases/revoke-prefix/auth/revoked/login", None).await;
    assert_eq!(revoke.unwrap().status, 204);
    assert!(can_read(&store).await);
    assert_eq!(proxy.seen("auth/revoked/login"), 2);
}

#[tokio::test]
async fn a_refusal_of_the_policy_is_not_taken_for_a_dead_token() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let policy = r#"path "secret/data/else" { capabilities = ["read"] }"#;
    server().await.write_policy("may-little", policy).await.unwrap();
    let auth = approle("refused", &files, json!({ "token_policies": ["may-little"] })).await;
    let store = connect(&proxy.address, auth);
    for _ in 0..3 {
        let error = store.read_record(&name("session")).await.unwrap_err();
        assert_eq!(error.code(), "VAULT_PERMISSION_DENIED");
        assert!(error.to_string().contains("secret/data/keyturn/session"), "{error}");
    }
    assert_eq!(proxy.seen("auth/refused/login"), 1);
}

/// A clock that can be set ahead by some seconds.
#[derive(Clone)]
struct Ahead(SystemClock, Arc<AtomicU64>);

impl Clock for Ahead {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic() + Duration::from_secs(self.1.load(Ordering::Relaxed))
    }

    fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send {
        self.0.sleep(delay)
    }
}

/// A clock that panics at its first question, as a mistake of ours would.
#[derive(Clone)]
struct BrokenOnce(SystemClock, Arc<AtomicBool>);

impl Clock for BrokenOnce {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        assert!(self.1.swap(true, Ordering::Relaxed), "broken once");
        self.0.monotonic()
    }

    fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send {
        self.0.sleep(delay)
    }
}

#[tokio::test]
async fn a_keeper_that_breaks_begins_anew() {
    let files = TempDir::new().unwrap();
    let auth = Auth::TokenFile { path: write(&files, "token", server().await.root_token()) };
    let clock = BrokenOnce(SystemClock::start(), Arc::default());
    let store = VaultStore::connect(settings(&server().await.address(), auth), clock).unwrap();
    let mut ready = store.ready();
    tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lease_without_end_is_no_trouble() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let auth = json!({ "client_token": "t", "lease_duration": u64::MAX, "renewable": true });
    answer_always(listener, json!({ "auth": auth }).to_string());
    let files = TempDir::new().unwrap();
    let token_file = write(&files, "token", "jwt");
    let auth = Auth::Jwt { mount: "jwt".into(), role: "r".into(), token_file };
    let clock = Ahead(SystemClock::start(), Arc::new(AtomicU64::new(1000)));
    let store = VaultStore::connect(settings(&address, auth), clock).unwrap();
    store.login_now().await.unwrap();
    store.login_now().await.unwrap();
}

fn needs(seconds: u64) -> Needs {
    Needs {
        credential: name("session"),
        entry: "secret/session".parse().unwrap(),
        secrets: vec![],
        lasting: Duration::from_secs(seconds),
    }
}

#[tokio::test]
async fn the_preflight_asks_for_a_token_that_outlasts_the_rotation() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let role = json!({ "token_policies": ["may-read"], "token_ttl": "1m", "token_max_ttl": "10m" });
    let store = connect(&proxy.address, approle("lifetime", &files, role).await);
    store.preflight(&needs(30)).await.unwrap();
    assert_eq!(proxy.seen("auth/token/renew-self"), 0);
    for tries in 1..4 {
        let error = store.preflight(&needs(3600)).await.unwrap_err();
        assert_eq!(error.code(), "VAULT_TOKEN_TOO_SHORT");
        // The same role would give the same again, so it is not asked for it with every try.
        assert_eq!((proxy.seen("auth/token/renew-self"), proxy.seen("auth/lifetime/login")), (tries, 1));
    }
}

#[tokio::test]
async fn an_aged_token_is_replaced_where_a_fresh_one_may_last_longer() {
    let files = TempDir::new().unwrap();
    let proxy = Proxy::to(server().await.port()).await;
    let role = json!({ "token_policies": ["may-read"], "token_ttl": "1m", "token_type": "batch" });
    let clock = Ahead(SystemClock::start(), Arc::default());
    let auth = approle("aged", &files, role).await;
    let store = VaultStore::connect(settings(&proxy.address, auth), clock.clone()).unwrap();
    let preflight = async |clock_at, seconds| {
        clock.1.store(clock_at, Ordering::Relaxed);
        (store.preflight(&needs(seconds)).await.map_err(|error| error.code()), proxy.seen("auth/aged/login"))
    };
    assert_eq!(preflight(0, 50).await, (Ok(()), 1));
    assert_eq!(preflight(20, 50).await, (Ok(()), 2), "the login after 20 s was worth it");
    assert_eq!(preflight(25, 70).await, (Err("VAULT_TOKEN_TOO_SHORT"), 2));
    assert_eq!(preflight(55, 70).await, (Err("VAULT_TOKEN_TOO_SHORT"), 3), "the role may have changed");
    assert_eq!(preflight(56, 70).await, (Err("VAULT_TOKEN_TOO_SHORT"), 3));
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_dies_or_changes() {
    let files = TempDir::new().unwrap();
    let server = server().await;
    server.write_policy("may-read", MAY_READ).await.unwrap();
    let wish = json!({ "policies": ["may-read"], "ttl": "1h" });
    let first = server.create_token(&wish).await.unwrap();
    let path = write(&files, "token", &format!("{first}\n"));
    let store = connect(&server.address(), Auth::TokenFile { path: path.clone() });
    assert!(can_read(&store).await);

    server.revoke(&first).await.unwrap();
    let error = store.read_record(&name("session")).await.unwrap_err();
    assert_eq!(error.code(), "VAULT_LOGIN_REFUSED");
    replace(&path, &server.create_token(&wish).await.unwrap());
    assert!(can_read(&store).await);
}

#[tokio::test]
async fn login_material_that_cannot_be_used_is_named_and_never_shown() {
    let files = TempDir::new().unwrap();
    let huge = "canary".repeat(20_000);
    let cases: [(&str, Option<&str>, &str); 5] = [
        ("missing", None, "cannot be opened"),
        ("empty", Some(" \n"), "is empty"),
        ("two-lines", Some("canary\ncanary"), "one line of visible ASCII"),
        ("umlaut", Some("canärycanary"), "one line of visible ASCII"),
        ("huge", Some(&huge), "is larger than"),
    ];
    for (file, content, words) in cases {
        let path = content.map_or_else(|| files.path().join(file), |content| write(&files, file, content));
        let store = connect("http://127.0.0.1:9", Auth::TokenFile { path });
        let error = store.login_now().await.unwrap_err();
        assert!(matches!(error, Error::LoginMaterial { .. }), "{file}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(words) && shown.contains(file) && !shown.contains("canary"), "{shown}");
    }
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_secret_is_not_waited_for() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let store = connect("http://127.0.0.1:9", Auth::TokenFile { path });
    let error = tokio::time::timeout(PATIENCE, store.login_now()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[tokio::test]
async fn a_signed_token_of_any_issuer_logs_in() {
    let files = TempDir::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let server = server().await;
    server.write_policy("may-read", MAY_READ).await.unwrap();
    server.enable_auth("jwt", "issuer").await.unwrap();
    let config = json!({ "jwt_validation_pubkeys": [key.public_key_pem()] });
    let answer = server.request("POST", "auth/issuer/config", Some(&config)).await.unwrap();
    answer.expect_success("configure jwt").unwrap();
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
        "bound_subject": "keyturn", "token_policies": ["may-read"] });
    let answer = server.request("POST", "auth/issuer/role/keyturn", Some(&role)).await.unwrap();
    answer.expect_success("make a role").unwrap();

    let auth = |subject: &str| Auth::Jwt {
        mount: "issuer".into(),
        role: "keyturn".into(),
        token_file: write(&files, subject, &jwt(&key, subject)),
    };
    assert!(can_read(&connect(&server.address(), auth("keyturn"))).await);
    let refused = connect(&server.address(), auth("somebody")).login_now().await.unwrap_err();
    assert_eq!(refused.code(), "VAULT_LOGIN_REFUSED");
}

fn jwt(key: &rcgen::KeyPair, subject: &str) -> String {
    let pod = json!({ "namespace": "apps", "serviceaccount": { "name": "keyturn", "uid": "u-1" } });
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims = json!({ "sub": subject, "aud": ["vault"], "iat": 1_700_000_000, "exp": 4_000_000_000_u64,
        "kubernetes.io": pod });
    let signed = format!("{}.{}", part(json!({ "alg": "ES256", "typ": "JWT" })), part(claims));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

#[tokio::test]
async fn a_service_account_logs_in_where_kubernetes_knows_it() {
    let files = TempDir::new().unwrap();
    let server = server().await;
    server.write_policy("may-read", MAY_READ).await.unwrap();
    server.enable_auth("kubernetes", "cluster").await.unwrap();
    let host = fake_token_review().await;
    let config = json!({ "kubernetes_host": host, "disable_local_ca_jwt": true, "kubernetes_ca_cert": authority().1,
        "token_reviewer_jwt": "reviewer" });
    let answer = server.request("POST", "auth/cluster/config", Some(&config)).await.unwrap();
    answer.expect_success("configure kubernetes").unwrap();
    let role = json!({ "bound_service_account_names": ["keyturn"], "bound_service_account_namespaces": ["apps"],
        "audience": "vault", "token_policies": ["may-read"] });
    let answer = server.request("POST", "auth/cluster/role/keyturn", Some(&role)).await.unwrap();
    answer.expect_success("make a role").unwrap();

    let key = rcgen::KeyPair::generate().unwrap();
    let token_file = write(&files, "token", &jwt(&key, "system:serviceaccount:apps:keyturn"));
    let auth = Auth::Kubernetes { mount: "cluster".into(), role: "keyturn".into(), token_file };
    let store = connect(&server.address(), auth);
    store.login_now().await.unwrap();
    assert!(can_read(&store).await);
}

/// A Kubernetes API server that knows every token as `apps/keyturn`.
async fn fake_token_review() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "status": {
            "authenticated": true, "audiences": ["vault"],
            "user": { "username": "system:serviceaccount:apps:keyturn", "uid": "u-1",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:apps"] },
        },
    })
    .to_string();
    answer_always(listener, review);
    address
}

/// Answers every request with the same JSON.
fn answer_always(listener: tokio::net::TcpListener, body: String) {
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            // The body is JSON and may come in a piece of its own.
            while !request.trim_ascii_end().ends_with(b"}") {
                if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = format!(
                "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            drop(connection.write_all(answer.as_bytes()).await);
        }
    });
}

fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (rcgen::Issuer::new(params, key), pem)
}

/// A client certificate and its key, in files.
fn client_certificate(files: &TempDir, issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> (PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["keyturn.apps".into()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "keyturn");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, issuer).unwrap();
    (write(files, "tls.crt", &certificate.pem()), write(files, "tls.key", &key.serialize_pem()))
}

#[tokio::test]
async fn a_client_certificate_logs_in_over_tls_and_only_our_authority_is_trusted() {
    let files = TempDir::new().unwrap();
    let server = OpenBao::start(Options { tls: true, ..options() }).await.unwrap();
    let (issuer, authority_pem) = authority();
    let (cert_file, key_file) = client_certificate(&files, &issuer);
    server.write_policy("may-read", MAY_READ).await.unwrap();
    server.enable_auth("cert", "cert").await.unwrap();
    let role = json!({ "certificate": authority_pem, "token_policies": ["may-read"], "token_ttl": "1h" });
    let answer = server.request("POST", "auth/cert/certs/keyturn", Some(&role)).await.unwrap();
    answer.expect_success("make a role").unwrap();

    let auth = Auth::Cert { mount: "cert".into(), role: Some("keyturn".into()), cert_file, key_file };
    let trusting = Settings { ca_pem: Some(server.ca_pem().unwrap()), ..settings(&server.address(), auth) };
    let distrusting = Settings { ca_pem: Some(authority_pem), ..trusting.clone() };
    let store = VaultStore::connect(trusting, SystemClock::start()).unwrap();
    store.login_now().await.unwrap();
    assert!(can_read(&store).await);
    let store = VaultStore::connect(distrusting, SystemClock::start()).unwrap();
    assert_eq!(store.login_now().await.unwrap_err().code(), "VAULT_UNAVAILABLE");
}

#[tokio::test]
async fn a_namespace_holds_login_records_and_entries() {
    let files = TempDir::new().unwrap();
    let server = server().await;
    server
        .request("POST", "sys/namespaces/team", Some(&json!({})))
        .await
        .unwrap()
        .expect_success("it")
        .unwrap();
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    let mounted = server.request_in("team", "POST", "sys/mounts/own", Some(&mount)).await.unwrap();
    mounted.expect_success("mount").unwrap();
    let path = write(&files, "token", server.root_token());
    let base = settings(&server.address(), Auth::TokenFile { path });
    let record_prefix = "own/keyturn".parse().unwrap();
    let inside = Settings { namespace: Some("team".into()), record_prefix, ..base };
    let outside = Settings { namespace: None, ..inside.clone() };
    let store = VaultStore::connect(inside, SystemClock::start()).unwrap();
    eventually("the mount is ready", || can_read(&store)).await;
    let store = VaultStore::connect(outside, SystemClock::start()).unwrap();
    assert_eq!(store.read_record(&name("session")).await.unwrap_err().code(), "VAULT_MOUNT_MISSING");
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_at_once() {
    let auth =
        |mount: &str| Auth::Jwt { mount: mount.into(), role: "r".into(), token_file: "/nowhere".into() };
    let good = settings("https://vault.svc:8200", auth("jwt"));
    let refusal = |settings| {
        let error = VaultStore::connect(settings, SystemClock::start()).unwrap_err();
        assert_eq!(error.code(), "VAULT_MISCONFIGURED");
        error.to_string()
    };
    let with_user = "https://user:canary@vault.svc:8200".parse().unwrap();
    let shown = refusal(Settings { address: with_user, ..good.clone() });
    assert!(shown.contains("address") && !shown.contains("canary"), "{shown}");
    assert!(
        refusal(Settings { address: "unix:///run/vault".parse().unwrap(), ..good.clone() })
            .contains("address")
    );
    assert!(refusal(Settings { namespace: Some("a\nb".into()), ..good.clone() }).contains("namespace"));
    assert!(refusal(Settings { ca_pem: Some("no pem".into()), ..good.clone() }).contains("ca"));
    assert!(refusal(Settings { auth: auth("../sys"), ..good }).contains("auth.mount"));
}

#[tokio::test]
async fn the_systems_root_certificates_are_enough_for_https() {
    let auth = Auth::Jwt { mount: "jwt".into(), role: "r".into(), token_file: "/nowhere".into() };
    VaultStore::connect(settings("https://vault.svc:8200", auth), SystemClock::start()).unwrap();
}

#[test]
fn the_environment_does_not_choose_the_root_certificates() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_systems_root_certificates_are_enough_for_https"])
        .env("SSL_CERT_FILE", "/nowhere/roots.pem")
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_login_that_vault_refuses_says_what_vault_said() {
    let files = TempDir::new().unwrap();
    let auth = approle("wrong", &files, json!({ "token_policies": ["may-read"] })).await;
    write(&files, "secret-id", "canary-secret-id");
    let store = connect(&server().await.address(), auth);
    let error = store.login_now().await.unwrap_err();
    assert!(matches!(error, Error::LoginRefused { method: "approle", .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("Vault said") && !shown.contains("canary"), "{shown}");
}
