//! TLS in front of what serves plain HTTP on the loopback, so that pods reach it as they would reach the real thing.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
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
    pub(crate) async fn before(&self, port: u16) -> anyhow::Result<String> {
        let listener = TcpListener::bind((self.address.as_str(), 0)).await.context("the node's address")?;
        let own_port = listener.local_addr()?.port();
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever breaks the connection off, the other side sees it break.
                    let (Ok(mut outside), Ok(mut inside)) =
                        (acceptor.accept(stream).await, TcpStream::connect(("127.0.0.1", port)).await)
                    else {
                        return;
                    };
                    copy_bidirectional(&mut outside, &mut inside).await.ok();
                });
            }
        });
        Ok(format!("https://{}:{own_port}", self.address))
    }
}
