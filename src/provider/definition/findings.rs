//! What a right definition is worth a second look for: risks, and what it declares in vain.

use std::time::Duration;

use serde::Serialize;

use super::{AuthScheme, Body, Definition, Grace, SelfSigning};
use crate::mistake::Place;
use crate::provider::template::{Part, Template};

/// One thing to know about a definition. It is no mistake: the definition is used as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, such as `grace`.
    pub path: String,
    /// Where that stands in the file, where it came from one.
    pub place: Option<Place>,
    /// What is so, and what follows from it.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// All findings, what can cost a key first.
pub(super) fn findings(definition: &Definition) -> Vec<Finding> {
    let mut found = Vec::new();
    lost_answer(definition, &mut found);
    second_call(definition, &mut found);
    new_key(definition, &mut found);
    probe(definition, &mut found);
    keys_side_by_side(definition, &mut found);
    slips(definition, &mut found);
    evidence(definition, &mut found);
    found
}

fn finding(path: &str, what: impl Into<String>, help: &str) -> Finding {
    Finding { path: path.to_owned(), place: None, what: what.into(), help: help.to_owned() }
}

fn lost_answer(definition: &Definition, found: &mut Vec<Finding>) {
    if definition.creates.is_some() {
        return;
    }
    let signs_itself = definition.self_signing != SelfSigning::Never;
    let dies_at_once = definition.grace == Grace::None && definition.slots.is_empty();
    let has_replay = definition.idempotency.as_ref().is_some_and(|it| it.replays_for.is_some());
    let is_known = definition.supplies.is_some();
    let shows_it = definition.read.is_some() || definition.marker.is_some();
    let has_means = has_replay || is_known || shows_it || definition.redo.is_some();
    if signs_itself && dies_at_once {
        let help = match definition.self_signing {
            SelfSigning::Always => "a credential must accept this by name (accept_lock_out)",
            _ => {
                "let another credential sign; one that signs for itself must accept this by name (accept_lock_out)"
            }
        };
        found.push(finding(
            "self",
            "a key that signs its own regeneration is dead after the call: if the answer is lost, nobody can sign \
             anything any more (a lock-out)",
            help,
        ));
    }
    if !has_means {
        found.push(finding(
            "regenerate",
            "a lost answer cannot be settled: there is no replay, no read and no second call, so a person is called \
             at once",
            "declare what the provider has, if its documentation says so",
        ));
    }
    if definition.marker.is_some() && signs_itself {
        found.push(finding(
            "marker",
            "the old key may sign the look at it: if the provider then shows what belongs to the key that signs, a new key is \
             not seen, and the call is taken to have made none",
            "look at something that is about the newest key, whichever signs",
        ));
    }
    if definition.marker.is_some() && !has_replay && definition.redo.is_none() {
        found.push(finding(
            "marker",
            "it tells whether a lost call made a new key, and does not show that key: a person is called if one was made",
            "declare a second call (`redo`), if the provider allows one",
        ));
    }
}

/// The margin that the core keeps free at the end of a grace window, a call and the wait after it, by default.
const REDO_NEEDS: Duration = Duration::from_mins(3);
/// A claim, the quarter of it that a living holder has, and a call, by default.
const TAKEOVER_NEEDS: Duration = Duration::from_mins(3);

fn second_call(definition: &Definition, found: &mut Vec<Finding>) {
    let replays_for = definition.idempotency.as_ref().and_then(|it| it.replays_for);
    if replays_for.is_some_and(|window| window <= TAKEOVER_NEEDS) {
        found.push(finding(
            "idempotency.replays_for",
            "this is shorter than a claim: a replica that takes over finds the window closed",
            "declare a read or a second call too, if the provider allows one",
        ));
    }
    if definition.redo.is_none() {
        return;
    }
    if definition.read.is_some() {
        found.push(finding(
            "redo",
            "it is declared in vain: where the key can be read, the read settles a lost answer",
            "leave redo out",
        ));
    }
    let longest = match definition.grace {
        Grace::None => None,
        Grace::Fixed(grace) => Some(grace),
        Grace::Requested(request) => Some(request.default),
    };
    if definition.self_signing == SelfSigning::Always && longest.is_some_and(|grace| grace <= REDO_NEEDS) {
        found.push(finding(
            "grace",
            "the window is over before a second call may be made: a lost request is waited out first, and two \
             minutes are kept free at its end",
            "ask for a longer window, or leave redo out",
        ));
    }
}

/// What applications need to read the entry again.
const APPLICATIONS_NEED: Duration = Duration::from_mins(5);

fn new_key(definition: &Definition, found: &mut Vec<Finding>) {
    let Some(propagation) = definition.propagation else { return };
    if definition.probe.is_none() {
        found.push(finding(
            "propagation",
            "without a probe the new key is published by the clock alone, whether the provider accepts it or not",
            "declare a probe, if the provider has a harmless request that the key can sign",
        ));
    }
    let longest = if definition.probe.is_some() { propagation.deadline } else { propagation.delay };
    let grace = match definition.grace {
        Grace::None => Duration::ZERO,
        Grace::Fixed(grace) => grace,
        Grace::Requested(request) => request.default,
    };
    if definition.creates.is_none()
        && definition.slots.is_empty()
        && grace < longest.saturating_add(APPLICATIONS_NEED)
    {
        found.push(finding(
            "grace",
            "the old key may be dead before applications have the new one: they get it only once it is usable",
            "ask for a longer window, if the provider grants one",
        ));
    }
}

/// Words in a path of which a harmless request has none.
const ACTS: [&str; 9] =
    ["activate", "create", "delete", "generate", "logout", "reset", "revoke", "roll", "rotate"];

