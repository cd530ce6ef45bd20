//! Whether a provider can be reached: TCP and TLS as a call has them, and then nothing is said.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::base_url::is_loopback;
use crate::trust;

/// How a provider is known at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// By a certificate that the machine's own root certificates vouch for.
    System,
    /// By a certificate that only the configured authority vouches for.
    OwnAuthority,
    /// By nothing: plain http on this machine.
    Nothing,
}

/// Connects to where calls below `base_url` would go, as far as the end of the TLS handshake, and closes.
///
/// No HTTP is spoken. The reason is in words, without the address.
pub async fn reach(base_url: &Url, authority_pem: Option<&str>, limit: Duration) -> Result<KnownBy, String> {
    if base_url.scheme() == "http" {
        return within(limit, connect(base_url)).await.map(|_| KnownBy::Nothing);
    }
    let system = trust::system_bundle();
    let own = authority_pem.map(str::as_bytes);
    let Some(own) = own else {
        let bundle = system.map_err(|error| error.to_string())?;
        return within(limit, shake_hands(base_url, &[&bundle])).await.map(|()| KnownBy::System);
    };
    let bundle = system.unwrap_or_default();
    within(limit, shake_hands(base_url, &[own, &bundle])).await?;
    let by_system = within(limit, shake_hands(base_url, &[&bundle])).await;
    Ok(if by_system.is_ok() { KnownBy::System } else { KnownBy::OwnAuthority })
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn connect(url: &Url) -> Result<TcpStream, String> {
    let port = url.port_or_known_default().unwrap_or_default();
    let connected = match url.host() {
        // Whatever a resolver says that `localhost` is.
        Some(Host::Domain(_)) if is_loopback(url) => {
            let here = [
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            ];
            TcpStream::connect(&here[..]).await
        }
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        None => Err(io::Error::other("there is no host in the address")),
    };
    connected.map_err(|error| error.to_string())
}

async fn shake_hands(url: &Url, bundles: &[&[u8]]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in bundles.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)).flatten() {
        // One odd certificate in a bundle must not cost all the others.
        roots.add(certificate).ok();
    }
    if roots.is_empty() {
        return Err("there is no root certificate to know it by".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let stream = connect(url).await?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    shaken.map(drop).map_err(|error| error.to_string())
}
