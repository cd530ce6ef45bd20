//! Whether an owner's wishes fit what the provider grants, and whether they could end in a lock-out.

use std::time::Duration;

use super::Binding;
use crate::mistake::Mistake;
use crate::provider::definition::{AuthScheme, Definition, Grace, Propagation as Declared, SelfSigning};
use crate::provider::describe::friendly;
use crate::provider::fact::{Fact, Span, Unit};
use crate::rotation::schedule::Cadence;
use crate::rotation::{Creates, Phases, Propagation};

/// The grace window that the old key gets.
pub(super) fn grace(
    definition: &Definition,
    binding: &Binding,
    found: &mut Vec<Mistake>,
) -> Option<Duration> {
    match (definition.grace, binding.grace) {
        (Grace::Requested(request), wanted) => {
            let wanted = wanted.unwrap_or(request.default);
            if wanted.is_zero() {
                found.push(
                    Mistake::new(
                        "grace",
                        "with no grace window the old key dies at once, and a lost answer is a lock-out",
                    )
                    .hint(format!("leave it out, or write up to {:#}", friendly(request.max))),
                );
            } else if wanted > request.max {
                found.push(
                    Mistake::new("grace", "the provider grants no such long window")
                        .hint(format!("at most {:#}", friendly(request.max))),
                );
            } else if let Some(unit) = uncounted(definition, wanted) {
                found.push(Mistake::new("grace", format!("the provider counts whole {unit}")));
            }
            Some(wanted)
        }
        (Grace::Fixed(fixed), wanted) => {
            if wanted.is_some_and(|wanted| wanted != fixed) {
                found.push(
                    Mistake::new("grace", format!("the provider always grants {:#}", friendly(fixed)))
                        .hint("leave it out"),
                );
            }
            Some(fixed)
        }
        (Grace::None, wanted) if !definition.slots.is_empty() => Some(wanted.unwrap_or(LEFT_ALONE_FOR)),
        (Grace::None, wanted) => {
            if wanted.is_some() {
                found.push(Mistake::new("grace", "the provider grants no grace window").hint("leave it out"));
            }
            None
        }
    }
}

/// How long the old key is left alone in its slot, where the credential says nothing.
const LEFT_ALONE_FOR: Duration = Duration::from_hours(24);

/// The unit in which a length of time cannot be asked for, because some of it would be left over.
fn uncounted(definition: &Definition, length: Duration) -> Option<&'static str> {
    let mut units = definition.asks_for(Span::Grace).map(Fact::unit);
    units.find(|unit| unit.count(length).is_none()).map(Unit::name)
}

/// How keys live side by side; `None` where the call replaces the old one.
pub(super) fn creates(
    definition: &Definition,
    binding: &Binding,
    found: &mut Vec<Mistake>,
) -> Option<Creates> {
    let Some(declared) = &definition.creates else {
        let said =
            [("revoke_after", binding.revoke_after.is_some()), ("first_key", binding.first_key.is_some())];
        for (place, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
            found.push(
                Mistake::new(place, "the provider's call replaces the old key, and no step revokes one")
                    .hint("leave it out"),
            );
        }
        return None;
    };
    if declared.activate.is_some() && binding.first_key.is_some() {
        found.push(Mistake::new("first_key", "nothing names a key by its id").hint("leave it out"));
    }
    let revoke_after = binding.revoke_after.unwrap_or(declared.revoke_after);
    if revoke_after.is_zero() {
        found.push(
            Mistake::new("revoke_after", "applications would hold a dead key until they have read again")
                .hint(format!(
                    "leave it out ({:#}), or write the time that they need",
                    friendly(declared.revoke_after)
                )),
        );
    }
    if let Some(lifetime) = definition.lifetime.filter(|lifetime| revoke_after >= *lifetime) {
        found.push(
            Mistake::new(
                "revoke_after",
                "the new key expires before the old one is revoked, and no rotation begins sooner",
            )
            .hint(format!("less than {:#}", friendly(lifetime))),
        );
    }
    Some(Creates {
        revoke_after,
        keys_max: declared.activate.as_ref().map_or(declared.keys_max, |_| Some(2)),
        lists: declared.list.is_some(),
        phases: declared.activate.as_ref().map(|_| Phases { discards: declared.discard.is_some() }),
        first_key: binding.first_key.clone(),
    })
}

