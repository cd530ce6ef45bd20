//! Connections: never more at once than there are permits, each peer with its own share, and none that only waits.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected;
use tracing::warn;

use super::peer::{Caller, Peer};
use super::quota::Quota;

/// How long a client may take to begin.
pub(super) const OPENING_TIMEOUT: Duration = Duration::from_secs(5);
/// With what every HTTP/2 client begins: the preface, and the head of its SETTINGS.
const OPENING_BYTES: usize = 24 + 9;
/// Refused connections are logged no more often.
pub(super) const REFUSAL_LOG_INTERVAL: Duration = Duration::from_mins(1);
/// The wait after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// What every kind of listener does.
pub(super) trait Listen {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who is at its other end. Cancel-safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Caller)>> + Send;
}

impl Listen for UnixListener {
    type Io = UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Caller)> {
        let (stream, _) = Self::accept(self).await?;
        let caller = Caller::of_socket(stream.peer_cred().ok().as_ref());
        Ok((stream, caller))
    }
}

impl Listen for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Caller)> {
        let (stream, address) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, Caller::from_address(Peer::Tcp, address)))
    }
}

/// The connections of a listener.
///
/// One of a peer that has all its seats is closed at once; one for which there is no permit waits, and the others
/// behind it.
pub(super) fn incoming<L: Listen>(
    listener: L,
    quota: Quota,
    permits: Arc<Semaphore>,
) -> impl Stream<Item = Result<Connection<L::Io>, Infallible>> {
    let door = Door { listener, quota, permits, last_refusal: None };
    stream::unfold(door, |mut door| async move {
        let (io, caller, seat) = door.accept().await;
        let permit = Arc::clone(&door.permits).acquire_owned().await.ok()?;
        let opening =
            Opening { missing_bytes: OPENING_BYTES, deadline: Box::pin(tokio::time::sleep(OPENING_TIMEOUT)) };
        Some((Ok(Connection { io, caller, opening: Some(opening), _seat: seat, _permit: permit }), door))
    })
}

/// Where the connections of one listener come in.
struct Door<L> {
    listener: L,
    quota: Quota,
    permits: Arc<Semaphore>,
    last_refusal: Option<Instant>,
}

impl<L: Listen> Door<L> {
    async fn accept(&mut self) -> (L::Io, Caller, OwnedSemaphorePermit) {
        loop {
            match self.listener.accept().await {
                Ok((io, caller)) => match self.quota.seat(&caller.peer) {
                    Some(seat) => return (io, caller, seat),
                    None => self.refuse(&caller),
                },
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    fn refuse(&mut self, caller: &Caller) {
        if self.last_refusal.is_none_or(|last| last.elapsed() >= REFUSAL_LOG_INTERVAL) {
            self.last_refusal = Some(Instant::now());
            warn!(%caller, "a peer has too many connections; further ones are closed");
        }
    }
}

/// A connection, with its seat and its permit.
pub(super) struct Connection<Io> {
    io: Io,
    caller: Caller,
    opening: Option<Opening>,
    _seat: OwnedSemaphorePermit,
    _permit: OwnedSemaphorePermit,
}

/// What a client has not said yet, and until when it must.
struct Opening {
    missing_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<Io> Connected for Connection<Io> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.caller.clone()
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(opening) = &mut self.opening {
            let read_bytes = buffer.filled().len().saturating_sub(before);
            opening.missing_bytes = opening.missing_bytes.saturating_sub(read_bytes);
            if opening.missing_bytes == 0 {
                self.opening = None;
            } else if polled.is_pending() && opening.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
