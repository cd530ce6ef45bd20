//! Where the configuration meets the provider definitions.

use std::path::Path;

use super::credentials::{Context, Signer};
use super::{Found, raw, text};
use crate::document::member;
use crate::mistake::Mistake;
use crate::provider::{self, Binding, BoundDefinition, Catalog, Definition};
use crate::rotation::Plan;
use crate::rotation::schedule::{Cadence, Schedule};

/// What a file says of definitions of its owner's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// It names none.
    None,
    /// All of them are in the catalog.
    Read,
    /// One could not be read, and nobody knows its name.
    Unread,
}

/// Reads the owner's own definitions into the catalog.
pub(super) fn add_definitions(files: &[String], catalog: &mut Catalog, found: &mut Found<'_>) -> Own {
    let mut own = if files.is_empty() { Own::None } else { Own::Read };
    for (index, file) in files.iter().enumerate() {
        let place = format!("providers[{index}]");
        let path = found.place(&place, file);
        match read_definition(&path) {
            Ok(definition) => {
                found.take(&place, catalog.add(definition));
            }
            Err(mistakes) => {
                own = Own::Unread;
                for mistake in mistakes {
                    found.add(in_its_own_file(mistake, file).under(&place));
                }
            }
        }
    }
    own
}

/// A mistake whose place is one in another file than the configuration.
fn in_its_own_file(mistake: Mistake, file: &str) -> Mistake {
    match mistake.place {
        Some(place) => Mistake { message: format!("{file}, {place}: {}", mistake.message), ..mistake },
        None => mistake,
    }
}

fn read_definition(path: &Path) -> Result<Definition, Vec<Mistake>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Mistake::new("", format!("{} cannot be read: {error}", path.display()))])?;
    Definition::parse(&text)
}

/// Binds a credential to its definition; whatever is wrong with that is kept.
pub(super) fn bind(
    raw: &raw::Credential,
    signer: Option<&Signer>,
    schedule: Schedule,
    context: &Context<'_>,
    place: &str,
    found: &mut Found<'_>,
) -> Option<BoundDefinition> {
    let binding = binding(raw, signer, schedule, context, place, found);
    let definition = find(&raw.provider, context, place, found)?;
    // Without a signer, what the definition says about signers means nothing.
    let signer_is_known = signer.is_some();
    match provider::bind(definition, binding) {
        Ok(bound) => {
            check_interval(bound.plan(), &member(place, "schedule.every"), found);
            Some(bound)
        }
        Err(mistakes) => {
            let relevant = mistakes.into_iter().filter(|mistake| signer_is_known || mistake.path != "auth");
            relevant.for_each(|mistake| found.add(in_file_words(mistake, &raw.name).under(place)));
            None
        }
    }
}

fn find<'a>(name: &str, context: &Context<'a>, place: &str, found: &mut Found<'_>) -> Option<&'a Definition> {
    let mistake = match context.catalog.find(name) {
        Ok(definition) => return Some(definition),
        Err(mistake) => mistake.under(place),
    };
    match context.own {
        Own::None => {
            let nearest = mistake.hint.as_deref().unwrap_or_default();
            let hint = format!("name the file of one of your own under providers; {nearest}");
            found.add(mistake.hint(hint));
        }
        Own::Read => found.add(mistake),
        // It may be the name of the one that could not be read: one mistake, which is told there.
        Own::Unread => {}
    }
    None
}

fn binding(
    raw: &raw::Credential,
    signer: Option<&Signer>,
    schedule: Schedule,
    context: &Context<'_>,
    place: &str,
    found: &mut Found<'_>,
) -> Binding {
    let mut duration = |name: &str, text: Option<&String>| {
        text.and_then(|text| found.take(&member(place, name), text::duration(text)))
    };
    let grace = duration("grace", raw.grace.as_ref());
    let propagation = duration("propagation", raw.propagation.as_ref());
    let revoke_after = duration("revoke_after", raw.revoke_after.as_ref());
    let first_key = raw.first_key.as_ref();
    let first_key = first_key.and_then(|id| found.parse(&member(place, "first_key"), id));
    let accepts_lock_out = raw.accept_lock_out.as_ref() == Some(&raw.name);
    if raw.accept_lock_out.is_some() && !accepts_lock_out {
        found.add(
            Mistake::new(member(place, "accept_lock_out"), "this is not the credential's name")
                .hint("repeat the name, so that the risk is accepted for this credential and no other"),
        );
    }
    Binding {
        params: raw.params.clone(),
        environment: raw.environment.clone(),
        base_url: raw.base_url.clone(),
        auth_scheme: match &raw.auth {
            Some(raw::Auth::Vault(auth)) => auth.scheme.clone(),
            _ => None,
        },
        self_authenticating: matches!(signer, Some(Signer::Itself)),
        accepts_lock_out,
        grace,
        propagation,
        revoke_after,
        first_key,
        extra_secrets: raw.secrets.keys().cloned().collect(),
        schedule,
        call_timeout: context.timeouts.provider_call,
        settle: context.timeouts.settle,
        claim: context.timeouts.claim,
    }
}

/// A mistake in the words of the file instead of the definition's.
fn in_file_words(mut mistake: Mistake, name: &str) -> Mistake {
    mistake.path = match mistake.path.split_once('.') {
        Some(("extra_secrets", secret)) => format!("secrets.{secret}"),
        _ if mistake.path == "auth_scheme" => "auth.scheme".into(),
        _ => mistake.path,
    };
    let in_file = format!("accept_lock_out: {name}");
    mistake.hint = mistake.hint.map(|hint| hint.replace("accepts_lock_out: true", &in_file));
    mistake
}

/// A schedule that runs into an open grace window or the provider's lock would be refused every time.
fn check_interval(plan: &Plan, place: &str, found: &mut Found<'_>) {
    let Cadence::Every(interval) = plan.schedule.cadence else { return };
    let shortest = interval * 100_u32.saturating_sub(plan.schedule.jitter_percent.into()) / 100;
    let beside = plan.creates.as_ref().map(|creates| creates.revoke_after);
    let refused = [plan.grace, plan.lock, beside].into_iter().flatten().max().unwrap_or_default();
    if shortest <= refused {
        found.add(
            Mistake::new(
                place,
                "less its jitter this ends while the provider's grace window or lock is still open",
            )
            .hint(format!("more than {}", text::in_words(refused))),
        );
    }
}
