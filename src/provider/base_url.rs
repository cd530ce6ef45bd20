//! The address below which a provider's calls are made.

use std::net::IpAddr;

use url::{Host, Url};

use crate::mistake::Mistake;

/// Parses a base URL: https, or http to this machine itself; no query, no user, no trailing slash.
pub(super) fn parse(text: &str) -> Result<Url, Mistake> {
    // The text is not repeated: somebody may have written a password into it.
    let url = Url::parse(text).map_err(|error| {
        Mistake::new("", format!("it is not a URL: {error}")).hint("such as https://api.example.com/v1")
    })?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(Mistake::new("", "keys go over https only; http is for 127.0.0.1, ::1 and localhost")
            .hint("write https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("", "a base URL holds no user and no password").hint("use an auth scheme"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Mistake::new("", "a base URL has no query and no fragment"));
    }
    if text.ends_with('/') {
        return Err(Mistake::new("", "a base URL does not end with '/'; paths begin with it"));
    }
    Ok(url)
}

/// Whether the URL points to this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_the_own_machine_are_taken() {
        for good in ["https://a.example/v3", "http://127.0.0.1:80", "http://[::1]:8080", "http://localhost:1"]
        {
            assert!(parse(good).is_ok(), "{good} was refused");
        }
        for bad in [
            "http://a.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "ftp://127.0.0.1",
            "https://u:p@a.example",
            "https://a.example/?q=1",
            "https://a.example/#f",
            "https://a.example/v1/",
            "a.example",
        ] {
            assert!(parse(bad).is_err(), "{bad} was taken");
        }
    }
}
