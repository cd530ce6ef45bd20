//! What ends a run of effects, and how long to wait before everything is read afresh.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::ids::CredentialName;
use crate::{escrow, vault};

/// Why a run of effects ended before its end.
#[derive(Debug)]
pub(super) enum Interruption {
    /// A check-and-set or the claim was lost: the record says what is true.
    Reload,
    /// Something outside keeps the task from going on.
    Held(Cause),
    /// The process is shutting down, or the task makes room for a successor.
    Stop,
}

/// What keeps a task from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The outside asked for this much time.
    pub(super) retry_after: Option<Duration>,
}

impl Cause {
    pub(super) const fn new(code: &'static str, message: String) -> Self {
        Self { code, message, retry_after: None }
    }
}

impl From<vault::Error> for Interruption {
    fn from(error: vault::Error) -> Self {
        let retry_after = match &error {
            vault::Error::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        Self::Held(Cause { code: error.code(), message: chain(&error), retry_after })
    }
}

impl From<vault::WriteError> for Interruption {
    fn from(error: vault::WriteError) -> Self {
        match error {
            vault::WriteError::Conflict => Self::Reload,
            vault::WriteError::NotWritten(error) | vault::WriteError::Unclear(error) => error.into(),
        }
    }
}

impl From<escrow::Error> for Interruption {
    fn from(error: escrow::Error) -> Self {
        Self::Held(Cause::new(error.code(), chain(&error)))
    }
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

const DELAY_MIN: Duration = Duration::from_millis(250);
const DELAY_MAX: Duration = Duration::from_secs(10);

/// How long to wait after the given number of fruitless tries: doubled each time, bounded, and spread over
/// half of itself by a hash, so that many credentials and replicas do not knock together.
pub(super) fn delay(name: &CredentialName, seed: &impl Hash, tries: u32) -> Duration {
    let full = DELAY_MIN.saturating_mul(1 << tries.min(10)).min(DELAY_MAX);
    let mut hasher = DefaultHasher::new();
    (name, seed, tries).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    full / 2 + full.saturating_mul(share) / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_stay_bounded_and_differ_between_replicas() {
        let name: CredentialName = "a".parse().unwrap();
        for tries in 0..40 {
            let one = delay(&name, &1, tries);
            assert!(one >= DELAY_MIN / 2 && one <= DELAY_MAX, "{one:?}");
            assert_eq!(one, delay(&name, &1, tries));
        }
        let spread: std::collections::HashSet<_> = (0..100).map(|seed| delay(&name, &seed, 9)).collect();
        assert!(spread.len() > 50);
    }
}
