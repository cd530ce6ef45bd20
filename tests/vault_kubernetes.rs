//! How a Kubernetes login fails, and what keyturn says: the real OpenBao, and an API server that reviews tokens over TLS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use keyturn::clock::SystemClock;
use keyturn::vault::{Auth, Error, VaultStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use vault_bed::{PATIENCE, replace, server, settings, write};

const PAGE: &str = include_str!("../docs/vault.md");
const LATER: u64 = 4_000_000_000;

/// What the API server says of every token.
#[derive(Clone, Copy)]
enum Review {
    Known,
    Unknown,
    Forbidden,
}

/// An API server that reviews tokens, and tells which ones it was shown.
async fn api_server(review: Review) -> (String, String, mpsc::UnboundedReceiver<String>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.trim_ascii_end().ends_with(b"}")
                && stream.read_buf(&mut request).await.unwrap_or(0) > 0
            {}
            let text = String::from_utf8_lossy(&request).into_owned();
            let body: Value = text
                .split("\r\n\r\n")
                .nth(1)
                .and_then(|body| serde_json::from_str(body).ok())
                .unwrap_or_default();
            tell.send(body.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default().to_owned())
                .ok();
            let (status, answer) = answer(review);
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                answer.len()
            );
            stream.write_all(format!("{head}{answer}").as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    });
    (address, own.cert.pem(), told)
}

