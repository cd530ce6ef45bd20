//! A plan, and a definition, in plain words, for a person who asks what a rotation would do.

mod page;
mod portrait;
mod request;

use std::time::Duration;

use jiff::SignedDuration;

use crate::rotation::{Creates, Plan};

pub use page::Block;
pub use portrait::{Environment, Parameter, Portrait, Secret, Way};
pub use request::{Purpose, Request, requests};

/// The steps of a rotation, in their order.
pub fn steps(plan: &Plan) -> Vec<String> {
    let mut steps = vec!["Check that Vault, escrow and provider are ready; nothing is changed.".to_owned()];
    if !plan.slots.is_empty() {
        steps.push(format!(
            "Read all of the provider's keys, signed with {}, and choose one that the entry does not hold; if it holds none of \
             them, stop.",
            signer(plan)
        ));
    } else if plan.read.is_some() {
        steps.push(format!(
            "Read the provider's current key, signed with {}, to compare with later.",
            signer(plan)
        ));
    }
    if plan.marker.is_some() {
        steps.push(format!(
            "Look at what the provider shows of its key, signed with {}, to see later whether it has changed.",
            signer(plan)
        ));
    }
    let intent = if plan.supplies {
        "Choose the new key at random, and write it to the record in Vault with the intent; this is the claim."
    } else {
        "Write the intent to the record in Vault; this is the claim."
    };
    steps.push(intent.to_owned());
    steps.push(format!(
        "Call the provider once, signed with {}, for at most {}.",
        signer(plan),
        words(plan.call_timeout)
    ));
    let known = if plan.supplies {
        "A success means that key: seal it in escrow."
    } else {
        "Seal the answer in escrow."
    };
    steps.push(known.to_owned());
    steps.extend(until_usable(plan));
    steps.push("Publish the new key in the application's entry, in one write.".to_owned());
    if plan.probe {
        steps.push("Probe the provider, signed with the new key.".to_owned());
    }
    steps.push(match (&plan.creates, plan.grace) {
        (Some(Creates { revoke_after, phases: Some(_), .. }), _) => format!(
            "Close, and owe the activation of the new key in the record; {} later, once a probe has shown that it is the pending \
             one, it is activated, and the old key dies.",
            words(*revoke_after)
        ),
        (Some(creates), _) => {
            let after = words(creates.revoke_after);
            let signer = if plan.self_authenticating { "the new key" } else { "the separate credential" };
            format!(
                "Close, and owe the old key in the record; it is revoked {after} later, signed with {signer}."
            )
        }
        (None, Some(grace)) if !plan.slots.is_empty() => format!(
            "Close; the old key works on in its own slot until another rotation, which no one but an emergency begins before {} \
             are over.",
            words(grace)
        ),
        (None, Some(grace)) => {
            format!("Close; the old key goes on to work for {} after the call.", words(grace))
        }
        (None, None) => "Close; the old key is taken to be dead since the call.".to_owned(),
    });
    steps
}

const fn signer(plan: &Plan) -> &'static str {
    if plan.self_authenticating { "the old key itself" } else { "the separate credential" }
}

fn until_usable(plan: &Plan) -> Option<String> {
    let propagation = plan.propagation?;
    Some(if plan.probe {
        format!(
            "Keep the new key staged in the record; probe it {}, then every {}, and stop for a person after {}.",
            if propagation.delay.is_zero() {
                "at once".to_owned()
            } else {
                format!("after {}", words(propagation.delay))
            },
            words(propagation.poll),
            words(propagation.deadline)
        )
    } else {
        format!("Keep the new key staged in the record for {}.", words(propagation.delay))
    })
}

/// What happens if the provider's answer is lost: the strongest means first, each one after the one before.
pub fn if_answer_is_lost(plan: &Plan) -> String {
    let mut means = what_settles_it(plan);
    if let Some(creates) = &plan.creates {
        means.push(if creates.phases.is_some_and(|phases| phases.discards) {
            "the rotation is closed, for the old key still works; the pending key that nobody got is discarded, and another is tried"
                .to_owned()
        } else if creates.lists {
            "the rotation is closed, for the old key still works, and another is tried; the key that nobody got is found \
             by its label and revoked"
                .to_owned()
        } else {
            "the rotation is closed, for the old key still works, and no other is tried by itself; a key that nobody got \
             goes on to work at the provider, where only a person can find and revoke it"
                .to_owned()
        });
        return format!("First {}.", means.join("; then "));
    }
    if means.is_empty() {
        let risk = if plan.self_authenticating && plan.grace.is_none() {
            " The old key may be dead, and nothing else can sign: this is a lock-out, and only the provider's own \
             console helps."
        } else {
            ""
        };
        return format!(
            "Nothing more is called: the rotation halts, its state says so, and a person decides.{risk}"
        );
    }
    format!("First {}. If nothing of that settles it, a person resolves it.", means.join("; then "))
}

