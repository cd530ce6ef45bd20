//! What must hold of definitions, answers and signatures, whatever bytes they come from.
//!
//! Each function says whether the bytes were taken for what they should be.

#![expect(clippy::missing_panics_doc, reason = "a property that does not hold is a panic, as in a test")]

mod signing;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use url::{Host, Url};
use zeroize::Zeroizing;

pub use self::signing::signing;
use super::answer::{self, BodyEnd, Received};
use super::catalog::Catalog;
use super::definition::{
    AuthScheme, Definition, ErrorMeaning, Expiry, ExpiryForm, Meaning, ProblemShape, SecretEncoding,
};
use super::sent::Sent;
use super::template::Pointer;
use super::wire::{Among, AnswerFacts, Call, Condition, KeyPlace, ProbeCall, Signing, Wire};
use super::{Binding, BoundDefinition, Reading, Response, Revoking, bind};
use crate::rotation::Outcome;
use crate::rotation::schedule::{Cadence, Schedule};
use crate::secret::{Fingerprint, FingerprintKey, SecretValue};

/// Stands for whatever may not be shown.
const CANARY: &str = "canary-4711-old";

/// Parameters that are what they seem, and some that are not.
const PARAMS: [&str; 11] = [
    "a",
    "..",
    "../../admin",
    "a/b?c#d",
    "%2e%2e%2f",
    "x@evil.example",
    "evil.example",
    "evil.example.",
    "\\..\\a",
    "é",
    "//evil",
];

/// A definition is read or refused with reasons; what it builds stays below its base URL, whatever the parameters.
pub fn definition(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let definition = match Definition::parse(text) {
        Ok(definition) => definition,
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            return false;
        }
    };
    let shown = serde_saphyr::to_string(&definition).unwrap_or_default();
    assert!(Definition::parse(&shown).as_ref() == Ok(&definition), "what is shown cannot be read again");
    for value in PARAMS {
        for chosen in 0..definition.resource.len().clamp(1, 3) {
            for environment in definition.environments.keys().take(3) {
                for scheme in definition.auth.iter().take(3) {
                    builds_only_below(&definition, binding(&definition, value, chosen, environment, scheme));
                }
            }
        }
    }
    true
}

fn binding(
    definition: &Definition,
    value: &str,
    chosen: usize,
    environment: &str,
    scheme: &AuthScheme,
) -> Binding {
    let own: BTreeSet<&str> =
        definition.resource.get(chosen).into_iter().flat_map(super::Template::names).collect();
    let others = definition.resource.iter().flat_map(super::Template::names);
    let others: BTreeSet<&str> = others.filter(|name| !own.contains(name)).collect();
    let names = definition.params.keys().filter(|name| !others.contains(name.as_str()));
    Binding {
        params: names.map(|name| (name.clone(), value.to_owned())).collect(),
        environment: Some(environment.to_owned()),
        base_url: None,
        auth_scheme: Some(scheme.id().to_owned()),
        self_authenticating: false,
        accepts_lock_out: true,
        grace: None,
        propagation: None,
        revoke_after: None,
        first_key: None,
        extra_secrets: definition.extra_secrets.keys().cloned().collect(),
        schedule: Schedule {
            cadence: Cadence::Manual,
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        },
        call_timeout: Duration::from_secs(20),
        settle: Duration::from_secs(20),
        claim: Duration::from_mins(1),
    }
}

