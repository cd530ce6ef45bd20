//! The file descriptors that callers may use up, and those they may not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What Vault, providers, the escrow, the metrics page and the process itself need.
const RESERVED: u64 = 256;
/// Below this nobody could work; so few descriptors are a mistake that the log names.
const CONNECTIONS_MIN: usize = 16;

/// Raises this process's limit of open files as far as it may itself, and gives the limit.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        warn!(%error, "the limit of open files cannot be raised");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if descriptors < RESERVED + CONNECTIONS_MIN as u64 {
        warn!(descriptors, "so few open files may not be enough; raise the hard limit of this process");
    }
    descriptors
}

/// How many connections `descriptors` leave room for.
pub(super) fn room_for_connections(descriptors: u64) -> usize {
    let room = descriptors.saturating_sub(RESERVED);
    usize::try_from(room).unwrap_or(usize::MAX).max(CONNECTIONS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ListenOptions;

    #[test]
    fn connections_leave_descriptors_to_everything_else() {
        for (descriptors, connections) in
            [(0, 16), (256, 16), (272, 16), (273, 17), (1024, 768), (1_048_576, 1_048_320)]
        {
            assert_eq!(room_for_connections(descriptors), connections, "{descriptors}");
        }
        assert!(room_for_connections(u64::MAX) >= 1_048_320);
        let connections = |descriptors| ListenOptions::default().within(descriptors).connections_max;
        assert_eq!(
            (connections(1024), connections(u64::MAX)),
            (768, ListenOptions::default().connections_max)
        );
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let lower = Rlimit { current: hard.map(|most| most - 1), maximum: hard };
        setrlimit(Resource::Nofile, lower).unwrap();
        assert_eq!(raise_descriptor_limit(), hard.unwrap_or(u64::MAX));
    }
}
