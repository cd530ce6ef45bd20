//! What can be wrong with a key that the caller chooses: the call must name it, and be fit to be made again.

use crate::mistake::Mistake;
use crate::provider::definition::{Body, Definition, Grace, NEW_SECRET, SelfSigning, Supplies};
use crate::provider::supply::BYTES_MAX;

/// The fewest bytes that nobody guesses.
const BYTES_MIN: u8 = 16;

/// Whether the call brings the key that is chosen, and does no harm when it is made again.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    let texts = definition.regenerate.body.iter().flat_map(Body::texts);
    let naming: Vec<_> = texts.filter(|(_, text)| text.names().any(|name| name == NEW_SECRET)).collect();
    let Some(supplies) = &definition.supplies else {
        if !naming.is_empty() {
            found.push(
                Mistake::new("regenerate.body", "it holds {new_secret}, and no key is chosen")
                    .hint("declare `supplies`, or leave it out"),
            );
        }
        return;
    };
    form(supplies, found);
    let alone = |text: &crate::provider::Template| text.to_string() == format!("{{{NEW_SECRET}}}");
    if !matches!(naming.as_slice(), [(_, text)] if alone(text)) {
        found.push(
            Mistake::new(
                "supplies",
                "the call does not say once, in a text of its own, which key was chosen",
            )
            .hint("add one body value \"{new_secret}\"; what stands before the key is its `prefix`"),
        );
    }
    contradictions(definition, found);
}

fn form(supplies: &Supplies, found: &mut Vec<Mistake>) {
    if !(BYTES_MIN..=BYTES_MAX).contains(&supplies.bytes) {
        found.push(Mistake::new(
            "supplies.bytes",
            format!("{BYTES_MIN} to {BYTES_MAX} random bytes make a key"),
        ));
    }
    if !supplies.prefix.chars().all(|c| c.is_ascii_graphic()) {
        found.push(Mistake::new("supplies.prefix", "a key is made of characters that any header can carry"));
    }
}

/// What says otherwise, or a second time, what follows from a key that is known before the call.
fn contradictions(definition: &Definition, found: &mut Vec<Mistake>) {
    let answer = &definition.answer;
    let replays = definition.idempotency.as_ref().and_then(|idempotency| idempotency.replays_for);
    let lives_on = definition.grace != Grace::None || !definition.slots.is_empty();
    let is_dead = definition.self_signing != SelfSigning::Never && !lives_on;
    let all = [
        (
            "answer.secret",
            answer.secret.is_some(),
            "the key is the one that was chosen, whatever the answer shows",
        ),
        ("answer.among", answer.among.is_some(), "no key is looked for in the answer"),
        (
            "creates",
            definition.creates.is_some(),
            "made again, the call would make a second key beside the first",
        ),
        (
            "idempotency.replays_for",
            replays.is_some(),
            "the same call brings the same key anyway, at any time",
        ),
        ("redo", definition.redo.is_some(), "the same call is made again anyway, for it brings the same key"),
        (
            "lock",
            definition.lock.is_some(),
            "a lost answer is settled by the same call, which the provider refuses or punishes while its lock lasts",
        ),
        (
            "self",
            is_dead,
            "a lost answer is settled by the same call, and the key that signed the first may be dead: no grace window \
             keeps it alive",
        ),
    ];
    for (place, is_there, why) in all {
        if is_there {
            let hint =
                if place == "self" { "write never, or declare the grace window" } else { "leave it out" };
            found.push(Mistake::new(place, why).hint(hint));
        }
    }
}
