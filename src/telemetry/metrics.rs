//! The metrics page: one path, one request per connection, everything bounded.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::metrics_page::Metrics;
use crate::engine::Fleet;

/// A request that is longer, or slower, is dropped.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A failing accept (out of file descriptors) must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Answers `GET /metrics` on `address` until `stop`; counters count what ends after `started_at`.
///
/// The page names credentials and the state of their keys: bind a loopback address, or one that only the
/// collector can reach.
pub async fn serve(
    address: SocketAddr,
    fleet: Fleet,
    started_at: Timestamp,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(answer_all(listener, Metrics::new(started_at), fleet, stop));
    Ok(())
}

/// One scrape after the other: the task owns the numbers.
async fn answer_all(listener: TcpListener, mut metrics: Metrics, fleet: Fleet, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let exchange = tokio::time::timeout(EXCHANGE_TIMEOUT, answer(&mut stream, &mut metrics, &fleet));
        // A collector that went away is its own affair; the next scrape tells all again.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = exchange => {}
        }
    }
}

async fn answer(stream: &mut TcpStream, metrics: &mut Metrics, fleet: &Fleet) -> io::Result<()> {
    let request = read_head(stream).await?;
    let mut words = request.split(u8::is_ascii_whitespace);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, media_type, body) = match (method, path) {
        (b"GET", b"/metrics") => match metrics.scrape(fleet) {
            Ok(page) => ("200 OK", OPEN_METRICS, page),
            Err(_) => ("500 Internal Server Error", PLAIN_TEXT, "the metrics cannot be written\n".to_owned()),
        },
        (b"GET", _) => ("404 Not Found", PLAIN_TEXT, "the metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", PLAIN_TEXT, "only GET is understood\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Everything up to the empty line after the headers.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    let mut limited = stream.take(REQUEST_BYTES_MAX as u64);
    loop {
        if limited.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            return Ok(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::DropGuard;

    use super::*;
    use crate::telemetry::metrics_page::sample;

    async fn start() -> (SocketAddr, DropGuard) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (fleet, _) = sample::fleet(sample::snapshot(Timestamp::UNIX_EPOCH));
        let metrics = Metrics::new(Timestamp::UNIX_EPOCH);
        tokio::spawn(answer_all(listener, metrics, fleet, stop.clone()));
        (address, stop.drop_guard())
    }

    async fn say(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A refused request may end in a reset; what was read before it counts.
        stream.read_to_end(&mut answer).await.ok();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn the_page_is_there_and_nothing_else() {
        let (address, _stop) = start().await;
        let page = say(address, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{page}");
        assert!(page.contains("keyturn_credentials 1\n") && page.ends_with("# EOF\n"));
        assert!(say(address, b"GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(say(address, b"POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
    }

    #[tokio::test]
    async fn an_endless_request_gets_no_answer_and_stops_nobody() {
        let (address, _stop) = start().await;
        assert_eq!(say(address, &[b'x'; REQUEST_BYTES_MAX * 2]).await, "");
        assert!(say(address, b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_does_not_keep_others_waiting_for_ever() {
        let (address, _stop) = start().await;
        let _silent = TcpStream::connect(address).await.unwrap();
        assert!(say(address, b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
    }
}
