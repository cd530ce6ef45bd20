//! Who calls: by uid on the Unix socket, by address over TCP, and never by a process id.

use std::fmt;

use tonic::Request;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

/// What the system knows of a connection's other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// The user that opened the Unix socket's connection.
    User(u32),
    /// Somebody on this machine.
    Tcp,
    /// The system did not say.
    Unknown,
}

impl Peer {
    /// The peer of one request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let extensions = request.extensions();
        match (extensions.get::<UdsConnectInfo>(), extensions.get::<TcpConnectInfo>()) {
            (Some(unix), _) => unix.peer_cred.map_or(Self::Unknown, |peer| Self::User(peer.uid())),
            (None, Some(_)) => Self::Tcp,
            (None, None) => Self::Unknown,
        }
    }
}

/// A caller as records and logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Such as `uid 1000` or `127.0.0.1`.
    pub(super) name: String,
    /// The process id as the socket tells it, for the log alone: it is 0 across PID namespaces, and reused.
    pub(super) pid: Option<i32>,
}

impl Caller {
    /// The caller of one request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let extensions = request.extensions();
        if let Some(peer) = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred) {
            return Self { name: format!("uid {}", peer.uid()), pid: peer.pid() };
        }
        let address = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        Self {
            name: address.map_or_else(|| "unknown".to_owned(), |address| address.ip().to_string()),
            pid: None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