/// Parameters that nothing uses are left out, so that the definition is bound wherever it can be.
fn builds_only_below(definition: &Definition, mut binding: Binding) {
    for _ in 0..3 {
        match bind(definition, binding.clone()) {
            Ok(bound) => {
                let wire = &bound.wire;
                is_declared(definition, &binding, bound.base_url());
                let read = wire.read.iter().map(|read| &read.call);
                let marker = wire.marker.iter().map(|marker| &marker.call);
                let probe = wire.probe.iter().map(|probe| &probe.call);
                for call in std::iter::once(&wire.regenerate).chain(read).chain(marker).chain(probe) {
                    is_below(bound.base_url(), call);
                }
                for text in PARAMS {
                    for call in calls_beside(wire, text) {
                        is_below(bound.base_url(), &call);
                    }
                }
                let of_probe = wire.probe.iter().map(|probe| &probe.signing);
                for signing in of_probe.chain([&wire.signing]) {
                    if let Signing::Oauth2(token) = signing {
                        is_below_a_declared_one(definition, bound.base_url(), &token.call);
                    }
                }
                return;
            }
            Err(mistakes) => {
                let unused = mistakes.iter().filter(|mistake| mistake.message.starts_with("nothing uses it"));
                for name in unused.filter_map(|mistake| mistake.path.strip_prefix("params.")) {
                    binding.params.remove(name);
                }
            }
        }
    }
}

/// What is sent about keys that live side by side, wherever an answer led it.
fn calls_beside(wire: &Wire, text: &str) -> Vec<Call> {
    let pages = wire.list.iter().flat_map(|list| [list.page(None), list.page(Some(text))]);
    let key = text.parse().ok();
    pages.chain(wire.revoke.iter().filter_map(|revoke| revoke.of(key.as_ref()?))).collect()
}

