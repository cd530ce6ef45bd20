//! What can be wrong with a pending key that is activated later: it must be told from any other, and have no second name.

use super::creates::one_step;
use crate::mistake::Mistake;
use crate::provider::definition::{Creates, Definition};

/// Whether the published key is activated and no other.
pub(super) fn mistakes(definition: &Definition, creates: &Creates, found: &mut Vec<Mistake>) {
    match &creates.activate {
        Some(activate) => {
            let before = found.len();
            one_step(definition, "creates.activate", &activate.as_revocation(), &[], found);
            for mistake in found.iter_mut().skip(before) {
                mistake.path = mistake.path.replace("activate.gone", "activate.done");
            }
        }
        None => found.push(
            Mistake::new("creates.discard", "no key is pending where none is activated")
                .hint("declare `activate`, or leave it out"),
        ),
    }
    if let Some(discard) = &creates.discard {
        one_step(definition, "creates.discard", discard, &[], found);
    }
    if definition.probe.is_none() {
        found.push(
            Mistake::new("creates.activate", "nothing shows that the pending key is the published one")
                .hint("declare a probe: the published key is probed right before it is activated"),
        );
    }
    let all = [
        ("creates.revoke", !creates.revoke.is_empty(), "the old key dies when the pending one is activated"),
        (
            "creates.list",
            creates.list.is_some(),
            "one key is pending at most, and is discarded without a list",
        ),
        ("creates.keys_max", creates.keys_max.is_some(), "an old key and a pending one have a place each"),
        ("answer.key_id", definition.answer.key_id.is_some(), "nothing names a key by its id"),
    ];
    for (place, is_there, why) in all {
        if is_there {
            found.push(Mistake::new(place, why).hint("leave it out"));
        }
    }
}
