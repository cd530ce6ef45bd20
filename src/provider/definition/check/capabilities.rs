//! Capabilities that contradict each other: none is weakened in silence, for a person counts on what a file says.

use crate::mistake::Mistake;
use crate::provider::definition::{Definition, Grace, Propagation, SelfSigning};

/// So many calls for one rotation are a loop, and no means any more.
const CALLS_MAX: u32 = 10;

/// Whether each capability can be there beside the others.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    dead_key(definition, found);
    if let Some(redo) = definition.redo {
        if !(2..=CALLS_MAX).contains(&redo.max_calls) {
            found.push(Mistake::new(
                "redo.max_calls",
                format!("it is 2 to {CALLS_MAX}, the first call counts"),
            ));
        }
        if definition.lock.is_some() {
            found.push(
                Mistake::new("redo", "the provider refuses or punishes a second call while its lock lasts")
                    .hint("leave redo out: after a lost answer a person decides"),
            );
        }
    }
    if definition.probe.as_ref().is_some_and(|probe| probe.side_effects == Some(true)) {
        found.push(
            Mistake::new(
                "probe.side_effects",
                "the probe is made many times, before the key is published and long after",
            )
            .hint("leave the probe out, or name a request that only looks"),
        );
    }
    if let Some(propagation) = definition.propagation {
        times(definition, propagation, found);
    }
}

/// What the key itself would have to sign after a lost answer, though it is dead.
fn dead_key(definition: &Definition, found: &mut Vec<Mistake>) {
    let lives_on = definition.grace != Grace::None || !definition.slots.is_empty();
    if definition.self_signing != SelfSigning::Always || lives_on {
        return;
    }
    let replays = definition.idempotency.as_ref().and_then(|idempotency| idempotency.replays_for);
    let means = [
        ("redo", definition.redo.is_some(), "the second call"),
        ("read", definition.read.is_some(), "the read"),
        ("marker", definition.marker.is_some(), "the look at the marker"),
        ("idempotency.replays_for", replays.is_some(), "the repeated call"),
    ];
    for (place, is_there, what) in means {
        if is_there {
            found.push(
                Mistake::new(place, format!("the old key signs {what}, but no grace window keeps it alive"))
                    .hint("declare the grace window, or leave this out"),
            );
        }
    }
}

fn times(definition: &Definition, propagation: Propagation, found: &mut Vec<Mistake>) {
    if propagation.poll.is_zero() {
        found.push(Mistake::new("propagation.poll", "the provider would be asked without a pause"));
    }
    if definition.probe.is_some() && propagation.deadline <= propagation.delay {
        found.push(Mistake::new("propagation.deadline", "it ends before the first probe"));
    }
    let longest_grace = match definition.grace {
        Grace::None => None,
        Grace::Fixed(grace) => Some(grace),
        Grace::Requested(request) => Some(request.max),
    };
    if longest_grace.is_some_and(|grace| propagation.delay >= grace) {
        found.push(Mistake::new(
            "propagation.delay",
            "the old key is dead before the new one counts as usable",
        ));
    }
    if definition.lifetime.is_some_and(|lifetime| propagation.delay >= lifetime) {
        found.push(Mistake::new("lifetime", "the new key expires before it counts as usable"));
    }
}
