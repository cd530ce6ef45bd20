//! What happened, what it means for the key, and what to do: written for a person who is woken by it.

use crate::engine::Snapshot;
use crate::ids::FieldPath;
use crate::rotation::{Answer, Doubt, Halt, HaltReason, Problem, Refusal, RefusalClass};

/// A rotation that failed because the provider refused.
pub(super) fn failure(refusal: &Refusal) -> String {
    let what = match refusal.class {
        RefusalClass::Unreachable => "The provider could not be reached, and no request left",
        RefusalClass::RateLimited => "The provider limits the rate of requests",
        RefusalClass::InProgress => "The provider is still working on an earlier request",
        RefusalClass::Unauthenticated => "The provider does not accept the credential that signs the call",
        RefusalClass::Forbidden => "The credential that signs the call may not regenerate this key",
        RefusalClass::NotFound => "The provider does not know the key that should be regenerated",
        RefusalClass::Conflict => "The provider's state does not allow a new key now",
        RefusalClass::Invalid => "The provider finds the request wrong",
    };
    let next = match refusal.class {
        RefusalClass::Unreachable | RefusalClass::RateLimited | RefusalClass::InProgress => {
            "keyturn tries again by itself; see the credential's retry"
        }
        RefusalClass::Unauthenticated | RefusalClass::Forbidden => {
            "Check the configured `auth` and its rights at the provider, then rotate again"
        }
        RefusalClass::NotFound | RefusalClass::Invalid => "Check the configured `params`, then rotate again",
        RefusalClass::Conflict => "Look at the provider's own console, then rotate again",
    };
    format!("{what}{}. Nothing was changed: the old key still stands. {next}.", quoted(&refusal.problem))
}

/// A rotation whose lost call took nothing from the old key.
pub(super) fn not_applied(doubt: &Doubt) -> String {
    format!(
        "{}. The old key still stands: a read at the provider showed that the call never took effect, or keys live \
         side by side there, and one that the call may have made is revoked. Whether keyturn tries again by itself \
         says the credential's retry.",
        happened(doubt)
    )
}

/// A rotation of which nobody knows yet what came of it.
pub(super) fn unknown(doubt: &Doubt) -> String {
    format!(
        "{}. The provider may or may not have made a new key. keyturn makes no blind second call; it is finding \
         out by the means that the provider has.",
        happened(doubt)
    )
}

/// A rotation that waits for a person.
pub(super) fn halt(halt: &Halt, store: &FieldPath) -> String {
    match &halt.reason {
        HaltReason::NoWayToTell { doubt } => format!(
            "{}. The provider may or may not have made a new key, and it has no means by which keyturn could find \
             out. {}",
            happened(doubt),
            entry_still_old(store)
        ),
        HaltReason::MeansExhausted { doubt } => format!(
            "{}. The provider may or may not have made a new key; all means by which keyturn could find out were \
             tried. {}",
            happened(doubt),
            entry_still_old(store)
        ),
        HaltReason::AnswerLost { doubt } => format!(
            "{}. The provider made a new key, by what it says or by what it shows of its key, and keyturn does not have \
             it. {store} still holds the old key, which may be dead. No further call is made until a person decides.",
            happened(doubt)
        ),
        HaltReason::ReadRefused { refusal } => format!(
            "The answer to the call was lost, and the provider refused the read that would have shown what came of \
             it{}. {}",
            quoted(&refusal.problem),
            entry_still_old(store)
        ),
        HaltReason::NewKeyRefused => {
            new_key_refused(halt, store, "still refuses it past its declared propagation time")
        }
        HaltReason::NewKeyNotProven => {
            new_key_refused(halt, store, "could not be brought to say whether it accepts it")
        }
    }
}

fn new_key_refused(halt: &Halt, store: &FieldPath, why: &str) -> String {
    let place = if halt.publication.is_some() {
        format!("It is published at {store} already")
    } else {
        format!("It is safe in keyturn's record in Vault; {store} still holds the old key")
    };
    format!("The provider made a new key and {why}. {place}. {}", old_key_dies(halt.answer.as_ref()))
}

fn old_key_dies(answer: Option<&Answer>) -> String {
    match answer.and_then(|answer| answer.previous_expires_at) {
        Some(until) => format!("The provider accepts the old key until {until}."),
        None => "Nobody knows how long the provider accepts the old key.".to_owned(),
    }
}

