//! The sections about the process itself: where it listens, what it logs, where answers are kept, how long it waits.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{self, LogFormat, LogLevel};
use super::{Found, text};
use crate::escrow::KubernetesSecret;
use crate::mistake::Mistake;

/// Where keyturn is reached; at least one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A Unix socket.
    pub unix: Option<UnixSocket>,
    /// An address on this machine.
    pub tcp: Option<SocketAddr>,
    /// The uids that may do on the Unix socket what only operators may, besides 0 and keyturn's own.
    pub operators: Vec<u32>,
    /// Whether everybody who reaches the TCP address is an operator.
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

/// The local copy of provider answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escrow {
    /// The directory of this process alone.
    pub dir: PathBuf,
    /// The operators' public age recipients.
    pub recipients: Vec<String>,
    /// Where a copy of every sealed answer goes.
    pub kubernetes_secret: Option<KubernetesSecret>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important level that is logged.
    pub level: LogLevel,
}

/// How long calls and claims may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest time from the first byte of a provider call to its answer.
    pub provider_call: Duration,
    /// How long a sent request may still take effect after its sender gave up.
    pub settle: Duration,
    /// How long a holder may be silent before another replica takes over.
    pub claim: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            provider_call: Duration::from_secs(30),
            settle: Duration::from_secs(30),
            claim: Duration::from_mins(2),
        }
    }
}

/// The longest path that fits into a socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_MODE: &str = "0660";

pub(super) fn check_listen(raw: raw::Listen, found: &mut Found<'_>) -> Listen {
    if raw.unix.is_none() && raw.tcp.is_none() {
        found.add(Mistake::new("listen", "keyturn would be reached nowhere").hint("give unix, tcp or both"));
    }
    let unix = raw.unix.and_then(|unix| match unix {
        raw::Unix::Path(path) => socket("listen.unix", &path, None, found),
        raw::Unix::Full(full) => socket("listen.unix.path", &full.path, full.mode.as_deref(), found),
    });
    let tcp_operators = raw.tcp_operators.unwrap_or(false);
    if tcp_operators && raw.tcp.is_none() {
        found.add(
            Mistake::new("listen.tcp_operators", "there is no TCP address")
                .hint("give tcp, or leave this out"),
        );
    }
    let tcp = raw.tcp.and_then(|text| found.take("listen.tcp", loopback(&text)));
    let operators = raw.operators.iter().enumerate();
    let operators = operators
        .filter_map(|(index, uid)| found.take(&format!("listen.operators[{index}]"), operator(*uid)))
        .collect();
    Listen { unix, tcp, operators, tcp_operators }
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

fn loopback(text: &str) -> Result<SocketAddr, Mistake> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(
            Mistake::new("", "this is no address with a port").hint("such as 127.0.0.1:7400 or [::1]:7400")
        );
    };
    if !address.ip().is_loopback() {
        return Err(Mistake::new(
            "",
            "keyturn has no TLS for its own listeners yet, so it listens on this machine only",
        )
        .hint(format!("such as 127.0.0.1:{}", address.port())));
    }
    Ok(address)
}

pub(super) fn check_escrow(raw: raw::Escrow, found: &mut Found<'_>) -> Escrow {
    let dir = found.place("escrow.dir", &raw.dir);
    for (index, recipient) in raw.recipients.iter().enumerate() {
        let path = format!("escrow.recipients[{index}]");
        if recipient.to_uppercase().starts_with("AGE-SECRET-KEY-") {
            found.add(
                Mistake::new(path, "this is an identity, a secret that opens every answer").hint(
                    "it must never stand here: make a new one, and give its public recipient (age1...)",
                ),
            );
        } else if crate::escrow::check_recipient(recipient).is_err() {
            found.add(
                Mistake::new(path, "this is no public age recipient")
                    .hint("it begins with age1; `age-keygen -y FILE` prints the one of an identity"),
            );
        }
    }
    let kubernetes_secret = raw.kubernetes_secret.map(|secret| check_secret(secret, found));
    Escrow { dir, recipients: raw.recipients, kubernetes_secret }
}

fn check_secret(raw: raw::KubernetesSecret, found: &mut Found<'_>) -> KubernetesSecret {
    let place = "escrow.kubernetes_secret";
    let usual = KubernetesSecret::named(raw.name);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if usual.name.is_empty() || usual.name.len() > 253 || !usual.name.chars().all(allowed) {
        found.add(
            Mistake::new(format!("{place}.name"), "this is no name of a Kubernetes Secret")
                .hint("1 to 253 of a-z, 0-9, '-' and '.'; the Secret must exist already, and may be empty"),
        );
    }
    let address = raw.address.unwrap_or(usual.address);
    if !url::Url::parse(&address).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        found.add(
            Mistake::new(format!("{place}.address"), "this is no https address")
                .hint(format!("in a pod it is {}", KubernetesSecret::ADDRESS)),
        );
    }
    let account_dir = match raw.account_dir {
        Some(dir) => found.place(&format!("{place}.account_dir"), &dir),
        None => usual.account_dir,
    };
    KubernetesSecret { name: usual.name, address, account_dir }
}

pub(super) fn check_metrics(raw: Option<raw::Metrics>, found: &mut Found<'_>) -> Option<SocketAddr> {
    found.take("metrics.listen", loopback(&raw?.listen))
}

pub(super) fn check_log(raw: Option<&raw::Log>) -> Log {
    let format = raw.and_then(|log| log.format).unwrap_or(LogFormat::Json);
    let level = raw.and_then(|log| log.level).unwrap_or(LogLevel::Info);
    Log { format, level }
}

pub(super) fn check_timeouts(raw: Option<&raw::Timeouts>, found: &mut Found<'_>) -> Timeouts {
    let usual = Timeouts::default();
    let Some(raw) = raw else { return usual };
    let before = found.mistakes.len();
    let mut read = |name: &str, text: Option<&String>, usual, least, most| {
        let Some(text) = text else { return usual };
        let path = format!("timeouts.{name}");
        found.take(&path, text::duration_within(text, least, most)).unwrap_or(usual)
    };
    let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
    let timeouts = Timeouts {
        provider_call: read(
            "provider_call",
            raw.provider_call.as_ref(),
            usual.provider_call,
            second,
            hour / 12,
        ),
        settle: read("settle", raw.settle.as_ref(), usual.settle, second, hour),
        claim: read("claim", raw.claim.as_ref(), usual.claim, second * 10, hour),
    };
    if timeouts.settle < timeouts.provider_call {
        found.add(
            Mistake::new("timeouts.settle", "a request can take effect for as long as its call may take")
                .hint(format!("at least provider_call, {}", text::in_words(timeouts.provider_call))),
        );
    }
    if timeouts.claim < timeouts.provider_call * 2 {
        found.add(
            Mistake::new("timeouts.claim", "another replica would take over in the middle of a call").hint(
                format!("at least twice provider_call, {}", text::in_words(timeouts.provider_call * 2)),
            ),
        );
    }
    // Every credential would repeat what was said about them.
    if found.mistakes.len() == before { timeouts } else { usual }
}

/// The content of a PEM file, where one is given.
pub(super) fn read_pem(place: &str, file: Option<&Path>) -> Result<Option<String>, Mistake> {
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .map_err(|error| Mistake::new(place, format!("{} cannot be read: {error}", file.display())))
    };
    file.map(read).transpose()
}
