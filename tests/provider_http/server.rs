//! A server that keeps what it was sent, and answers as badly as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answers requests for an access token with the first, and all others with the second.
    AnswerTokensAnd(String, String),
    /// Reads the request, sends these bytes, and keeps the connection open for more.
    Answer(String),
    /// Reads the request, sends these bytes, and closes.
    AnswerAndClose(String),
    /// Reads the request, sends these bytes, and does nothing more for ever.
    AnswerAndHang(String),
    /// Reads the request, sends these bytes, closes its own half, and goes on reading.
    AnswerAndHalfClose(String),
    /// Reads the request, and resets the connection.
    ResetAfterRequest,
    /// Answers the first request of a connection, keeps it open, and resets it when a second one comes.
    ResetWhenReused(String),
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
    protocols: mpsc::UnboundedReceiver<String>,
}

/// What a server needs to speak TLS: its side of it, and the authority by which it is known.
pub(crate) struct Secure {
    acceptor: TlsAcceptor,
    pub(crate) authority_pem: String,
}

impl Secure {
    /// A server for 127.0.0.1 that offers these protocols by ALPN, the dearest first.
    pub(crate) fn offering(protocols: &[&str]) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), authority_pem: own.cert.pem() }
    }
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::listen(behaviour, None).await
    }

    /// The same server behind TLS.
    pub(crate) async fn start_secure(behaviour: Behaviour, secure: &Secure) -> Self {
        Self::listen(behaviour, Some(secure.acceptor.clone())).await
    }

    async fn listen(behaviour: Behaviour, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (keep, requests) = mpsc::unbounded_channel();
        let (spoken, protocols) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (behaviour, keep, spoken, tls) =
                    (behaviour.clone(), keep.clone(), spoken.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, behaviour, keep).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let protocol = stream.get_ref().1.alpn_protocol().unwrap_or_default();
                            spoken.send(String::from_utf8_lossy(protocol).into_owned()).ok();
                            converse(stream, &behaviour, &keep).await;
                        }
                    }
                });
            }
        });
        Self { port, connections, requests, protocols }
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

    /// What ALPN chose for each connection since the last look.
    pub(crate) fn protocols(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.protocols.try_recv().ok()).collect()
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
    if converse(&mut stream, &behaviour, &keep).await == Ending::Reset {
        stream.set_zero_linger().unwrap();
    }
}

/// How a connection is left.
#[derive(PartialEq)]
enum Ending {
    Close,
    Reset,
}

async fn converse<S>(mut stream: S, behaviour: &Behaviour, keep: &mpsc::UnboundedSender<String>) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut answered = 0;
    while let Some(asked) = read_request(&mut stream).await {
        keep.send(asked.clone()).ok();
        match behaviour {
            Behaviour::ResetWhenReused(_) if answered > 0 => return Ending::Reset,
            Behaviour::AnswerTokensAnd(token, bytes) => {
                let is_for_a_token = asked.lines().next().is_some_and(|line| line.contains("/token HTTP"));
                send(&mut stream, if is_for_a_token { token } else { bytes }).await;
            }
            Behaviour::Answer(bytes) | Behaviour::ResetWhenReused(bytes) => send(&mut stream, bytes).await,
            Behaviour::AnswerAndClose(bytes) => {
                send(&mut stream, bytes).await;
                return Ending::Close;
            }
            Behaviour::AnswerAndHang(bytes) => {
                send(&mut stream, bytes).await;
                std::future::pending::<()>().await;
            }
            Behaviour::AnswerAndHalfClose(bytes) => {
                send(&mut stream, bytes).await;
                stream.shutdown().await.ok();
            }
            Behaviour::ResetAfterRequest => return Ending::Reset,
            Behaviour::SpeakAtOnce(_) | Behaviour::ResetAtOnce => return Ending::Close,
        }
        answered += 1;
    }
    Ending::Close
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &str) {
    stream.write_all(bytes.as_bytes()).await.ok();
    stream.flush().await.ok();
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
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
