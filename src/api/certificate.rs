//! The certificate that keyturn shows over TLS, and whom it lets vouch for clients: from files that may be renewed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::listen::Error;

/// How often the files are looked at, where nothing else is said.
const REREAD_INTERVAL: Duration = Duration::from_secs(10);
/// The protocol of every connection, in TLS's words.
const HTTP_2: &[u8] = b"h2";

/// TLS on the TCP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file with the certificate and those that signed it.
    pub cert_file: PathBuf,
    /// A PEM file with its private key.
    pub key_file: PathBuf,
    /// A PEM file with the authorities of which every client needs a certificate; `None`: no client needs one.
    pub client_ca_file: Option<PathBuf>,
    /// The names in client certificates that make an operator.
    pub operators: Vec<String>,
    /// How often the files are looked at.
    pub reread_interval: Duration,
}

impl TlsOptions {
    /// TLS that asks clients for no certificate.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            client_ca_file: None,
            operators: Vec::new(),
            reread_interval: REREAD_INTERVAL,
        }
    }

    /// Whether the files can be used as they are now.
    pub fn check(&self) -> Result<(), Error> {
        Files::read(self)?.configure(self).map(drop)
    }
}

/// What new connections are shown.
pub(super) type Shown = watch::Receiver<Arc<ServerConfig>>;

/// The files and what was made of them; following them keeps new connections up with a renewal.
#[derive(Debug)]
pub(super) struct Renewal {
    options: TlsOptions,
    files: Files,
    shown: watch::Sender<Arc<ServerConfig>>,
    refused: watch::Sender<bool>,
}

impl Renewal {
    /// Reads the files for the first time.
    pub(super) fn open(options: &TlsOptions) -> Result<(Self, Shown), Error> {
        let files = Files::read(options)?;
        let (shown, seen) = watch::channel(Arc::new(files.configure(options)?));
        let renewal = Self { options: options.clone(), files, shown, refused: watch::channel(false).0 };
        Ok((renewal, seen))
    }

    /// Whether the files have changed to something that cannot be used, so that the old certificate is still shown.
    pub(super) fn refused(&self) -> watch::Receiver<bool> {
        self.refused.subscribe()
    }

    /// Looks at the files again and again. It ends with its listener.
    pub(super) async fn follow(mut self) {
        let mut said = None;
        loop {
            tokio::select! {
                () = self.shown.closed() => return,
                () = tokio::time::sleep(self.options.reread_interval) => {}
            }
            let renewed = self.renew().await;
            self.refused.send_replace(renewed.is_err());
            let refusal = renewed.err().map(|error| error.to_string());
            if let Some(refusal) = refusal.as_ref().filter(|refusal| Some(*refusal) != said.as_ref()) {
                warn!(
                    code = "LISTEN_TLS",
                    refusal, "the renewed certificate cannot be used; the old one is still shown"
                );
            }
            said = refusal;
        }
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let options = self.options.clone();
        let reading = tokio::task::spawn_blocking(move || Files::read(&options)).await;
        let files = reading.map_err(|error| unusable(&self.options.cert_file, &error.to_string()))??;
        if files != self.files {
            let config = files.configure(&self.options)?;
            self.files = files;
            self.shown.send_replace(Arc::new(config));
            info!("new connections are shown the renewed certificate");
        }
        Ok(())
    }
}

/// The files of one reading.
#[derive(PartialEq, Eq)]
struct Files {
    certificates: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_authorities: Option<Vec<u8>>,
}

impl Files {
    fn read(options: &TlsOptions) -> Result<Self, Error> {
        Ok(Self {
            certificates: read(&options.cert_file)?,
            key: Zeroizing::new(read(&options.key_file)?),
            client_authorities: options.client_ca_file.as_deref().map(read).transpose()?,
        })
    }

    fn configure(&self, options: &TlsOptions) -> Result<ServerConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let own = |error: &dyn std::fmt::Display| unusable(&options.cert_file, &error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| own(&error))?;
        let builder = match self.client_authorities.as_deref().zip(options.client_ca_file.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((pem, file)) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(pem, file)?), provider)
                        .build()
                        .map_err(|error| unusable(file, &error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates(&self.certificates, &options.cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| unusable(&options.key_file, "holds no private key in PEM"))?;
        // A key of another certificate is refused here.
        let mut config = builder.with_single_cert(chain, key).map_err(|error| own(&error))?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        // A session that is taken up again shows no certificate, and would outlive it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

fn authorities(pem: &[u8], file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, file)? {
        roots.add(certificate).map_err(|error| unusable(file, &error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| unusable(file, "holds no certificate in PEM"))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| unusable(path, &format!("cannot be read: {error}")))
}

fn unusable(path: &Path, cause: &str) -> Error {
    Error::Tls { path: path.to_owned(), cause: cause.to_owned() }
}
