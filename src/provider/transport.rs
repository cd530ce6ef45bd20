//! The HTTP client under every provider: one request is one connection, and never a second request.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};
use url::Url;

use super::base_url::is_loopback;
use crate::trust;

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
    /// Why no server can be trusted: there is neither a root certificate nor an authority of the owner's.
    trusts_nobody: Option<trust::Error>,
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
    /// A provider is called over https, and there is no certificate to know it by.
    #[error("the provider cannot be called over https: {0}")]
    RootCertificates(#[source] trust::Error),
    /// The TLS client cannot be set up.
    #[error("cannot set up TLS ({reason})")]
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
            Self::RootCertificates(_) => "PROVIDER_ROOTS_MISSING",
            Self::Tls { .. } => "PROVIDER_TLS_SETUP",
            Self::ConnectTimeout => "PROVIDER_CONNECT_TIMEOUT",
        }
    }
}

impl Transport {
    /// Sets up the clients. Without any root certificate this works too, and only https is refused later.
    pub fn new(options: &TransportOptions) -> Result<Self, Error> {
        Self::trusting(trust::system_roots(), options)
    }

    fn trusting(
        system: Result<Vec<Certificate>, trust::Error>,
        options: &TransportOptions,
    ) -> Result<Self, Error> {
        let mut authorities = extra_authorities(options)?;
        let trusts_nobody = match system {
            Ok(roots) => {
                authorities.extend(roots);
                None
            }
            Err(error) => authorities.is_empty().then_some(error),
        };
        let secure = builder(options).https_only(true).tls_certs_only(authorities);
        let loopback = builder(options).tls_certs_only([]);
        let built = |builder: ClientBuilder| {
            builder.build().map_err(|error| Error::Tls { reason: innermost(&error) })
        };
        let (secure, loopback) = (built(secure)?, built(loopback)?);
        Ok(Self { secure, loopback, trusts_nobody, connect_timeout: options.connect_timeout })
    }

    /// Refused where the URL needs a certificate and there is none to know a server by.
    pub(super) fn reaches(&self, url: &Url) -> Result<(), Error> {
        match &self.trusts_nobody {
            Some(error) if !is_plain(url) => Err(Error::RootCertificates(error.clone())),
            _ => Ok(()),
        }
    }

    /// The client for a URL: https only, unless it points to this machine itself.
    pub(super) fn client_for(&self, url: &Url) -> &Client {
        if is_plain(url) { &self.loopback } else { &self.secure }
    }
}

fn is_plain(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

fn extra_authorities(options: &TransportOptions) -> Result<Vec<Certificate>, Error> {
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
    Ok(authorities)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_root_certificates_only_https_without_an_own_authority_is_refused() {
        let nobody = || Err(trust::Error::NoBundle { places: "/etc/one, /etc/two".into() });
        let https = "https://provider.example/v1".parse().unwrap();
        let loopback = "http://127.0.0.1:80".parse().unwrap();
        let bare = Transport::trusting(nobody(), &TransportOptions::default()).unwrap();
        let refused = bare.reaches(&https).unwrap_err();
        assert_eq!(refused.code(), "PROVIDER_ROOTS_MISSING");
        assert!(refused.to_string().contains("/etc/one, /etc/two"), "{refused}");
        assert!(bare.reaches(&loopback).is_ok());

        let own = rcgen::generate_simple_self_signed(["provider.example".to_owned()]).unwrap();
        let options = TransportOptions {
            extra_ca_pem: vec![own.cert.pem().into_bytes()],
            ..TransportOptions::default()
        };
        assert!(Transport::trusting(nobody(), &options).unwrap().reaches(&https).is_ok());
    }
}
