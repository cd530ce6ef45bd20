//! Who calls: by uid on the Unix socket, by certificate over TLS, by address over plain TCP, and never by a process id.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::unix::UCred;
use tonic::{Request, Status};

use super::status;

/// What is known of a connection's other end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// The user that opened the Unix socket's connection, by the kernel's word.
    User(u32),
    /// Somebody on this machine.
    Tcp,
    /// Whom a client certificate names, by the word of the configured authority.
    Certificate(Arc<str>),
    /// Somebody, somewhere: over TLS without a client certificate.
    Anybody,
    /// The system did not say.
    Unknown,
}

/// A connection's other end, and how records and logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    /// Such as `uid 1000`, `certificate spiffe://cluster/ns/payments/sa/app` or `127.0.0.1`.
    pub(super) name: String,
    /// The process id as the socket tells it, for the log alone: it is 0 across PID namespaces, and reused.
    pub(super) pid: Option<i32>,
}

impl Caller {
    /// The caller of one request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(Self::unknown)
    }

    /// The caller of one request, if it may ask for more than a look.
    pub(super) fn known<T>(request: &Request<T>, act: &str) -> Result<Self, Status> {
        let caller = Self::of(request);
        match caller.peer {
            Peer::Anybody => {
                tracing::warn!(%caller, act, "refused to a caller without a client certificate");
                Err(status::identity_needed(&caller.name, act))
            }
            _ => Ok(caller),
        }
    }

    /// Whoever the kernel says has opened a Unix socket's connection.
    pub(super) fn of_socket(credentials: Option<&UCred>) -> Self {
        credentials.map_or_else(Self::unknown, |user| Self {
            peer: Peer::User(user.uid()),
            name: format!("uid {}", user.uid()),
            pid: user.pid(),
        })
    }

    /// Somebody who has come from an address.
    pub(super) fn from_address(peer: Peer, address: SocketAddr) -> Self {
        Self { peer, name: address.ip().to_string(), pid: None }
    }

    /// Whom a client certificate names.
    pub(super) fn named(name: &str) -> Self {
        Self { peer: Peer::Certificate(name.into()), name: format!("certificate {name}"), pid: None }
    }

    fn unknown() -> Self {
        Self { peer: Peer::Unknown, name: "unknown".to_owned(), pid: None }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
