//! The HTTP client under every provider: one request is one connection, and never a second request.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};
use url::Url;

use super::base_url::is_loopback;

/// What an installation says about its way to the providers.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Further certificate authorities (PEM), beside the system's, for private endpoints.
    pub extra_ca_pem: Vec<Vec<u8>>,
    /// The longest time for name resolution, connect and TLS together.
    pub connect_timeout: Duration,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { extra_ca_pem: Vec::new(), connect_timeout: Duration::from_secs(10) }
    }
}

/// The way to all providers. A clone is cheap and shares the trust store, but no connection: none is kept.
#[derive(Debug, Clone)]
pub struct Transport {
    secure: Client,
    loopback: Client,
    pub(super) connect_timeout: Duration,
}

/// Why there is no way to the providers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate authority from the configuration cannot be used.
    #[error("extra certificate authority {number} is not a PEM certificate: {reason}")]
    CertificateAuthority {
        /// Its place in the list, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS client cannot be set up, mostly because there are no root certificates.
    #[error("cannot set up TLS ({reason}); is there a bundle of root certificates on this machine?")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The connect may take as long as the whole call, so the two could not be told apart.
    #[error(
        "connect_timeout is not shorter than call_timeout, so a provider that cannot be reached would look like \
         one whose answer was lost; make connect_timeout shorter"
    )]
    ConnectTimeout,
}

impl Error {
    /// The stable name in metrics, status details and documentation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CertificateAuthority { .. } => "PROVIDER_CA_INVALID",
            Self::Tls { .. } => "PROVIDER_TLS_SETUP",
            Self::ConnectTimeout => "PROVIDER_CONNECT_TIMEOUT",
        }
    }
}

impl Transport {
    /// Sets up the clients; reads the system's root certificates once.
    pub fn new(options: &TransportOptions) -> Result<Self, Error> {
        let mut authorities = Vec::new();
        for (index, pem) in options.extra_ca_pem.iter().enumerate() {
            let parsed = Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error));
            let parsed = match parsed {
                Ok(parsed) if parsed.is_empty() => Err("there is no certificate in it".to_owned()),
                other => other,
            };
            authorities
                .extend(parsed.map_err(|reason| Error::CertificateAuthority { number: index + 1, reason })?);
        }
        let secure = builder(options).https_only(true).tls_certs_merge(authorities);
        let loopback = builder(options).tls_certs_only([]);
        let built = |builder: ClientBuilder| {
            builder.build().map_err(|error| Error::Tls { reason: innermost(&error) })
        };
        let (secure, loopback) = (built(secure)?, built(loopback)?);
        Ok(Self { secure, loopback, connect_timeout: options.connect_timeout })
    }

    /// The client for a URL: https only, unless it points to this machine itself.
    pub(super) fn client_for(&self, url: &Url) -> &Client {
        if url.scheme() == "http" && is_loopback(url) { &self.loopback } else { &self.secure }
    }
}

/// Everything that a client could do behind our back is off: second tries, redirects, proxies from the
/// environment, kept connections, and a second protocol with retries of its own.
fn builder(options: &TransportOptions) -> ClientBuilder {
    Client::builder()
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .http1_only()
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
}

/// The innermost cause of an error in words. The outer ones repeat the URL, so they stay unsaid.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut words = None;
    while let Some(inner) = cause {
        words = Some(inner.to_string());
        cause = inner.source();
    }
    let words = words.unwrap_or_else(|| "no cause given".into());
    words.chars().filter(|c| !c.is_control()).take(300).collect()
}
