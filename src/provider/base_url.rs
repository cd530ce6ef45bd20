//! The address below which a provider's calls are made.

use std::collections::BTreeMap;
use std::net::IpAddr;

use url::{Host, Url};

use super::template::Template;
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

/// Checks a base URL in whose host parameters may stand, before their values are known.
pub(super) fn check(template: &Template) -> Result<(), Mistake> {
    let with = |name: &str| template.render(|_| Some(name.to_owned())).unwrap_or_default();
    let (one, other) = (parse(&with("one"))?, parse(&with("other"))?);
    let differs_in_its_host =
        one.host() != other.host() && one.path() == other.path() && one.port() == other.port();
    if template.names().next().is_some() && !differs_in_its_host {
        return Err(Mistake::new("", "a parameter can stand for a part of the host, and for nothing else"));
    }
    Ok(())
}

/// The base URL with its parameters' values.
pub(super) fn fill(template: &Template, params: &BTreeMap<String, String>) -> Result<Url, Mistake> {
    for name in template.names() {
        if !params.get(name).is_some_and(|value| is_part_of_a_host(value)) {
            return Err(Mistake::new(format!("params.{name}"), "it is no part of a host's name")
                .hint("letters, digits, '-' and single dots between them"));
        }
    }
    let filled = template.render(|name| params.get(name).cloned()).unwrap_or_default();
    parse(&filled).map_err(|mistake| mistake.under("environment"))
}

/// Labels with dots between them, so that a value leads neither to a path nor to another port.
fn is_part_of_a_host(value: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    value.split('.').all(is_label)
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
    fn a_parameter_stands_in_a_host_and_nowhere_else() {
        let template = |text: &str| Template::try_from(text.to_owned()).unwrap();
        assert!(check(&template("https://{tenant}.eu.example.com/v1")).is_ok());
        assert!(check(&template("https://{host}")).is_ok());
        for bad in [
            "https://a.example/{a}",
            "https://a.example:{a}",
            "https://{a}/{a}",
            "https://{a}@b.example",
            "{a}",
        ] {
            assert!(check(&template(bad)).is_err(), "{bad} was taken");
        }
        let filled = |value: &str| {
            let params = BTreeMap::from([("tenant".to_owned(), value.to_owned())]);
            fill(&template("https://{tenant}.example.com/v1"), &params).map(String::from)
        };
        assert_eq!(filled("acme.eu").unwrap(), "https://acme.eu.example.com/v1");
        for bad in [
            "",
            ".",
            "a..b",
            "a/b",
            "evil.example/",
            "a@b",
            "a:1",
            "a?",
            "a#",
            "a%2f",
            "\u{e9}",
            "a b",
            "\\a",
        ] {
            assert!(filled(bad).is_err(), "{bad} was taken");
        }
    }

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
