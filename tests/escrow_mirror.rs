//! Copies of sealed answers in a Kubernetes Secret: the end of a pod is not the end of its key.
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
use std::sync::Arc;
use std::time::Duration;

use keyturn::testbed::installation::Installation;
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault, Gate};
use serde_json::{Value, json};
use support::world::{BINARY, CANARY, Providers, World, eventually, publicsquare};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const TOKEN: &str = "token-of-the-service-account";
const SECRET_PATH: &str = "/api/v1/namespaces/payments/secrets/keyturn-escrow";

/// As much of a Kubernetes API server as one Secret needs.
struct ApiServer {
    address: String,
    authority_pem: String,
    secret: watch::Sender<Secret>,
}

#[derive(Clone, Default)]
struct Secret {
    data: BTreeMap<String, String>,
    /// What every request is refused with.
    refuses_with: Option<u16>,
    requests: usize,
}

impl ApiServer {
    async fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (secret, _) = watch::channel(Secret::default());
        let shared = secret.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, secret) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &secret).await;
                    }
                });
            }
        });
        Self { address, authority_pem: own.cert.pem(), secret }
    }

    /// A pod's service account directory, and the setting that names it.
    fn settings(&self, directory: &Path, escrow: &Path) -> Value {
        let account = directory.join("account");
        fs::create_dir_all(&account).unwrap();
        fs::write(account.join("token"), TOKEN).unwrap();
        fs::write(account.join("ca.crt"), &self.authority_pem).unwrap();
        fs::write(account.join("namespace"), "payments").unwrap();
        let secret = json!({ "name": "keyturn-escrow", "address": self.address, "account_dir": account });
        json!({ "escrow": { "dir": escrow, "kubernetes_secret": secret } })
    }

    fn copies(&self) -> BTreeMap<String, String> {
        self.secret.borrow().data.clone()
    }

    fn put(&self, name: &str, copy: &str) {
        self.secret.send_modify(|secret| drop(secret.data.insert(name.to_owned(), copy.to_owned())));
    }

    fn refuse(&self, status: Option<u16>) {
        self.secret.send_modify(|secret| secret.refuses_with = status);
    }
}

/// One request to a connection, as keyturn makes them.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, secret: &watch::Sender<Secret>) {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(received[..head_end].to_vec()).unwrap().to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while received.len() < head_end + length {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (status, body) = respond(&head, &received[head_end..], secret);
    let answer = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn respond(head: &str, body: &[u8], secret: &watch::Sender<Secret>) -> (u16, String) {
    secret.send_modify(|secret| secret.requests += 1);
    if let Some(status) = secret.borrow().refuses_with {
        return (status, "{}".to_owned());
    }
    if !head.contains(&format!("authorization: bearer {TOKEN}\r\n")) {
        return (401, "{}".to_owned());
    }
    if head.starts_with(&format!("patch {SECRET_PATH}?fieldmanager=keyturn&dryrun=all http")) {
        assert!(serde_json::from_slice::<Value>(body).unwrap()["data"]["rehearsal"].is_string());
    } else if head.starts_with(&format!("patch {SECRET_PATH}?fieldmanager=keyturn http")) {
        assert!(head.contains("content-type: application/merge-patch+json\r\n"), "{head}");
        let patch: Value = serde_json::from_slice(body).unwrap();
        for (name, value) in patch["data"].as_object().unwrap() {
            secret.send_modify(|secret| match value.as_str() {
                Some(text) => drop(secret.data.insert(name.clone(), text.to_owned())),
                None => drop(secret.data.remove(name)),
            });
        }
    } else if !head.starts_with(&format!("get {SECRET_PATH}?fieldmanager=keyturn http")) {
        return (404, "{}".to_owned());
    }
    let shown =
        json!({ "kind": "Secret", "metadata": { "name": "keyturn-escrow" }, "data": secret.borrow().data });
    (200, shown.to_string())
}

struct Pod {
    world: World,
    providers: Providers,
    api_server: ApiServer,
    installation: Installation,
    sidecar: Sidecar,
}

const CREDENTIAL: &str = "publicsquare";

async fn pod() -> Pod {
    let (world, providers, api_server) =
        (World::start().await, Providers::start().await, ApiServer::start().await);
    let setup = publicsquare(&providers.publicsquare);
    assert_eq!(setup.name, CREDENTIAL);
    let directory = world.directory.path().join("one");
    let settings = api_server.settings(&directory, &directory.join("escrow"));
    let installation = world.install_with(&[setup], &settings).await;
    let sidecar = world.sidecar(&installation).await;
    Pod { world, providers, api_server, installation, sidecar }
}

impl Pod {
    /// A rotation whose answer is sealed, and that cannot go on.
    async fn seal_vault_after_the_answer(&mut self) {
        let gate = Gate::new();
        self.providers.publicsquare.next_call(Fault::slow(Duration::ZERO).until(&gate));
        self.sidecar.rotate(CREDENTIAL, false).await.unwrap();
        gate.reached().await;
        self.world.server.seal().await.unwrap();
        gate.release();
        eventually("the copy of the sealed answer", || async { self.api_server.copies().len() == 1 }).await;
    }

