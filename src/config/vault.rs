//! The section `vault`: an address that is safe to send tokens to, and exactly one way to log in.

use std::path::PathBuf;

use url::{Host, Url};

use super::{Found, raw};
use crate::ids::VaultPath;
use crate::mistake::Mistake;
use crate::vault::{Auth, RoleId, Settings};

/// How Vault is reached.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The server's address.
    pub address: Url,
    /// The namespace in which all paths and logins are meant.
    pub namespace: Option<String>,
    /// The file with the authorities that may sign the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// The way to a token.
    pub auth: Auth,
    /// Where keyturn's own records are.
    pub record_prefix: VaultPath,
}

impl Vault {
    /// The settings of the Vault adapter; reads the authorities' file.
    pub fn settings(&self) -> Result<Settings, Mistake> {
        let mut settings = Settings::new(self.address.clone(), self.auth.clone(), self.record_prefix.clone());
        settings.namespace.clone_from(&self.namespace);
        settings.ca_pem = super::process::read_pem("vault.ca_file", self.ca_file.as_deref())?;
        Ok(settings)
    }
}

pub(super) fn check(raw: raw::Vault, found: &mut Found<'_>) -> Option<Vault> {
    let address = found.take("vault.address", address(&raw.address));
    if let Some(namespace) = &raw.namespace {
        found.take("vault.namespace", check_namespace(namespace));
    }
    let ca_file = raw.ca_file.map(|file| found.place("vault.ca_file", &file));
    let record_prefix = found.parse("vault.record_prefix", &raw.record_prefix);
    let auth = check_auth(raw.auth, found);
    Some(Vault {
        address: address?,
        namespace: raw.namespace,
        ca_file,
        auth: auth?,
        record_prefix: record_prefix?,
    })
}

fn address(text: &str) -> Result<Url, Mistake> {
    let wrong = |what: &str| Err(Mistake::new("", what).hint("write https://host:port"));
    let Ok(url) = Url::parse(text) else { return wrong("this is no address") };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("an address holds no user and no password; keyturn logs in by `auth`");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return wrong("an address ends after the port");
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_this_machine(&url) => Ok(url),
        "http" => wrong(
            "over http anybody on the way reads the token and every secret; http is for this machine only",
        ),
        _ => wrong("this is no https address"),
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn check_namespace(text: &str) -> Result<(), Mistake> {
    let visible = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    visible.then_some(()).ok_or_else(|| Mistake::new("", "a namespace is visible ASCII text without spaces"))
}

const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

fn check_auth(raw: raw::VaultAuth, found: &mut Found<'_>) -> Option<Auth> {
    let raw::VaultAuth { kubernetes, approle, jwt, cert, token_file } = raw;
    let mut ways: Vec<Option<Auth>> = Vec::new();
    if let Some(way) = kubernetes {
        let token_file = way.token_file.as_deref().unwrap_or(SERVICE_ACCOUNT_TOKEN);
        ways.push(Some(Auth::Kubernetes {
            mount: mount("vault.auth.kubernetes", way.mount, "kubernetes", found),
            role: name("vault.auth.kubernetes.role", way.role, found),
            token_file: found.place("vault.auth.kubernetes.token_file", token_file),
        }));
    }
    ways.extend(approle.map(|way| check_approle(way, found)));
    if let Some(way) = jwt {
        ways.push(Some(Auth::Jwt {
            mount: mount("vault.auth.jwt", way.mount, "jwt", found),
            role: name("vault.auth.jwt.role", way.role, found),
            token_file: found.place("vault.auth.jwt.token_file", &way.token_file),
        }));
    }
    if let Some(way) = cert {
        ways.push(Some(Auth::Cert {
            mount: mount("vault.auth.cert", way.mount, "cert", found),
            role: way.name.map(|role| name("vault.auth.cert.name", role, found)),
            cert_file: found.place("vault.auth.cert.cert_file", &way.cert_file),
            key_file: found.place("vault.auth.cert.key_file", &way.key_file),
        }));
    }
    if let Some(file) = token_file {
        ways.push(Some(Auth::TokenFile { path: found.place("vault.auth.token_file", &file) }));
    }
    if ways.len() != 1 {
        let number = if ways.is_empty() {
            "no way to log in is given"
        } else {
            "more than one way to log in is given"
        };
        found.add(
            Mistake::new("vault.auth", number)
                .hint("exactly one of: kubernetes, approle, jwt, cert, token_file"),
        );
    }
    ways.pop().flatten()
}

fn check_approle(way: raw::AppRole, found: &mut Found<'_>) -> Option<Auth> {
    let mount = mount("vault.auth.approle", way.mount, "approle", found);
    let secret_id_file = found.place("vault.auth.approle.secret_id_file", &way.secret_id_file);
    let role_id = match (way.role_id, way.role_id_file) {
        (Some(id), None) => RoleId::Given(name("vault.auth.approle.role_id", id, found)),
        (None, Some(file)) => RoleId::File(found.place("vault.auth.approle.role_id_file", &file)),
        _ => {
            found
                .add(Mistake::new("vault.auth.approle", "exactly one of role_id and role_id_file is needed"));
            return None;
        }
    };
    Some(Auth::AppRole { mount, role_id, secret_id_file })
}

fn mount(parent: &str, text: Option<String>, usual: &str, found: &mut Found<'_>) -> String {
    let Some(text) = text else { return usual.to_owned() };
    if format!("auth/{text}").parse::<VaultPath>().is_err() {
        let mistake = Mistake::new(format!("{parent}.mount"), "this is no mount of an auth method");
        found.add(mistake.hint(format!("such as {usual:?}, without auth/ and without slashes at its ends")));
    }
    text
}

fn name(path: &str, text: String, found: &mut Found<'_>) -> String {
    if text.trim().is_empty() {
        found.add(Mistake::new(path, "it is empty"));
    }
    text
}
