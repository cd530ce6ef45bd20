//! The binding that stands for every credential of a definition, where one is only explained or rehearsed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Binding, BoundDefinition, bind};
use crate::mistake::Mistake;
use crate::provider::definition::Definition;
use crate::rotation::schedule::{Cadence, Schedule};

impl Binding {
    /// A binding with the configuration's own defaults, in which every risk is accepted.
    pub fn usual() -> Self {
        let cadence = Cadence::Manual;
        let schedule = Schedule { cadence, jitter_percent: 0, window: None, min_interval: Duration::ZERO };
        Self {
            params: BTreeMap::new(),
            environment: None,
            base_url: None,
            auth_scheme: None,
            self_authenticating: false,
            accepts_lock_out: true,
            grace: None,
            propagation: None,
            revoke_after: None,
            first_key: None,
            extra_secrets: Vec::new(),
            schedule,
            call_timeout: Duration::from_secs(30),
            settle: Duration::from_secs(30),
            claim: Duration::from_mins(2),
        }
    }
}

/// Binds a definition to more parameters than it may need: those that nothing uses are left out.
pub fn bind_loosely(definition: &Definition, mut binding: Binding) -> Result<BoundDefinition, Vec<Mistake>> {
    bind(definition, binding.clone()).or_else(|mistakes| {
        for mistake in &mistakes {
            binding.params.remove(mistake.path.strip_prefix("params.").unwrap_or_default());
        }
        bind(definition, binding)
    })
}
