//! The way to a running keyturn.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use url::Url;

use super::exit::Exit;
use super::failure::Failure;
use crate::api::proto::credential_service_client::CredentialServiceClient;
use crate::api::proto::rotate_service_client::RotateServiceClient;

pub(super) const DEFAULT_SOCKET: &str = "/run/keyturn/keyturn.sock";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a running keyturn listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket.
    Socket(PathBuf),
    /// A TCP address without TLS, such as `http://127.0.0.1:7070`.
    Address(String),
}

impl Target {
    /// Reads an address as a person writes it.
    pub fn parse_address(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(Exit::Usage, format!("--address {text}: {why}")).note("write http://127.0.0.1:PORT")
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "http" if url.has_host() => Ok(Self::Address(text.to_owned())),
            "https" => {
                Err(wrong("this command speaks no TLS; use keyturn's Unix socket, or a loopback address"))
            }
            _ => Err(wrong("this is no HTTP address")),
        }
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let uri = match self {
            Self::Socket(path) => format!("unix:{}", path.display()),
            Self::Address(address) => address.clone(),
        };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| Failure::new(Exit::Usage, format!("{self}: {error}")))?;
        Ok(endpoint.connect_timeout(CONNECT_TIMEOUT))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
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

fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
