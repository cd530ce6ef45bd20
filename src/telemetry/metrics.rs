//! The metrics page: one path, one request per connection, everything bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::metrics_page::Metrics;
use super::process::Process;
use crate::engine::Fleet;

/// A request that is longer, or slower, is dropped.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// So many connections are answered at once, so that a few idle ones do not silence the page.
const CONNECTIONS_MAX: usize = 16;

/// A failing accept (out of file descriptors) must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Answers `GET /metrics` on `address` until `stop`; counters count what ends after `started_at`.
///
/// The page names credentials and the state of their keys; who may read that is for the configuration to say.
pub async fn serve(
    address: SocketAddr,
    fleet: Fleet,
    process: Process,
    started_at: Timestamp,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(answer_all(listener, Metrics::new(started_at, process), fleet, stop));
    Ok(())
}

async fn answer_all(listener: TcpListener, metrics: Metrics, fleet: Fleet, stop: CancellationToken) {
    let metrics = Arc::new(Mutex::new(metrics));
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            io::Result::Ok((permit, stream))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next => accepted,
        };
        let Ok((permit, mut stream)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (metrics, fleet, stop) = (Arc::clone(&metrics), fleet.clone(), stop.clone());
        tokio::spawn(async move {
            let exchange = tokio::time::timeout(EXCHANGE_TIMEOUT, answer(&mut stream, &metrics, &fleet));
            // A collector that went away is its own affair; the next scrape tells all again.
            tokio::select! {
                () = stop.cancelled() => {}
                _ = exchange => {}
            }
            drop(permit);
        });
    }
}

async fn answer(stream: &mut TcpStream, metrics: &Mutex<Metrics>, fleet: &Fleet) -> io::Result<()> {
    let request = tokio::time::timeout(REQUEST_TIMEOUT, read_head(stream)).await??;
    let mut words = request.split(u8::is_ascii_whitespace);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, media_type, body) = match (method, path) {
        _ if !hosts(&request).all(is_this_machine) => {
            ("421 Misdirected Request", PLAIN_TEXT, "ask by IP address or as localhost\n".to_owned())
        }
        (b"GET", b"/metrics") => match metrics.lock().await.scrape(fleet) {
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

/// The values of the Host headers of a request.
fn hosts(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let is_host = name.trim_ascii().eq_ignore_ascii_case(b"host");
        is_host.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

/// Whether a host is an IP address or this machine's own name, with or without a port.
///
/// A web page can give a name of its own this machine's address, and then read what that name serves; its browser
/// still sends the name.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(authority) = http::uri::Authority::try_from(host) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
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
        let metrics = Metrics::new(Timestamp::UNIX_EPOCH, Process::default());
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
        let page = say(address, b"GET /metrics?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9400\r\n\r\n").await;
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

    #[tokio::test]
    async fn a_name_that_is_not_this_machines_own_is_refused() {
        let (address, _stop) = start().await;
        for (host, status) in [
            ("127.0.0.1", "200"),
            ("10.0.0.7:9400", "200"),
            ("[::1]:9400", "200"),
            ("localhost", "200"),
            ("LocalHost:9400", "200"),
            ("evil.example", "421"),
            ("evil.example:9400", "421"),
            ("localhost.evil.example", "421"),
            ("127.0.0.1.evil.example", "421"),
            ("x@evil.example", "421"),
            ("localhost\r\nhOsT: evil.example", "421"),
            ("", "421"),
        ] {
            let request = format!("GET /metrics HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\n\r\n");
            let answer = say(address, request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
            assert_eq!(answer.contains("keyturn_credentials"), status == "200", "{host}");
        }
    }

    #[tokio::test]
    async fn idle_connections_keep_nobody_waiting() {
        let (address, _stop) = start().await;
        let mut idle = Vec::new();
        for _ in 1..CONNECTIONS_MAX {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let began = tokio::time::Instant::now();
        assert!(say(address, b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
        assert!(began.elapsed() < EXCHANGE_TIMEOUT, "it waited {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn more_idle_connections_than_are_answered_at_once_delay_for_a_second_only() {
        let (address, _stop) = start().await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
            idle.push(stream);
        }
        let began = tokio::time::Instant::now();
        assert!(say(address, b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
        assert!(began.elapsed() < EXCHANGE_TIMEOUT, "it waited {:?}", began.elapsed());
    }
}
