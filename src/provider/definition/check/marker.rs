//! What can be wrong with the request that shows whether the key has changed.

use super::requests::query;
use crate::mistake::Mistake;
use crate::provider::definition::Definition;

/// Whether a marker tells what nothing else tells better.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    let Some(marker) = &definition.marker else { return };
    query(definition, "marker.query", &marker.query, &[], found);
    let all = [
        (definition.read.is_some(), "the key itself can be read, which tells more"),
        (definition.supplies.is_some(), "after a lost answer the same call is made again with the same key"),
        (!definition.slots.is_empty(), "several named keys are told apart only by reading them"),
        (definition.creates.is_some(), "the call makes a key beside the old one, which it does not change"),
        (definition.answer.secret.is_none(), "no answer shows the key, and a marker does not either"),
    ];
    for (is_there, why) in all {
        if is_there {
            found.push(Mistake::new("marker", why).hint("leave it out"));
        }
    }
}