fn entry_still_old(store: &FieldPath) -> String {
    format!(
        "{store} still holds the old key, which may be dead. If a new key was made, it is lost. No further call is \
         made until a person decides."
    )
}

/// What a person can do about a halted rotation.
pub(super) fn way_out_of_halt(halt: &Halt, snapshot: &Snapshot) -> String {
    let name = &snapshot.credential;
    match &halt.reason {
        HaltReason::NewKeyRefused | HaltReason::NewKeyNotProven => format!(
            "Look at the provider's status page and console. It accepts the new key by now, or will: TRY_AGAIN probes \
             once more and publishes. The old key is dead, so that nothing is left to lose: PUBLISH_ANYWAY. The old \
             key works and the new one is wrong: KEEP_CURRENT gives the new key up. Neither works: ROTATE_AGAIN makes \
             another key. Tell keyturn with `keyturn resolve {name}`."
        ),
        HaltReason::ReadRefused { .. } => format!(
            "Give the credential that signs the read its right back, then TRY_AGAIN settles it without you. If that \
             cannot be had: {}",
            by_hand(snapshot)
        ),
        HaltReason::NoWayToTell { doubt: Doubt::Unreadable { .. } }
        | HaltReason::MeansExhausted { doubt: Doubt::Unreadable { .. } }
        | HaltReason::AnswerLost { doubt: Doubt::Unreadable { .. } | Doubt::NoValue } => format!(
            "What the provider answered is kept, if it was anything: see `keyturn escrow list`, open it, and if it holds \
             the new key put that into {} and choose KEEP_CURRENT. Else: {}",
            snapshot.store,
            by_hand(snapshot)
        ),
        HaltReason::AnswerLost { .. } => format!(
            "Nobody has the new key: ROTATE_AGAIN makes another; applications may fail until it is published. You have put \
             the right key into {} by hand: KEEP_CURRENT. TRY_AGAIN settles it once more, by a further call where one is \
             declared. Tell keyturn with `keyturn resolve {name}`.",
            snapshot.store
        ),
        HaltReason::NoWayToTell { .. } | HaltReason::MeansExhausted { .. } => by_hand(snapshot),
    }
}

/// What a person can do about a rotation that keyturn is still settling.
pub(super) fn way_out_of_unknown(snapshot: &Snapshot) -> String {
    format!(
        "Usually nothing: keyturn settles this by itself, or halts and says so. If you know better already: {}",
        by_hand(snapshot)
    )
}

fn by_hand(snapshot: &Snapshot) -> String {
    let Snapshot { credential, store, .. } = snapshot;
    format!(
        "see at the provider's console, or ask its support, whether the key was regenerated, and try whether the key \
         at {store} still works. It was not regenerated and works, or you have put the right key there by hand: \
         KEEP_CURRENT. It was, and nobody has the new key: ROTATE_AGAIN makes another; applications may fail until it \
         is published. What stood in the way is mended: TRY_AGAIN. Tell keyturn with `keyturn resolve {credential}`."
    )
}

fn happened(doubt: &Doubt) -> String {
    match doubt {
        Doubt::Timeout => "No answer came in time after the request was sent".to_owned(),
        Doubt::ConnectionLost => "The connection broke after the request was sent".to_owned(),
        Doubt::Status { problem } => {
            format!("The provider's answer does not say whether it acted{}", quoted(problem))
        }
        Doubt::Unreadable { problem } => {
            format!("The provider reported success, but its answer could not be read{}", quoted(problem))
        }
        Doubt::NoValue => "The provider reported success and sent no key".to_owned(),
        Doubt::Crashed => "keyturn died between sending the request and sealing the answer".to_owned(),
        Doubt::HolderLost => {
            "The replica that sent the request was lost, and with it what it heard".to_owned()
        }
        Doubt::Refused { refusal } => format!(
            "An earlier call is in doubt, and the provider refused the one that should have settled it{}",
            quoted(&refusal.problem)
        ),
    }
}

/// What the provider said about a doubt, if it said anything.
pub(super) const fn said(doubt: &Doubt) -> Option<&Problem> {
    match doubt {
        Doubt::Status { problem } | Doubt::Unreadable { problem } => Some(problem),
        Doubt::Refused { refusal } => Some(&refusal.problem),
        Doubt::Timeout | Doubt::ConnectionLost | Doubt::NoValue | Doubt::Crashed | Doubt::HolderLost => None,
    }
}

fn quoted(problem: &Problem) -> String {
    let said = problem.to_string();
    if said.is_empty() { said } else { format!(" ({said})") }
}
