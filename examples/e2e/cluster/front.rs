//! TLS in front of what serves plain HTTP on the loopback, so that pods reach it as they would reach the real thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority, and what it vouches for.
pub(crate) struct Fronts {
    address: String,
    pub(crate) authority_pem: String,
    acceptor: TlsAcceptor,
}

impl Fronts {
    /// Fronts on this address of the machine; they end with the process.
    pub(crate) fn on(address: &str) -> anyhow::Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let names = vec![address.to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { address: address.to_owned(), authority_pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Puts TLS before a port of the loopback; gives the address that pods use.
    pub(crate) async fn before(&self, port: u16, valve: &Valve) -> anyhow::Result<String> {
        let listener = TcpListener::bind((self.address.as_str(), 0)).await.context("the node's address")?;
        let own_port = listener.local_addr()?.port();
        let (acceptor, valve) = (self.acceptor.clone(), valve.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, valve) = (acceptor.clone(), valve.clone());
                tokio::spawn(async move {
                    let (Ok(outside), Ok(inside)) =
                        (acceptor.accept(stream).await, TcpStream::connect(("127.0.0.1", port)).await)
                    else {
                        return;
                    };
                    // Whoever breaks the connection off, the other side sees it break.
                    valve.carry(outside, inside).await.ok();
                });
            }
        });
        Ok(format!("https://{}:{own_port}", self.address))
    }
}

/// Holds back what pods send and hear, from a chosen moment on.
#[derive(Clone)]
pub(crate) struct Valve {
    flow: watch::Sender<Flow>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// Nothing passes once a request that begins like this has taken effect; its answer does not either.
    OpenUntil(&'static str),
    Closed,
}

impl Valve {
    pub(crate) fn open() -> Self {
        Self { flow: watch::channel(Flow::Open).0 }
    }

    /// Lets the next request pass that begins like this, and nothing after it, not even its answer.
    pub(crate) fn close_after(&self, request: &'static str) {
        self.flow.send_replace(Flow::OpenUntil(request));
    }

    /// Ends when nothing passes any more.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so the wait cannot end early.
        self.flow.subscribe().wait_for(|flow| *flow == Flow::Closed).await.ok();
    }

    /// Lets everything pass again; connections on which something was held back break.
    pub(crate) fn reopen(&self) {
        self.flow.send_replace(Flow::Open);
    }

    async fn carry(&self, outside: impl AsyncRead + AsyncWrite, inside: TcpStream) -> io::Result<()> {
        let ((mut asks, mut hears), (mut answers, mut is_asked)) = (io::split(outside), io::split(inside));
        let closes = AtomicBool::new(false);
        let requests = async {
            loop {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                if asks.read_buf(&mut chunk).await? == 0 || !self.lets_pass().await {
                    return io::Result::Ok(());
                }
                if let Flow::OpenUntil(request) = *self.flow.borrow()
                    && chunk.starts_with(request.as_bytes())
                {
                    closes.store(true, Ordering::SeqCst);
                }
                is_asked.write_all(&chunk).await?;
            }
        };
        let responses = async {
            loop {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                if answers.read_buf(&mut chunk).await? == 0 {
                    return Ok(());
                }
                if closes.load(Ordering::SeqCst) {
                    self.flow.send_replace(Flow::Closed);
                    self.lets_pass().await;
                    return Ok(());
                }
                hears.write_all(&chunk).await?;
            }
        };
        tokio::select! {
            ended = requests => ended,
            ended = responses => ended,
        }
    }

    /// Waits while nothing passes; `false` where something had to wait.
    async fn lets_pass(&self) -> bool {
        let mut flow = self.flow.subscribe();
        if *flow.borrow_and_update() != Flow::Closed {
            return true;
        }
        flow.wait_for(|flow| *flow != Flow::Closed).await.ok();
        false
    }
}

const CHUNK_BYTES: usize = 16 * 1024;