/// The means that the provider's definition declares, in their order.
fn what_settles_it(plan: &Plan) -> Vec<String> {
    let mut means = Vec::new();
    if let Some(window) = plan.replay {
        means.push(format!(
            "the same request is sent again with the same idempotency key, which returns the same answer for {}",
            words(window)
        ));
    }
    if plan.supplies {
        let within = match plan.grace {
            Some(grace) if plan.self_authenticating => format!(", while the old key's {} last", words(grace)),
            _ => ", as often as it takes".to_owned(),
        };
        means.push(format!(
            "the same call is made again with the same key{within}; each of them brings that key"
        ));
    }
    if let Some(lag) = plan.read {
        let which = if plan.slots.is_empty() { "the provider's current key" } else { "that very key" };
        means.push(format!(
            "{which} is read and compared with the one before the call, for {}",
            words(until_unchanged_is_believed(plan, lag))
        ));
    }
    if let Some(lag) = plan.marker {
        let otherwise = if plan.redo.is_some() { "" } else { "; if it has changed, a person is asked" };
        means.push(format!(
            "what the provider shows of its key, which is not the key, is compared with what it showed before the call, for \
             {}{otherwise}",
            words(until_unchanged_is_believed(plan, lag))
        ));
    }
    if let Some(calls) = plan.redo.filter(|calls| *calls > 1 && plan.read.is_none() && !plan.supplies) {
        let within = match (plan.self_authenticating, plan.grace) {
            (true, Some(grace)) => format!(", signed with the old key while its {} last", words(grace)),
            _ => String::new(),
        };
        let when = match plan.creates {
            Some(_) => "at once".to_owned(),
            None => format!("after {} in which the lost request could still act", words(plan.settle)),
        };
        let condition = plan.marker.map_or("", |_| "if it has changed, ");
        means.push(format!(
            "{condition}{when}, the key is regenerated again, at most {calls} calls in all{within}"
        ));
    }
    means
}

/// Until the lost call can act no more, and a change would show.
fn until_unchanged_is_believed(plan: &Plan, lag: Duration) -> Duration {
    plan.call_timeout.saturating_add(plan.settle).saturating_add(lag)
}

/// When the old key dies, and what that asks of applications.
pub fn old_key(plan: &Plan) -> String {
    if let Some(Creates { revoke_after, phases: Some(_), .. }) = &plan.creates {
        return format!(
            "It goes on to work until the new one is activated, {} after the rotation; until then applications must have read the \
             new one, and no other rotation begins, as an emergency neither.",
            words(*revoke_after)
        );
    }
    if let Some(creates) = &plan.creates {
        return format!(
            "It goes on to work until it is revoked, {} after the rotation; until then applications must have read the \
             new one. The first one is revoked only if the credential names its id (`first_key`).",
            words(creates.revoke_after)
        );
    }
    match plan.grace {
        Some(grace) if !plan.slots.is_empty() => format!(
            "It goes on to work in its own slot until another rotation makes that one anew: {} at least, unless an emergency comes \
             before. So a key that has leaked dies only with a second rotation; an emergency does not end its life.",
            words(grace)
        ),
        Some(grace) => format!(
            "It goes on to work for {} after the call; until then applications must have read the new one.",
            words(grace)
        ),
        None => "It is taken to be dead from the call on; requests of applications fail until they have read the new one."
            .to_owned(),
    }
}

/// What a person is asked about.
pub fn a_person_is_asked(plan: &Plan) -> Vec<String> {
    let mut when = match (&plan.creates, means(plan).is_empty()) {
        (Some(_), _) => Vec::new(),
        (None, true) => vec!["the answer is lost: at once".to_owned()],
        (None, false) => vec!["the answer is lost, and nothing of the above settles it".to_owned()],
    };
    if plan.read.is_some() || plan.marker.is_some() {
        when.push("the provider refuses the read that would settle it".to_owned());
    }
    match (plan.propagation, plan.probe) {
        (Some(propagation), true) => {
            when.push(format!(
                "the provider still refuses the new key after {}; it is not published then",
                words(propagation.deadline)
            ));
            when.push(
                "the provider cannot be asked about the new key for half of the old key's remaining life"
                    .to_owned(),
            );
        }
        (None, true) => {
            when.push("the provider goes on to refuse the new key after it was published".to_owned());
        }
        (_, false) => {}
    }
    when
}

/// The means by which a lost answer is settled, in a few words and in their order; none: a person.
pub(super) fn means(plan: &Plan) -> Vec<String> {
    let more = plan.redo.filter(|_| !plan.supplies).map_or(0, |calls| calls.saturating_sub(1));
    [
        plan.replay.map(|window| format!("replay for {}", words(window))),
        plan.supplies.then(|| "the same call again".to_owned()),
        plan.read.map(|_| "read".to_owned()),
        plan.marker.map(|_| "a look whether the key has changed".to_owned()),
        (plan.read.is_none() && more > 0)
            .then(|| if more == 1 { "one more call".to_owned() } else { format!("up to {more} more calls") }),
        plan.creates.as_ref().map(|creates| {
            let means = if creates.phases.is_some_and(|phases| phases.discards) {
                "another rotation, before which the pending key is discarded"
            } else if creates.lists {
                "another rotation, and the stray key is revoked"
            } else {
                "nothing: the old key works on, and the stray key with it"
            };
            means.to_owned()
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn words(duration: Duration) -> String {
    format!("{:#}", friendly(duration))
}

/// A duration that `{:#}` writes as people do, such as `1h 30m`.
pub(super) fn friendly(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
