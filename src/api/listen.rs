//! The addresses on which keyturn answers, taken before anything is promised.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::certificate::{Renewal, TlsOptions};
use super::descriptors::room_for_connections;
use super::operators::Operators;
use super::socket::{self, SocketFile};
use super::tls::TlsListener;

/// How many connections are served at once, where nothing else is said.
const CONNECTIONS_DEFAULT: usize = 10_240;
/// How many watch streams there are at once, where nothing else is said: 10,000 in one process are a normal size.
const WATCHES_DEFAULT: usize = 16_384;

/// Where to answer; at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// The Unix socket.
    pub unix: Option<UnixOptions>,
    /// The TCP address. Without TLS only the loopback is taken: there is no caller's identity on it.
    pub tcp: Option<SocketAddr>,
    /// TLS on the TCP address.
    pub tls: Option<TlsOptions>,
    /// How many connections are served at once; further ones wait to be accepted. Callers must not be able to
    /// use up the file descriptors that Vault and the escrow need.
    pub connections_max: usize,
    /// How many watch streams there are at once; further ones are refused.
    pub watches_max: usize,
    /// The users that may do on the Unix socket what only operators may, besides the superuser and this
    /// process's own user.
    pub operators: Vec<u32>,
    /// Whether everybody who reaches the TCP address without TLS is an operator; else nobody there is.
    pub tcp_operators: bool,
}

impl ListenOptions {
    /// With no more connections than this many file descriptors leave room for.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let connections_max = self.connections_max.min(room_for_connections(descriptors));
        Self { connections_max, ..self }
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            unix: None,
            tcp: None,
            tls: None,
            connections_max: CONNECTIONS_DEFAULT,
            watches_max: WATCHES_DEFAULT,
            operators: Vec::new(),
            tcp_operators: false,
        }
    }
}

/// A Unix socket; who may connect is decided by its mode and by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixOptions {
    /// The socket's file.
    pub path: PathBuf,
    /// Its permission bits, whatever the umask.
    pub mode: u32,
}

impl UnixOptions {
    /// A socket for this user and its group: mode 0660.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: 0o660 }
    }
}

/// The bound addresses. Clients can connect from now on; they are answered once [`super::serve()`] runs.
///
/// Dropping it, served or not, removes the socket's file if it still is this one's.
#[derive(Debug)]
pub struct Listeners {
    pub(super) unix: Option<(UnixListener, SocketFile)>,
    pub(super) tcp: Option<TcpListener>,
    pub(super) tls: Option<(TlsListener, Renewal)>,
    pub(super) connections_max: usize,
    pub(super) watches_max: usize,
    pub(super) operators: Operators,
}

impl Listeners {
    /// Binds every address, or none. A socket that a dead process left behind is replaced, a live one never.
    pub async fn bind(options: &ListenOptions) -> Result<Self, Error> {
        if options.unix.is_none() && options.tcp.is_none() {
            return Err(Error::NoAddress);
        }
        let (mut tcp, mut tls) = (None, None);
        match (options.tcp, &options.tls) {
            (Some(address), Some(options)) => tls = Some(bind_tls(address, options).await?),
            (Some(address), None) => tcp = Some(bind_loopback(address).await?),
            (None, _) => {}
        }
        let unix = match &options.unix {
            Some(unix) => Some(socket::bind(unix).await?),
            None => None,
        };
        Ok(Self {
            unix,
            tcp,
            tls,
            connections_max: options.connections_max.max(1),
            watches_max: options.watches_max,
            operators: Operators::of(options),
        })
    }

    /// The path of the Unix socket.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, file)| file.path())
    }

    /// The TCP address with the port that the system gave.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        let plain = self.tcp.as_ref().map(TcpListener::local_addr);
        plain.or_else(|| self.tls.as_ref().map(|(listener, _)| listener.local_addr()))?.ok()
    }

    /// Whether a renewed certificate could not be used, so that the old one is still shown; `None` without TLS.
    pub fn renewal_refused(&self) -> Option<watch::Receiver<bool>> {
        self.tls.as_ref().map(|(_, renewal)| renewal.refused())
    }
}

async fn bind_loopback(address: SocketAddr) -> Result<TcpListener, Error> {
    if address.ip().is_loopback() { bind_tcp(address).await } else { Err(Error::NotLoopback { address }) }
}

async fn bind_tls(address: SocketAddr, options: &TlsOptions) -> Result<(TlsListener, Renewal), Error> {
    let (renewal, shown) = Renewal::open(options)?;
    Ok((TlsListener::new(bind_tcp(address).await?, shown), renewal))
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Tcp { address, source })
}

/// Why keyturn cannot answer on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a Unix socket nor a TCP address is configured.
    #[error("no address to listen on; configure listen.unix or listen.tcp")]
    NoAddress,
    /// A TCP address that other machines could reach.
    #[error("{address} is not a loopback address; without TLS keyturn answers only on 127.0.0.0/8 and ::1")]
    NotLoopback {
        /// The configured address.
        address: SocketAddr,
    },
    /// The TCP address cannot be had.
    #[error("listen on {address}")]
    Tcp {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file for TLS cannot be used.
    #[error("TLS cannot be spoken: {}: {cause}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Another process answers on the socket, or is about to.
    #[error("another process answers on {}; stop it, or configure another listen.unix", path.display())]
    SocketInUse {
        /// The configured path.
        path: PathBuf,
    },
    /// Something else than a socket is at the path; it is left alone.
    #[error("{} is not a socket; remove it, or configure another listen.unix", path.display())]
    NotASocket {
        /// The configured path.
        path: PathBuf,
    },
    /// The socket's directory is missing, or is none.
    #[error("{} is not a directory; create it, or configure another listen.unix", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else's file stands where keyturn needs one of its own; it is left alone.
    #[error(
        "{} is not this user's own file, or cannot be made; remove it, and let only keyturn's user write to the \
         directory", path.display()
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// The system refused something about the socket.
    #[error("{action} {}", path.display())]
    Socket {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The gRPC server could not be built, or broke.
    #[error("the gRPC server ended: {cause}")]
    Server {
        /// What it said.
        cause: String,
    },
}

impl Error {
    /// The stable name in logs and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAddress => "LISTEN_NO_ADDRESS",
            Self::NotLoopback { .. } => "LISTEN_NOT_LOOPBACK",
            Self::Tcp { .. } => "LISTEN_TCP",
            Self::Tls { .. } => "LISTEN_TLS",
            Self::SocketInUse { .. } => "LISTEN_SOCKET_IN_USE",
            Self::NotASocket { .. } => "LISTEN_NOT_A_SOCKET",
            Self::NoDirectory { .. } => "LISTEN_NO_DIRECTORY",
            Self::ForeignFile { .. } => "LISTEN_FOREIGN_FILE",
            Self::Socket { .. } => "LISTEN_SOCKET",
            Self::Server { .. } => "LISTEN_SERVER",
        }
    }
}