/// A key that expires before the next rotation makes an outage.
pub(super) fn lifetime(definition: &Definition, binding: &Binding, found: &mut Vec<Mistake>) {
    let (Some(lifetime), Cadence::Every(interval)) = (definition.lifetime, &binding.schedule.cadence) else {
        return;
    };
    if *interval >= lifetime {
        found.push(
            Mistake::new("schedule.every", "the key would expire before its next rotation").hint(format!(
                "less than {:#}, with time left for a rotation that fails",
                friendly(lifetime)
            )),
        );
    }
}

/// How the new key becomes usable; `None` where it is published at once.
pub(super) fn propagation(
    definition: &Definition,
    binding: &Binding,
    grace: Option<Duration>,
    found: &mut Vec<Mistake>,
) -> Option<Propagation> {
    let declared = match (definition.propagation, binding.propagation) {
        (None, None) => return None,
        (None, Some(delay)) => Declared {
            delay,
            poll: Declared::default_poll(),
            deadline: delay.saturating_add(Declared::default_deadline()),
        },
        (Some(declared), own) => Declared { delay: own.unwrap_or(declared.delay), ..declared },
    };
    let Declared { delay, poll, deadline } = declared;
    let probe = definition.probe.is_some();
    if probe && deadline <= delay {
        found.push(
            Mistake::new("propagation", "the definition's deadline ends before the first probe")
                .hint(format!("less than {:#}", friendly(deadline))),
        );
    }
    if grace.is_some_and(|grace| delay >= grace) {
        found.push(Mistake::new("propagation", "the old key would be dead before the new one is published"));
    }
    (probe || !delay.is_zero()).then_some(Propagation { delay, poll, deadline })
}

/// Whether the right credential signs, and whether a lost answer would lock everybody out.
pub(super) fn who_signs(
    definition: &Definition,
    binding: &Binding,
    grace: Option<Duration>,
    found: &mut Vec<Mistake>,
) {
    let own_scheme = definition.auth.first().map(AuthScheme::id);
    let chosen = binding.auth_scheme.as_deref().or(own_scheme);
    if binding.self_authenticating && chosen != own_scheme {
        found.push(
            Mistake::new("auth_scheme", "the key that signs its own regeneration does not speak this scheme")
                .hint(format!("leave it out, or write {}", own_scheme.unwrap_or_default())),
        );
    }
    if binding.self_authenticating && grace.is_none() && definition.answer.secret.is_none() {
        found.push(
            Mistake::new(
                "auth",
                "the new key can only be read back, and the old one is dead before it could sign the read",
            )
            .hint("let a separate credential sign under `auth`"),
        );
    }
    match (definition.self_signing, binding.self_authenticating) {
        (SelfSigning::Always, false) => found.push(
            Mistake::new("auth", "only the key itself can sign its regeneration, so no other is needed")
                .hint("leave `auth` out"),
        ),
        (SelfSigning::Never, true) => found.push(
            Mistake::new("auth", "this key cannot sign its own regeneration; another credential must")
                .hint("name the Vault field that holds it under `auth`"),
        ),
        (_, true) if grace.is_none() && definition.creates.is_none() && !binding.accepts_lock_out => found.push(
            Mistake::new(
                "auth",
                "the key signs its own regeneration and has no grace window: if the provider's answer is lost, \
                 the old key is dead, the new one is unknown, and nothing can sign another call (lock-out)",
            )
            .hint("let a separate credential sign under `auth`, or accept the risk with accepts_lock_out: true"),
        ),
        _ => {}
    }
}

/// Whether the times fit each other.
pub(super) fn times(binding: &Binding, found: &mut Vec<Mistake>) {
    if binding.call_timeout.is_zero() {
        found.push(Mistake::new("call_timeout", "no provider answers in no time"));
    }
    if binding.settle < binding.call_timeout {
        found.push(
            Mistake::new(
                "settle",
                "a sent request can take effect for at least as long as its call may take",
            )
            .hint("not shorter than call_timeout"),
        );
    }
    if binding.claim < binding.call_timeout.saturating_mul(2) {
        found.push(
            Mistake::new("claim", "a holder in the middle of a call would lose its claim")
                .hint("at least twice call_timeout"),
        );
    }
}
