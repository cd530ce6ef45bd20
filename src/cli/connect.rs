//! The way to a running keyturn.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_client::HealthClient;
use url::Url;
use zeroize::Zeroizing;

use super::exit::Exit;
use super::failure::Failure;
use crate::api::proto::credential_service_client::CredentialServiceClient;
use crate::api::proto::rotate_service_client::RotateServiceClient;
use crate::trust;

pub(super) const DEFAULT_SOCKET: &str = "/run/keyturn/keyturn.sock";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a running keyturn listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket.
    Socket(PathBuf),
    /// A TCP address without TLS, such as `http://127.0.0.1:7070`.
    Address(String),
    /// A TCP address with TLS, such as `https://keyturn.payments.svc:7443`.
    Tls(String, TlsFiles),
}

/// What a client needs for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may sign the server's certificate; `None`: the machine's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Target {
    /// Reads an address as a person writes it.
    pub fn parse_address(text: &str, files: TlsFiles) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(Exit::Usage, format!("--address {text}: {why}"))
                .note("write https://HOST:PORT, or http://127.0.0.1:PORT")
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "http" if files != TlsFiles::default() => {
                Err(wrong("over http no certificate is looked at or shown"))
            }
            "http" if url.has_host() => Ok(Self::Address(text.to_owned())),
            "https" if url.has_host() => Ok(Self::Tls(text.to_owned(), files)),
            _ => Err(wrong("this is no HTTP address")),
        }
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let uri = match self {
            Self::Socket(path) => format!("unix:{}", path.display()),
            Self::Address(address) | Self::Tls(address, _) => address.clone(),
        };
        let unusable = |error: tonic::transport::Error| {
            Failure::new(Exit::Usage, format!("{self}: {}", root_cause(&error)))
        };
        let endpoint = Endpoint::from_shared(uri).map_err(unusable)?.connect_timeout(CONNECT_TIMEOUT);
        match self {
            Self::Tls(_, files) => endpoint.tls_config(files.read()?).map_err(unusable),
            _ => Ok(endpoint),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Address(address) | Self::Tls(address, _) => f.write_str(address),
        }
    }
}

impl TlsFiles {
    fn read(&self) -> Result<ClientTlsConfig, Failure> {
        let authorities = match &self.ca_file {
            Some(file) => read(file)?,
            None => trust::system_bundle().map_err(|error| {
                Failure::new(Exit::Usage, error.to_string()).note("name the authorities with --ca-file FILE")
            })?,
        };
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
        let Some((certificate, key)) = &self.identity else { return Ok(config) };
        let key = Zeroizing::new(read(key)?);
        Ok(config.identity(Identity::from_pem(read(certificate)?, &*key)))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file)
        .map_err(|error| Failure::new(Exit::Usage, format!("{} cannot be read: {error}", file.display())))
}

/// An open connection to keyturn, and what is needed to open it again.
#[derive(Debug)]
pub(super) struct Session {
    target: Target,
    pub(super) rotations: RotateServiceClient<Channel>,
    pub(super) credentials: CredentialServiceClient<Channel>,
    pub(super) health: HealthClient<Channel>,
}

impl Session {
    pub(super) async fn open(target: Target) -> Result<Self, Failure> {
        let channel = target.endpoint()?.connect().await.map_err(|error| unreachable(&target, &error))?;
        Ok(Self {
            target,
            rotations: RotateServiceClient::new(channel.clone()),
            credentials: CredentialServiceClient::new(channel.clone()),
            health: HealthClient::new(channel),
        })
    }

    pub(super) async fn reopen(&mut self) -> Result<(), Failure> {
        *self = Self::open(self.target.clone()).await?;
        Ok(())
    }
}

fn unreachable(target: &Target, error: &(dyn Error + 'static)) -> Failure {
    let failure =
        |what: &str| Failure::new(Exit::Unreachable, format!("cannot reach keyturn at {target}: {what}"));
    let elsewhere = "name another place with --socket PATH, --address URL or --config FILE";
    match io_kind(error) {
        Some(io::ErrorKind::NotFound) => failure("there is no such socket")
            .note("start keyturn with `keyturn run --config FILE`")
            .note(elsewhere),
        Some(io::ErrorKind::PermissionDenied) => failure("this user may not open the socket")
            .note("run this as a user in the socket's group; `ls -l` shows which that is"),
        Some(io::ErrorKind::ConnectionRefused) => failure("nobody listens there")
            .note("keyturn is not running, or still starting; start it with `keyturn run --config FILE`")
            .note(elsewhere),
        _ => failure(&root_cause(error)).note(elsewhere),
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    chain(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// What an error comes down to.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
