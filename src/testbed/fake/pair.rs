//! What the fake provider makes along with a key, where no read shows a key alone.

use std::collections::BTreeMap;

use crate::rotation::Plan;
use crate::secret::{Secret, SecretValue};

/// Its name in the definition, if there were one.
pub const PAIR: &str = "pair";

/// The text that goes with a key, and with no other.
pub fn pair_of(key: &str) -> String {
    format!("pair-of-{key}")
}

/// Whether a plan's keys have one.
pub const fn has_pairs(plan: &Plan) -> bool {
    plan.read.is_none()
}

/// A key with what goes with it.
pub(super) fn whole(plan: &Plan, key: String) -> Secret {
    let pair = has_pairs(plan).then(|| (PAIR.to_owned(), SecretValue::new(pair_of(&key))));
    Secret { key: SecretValue::new(key), fields: BTreeMap::from_iter(pair) }
}