fn answer(review: Review) -> (&'static str, Value) {
    let reviewed = |status: Value| json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status });
    match review {
        Review::Known => (
            "201 Created",
            reviewed(json!({ "authenticated": true, "audiences": ["vault"],
            "user": { "username": "system:serviceaccount:apps:keyturn", "uid": "u-1",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:apps"] } })),
        ),
        Review::Unknown => {
            ("201 Created", reviewed(json!({ "authenticated": false, "error": "invalid bearer token" })))
        }
        Review::Forbidden => (
            "403 Forbidden",
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
            "message": "tokenreviews.authentication.k8s.io is forbidden", "code": 403 }),
        ),
    }
}

/// A service account's token.
fn token(key: &rcgen::KeyPair, namespace: &str, account: &str, audience: &str, expires: u64) -> String {
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let pod = json!({ "namespace": namespace, "serviceaccount": { "name": account, "uid": "u-1" } });
    let claims = json!({ "sub": format!("system:serviceaccount:{namespace}:{account}"), "aud": [audience],
        "iss": "kubernetes", "iat": 1_700_000_000, "exp": expires, "kubernetes.io": pod });
    let signed = format!("{}.{}", part(json!({ "alg": "ES256", "typ": "JWT" })), part(claims));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// An auth method of the test's own, whose role knows `apps/keyturn` and the audience `vault`.
async fn mount(name: &str, host: &str, authority_pem: &str) {
    let server = server().await;
    server.enable_auth("kubernetes", name).await.unwrap();
    let config =
        json!({ "kubernetes_host": host, "kubernetes_ca_cert": authority_pem, "disable_local_ca_jwt": true });
    let answer = server.request("POST", &format!("auth/{name}/config"), Some(&config)).await.unwrap();
    answer.expect_success("configure kubernetes").unwrap();
    let role = json!({ "bound_service_account_names": ["keyturn"], "bound_service_account_namespaces": ["apps"],
        "audience": "vault", "token_policies": ["default"], "token_ttl": "1h" });
    let answer = server.request("POST", &format!("auth/{name}/role/keyturn"), Some(&role)).await.unwrap();
    answer.expect_success("make a role").unwrap();
}

async fn log_in(auth: Auth) -> Result<(), Error> {
    let settings = settings(&server().await.address(), auth);
    let store = VaultStore::connect(settings, SystemClock::start()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), store.login_now()).await.unwrap()
}

#[tokio::test]
async fn each_way_to_fail_names_what_to_do() {
    let files = TempDir::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    for (name, review) in
        [("known", Review::Known), ("unknown", Review::Unknown), ("forbidden", Review::Forbidden)]
    {
        let (host, authority, _) = api_server(review).await;
        mount(name, &host, &authority).await;
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (host, authority, _) = api_server(Review::Known).await;
    mount("away", &format!("https://{nobody}"), &authority).await;
    mount("untrusted", &host, &rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem())
        .await;
    let right = token(&key, "apps", "keyturn", "vault", LATER);
    let good = |mount: &str| (mount.to_owned(), "keyturn", right.clone());
    let of = |namespace, account, audience, expires| {
        ("known".to_owned(), "keyturn", token(&key, namespace, account, audience, expires))
    };
    let (mount, role, text) = good("known");
    let token_file = write(&files, "token", &text);
    log_in(Auth::Kubernetes { mount, role: role.to_owned(), token_file }).await.unwrap();
    for ((mount, role, text), words, help) in [
        (of("apps", "keyturn", "other", LATER), "audience", "serviceAccountToken"),
        (
            of("apps", "other", "vault", LATER),
            "service account name not authorized",
            "bound_service_account_names",
        ),
        (
            of("other", "keyturn", "vault", LATER),
            "namespace not authorized",
            "bound_service_account_namespaces",
        ),
        (of("apps", "keyturn", "vault", 1_700_000_100), "expired", "kubelet"),
        (("known".to_owned(), "nothing", right.clone()), "invalid role name", "vault.auth.kubernetes.role"),
        (good("unknown"), "permission denied", "of that cluster"),
        (good("forbidden"), "permission denied", "system:auth-delegator"),
        (good("away"), "permission denied", "kubernetes_host"),
        (good("untrusted"), "permission denied", "kubernetes_ca_cert"),
        (good("nowhere"), "permission denied", "vault.auth.kubernetes.mount"),
    ] {
        let token_file = write(&files, "token", &text);
        let error = log_in(Auth::Kubernetes { mount, role: role.to_owned(), token_file }).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.code(), "VAULT_LOGIN_REFUSED", "{said}");
        assert!(said.contains(words) && said.contains(help), "{words}: {said}");
        assert!(!said.contains(&text) && !format!("{error:?}").contains(&text), "the token is shown");
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{words}` |")));
        assert!(
            row.is_some_and(|row| row.contains(help)),
            "docs/vault.md has no row that helps with {words}: {help}"
        );
    }
}

#[tokio::test]
async fn a_token_file_that_cannot_be_used_is_named_with_what_it_must_be() {
    let files = TempDir::new().unwrap();
    let empty = write(&files, "empty", "\n");
    for (token_file, words) in [
        (files.path().join("missing"), "cannot be opened"),
        (files.path().to_owned(), "is no regular file"),
        (empty, "is empty"),
    ] {
        let place = token_file.display().to_string();
        let auth = Auth::Kubernetes { mount: "any".into(), role: "keyturn".into(), token_file };
        let error = log_in(auth).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.code(), "VAULT_LOGIN_MATERIAL", "{said}");
        assert!(
            said.contains(&place) && said.contains(words) && said.contains("service account token"),
            "{said}"
        );
        assert!(PAGE.contains(words), "docs/vault.md does not tell of {words}");
    }
}

#[tokio::test]
async fn the_next_login_takes_the_token_that_is_in_the_file_then() {
    let files = TempDir::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let (host, authority, mut shown) = api_server(Review::Known).await;
    mount("rotated", &host, &authority).await;
    let short = json!({ "bound_service_account_names": ["keyturn"], "bound_service_account_namespaces": ["apps"],
        "audience": "vault", "token_policies": ["default"], "token_ttl": "1s", "token_max_ttl": "1s" });
    let answer = server().await.request("POST", "auth/rotated/role/keyturn", Some(&short)).await.unwrap();
    answer.expect_success("shorten the role").unwrap();
    let (first, second) = (
        token(&key, "apps", "keyturn", "vault", LATER),
        token(&key, "apps", "keyturn", "vault", LATER + 3600),
    );
    let token_file = write(&files, "token", &first);
    let auth =
        Auth::Kubernetes { mount: "rotated".into(), role: "keyturn".into(), token_file: token_file.clone() };
    let store = VaultStore::connect(settings(&server().await.address(), auth), SystemClock::start()).unwrap();
    store.login_now().await.unwrap();
    assert_eq!(shown.recv().await.unwrap(), first);
    replace(&token_file, &second);
    // Vault's token lasts for a second, so that the next login comes by itself.
    let next = async { while shown.recv().await.unwrap() != second {} };
    tokio::time::timeout(PATIENCE, next).await.unwrap();
}
