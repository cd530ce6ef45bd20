//! TLS: who may do what by certificate, renewed files, and clients that take their time.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keyturn::api::proto::credential_service_client::CredentialServiceClient;
use keyturn::api::proto::rotate_service_client::RotateServiceClient;
use keyturn::api::{Error, ListenOptions, Listeners, TlsOptions, proto, serve};
use keyturn::engine::scripted::{Asked, Said};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_types::StatusExt as _;

use crate::bench::{Fake, StoppedClock, fleet, id, idle};
use crate::operators::{assert_no_operator, assert_operator, look_and_rotate, willing};

const APPLICATION: &str = "spiffe://cluster.local/ns/payments/sa/app";
const OPERATOR: &str = "spiffe://cluster.local/ns/ops/sa/admin";

/// An authority that signs what it is asked to.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key in PEM.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| {
                if name.contains("://") {
                    SanType::URI((*name).try_into().unwrap())
                } else {
                    SanType::DnsName((*name).try_into().unwrap())
                }
            })
            .collect();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory with what a server needs, as a mounted Kubernetes secret has it.
struct Files {
    directory: TempDir,
}

impl Files {
    fn of(authority: &Authority) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.renew(authority);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn renew(&self, authority: &Authority) {
        let (certificate, key) = authority.sign(&["localhost"]);
        fs::write(self.path("tls.crt"), certificate).unwrap();
        fs::write(self.path("tls.key"), key).unwrap();
    }

    fn options(&self) -> TlsOptions {
        let reread_interval = Duration::from_millis(20);
        TlsOptions { reread_interval, ..TlsOptions::new(self.path("tls.crt"), self.path("tls.key")) }
    }

    /// Clients need a certificate of this authority.
    fn asking_for(&self, authority: &Authority) -> TlsOptions {
        fs::write(self.path("ca.crt"), &authority.pem).unwrap();
        TlsOptions {
            client_ca_file: Some(self.path("ca.crt")),
            operators: vec![OPERATOR.to_owned()],
            ..self.options()
        }
    }
}

struct Served {
    address: SocketAddr,
    refused: watch::Receiver<bool>,
    _readiness: watch::Sender<bool>,
}

async fn start(fake: &Fake, tls: TlsOptions) -> Served {
    let (readiness, ready) = watch::channel(true);
    let listeners = bind(tls).await.unwrap();
    let address = listeners.tcp_address().unwrap();
    let refused = listeners.renewal_refused().unwrap();
    tokio::spawn(serve(listeners, fleet([fake]), StoppedClock, ready, CancellationToken::new()));
    Served { address, refused, _readiness: readiness }
}

async fn bind(tls: TlsOptions) -> Result<Listeners, Error> {
    // Not on the loopback alone: that is what TLS is for.
    let tcp = Some("0.0.0.0:0".parse().unwrap());
    Listeners::bind(&ListenOptions { tcp, tls: Some(tls), ..ListenOptions::default() }).await
}

impl Served {
    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    async fn connect(
        &self,
        authority: &Authority,
        identity: Option<&(String, String)>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.pem));
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        Endpoint::from_shared(self.url())?.tls_config(tls)?.connect().await
    }

    /// Whether a client with this certificate gets an answer.
    async fn answers(&self, authority: &Authority, identity: Option<&(String, String)>) -> bool {
        let Ok(channel) = self.connect(authority, identity).await else { return false };
        look(&channel).await.is_ok()
    }
}

async fn look(channel: &Channel) -> Result<(), tonic::Status> {
    let list = proto::ListCredentialsRequest::default();
    CredentialServiceClient::new(channel.clone()).list_credentials(list).await.map(drop)
}

async fn eventually<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    let coming = async { while !condition().await {} };
    tokio::time::timeout(Duration::from_secs(30), coming).await.unwrap();
}

