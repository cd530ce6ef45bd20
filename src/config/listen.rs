//! Where keyturn is reached, and by whom it lets itself be told what.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Found, raw};
use crate::mistake::Mistake;

/// Where keyturn is reached; at least one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A Unix socket.
    pub unix: Option<UnixSocket>,
    /// A TCP address; on this machine, unless there is TLS.
    pub tcp: Option<SocketAddr>,
    /// TLS on the TCP address.
    pub tls: Option<Tls>,
    /// The uids that may do on the Unix socket what only operators may, besides 0 and keyturn's own.
    pub operators: Vec<u32>,
    /// Whether everybody who reaches the TCP address without TLS is an operator.
    pub tcp_operators: bool,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

/// TLS on the TCP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the certificate and those that signed it.
    pub cert_file: PathBuf,
    /// A PEM file with its private key.
    pub key_file: PathBuf,
    /// A PEM file with the authorities of which every client needs a certificate.
    pub client_ca_file: Option<PathBuf>,
    /// The names in client certificates that make an operator.
    pub operators: Vec<String>,
}

/// The longest path that fits into a socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_MODE: &str = "0660";

pub(super) fn check(raw: raw::Listen, found: &mut Found<'_>) -> Listen {
    if raw.unix.is_none() && raw.tcp.is_none() {
        found.add(Mistake::new("listen", "keyturn would be reached nowhere").hint("give unix, tcp or both"));
    }
    let unix = raw.unix.and_then(|unix| match unix {
        raw::Unix::Path(path) => socket("listen.unix", &path, None, found),
        raw::Unix::Full(full) => socket("listen.unix.path", &full.path, full.mode.as_deref(), found),
    });
    let tcp_operators = raw.tcp_operators.unwrap_or(false);
    if tcp_operators && !matches!(raw.tcp, Some(raw::Tcp::Address(_))) {
        found.add(Mistake::new("listen.tcp_operators", "there is no TCP address without TLS").hint(
            "over TLS operators are named in listen.tcp.tls.operators; else give tcp, or leave this out",
        ));
    }
    let (tcp, tls) = match raw.tcp {
        None => (None, None),
        Some(raw::Tcp::Address(text)) => (found.take("listen.tcp", loopback(&text)), None),
        Some(raw::Tcp::Full(full)) => {
            let address = found.take("listen.tcp.address", address(&full.address));
            (address, Some(check_tls(full.tls, found)))
        }
    };
    let operators = raw.operators.iter().enumerate();
    let operators = operators
        .filter_map(|(index, uid)| found.take(&format!("listen.operators[{index}]"), operator(*uid)))
        .collect();
    Listen { unix, tcp, tls, operators, tcp_operators }
}

fn check_tls(raw: raw::Tls, found: &mut Found<'_>) -> Tls {
    let named = raw.client_ca_file.is_some();
    for (index, name) in raw.operators.iter().enumerate() {
        let path = format!("listen.tcp.tls.operators[{index}]");
        if !named {
            found.add(
                Mistake::new(path, "no client shows a certificate, so nobody has this name")
                    .hint("give client_ca_file"),
            );
        } else if name.is_empty() || name.contains('*') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            found.add(Mistake::new(path, "this is no name of one caller").hint(
                "a URI or DNS name as the certificate has it, such as spiffe://cluster/ns/ops/sa/admin",
            ));
        }
    }
    Tls {
        cert_file: found.place("listen.tcp.tls.cert_file", &raw.cert_file),
        key_file: found.place("listen.tcp.tls.key_file", &raw.key_file),
        client_ca_file: raw.client_ca_file.map(|file| found.place("listen.tcp.tls.client_ca_file", &file)),
        operators: raw.operators,
    }
}

/// What the kernel calls a user that has no uid in keyturn's user namespace.
const OVERFLOW_UID: u32 = 65534;

fn operator(uid: i64) -> Result<u32, Mistake> {
    match u32::try_from(uid) {
        Ok(OVERFLOW_UID) => Err(Mistake::new(
            "",
            "every user of another user namespace has this uid, so it tells nobody apart",
        )
        .hint("run the operators' process as a uid of its own")),
        // The largest number stands for no uid at all.
        Ok(uid) if uid != u32::MAX => Ok(uid),
        _ => Err(Mistake::new("", "this is no uid").hint("a number such as 1000; `id -u NAME` prints it")),
    }
}

fn socket(place: &str, path: &str, mode: Option<&str>, found: &mut Found<'_>) -> Option<UnixSocket> {
    let path = found.place(place, path);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        found.add(Mistake::new(place, format!("a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes")));
    }
    let mode = found.take("listen.unix.mode", socket_mode(mode.unwrap_or(SOCKET_MODE)))?;
    Some(UnixSocket { path, mode })
}

fn socket_mode(text: &str) -> Result<u32, Mistake> {
    let octal = !text.is_empty() && text.len() <= 4 && text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.filter(|mode| mode & 0o600 == 0o600).ok_or_else(|| {
        Mistake::new("", "this is no mode of a socket").hint("octal digits in quotes, such as \"0660\"")
    })
}

/// An address that only this machine can reach.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, Mistake> {
    let address = address(text)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(Mistake::new("", "without TLS keyturn listens on this machine only")
        .hint(format!("such as 127.0.0.1:{}; gRPC is served elsewhere with listen.tcp.tls", address.port())))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        Mistake::new("", "this is no address with a port").hint("such as 127.0.0.1:7400 or [::1]:7400")
    })
}
