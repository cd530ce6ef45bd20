//! A plan in plain words, for a person who asks what a rotation would do.

use std::time::Duration;

use jiff::SignedDuration;

use crate::rotation::Plan;

/// The steps of a rotation, in their order.
pub fn steps(plan: &Plan) -> Vec<String> {
    let mut steps = vec!["Check that Vault, escrow and provider are ready; nothing is changed.".to_owned()];
    if plan.read.is_some() {
        steps.push("Read the provider's current key, to compare with later.".to_owned());
    }
    steps.push("Write the intent to the record in Vault; this is the claim.".to_owned());
    steps.push(format!(
        "Call the provider once, signed with {}, for at most {}.",
        if plan.self_authenticating { "the old key itself" } else { "the separate credential" },
        words(plan.call_timeout)
    ));
    steps.push("Seal the answer in escrow.".to_owned());
    steps.extend(until_usable(plan));
    steps.push("Publish the new key in the application's entry, in one write.".to_owned());
    if plan.probe {
        steps.push("Probe the provider with the new key.".to_owned());
    }
    steps.push(match (&plan.creates, plan.grace) {
        (Some(creates), _) => {
            let after = words(creates.revoke_after);
            format!("Close, and owe the old key in the record; it is revoked {after} later.")
        }
        (None, Some(grace)) => {
            format!("Close; the old key goes on to work for {} after the call.", words(grace))
        }
        (None, None) => "Close; the old key is taken to be dead since the call.".to_owned(),
    });
    steps
}

fn until_usable(plan: &Plan) -> Option<String> {
    let propagation = plan.propagation?;
    Some(if plan.probe {
        format!(
            "Keep the new key staged in the record; probe it after {}, then every {}, and stop for a person \
             after {}.",
            words(propagation.delay),
            words(propagation.poll),
            words(propagation.deadline)
        )
    } else {
        format!("Keep the new key staged in the record for {}.", words(propagation.delay))
    })
}

/// What happens if the provider's answer is lost: the strongest means first, each one after the one before.
pub fn if_answer_is_lost(plan: &Plan) -> String {
    let mut means = Vec::new();
    if let Some(window) = plan.replay {
        means.push(format!(
            "the same request is sent again with the same idempotency key, which returns the same answer for {}",
            words(window)
        ));
    }
    if let Some(lag) = plan.read {
        means.push(format!(
            "the provider's current key is read and compared with the one before the call, for {}",
            words(lag)
        ));
    }
    if let Some(calls) = plan.redo.filter(|calls| *calls > 1) {
        let within = match (plan.self_authenticating, plan.grace) {
            (true, Some(grace)) => format!(", signed with the old key while its {} last", words(grace)),
            _ => String::new(),
        };
        let when = match plan.creates {
            Some(_) => "at once".to_owned(),
            None => format!("after {} in which the lost request could still act", words(plan.settle)),
        };
        means.push(format!("{when}, the key is regenerated again, at most {calls} calls in all{within}"));
    }
    if let Some(creates) = &plan.creates {
        means.push(if creates.lists {
            "the rotation is closed, for the old key still works, and another is tried; the key that nobody got is found \
             by its label and revoked"
                .to_owned()
        } else {
            "the rotation is closed, for the old key still works; a key that nobody got goes on to work at the provider"
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
            "Nothing more is called: the rotation waits as unknown, an alert says so, and a person resolves it.{risk}"
        );
    }
    format!("First {}. If nothing of that settles it, a person resolves it.", means.join("; then "))
}

fn words(duration: Duration) -> String {
    format!("{:#}", friendly(duration))
}

/// A duration that `{:#}` writes as people do, such as `1h 30m`.
pub(super) fn friendly(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