#[tokio::test]
async fn without_client_certificates_a_caller_may_look_and_do_nothing() {
    let authority = Authority::new();
    let files = Files::of(&authority);
    let mut fake = willing();
    let served = start(&fake, files.options()).await;
    let channel = served.connect(&authority, None).await.unwrap();
    look(&channel).await.unwrap();
    let mut rotations = RotateServiceClient::new(channel.clone());
    for emergency in [false, true] {
        let request = proto::RotateRequest { credential: "adyen".into(), emergency, ..Default::default() };
        let status = rotations.rotate(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "IDENTITY_NEEDED");
    }
    let pause = proto::PauseCredentialRequest { credential: "adyen".into(), ..Default::default() };
    let status = CredentialServiceClient::new(channel).pause_credential(pause).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(fake.asked.try_recv().is_err(), "a refused call reached the credential");
}

#[tokio::test]
async fn a_caller_is_whom_its_certificate_names_and_an_operator_only_if_listed() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&authority);
    let mut fake = willing();
    let served = start(&fake, files.asking_for(&clients)).await;
    let application = clients.sign(&["app.payments", APPLICATION, OPERATOR]);
    let channel = served.connect(&authority, Some(&application)).await.unwrap();
    assert_no_operator(&channel).await;
    assert!(fake.asked.try_recv().is_err(), "a refused call reached the credential");
    look_and_rotate(&channel).await;
    let Ok(Asked::Rotate(asked)) = fake.asked.try_recv() else { panic!("nothing was asked") };
    assert_eq!(asked.caller.as_deref(), Some("certificate spiffe://cluster.local/ns/payments/sa/app"));
    let operator = clients.sign(&[OPERATOR]);
    assert_operator(&served.connect(&authority, Some(&operator)).await.unwrap()).await;
}

#[tokio::test]
async fn who_shows_no_certificate_of_the_authority_is_not_answered() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&authority);
    let fake = willing();
    let served = start(&fake, files.asking_for(&clients)).await;
    assert!(!served.answers(&authority, None).await, "without a certificate");
    assert!(!served.answers(&authority, Some(&authority.sign(&[OPERATOR]))).await, "of another authority");
    assert!(!served.answers(&authority, Some(&clients.sign(&[]))).await, "that names nobody");
    assert!(!served.answers(&authority, Some(&clients.sign(&["*.payments"]))).await, "that names many");
    assert!(served.answers(&authority, Some(&clients.sign(&["app.payments"]))).await);
    let plain = Endpoint::from_shared(format!("http://localhost:{}", served.address.port())).unwrap();
    let answered = match plain.connect().await {
        Ok(channel) => look(&channel).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "without TLS");
}

#[tokio::test]
async fn a_new_connection_is_shown_the_renewed_certificate_and_an_open_one_goes_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::of(&old);
    let fake = Fake::new(idle("adyen"), |_| Ok(Said::Rotation(id(1))));
    let served = start(&fake, files.options()).await;
    let open = served.connect(&old, None).await.unwrap();
    files.renew(&new);
    eventually(|| served.answers(&new, None)).await;
    assert!(!served.answers(&old, None).await, "the old certificate is still shown");
    look(&open).await.unwrap();
}