/// Whatever a parameter holds, the host ends as the definition says.
fn is_declared(definition: &Definition, binding: &Binding, base: &Url) {
    let template = binding.environment.as_ref().and_then(|name| definition.environments.get(name));
    let text = template.map_or_else(String::new, ToString::to_string).to_ascii_lowercase();
    let host =
        text.split_once("://").map_or("", |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
    let end = host.rsplit('}').next().unwrap_or_default();
    let is_plain = end.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let real = base.host_str().unwrap_or_default();
    let is_name = matches!(base.host(), Some(Host::Domain(_)));
    assert!(!is_plain || !is_name || real.ends_with(end), "{real} does not end with {end}");
}

/// A token is asked for below the address of all calls, or below one that a scheme declares.
fn is_below_a_declared_one(definition: &Definition, base: &Url, call: &Call) {
    let declared = definition.auth.iter().filter_map(|scheme| match scheme {
        AuthScheme::Oauth2(oauth2) => Some(oauth2.base_url.as_deref()),
        _ => None,
    });
    let mut declared =
        declared.map(|own| own.and_then(|own| own.parse().ok()).unwrap_or_else(|| base.clone()));
    let own = declared.find(|url: &Url| url.origin() == call.url.origin());
    assert!(own.is_some(), "{} is declared nowhere", call.url);
    if let Some(own) = own {
        is_below(&own, call);
    }
}

fn is_below(base: &Url, call: &Call) {
    let url = &call.url;
    assert!(url.origin() == base.origin(), "{url} is elsewhere than {base}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    let rest = url.path().strip_prefix(base.path().trim_end_matches('/'));
    assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{url} is not below {base}");
    let climbs =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    assert!(!url.path().split('/').any(climbs), "{url} climbs");
    let sent = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    assert!(sent == call.path_and_query, "what is signed is not what is sent: {url}");
}

/// An answer comes to what its bytes show and never to more; nothing of it repeats what was sent.
pub fn answer(data: &[u8]) -> bool {
    let [selector, high, low, rest @ ..] = data else { return false };
    let head = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (head, body) = rest.split_at(head);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    let facts = facts(*selector);
    let sent = sent();
    let received = |body: &[u8], end| Received {
        status,
        headers: headers(head),
        body: Zeroizing::new(body.to_vec()),
        end,
        asked_at: Timestamp::UNIX_EPOCH,
        at: Timestamp::UNIX_EPOCH,
    };
    let end = match selector % 4 {
        0 => BodyEnd::Cut,
        1 => BodyEnd::TimedOut,
        2 => BodyEnd::TooLarge,
        _ => BodyEnd::Whole,
    };
    let response = answer::of_regenerate(&facts, &received(body, end), &sent);
    is_honest(&response, &facts, status, body, end);
    let whole = answer::of_regenerate(&facts, &received(body, BodyEnd::Whole), &sent);
    let value = value_of(&whole);
    for part in [body.len().saturating_sub(1), body.len() / 2, usize::from(*low) % (body.len() + 1)] {
        let Some(part) = body.get(..part) else { continue };
        let short = answer::of_regenerate(&facts, &received(part, BodyEnd::Whole), &sent);
        assert!(
            value.is_none() || value_of(&short).is_none() || value_of(&short) == value,
            "a part of an answer gave another key"
        );
        let cut = answer::of_regenerate(&facts, &received(part, BodyEnd::Cut), &sent);
        assert!(value_of(&cut).is_none(), "a cut answer gave a key");
    }
    let read = facts.key.as_ref().map(|place| answer::of_read(&facts, place, &received(body, end), &sent));
    assert!(
        !matches!(read, Some(Reading::Value(_))) || (status == 200 && end == BodyEnd::Whole),
        "a read out of nothing"
    );
    let marker = MARKED.as_ref().and_then(|bound| bound.wire.marker.as_ref());
    assert!(marker.is_some() && BESIDE.is_some(), "nothing that comes along has what is looked at here");
    let marker = marker.map(|marker| answer::of_marker(&facts, marker, &received(body, end), &sent));
    assert!(
        !matches!(marker, Some(Reading::Value(_))) || (status == 200 && end == BodyEnd::Whole),
        "a marker out of nothing"
    );
    let probe = probe_call().map(|call| answer::of_probe(&facts, &call, &received(body, end), &sent));
    let beside = beside(&facts, &received(body, end), &sent);
    assert!(!format!("{read:?} {marker:?} {probe:?} {beside}").contains(CANARY), "what was sent is shown");
    value.is_some()
}

/// What the same answer says of a list and of a revocation, in words; neither is believed without a whole answer or a
/// status that says it.
fn beside(facts: &AnswerFacts, received: &Received, sent: &Sent) -> String {
    let Some(wire) = BESIDE.as_ref().map(|bound| &bound.wire) else { return String::new() };
    let page = wire.list.as_ref().map(|list| answer::of_page(facts, list, None, received, sent));
    let is_whole = received.status == 200 && received.end == BodyEnd::Whole;
    assert!(is_whole || !matches!(page, Some(Ok(_))), "a list out of nothing");
    let revoked = wire.revoke.first().map(|call| (call, answer::of_revocation(facts, call, received, sent)));
    if let Some((call, Revoking::Revoked)) = &revoked {
        let said = call.statuses.contains(&received.status) || call.gone.contains(&received.status);
        assert!(said, "a key is dead out of nothing");
    }
    let refused = page.and_then(Result::err);
    format!("{refused:?} {:?}", revoked.map(|(_, revoking)| revoking))
}

/// Keys live side by side and are listed.
static BESIDE: LazyLock<Option<BoundDefinition>> =
    LazyLock::new(|| first_of_the_catalog(|definition| definition.creates.as_ref()?.list.as_ref().map(drop)));
/// The key is not shown again, but whether it has changed.
static MARKED: LazyLock<Option<BoundDefinition>> =
    LazyLock::new(|| first_of_the_catalog(|definition| definition.marker.as_ref().map(drop)));

/// A definition that comes along and has what is looked for.
fn first_of_the_catalog(has: impl Fn(&Definition) -> Option<()>) -> Option<BoundDefinition> {
    let catalog = Catalog::embedded();
    let mut definitions = catalog.names().filter_map(|name| catalog.get(name));
    definitions.find_map(|definition| {
        has(definition)?;
        let params = definition.params.keys().map(|name| (name.clone(), "a".to_owned())).collect();
        bind(definition, Binding { params, ..Binding::usual() }).ok()
    })
}

fn is_honest(response: &Response, facts: &AnswerFacts, status: u16, body: &[u8], end: BodyEnd) {
    let shown = format!("{response:?}");
    assert!(!shown.contains(CANARY), "what was sent is shown");
    assert!(shown.len() < 64 * 1024, "an outcome of {} characters", shown.len());
    // Only a code that a definition names makes more, or less, of an answer than its status does.
    let is_declared = facts
        .errors
        .iter()
        .filter_map(|error| error.code.as_ref())
        .any(|code| !code.is_empty() && body.windows(code.len()).any(|window| window == code.as_bytes()));
    let is_fit = match &response.outcome {
        Outcome::Applied(_) | Outcome::AppliedNoValue => {
            (200..300).contains(&status) && end == BodyEnd::Whole
        }
        Outcome::NotApplied(refusal) => {
            let bounded = refusal.retry_after.is_none_or(|wait| wait <= Duration::from_hours(24));
            let by_status = (400..499).contains(&status) && status != 408;
            bounded && (by_status || is_declared && end == BodyEnd::Whole)
        }
        Outcome::Unknown(_) => !(400..499).contains(&status) || status == 408 || is_declared,
    };
    assert!(is_fit, "status {status}, {end:?}: {shown}");
}

fn value_of(response: &Response) -> Option<Fingerprint> {
    match &response.outcome {
        Outcome::Applied(answer) => Some(answer.secret.fingerprint(&FingerprintKey::new("fuzzing".into()))),
        _ => None,
    }
}

fn facts(selector: u8) -> AnswerFacts {
    let is_odd = selector & 0x10 != 0;
    let with_id = Some(("id".to_owned(), Pointer::literal("/id")));
    let among = Among { list: Pointer::literal("/keys"), condition: condition("/name", "main".into()) };
    let of_code = |code: &str, means| ErrorMeaning { status: None, code: Some(code.into()), means };
    AnswerFacts {
        statuses: vec![200, 201],
        without_value: if is_odd { vec![202, 204] } else { vec![204] },
        key: (selector & 0x60 != 0x60).then(|| KeyPlace {
            secret: Pointer::literal(if is_odd { "/data/0/key" } else { "/key" }),
            fields: with_id.filter(|_| selector & 0x04 != 0).into_iter().collect(),
            among: (selector & 0x20 != 0).then_some(among),
            encoding: if selector & 0x40 != 0 { SecretEncoding::Base64 } else { SecretEncoding::Text },
        }),
        key_id: is_odd.then(|| Pointer::literal("/id")),
        previous_expires_at: is_odd.then(|| Expiry {
            at: Pointer::literal("/data/0/previous_expires_at"),
            form: if selector & 0x08 != 0 { ExpiryForm::UnixSeconds } else { ExpiryForm::Rfc3339 },
        }),
        grace: Some(Duration::from_hours(if is_odd { 1 } else { 24 })),
        grace_begins_with_the_call: is_odd,
        success: (selector & 0x80 != 0).then(|| condition("/ok", true.into())),
        errors: vec![of_code("not_done", Meaning::Conflict), of_code("perhaps_done", Meaning::MayHaveActed)],
        rate_limit_block: is_odd.then_some(Duration::from_mins(1)),
        problem: ProblemShape::default(),
    }
}

fn condition(at: &'static str, is: serde_json::Value) -> Condition {
    Condition { at: Pointer::literal(at), is }
}

/// `Retry-After` and `Date`, with a `|` between them.
fn headers(line: &[u8]) -> HeaderMap {
    let mut parts = line.splitn(2, |byte| *byte == b'|').map(HeaderValue::from_bytes);
    let named = [RETRY_AFTER, DATE].into_iter().filter_map(|name| Some((name, parts.next()?.ok()?)));
    named.collect()
}

fn sent() -> Sent {
    let basic = Signing::Basic { before: "user:".into(), after: String::new(), encoded: false };
    Sent::new(&basic, &SecretValue::new(CANARY.into()), &[])
}

fn probe_call() -> Option<ProbeCall> {
    let call = Call {
        method: reqwest::Method::GET,
        url: Url::parse("https://127.0.0.1").ok()?,
        path_and_query: "/".into(),
        headers: HeaderMap::new(),
        body: None,
    };
    let signing = Signing::Basic { before: ":".into(), after: String::new(), encoded: false };
    Some(ProbeCall { call, signing, accepted: vec![200], not_accepted: vec![401, 403] })
}
