//! The sections about the process itself: where answers are kept, what it logs and shows, how long it waits.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{self, LogFormat, LogLevel};
use super::{Found, listen, text};
use crate::escrow::KubernetesSecret;
use crate::mistake::Mistake;

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
    let raw = raw?;
    let exposable = !raw.exposed && listen::address(&raw.listen).is_ok();
    let address = if raw.exposed { listen::address(&raw.listen) } else { listen::loopback(&raw.listen) };
    let hint =
        "127.0.0.1 and the port; or metrics.exposed, where other machines may know the credentials' names";
    let address = address.map_err(|mistake| if exposable { mistake.hint(hint) } else { mistake });
    found.take("metrics.listen", address)
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