#[tokio::test]
async fn a_renewed_authority_of_clients_counts_for_new_connections() {
    let (authority, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::of(&authority);
    let fake = willing();
    let served = start(&fake, files.asking_for(&old)).await;
    let client = new.sign(&[APPLICATION]);
    assert!(!served.answers(&authority, Some(&client)).await);
    files.asking_for(&new);
    eventually(|| served.answers(&authority, Some(&client))).await;
    assert!(!served.answers(&authority, Some(&old.sign(&[APPLICATION]))).await);
}

#[tokio::test]
async fn a_broken_renewal_is_told_and_the_old_certificate_is_still_shown() {
    let authority = Authority::new();
    let files = Files::of(&authority);
    let fake = willing();
    let mut served = start(&fake, files.options()).await;
    let (good, foreign) = (fs::read(files.path("tls.key")).unwrap(), authority.sign(&["localhost"]).1);
    for broken in [Some(""), Some("no PEM"), Some(foreign.as_str()), None] {
        match broken {
            Some(text) => fs::write(files.path("tls.key"), text).unwrap(),
            None => fs::remove_file(files.path("tls.key")).unwrap(),
        }
        served.refused.wait_for(|refused| *refused).await.unwrap();
        assert!(served.answers(&authority, None).await, "{broken:?}");
        fs::write(files.path("tls.key"), &good).unwrap();
        served.refused.wait_for(|refused| !refused).await.unwrap();
    }
    files.renew(&authority);
    eventually(|| served.answers(&authority, None)).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new();
    let files = Files::of(&authority);
    let refused = async |options: TlsOptions| {
        let checked = options.check().unwrap_err().to_string();
        let error = bind(options).await.unwrap_err();
        assert_eq!((error.code(), error.to_string()), ("LISTEN_TLS", checked.clone()));
        checked
    };
    assert!(
        refused(TlsOptions::new(files.path("none"), files.path("tls.key"))).await.contains("cannot be read")
    );
    fs::write(files.path("ca.crt"), "").unwrap();
    let options = TlsOptions { client_ca_file: Some(files.path("ca.crt")), ..files.options() };
    let said = refused(options).await;
    assert!(said.contains("ca.crt: holds no certificate"), "{said}");
    fs::write(files.path("tls.key"), authority.sign(&["localhost"]).1).unwrap();
    let said = refused(files.options()).await;
    assert!(said.contains("tls.crt") && said.to_lowercase().contains("key"), "{said}");
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_loses_its_connection() {
    let authority = Authority::new();
    let files = Files::of(&authority);
    let fake = willing();
    let served = start(&fake, files.options()).await;
    let mut silent = Vec::new();
    // More than are shaken hands with at once.
    for _ in 0..200 {
        silent.push(TcpStream::connect(("127.0.0.1", served.address.port())).await.unwrap());
    }
    tokio::time::pause();
    for mut stream in silent {
        let mut heard = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut heard)).await;
        assert!(closed.is_ok(), "a silent client kept its connection");
    }
    tokio::time::resume();
    assert!(served.answers(&authority, None).await);
}

#[tokio::test]
async fn the_command_line_speaks_tls_and_shows_its_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&authority);
    let fake = willing();
    let served = start(&fake, files.asking_for(&clients)).await;
    fs::write(files.path("server-ca.crt"), &authority.pem).unwrap();
    let (certificate, key) = clients.sign(&[OPERATOR]);
    fs::write(files.path("client.crt"), certificate).unwrap();
    fs::write(files.path("client.key"), key).unwrap();
    let home = files.directory.path();
    let at = format!("--address {}", served.url());
    let identity = "--cert-file client.crt --key-file client.key";
    let right = format!("{at} --ca-file server-ca.crt {identity}");
    for (line, code, part) in [
        (format!("health {right}"), 0, "serving"),
        (format!("pause adyen --reason audit {right}"), 0, "is paused"),
        (format!("health {at} --ca-file ca.crt {identity}"), 3, "invalid peer certificate"),
        (format!("health {at} --ca-file server-ca.crt"), 3, "asks for a certificate"),
        (format!("health {at} --ca-file none.crt"), 2, "none.crt cannot be read"),
        (format!("health {at} --ca-file client.key"), 3, "invalid peer certificate"),
        (format!("health {at} --cert-file client.crt"), 2, "--key-file"),
        ("health --address http://127.0.0.1:1 --ca-file ca.crt".to_owned(), 2, "over http no certificate"),
        ("health --ca-file ca.crt".to_owned(), 2, "--address"),
    ] {
        let (actual, said) = keyturn(home, &line).await;
        assert!(actual == code && said.contains(part), "{line}: {actual} {said}");
    }
}

async fn keyturn(home: &Path, line: &str) -> (i32, String) {
    let (home, line) = (home.to_owned(), line.to_owned());
    let run = move || {
        let words = line.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_keyturn")).args(words).current_dir(home).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}
