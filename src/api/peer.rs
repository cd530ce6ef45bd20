//! Who calls: by uid on the Unix socket, by address over TCP, and never by a process id.

use std::fmt;

use tonic::Request;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

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