    async fn assert_rotated_by(&self, sidecar: &Sidecar) {
        sidecar
            .until(CREDENTIAL, "the end", |credential| {
                credential.last_success_time.is_some() && credential.current_rotation.is_none()
            })
            .await
            .unwrap();
        let store = publicsquare(&self.providers.publicsquare).store;
        let published = self.world.value(&self.installation, &store).await;
        assert_eq!(published, self.providers.publicsquare.current_key());
        assert_eq!(self.providers.publicsquare.calls().len(), 1);
        eventually("the Secret without copies", || async { self.api_server.copies().is_empty() }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_between_answer_and_store_loses_nothing() {
    let mut pod = pod().await;
    pod.seal_vault_after_the_answer().await;
    pod.sidecar.kill().unwrap();
    fs::remove_dir_all(&pod.installation.escrow).unwrap();
    for sealed in pod.api_server.copies().into_values() {
        let sealed = data_encoding::BASE64.decode(sealed.as_bytes()).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1"));
        assert!(!sealed.windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()));
    }
    pod.world.server.unseal().await.unwrap();
    let second = Sidecar::start(Path::new(BINARY), &pod.installation, &[]).await.unwrap();
    pod.assert_rotated_by(&second).await;
}

/// What begins like a sealed answer, and is none.
fn forged() -> String {
    data_encoding::BASE64.encode(b"age-encryption.org/v1\nwhatever")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_open_holds_the_rotation_and_takes_no_place_on_the_disk() {
    let mut pod = pod().await;
    pod.seal_vault_after_the_answer().await;
    pod.sidecar.kill().unwrap();
    fs::remove_dir_all(&pod.installation.escrow).unwrap();
    let (name, copy) = pod.api_server.copies().pop_first().unwrap();
    pod.api_server.put(&name, &forged());
    pod.world.server.unseal().await.unwrap();
    let second = Sidecar::spawn(Path::new(BINARY), &pod.installation, &[]).unwrap();
    eventually("an answer", || async { second.credential(CREDENTIAL).await.is_ok() }).await;
    let held = second
        .until(CREDENTIAL, "the hold", |credential| {
            credential.hold.as_ref().is_some_and(|hold| hold.reason == "ESCROW_DAMAGED")
        })
        .await
        .unwrap();
    let message = held.hold.unwrap().message;
    assert!(message.contains(&format!("entry {name} of Kubernetes Secret keyturn-escrow")), "{message}");
    assert_eq!(sealed_files(&pod.installation.escrow), 0);
    pod.api_server.put(&name, &copy);
    pod.assert_rotated_by(&second).await;
    assert_eq!(sealed_files(&pod.installation.escrow), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_left_over_is_told_of_where_it_lies_and_erased_there_once_it_is_outdated() {
    let mut pod = pod().await;
    pod.seal_vault_after_the_answer().await;
    let (name, copy) = pod.api_server.copies().pop_first().unwrap();
    pod.world.server.unseal().await.unwrap();
    pod.assert_rotated_by(&pod.sidecar).await;
    pod.sidecar.terminate().await.unwrap();
    let foreign = format!("{CREDENTIAL}.01999999-0000-7000-8000-000000000001.1");
    pod.api_server.put(&name, &copy);
    pod.api_server.put(&foreign, &forged());
    let second = Sidecar::start(Path::new(BINARY), &pod.installation, &[]).await.unwrap();
    let told =
        second.until(CREDENTIAL, "the remark", |credential| !credential.conditions.is_empty()).await.unwrap();
    let [remark] = told.conditions.as_slice() else { panic!("{:?}", told.conditions) };
    assert_eq!(remark.reason, "ORPHAN_ANSWER");
    assert!(remark.message.contains(&format!("entry {foreign} of Kubernetes Secret")), "{}", remark.message);
    // The key that was published is no loss; of the other nobody knows.
    assert_eq!(pod.api_server.copies().into_keys().collect::<Vec<_>>(), [foreign]);
    assert_eq!(sealed_files(&pod.installation.escrow), 0);
}

fn sealed_files(escrow: &Path) -> usize {
    let paths = fs::read_dir(escrow).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "age")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_before_copies_can_be_written() {
    let pod = pod().await;
    pod.api_server.refuse(Some(403));
    pod.sidecar.rotate(CREDENTIAL, false).await.unwrap();
    let held = pod
        .sidecar
        .until(CREDENTIAL, "the hold", |credential| {
            credential.hold.as_ref().is_some_and(|hold| hold.reason == "ESCROW_MIRROR")
        })
        .await
        .unwrap();
    let message = held.hold.unwrap().message;
    assert!(message.contains("keyturn-escrow") && message.contains("may not get and patch it"), "{message}");
    assert_eq!(pod.providers.publicsquare.calls().len(), 0);
    pod.api_server.refuse(None);
    pod.assert_rotated_by(&pod.sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_copy_is_refused_reaches_vault_all_the_same() {
    let pod = pod().await;
    let gate = Gate::new();
    pod.providers.publicsquare.next_call(Fault::slow(Duration::ZERO).until(&gate));
    pod.sidecar.rotate(CREDENTIAL, false).await.unwrap();
    gate.reached().await;
    pod.api_server.refuse(Some(500));
    gate.release();
    let store = publicsquare(&pod.providers.publicsquare).store;
    eventually("the published key", || async {
        pod.world.value(&pod.installation, &store).await == pod.providers.publicsquare.current_key()
    })
    .await;
    pod.api_server.refuse(None);
    pod.assert_rotated_by(&pod.sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_whether_copies_can_be_written() {
    let pod = pod().await;
    let doctor = || {
        let mut doctor = std::process::Command::new(BINARY);
        doctor.arg("doctor").arg("--config").arg(&pod.installation.config);
        String::from_utf8(doctor.output().unwrap().stdout).unwrap()
    };
    let told = tokio::task::block_in_place(doctor);
    assert!(told.contains("copies of answers can be kept in Kubernetes Secret keyturn-escrow"), "{told}");
    pod.api_server.refuse(Some(404));
    let told = tokio::task::block_in_place(doctor);
    assert!(told.contains("ESCROW_MIRROR") && told.contains("create it empty"), "{told}");
}
