//! A server that keeps what it was sent, and answers as badly as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Reads the request, sends these bytes, and keeps the connection open for more.
    Answer(String),
    /// Reads the request, sends these bytes, and closes.
    AnswerAndClose(String),
    /// Reads the request, sends these bytes, and does nothing more for ever.
    AnswerAndHang(String),
    /// Reads the request, and resets the connection.
    ResetAfterRequest,
    /// Sends these bytes without waiting for a request, and closes.
    SpeakAtOnce(String),
    /// Resets the connection without reading.
    ResetAtOnce,
}

/// One server on a port of its own; it ends with the runtime of its test.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (keep, requests) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, behaviour.clone(), keep.clone()));
            }
        });
        Self { port, connections, requests }
    }

    /// A server that answers every request with a status and a JSON body.
    pub(crate) async fn answering(status: u16, body: &str) -> Self {
        Self::start(Behaviour::Answer(answer(status, "", body))).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// All requests since the last look: head and body, as they came.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

/// An answer in full, with further header lines (each with its line break).
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} Whatever\r\n{headers}{length}\r\n{body}")
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, keep: mpsc::UnboundedSender<String>) {
    match &behaviour {
        Behaviour::SpeakAtOnce(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok();
            return;
        }
        Behaviour::ResetAtOnce => return stream.set_zero_linger().unwrap(),
        _ => {}
    }
    while let Some(request) = read_request(&mut stream).await {
        keep.send(request).ok();
        match &behaviour {
            Behaviour::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.ok(),
            Behaviour::AnswerAndClose(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok();
                return;
            }
            Behaviour::AnswerAndHang(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok();
                std::future::pending().await
            }
            Behaviour::ResetAfterRequest => return stream.set_zero_linger().unwrap(),
            Behaviour::SpeakAtOnce(_) | Behaviour::ResetAtOnce => return,
        };
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(whole) = whole_request(&bytes) {
            return Some(whole);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn whole_request(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    (body.len() >= length).then(|| text.into_owned())
}
