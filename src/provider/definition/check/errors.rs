//! What can be wrong with what a definition says of errors: none may claim more than an answer can prove.

use crate::mistake::Mistake;
use crate::provider::definition::{Definition, ErrorMeaning, Meaning};

/// Whether each error is told from all others, by something that only the provider itself can have said.
pub(super) fn mistakes(definition: &Definition, found: &mut Vec<Mistake>) {
    for (index, error) in definition.errors.iter().enumerate() {
        let place = format!("errors[{index}]");
        is_told_apart(definition, &place, error, found);
        let earlier = definition.errors.iter().take(index).find(|earlier| covers(earlier, error));
        if earlier.is_some() {
            found.push(
                Mistake::new(&place, "an earlier one fits first, so this one never counts")
                    .hint("put what is more exact first, or leave one of them out"),
            );
        }
        let replays = definition.idempotency.as_ref().and_then(|idempotency| idempotency.replays_for);
        if error.means == Meaning::InProgress && replays.is_none() {
            found.push(
                Mistake::new(
                    &place,
                    "a call is in progress only where its repetition returns the same answer",
                )
                .hint("declare idempotency.replays_for, or write means: conflict"),
            );
        }
    }
}

fn is_told_apart(definition: &Definition, place: &str, error: &ErrorMeaning, found: &mut Vec<Mistake>) {
    let is_success = |status| (200..300).contains(&status);
    // Between here and the provider many can say these, and say them of a call that the provider carried out.
    let is_proof = |status| matches!(status, 400..=498) && status != 408;
    match (error.status, &error.code) {
        (None, None) => {
            found.push(Mistake::new(place, "it fits every answer").hint("name a `status` or a `code`"));
        }
        (Some(status), _) if is_success(status) && definition.success.is_none() => found.push(
            Mistake::new(
                place,
                "an answer with this status is a success, and no body is asked whether it is one",
            )
            .hint("declare `success: { at: ..., is: ... }`"),
        ),
        (Some(status), None) if !is_proof(status) && error.means != Meaning::MayHaveActed => found.push(
            Mistake::new(place, "this status alone does not prove that the provider did nothing")
                .hint("name the `code` in the body by which the provider says so"),
        ),
        (_, Some(code)) if code.is_empty() => {
            found.push(Mistake::new(place, "no provider has an empty code"));
        }
        _ => {}
    }
}

fn covers(earlier: &ErrorMeaning, later: &ErrorMeaning) -> bool {
    (earlier.status.is_none() || earlier.status == later.status)
        && (earlier.code.is_none() || earlier.code == later.code)
}
