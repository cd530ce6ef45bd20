//! The TLS listener: handshakes bounded in number and in time, and a caller known by its certificate's name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;
use tracing::warn;
use webpki::EndEntityCert;

use super::certificate::Shown;
use super::connection::{Listen, OPENING_TIMEOUT, REFUSAL_LOG_INTERVAL};
use super::peer::{Caller, Peer};

/// How many handshakes there are at once; further clients wait to be accepted.
const HANDSHAKES_MAX: usize = 128;
/// The longest name of a caller.
const NAME_BYTES_MAX: usize = 255;

/// A TCP address on which TLS is spoken.
#[derive(Debug)]
pub(super) struct TlsListener {
    listener: TcpListener,
    shown: Shown,
    handshakes: JoinSet<Result<(TlsStream<TcpStream>, Caller), Failed>>,
    last_refusal: Option<Instant>,
}

/// A handshake from which no connection came.
#[derive(Debug)]
struct Failed {
    address: SocketAddr,
    cause: String,
}

impl TlsListener {
    /// Speaks TLS on an address, with what is shown at the time of each connection.
    pub(super) fn new(listener: TcpListener, shown: Shown) -> Self {
        Self { listener, shown, handshakes: JoinSet::new(), last_refusal: None }
    }

    /// The address with the port that the system gave.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn tell(&mut self, failed: &Failed) {
        if self.last_refusal.is_none_or(|last| last.elapsed() >= REFUSAL_LOG_INTERVAL) {
            self.last_refusal = Some(Instant::now());
            warn!(address = %failed.address, cause = failed.cause, "a TLS handshake failed; further ones are not told for a while");
        }
    }
}

impl Listen for TlsListener {
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Caller)> {
        loop {
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Ok(accepted)) => return Ok(accepted),
                    Ok(Err(failed)) => self.tell(&failed),
                    Err(error) => return Err(io::Error::other(error)),
                },
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                    let (stream, address) = accepted?;
                    let config = Arc::clone(&self.shown.borrow());
                    self.handshakes.spawn(shake_hands(stream, address, config));
                }
            }
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
) -> Result<(TlsStream<TcpStream>, Caller), Failed> {
    let failed = |cause: &str| Failed { address, cause: cause.to_owned() };
    stream.set_nodelay(true).map_err(|error| failed(&error.to_string()))?;
    let shaking = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await;
    let stream = shaking
        .map_err(|_| failed("it was not finished in time"))?
        .map_err(|error| failed(&error.to_string()))?;
    let caller = caller(stream.get_ref().1, address).ok_or_else(|| {
        failed("the client's certificate names nobody: it has no usable URI and no DNS name")
    })?;
    Ok((stream, caller))
}

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = OPENING_TIMEOUT;

fn caller(connection: &ServerConnection, address: SocketAddr) -> Option<Caller> {
    match connection.peer_certificates().and_then(<[_]>::first) {
        Some(certificate) => name_of(certificate).map(|name| Caller::named(&name)),
        None => Some(Caller::from_address(Peer::Anybody, address)),
    }
}

/// The one name by which a certificate's owner is known: the first URI (a SPIFFE id is one), else the first DNS name.
///
/// The common name is no name: authorities do not check it as they check these.
fn name_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let name = certificate.valid_uri_names().next().or_else(|| certificate.valid_dns_names().next())?;
    let is_one_name =
        name.len() <= NAME_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
    is_one_name.then(|| name.to_owned())
}