fn probe(definition: &Definition, found: &mut Vec<Finding>) {
    match &definition.probe {
        Some(probe) => {
            let path = probe.path.to_string().to_lowercase();
            let act = ACTS.into_iter().find(|act| path.contains(act));
            if let Some(act) = act.filter(|_| probe.side_effects.is_none()) {
                found.push(finding(
                    "probe.path",
                    format!("\"{act}\" in its path sounds like a side effect; the probe is repeated many times"),
                    "probe with a request that only looks, or say that this one does (`side_effects: false`)",
                ));
            }
        }
        None if definition.read.is_none() => found.push(finding(
            "probe",
            "without a probe and without a read nothing shows that the new key works, and nothing compares provider \
             and Vault between rotations",
            "declare a probe, if the provider has a harmless request that the key can sign",
        )),
        None => {}
    }
}

fn keys_side_by_side(definition: &Definition, found: &mut Vec<Finding>) {
    let Some(creates) = &definition.creates else { return };
    if creates.activate.is_some() && creates.discard.is_none() {
        found.push(finding(
            "creates",
            "a pending key whose answer is lost stays at the provider: no other try is made by itself, and the next one may be \
             refused",
            "declare `discard`, if the provider has a request for it",
        ));
    }
    if creates.activate.as_ref().is_some_and(|activate| activate.done.is_empty()) {
        found.push(finding(
            "creates.activate",
            "once the answer to an activation was lost, each further one is refused, for nothing is pending any more: no rotation \
             follows until a person has helped",
            "declare `done`, if the provider has a status for that",
        ));
    } else if creates.list.is_none() && creates.activate.is_none() {
        let rest = if creates.keys_max.is_some_and(|max| max < 4) {
            ", takes a place that the next rotation needs,"
        } else {
            ""
        };
        found.push(finding(
            "creates",
            format!(
                "a key whose answer is lost is found by nobody: it goes on to work{rest} and no other try is made by itself"
            ),
            "declare how keys are listed, if the provider shows a label that the call can set",
        ));
    }
    if creates.revoke_after < APPLICATIONS_NEED {
        found.push(finding(
            "creates.revoke_after",
            "the old key may be revoked before applications have read the new one",
            "give them a longer time",
        ));
    }
}

/// What is seldom meant as it is written.
fn slips(definition: &Definition, found: &mut Vec<Finding>) {
    let prefixes = definition.auth.iter().filter_map(|scheme| match scheme {
        AuthScheme::Header(header) => Some(header.prefix.as_str()),
        _ => None,
    });
    let prefixes: Vec<&str> =
        prefixes.chain(definition.extra_secrets.values().map(|extra| extra.prefix.as_str())).collect();
    if prefixes.iter().any(|prefix| prefix.ends_with(|last: char| last.is_ascii_alphanumeric())) {
        found.push(finding(
            "auth",
            "nothing stands between a header's prefix and the secret",
            "end the prefix with a space, such as \"Bearer \", if the provider's page shows one",
        ));
    }
    let is_pasted = |template: &Template| {
        template.parts().iter().any(|part| matches!(part, Part::Text(text) if looks_like_a_secret(text)))
    };
    let pasted = fixed_texts(definition).into_iter().find(|(_, template)| is_pasted(template));
    let in_a_prefix = prefixes.into_iter().any(looks_like_a_secret).then(|| "auth".to_owned());
    if let Some(place) = in_a_prefix.or(pasted.map(|(place, _)| place)) {
        found.push(finding(
            &place,
            "a text in it looks like a secret: whoever may read the file, or what is printed of it, has that",
            "keep secrets in Vault, and name their places in the credential (`auth`, `extra_secrets`)",
        ));
    }
}

/// What is sent as it is written, by its place.
fn fixed_texts(definition: &Definition) -> Vec<(String, &Template)> {
    let Definition { headers, regenerate, read, marker, probe, .. } = definition;
    let mut queries = vec![("regenerate", &regenerate.query)];
    queries.extend(read.iter().map(|read| ("read", &read.query)));
    queries.extend(marker.iter().map(|marker| ("marker", &marker.query)));
    queries.extend(probe.iter().map(|probe| ("probe", &probe.query)));
    let queries = queries.into_iter().flat_map(|(call, query)| {
        query.iter().map(move |(name, value)| (format!("{call}.query.{name}"), value))
    });
    let headers = headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
    let body = regenerate.body.iter().flat_map(Body::texts);
    let body = body.map(|(place, text)| (format!("regenerate.body.{place}"), text));
    headers.chain(queries).chain(body).collect()
}

/// The shortest run of letters and digits that is hardly a word, and how often it changes from the ones to the others.
const SECRET_LENGTH_MIN: usize = 20;
const SECRET_CHANGES_MIN: usize = 4;

fn looks_like_a_secret(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        let changes = run
            .as_bytes()
            .windows(2)
            .filter(|pair| pair.iter().any(u8::is_ascii_digit) && pair.iter().any(u8::is_ascii_alphabetic));
        run.len() >= SECRET_LENGTH_MIN && changes.count() >= SECRET_CHANGES_MIN
    })
}

fn evidence(definition: &Definition, found: &mut Vec<Finding>) {
    if definition.sources.is_empty() {
        found.push(finding(
            "sources",
            "no page is named from which this was written, so nobody can hold it against the provider's words",
            "list the pages of the provider's documentation",
        ));
    }
    if !definition.unconfirmed.is_empty() {
        let count = definition.unconfirmed.len();
        found.push(finding(
            "unconfirmed",
            format!("statements that are assumed and not confirmed: {count}"),
            "read them, and try them on an account that can do without its keys",
        ));
    }
}
