//! What each definition in the catalogue sends, to the last header, and what it makes of each documented answer.
//!
//! Real requests to a local server, with secrets masked, held against `tests/golden/providers/`.

mod cases;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use keyturn::ids::KeyId;
use keyturn::provider::definition::AuthScheme;
use keyturn::provider::describe::if_answer_is_lost;
use keyturn::provider::{
    Answer, Binding, BoundDefinition, Catalog, Definition, HttpProvider, Listing, Probe, Provider, Reading,
    Regeneration, Revoking, bind,
};
use keyturn::rotation::{Doubt, Outcome};
use keyturn::secret::SecretValue;

use super::server::{Behaviour, Server, answer};
use super::{StoppedClock, binding, is, name_of, provider_of, rotation, secret, signer};
use cases::{CASES, Case};

const SIGNER: &str = "SIGNER-SECRET";
const NEW: &str = "NEW-KEY";
const MARKERS: [&str; 2] = ["C1D2E3", "1764172800"];
/// A secret in clear, and what is shown in its place.
const MASKS: [(&str, &str); 12] = [
    (SIGNER, "<signer>"),
    ("EXTRA-SECRET", "<further secret>"),
    ("ACCESS-TOKEN", "<access token>"),
    (NEW, "<new key>"),
    // The user name before the signer's secret, and base64 of both.
    ("d3NAQ29tcGFueS5BY21lOlNJR05FUi1TRUNSRVQ=", "<base64 of ws@Company.Acme:signer>"),
    ("YXBpOlNJR05FUi1TRUNSRVQ=", "<base64 of api:signer>"),
    (
        "bWRiX3NhX2lkXzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2NzpTSUdORVItU0VDUkVU",
        "<base64 of mdb_sa_id_0123456789abcdef01234567:signer>",
    ),
    ("cm90YXRvcjpTSUdORVItU0VDUkVU", "<base64 of rotator:signer>"),
    ("QUJDREVGR0gxMjM0NTY3ODpTSUdORVItU0VDUkVU", "<base64 of ABCDEFGH12345678:signer>"),
    ("cHJvamVjdC10ZXN0LTE6U0lHTkVSLVNFQ1JFVA==", "<base64 of project-test-1:signer>"),
    (
        "QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpTSUdORVItU0VDUkVU",
        "<base64 of AC0123456789abcdef0123456789abcdef:signer>",
    ),
    (
        "QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpORVctS0VZ",
        "<base64 of AC0123456789abcdef0123456789abcdef:new key>",
    ),
];

#[tokio::test]
async fn every_definition_sends_and_understands_what_is_written_down() {
    let catalog = Catalog::embedded();
    let written: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(written, catalog.names().collect(), "each definition has a case, and each case a definition");
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("providers");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/providers");
    fs::create_dir_all(&here).unwrap();
    let mut wrong = Vec::new();
    for name in catalog.names() {
        let mut page = String::new();
        for case in CASES.iter().filter(|case| case.name == name) {
            page.push_str(&Box::pin(shown(case, catalog.get(name).unwrap())).await);
        }
        for (clear, _) in &MASKS[..4] {
            assert!(!page.contains(clear), "{name} shows {clear}:\n{page}");
        }
        let file = format!("{}.txt", name.replace('/', "-"));
        fs::write(here.join(&file), &page).unwrap();
        if fs::read_to_string(golden.join(&file)).ok().as_ref() != Some(&page) {
            wrong.push(format!("{file}:\n{page}"));
        }
    }
    let pages = fs::read_dir(&golden).map_or(0, Iterator::count);
    assert!(
        wrong.is_empty() && pages == written.len(),
        "{} differ; take them over with: cp target/tmp/providers/* tests/golden/providers/\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

async fn shown(case: &Case, definition: &Definition) -> String {
    let mut page = format!("## {} {}\n", case.name, case.about);
    let bound = bind(definition, of_case(case, definition)).unwrap();
    writeln!(page, "\nlost answer: {}", if_answer_is_lost(bound.plan())).unwrap();
    page.push_str("\nregenerate\n");
    page.push_str(&requests(case, definition, &bound, Step::Regenerate).await);
    if bound.plan().read.is_some() || definition.read.is_some() {
        page.push_str("\nread\n");
        page.push_str(&requests(case, definition, &bound, Step::Read).await);
    }
    if definition.marker.is_some() {
        page.push_str("\nmarker\n");
        page.push_str(&requests(case, definition, &bound, Step::Marker).await);
    }
    if definition.probe.is_some() {
        page.push_str("\nprobe with the new key\n");
        page.push_str(&requests(case, definition, &bound, Step::Probe).await);
    }
    if definition.creates.as_ref().is_some_and(|creates| creates.list.is_some()) {
        page.push_str("\nlist\n");
        page.push_str(&requests(case, definition, &bound, Step::List).await);
    }
    for (name, step) in [("activate", Step::Activate), ("discard", Step::Discard)] {
        if has_phases(definition) {
            writeln!(page, "\n{name}").unwrap();
            page.push_str(&requests(case, definition, &bound, step).await);
        }
    }
    if definition.creates.as_ref().is_some_and(|creates| !creates.revoke.is_empty()) {
        page.push_str("\nrevoke OLD/KEY\n");
        page.push_str(&requests(case, definition, &bound, Step::Revoke).await);
    }
    let all = [
        ("answers", case.answers),
        ("answers to the read", case.read),
        ("answers to the marker", case.marker),
        ("answers to the list", case.list),
        ("answers to the revocation", case.revoke),
    ];
    for (step, answers) in all {
        if !answers.is_empty() {
            writeln!(page, "\n{step}").unwrap();
        }
        for (status, body) in answers {
            let server = Server::start(answering(*status, body)).await;
            let provider = at(case, definition, &bound, &server);
            let (signer_secret, extra) = (secret(SIGNER), extra_of(definition));
            let signer = signer(&signer_secret, &extra);
            let meant = match step {
                "answers" => {
                    let chosen = secret(NEW);
                    let response = provider.regenerate(what(&bound, &chosen), signer).await;
                    let residue = if response.residue.is_some() { "; the body is kept" } else { "" };
                    format!("{}{residue}", outcome(&response.outcome, definition))
                }
                "answers to the read" => reading(&provider.read(meant(&bound), signer).await),
                "answers to the marker" => marker(&provider.marker(signer).await),
                "answers to the list" => listing(&provider.list(signer).await),
                _ => revoking(&provider.revoke(&old_key(), signer).await),
            };
            writeln!(page, "{}\n  {meant}", format!("{status} {body}").trim_end()).unwrap();
        }
    }
    page.push('\n');
    masked(page)
}

/// A server that gives an access token to whoever asks for one, and this answer to everything else.
fn answering(status: u16, body: &str) -> Behaviour {
    let token = r#"{"access_token":"ACCESS-TOKEN","token_type":"Bearer","expires_in":86400}"#;
    Behaviour::AnswerTokensAnd(answer(200, "", token), answer(status, "", body))
}

fn masked(mut page: String) -> String {
    for (clear, mask) in MASKS {
        page = page.replace(clear, mask);
    }
    page
}

#[derive(Clone, Copy)]
enum Step {
    Regenerate,
    Read,
    Marker,
    Probe,
    List,
    Revoke,
    Activate,
    Discard,
}

/// An id that can stand in a path only encoded.
fn old_key() -> KeyId {
    "OLD/KEY".parse().unwrap()
}

/// The last of several named keys.
fn meant(bound: &BoundDefinition) -> Option<&KeyId> {
    bound.plan().slots.last()
}

/// What the call is for, with the key that keyturn chose where it chooses one.
fn what<'a>(bound: &'a BoundDefinition, chosen: &'a SecretValue) -> Regeneration<'a> {
    let supplied = bound.plan().supplies.then_some(chosen);
    Regeneration { rotation: rotation(), supplied, slot: meant(bound) }
}

/// The requests of one step as they came, with the address that they go to in earnest.
async fn requests(case: &Case, definition: &Definition, bound: &BoundDefinition, step: Step) -> String {
    let mut server = Server::start(answering(200, "{}")).await;
    let provider = at(case, definition, bound, &server);
    let (signer_secret, extra) = (secret(SIGNER), extra_of(definition));
    match step {
        Step::Regenerate => {
            let chosen = secret(NEW);
            drop(provider.regenerate(what(bound, &chosen), signer(&signer_secret, &extra)).await);
        }
        Step::List => drop(provider.list(signer(&signer_secret, &extra)).await),
        Step::Revoke => {
            let gone = Server::start(answering(404, "")).await;
            let revoked =
                at(case, definition, bound, &gone).revoke(&old_key(), signer(&signer_secret, &extra)).await;
            // Where the path names something else, its absence says nothing of the key.
            let is_of_the_key = definition.creates.as_ref().unwrap().revoke[0].gone.contains(&404);
            assert_eq!(matches!(revoked, Revoking::Revoked), is_of_the_key, "{}: {revoked:?}", case.name);
            server = gone;
        }
        Step::Activate | Step::Discard => {
            let key = if matches!(step, Step::Activate) {
                KeyId::of_the_old_key()
            } else {
                KeyId::of_the_pending_key()
            };
            drop(provider.revoke(&key, signer(&signer_secret, &extra)).await);
        }
        Step::Read => drop(provider.read(meant(bound), signer(&signer_secret, &extra)).await),
        Step::Marker => drop(provider.marker(signer(&signer_secret, &extra)).await),
        Step::Probe => {
            let probe = provider.probe(&secret(NEW), &extra).await;
            assert!(matches!(probe, Probe::Accepted), "{}: {probe:?}", case.name);
        }
    }
    let (base, elsewhere) =
        (bound.base_url(), bound.addresses().find(|url| url.origin() != bound.base_url().origin()));
    let address = |path: &str| match elsewhere {
        Some(url) if path.ends_with(url.path()) => url.to_string(),
        _ => format!("{}{path}", base.origin().ascii_serialization()),
    };
    let requests = server.requests();
    assert!(!requests.is_empty());
    requests.iter().map(|request| one_request(request, address)).collect()
}

fn one_request(request: &str, address: impl Fn(&str) -> String) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap();
    let mut headers: Vec<&str> = headers.lines().collect();
    headers.retain(|line| !line.starts_with("host: ") && !line.starts_with("user-agent: "));
    headers.sort_unstable();
    let (method, path) = first.strip_suffix(" HTTP/1.1").unwrap().split_once(' ').unwrap();
    let mut text = format!("  {method} {}\n", address(path));
    for line in headers {
        writeln!(text, "  {line}").unwrap();
    }
    if !body.is_empty() {
        writeln!(text, "\n  {}", body.trim_end().replace("\r\n", "\n  ")).unwrap();
    }
    text
}

/// The provider, bound as in earnest, but at a local server.
fn at(
    case: &Case,
    definition: &Definition,
    bound: &BoundDefinition,
    server: &Server,
) -> HttpProvider<StoppedClock> {
    let path = bound.base_url().path().trim_end_matches('/');
    let local = format!("http://127.0.0.1:{}{path}", server.port);
    let mut definition = definition.clone();
    for scheme in &mut definition.auth {
        if let AuthScheme::Oauth2(oauth2) = scheme {
            oauth2.base_url = None;
        }
    }
    let chosen = case.environment.unwrap_or(&definition.default_environment).to_owned();
    definition.environments.insert(chosen, local.try_into().unwrap());
    let mut here = of_case(case, &definition);
    // What only the address needed is not used any more.
    let unused = bind(&definition, here.clone()).err().into_iter().flatten();
    for mistake in unused.filter(|mistake| mistake.message.starts_with("nothing uses it")) {
        here.params.remove(mistake.path.strip_prefix("params.").unwrap());
    }
    provider_of(&definition, here)
}

fn of_case(case: &Case, definition: &Definition) -> Binding {
    Binding {
        base_url: None,
        environment: case.environment.map(str::to_owned),
        auth_scheme: case.scheme.map(str::to_owned),
        self_authenticating: case.itself,
        accepts_lock_out: true,
        extra_secrets: definition.extra_secrets.keys().cloned().collect(),
        ..binding(String::new(), case.params)
    }
}

fn extra_of(definition: &Definition) -> Vec<(String, SecretValue)> {
    definition.extra_secrets.keys().map(|name| (name.clone(), secret("EXTRA-SECRET"))).collect()
}

fn outcome(outcome: &Outcome<Answer>, definition: &Definition) -> String {
    let said = match outcome {
        Outcome::Applied(answer) if has_phases(definition) => return pending(answer),
        Outcome::Applied(answer) if definition.creates.is_some() => return created(answer),
        Outcome::Applied(answer) => return applied(answer),
        Outcome::AppliedNoValue => return "made a key, and does not show it".to_owned(),
        Outcome::NotApplied(refusal) => {
            let wait = refusal.retry_after.map(|wait| format!("; stays away for {}s", wait.as_secs()));
            format!("made no key: {}{}", refusal.problem, wait.unwrap_or_default())
        }
        Outcome::Unknown(Doubt::Status { problem } | Doubt::Unreadable { problem }) => {
            format!("may have made a key: {problem}")
        }
        Outcome::Unknown(_) => "may have made a key".to_owned(),
    };
    format!("{said} [{}]", name_of(outcome))
}

fn applied(answer: &Answer) -> String {
    assert!(is(&answer.secret.key, NEW), "another key was taken");
    let key = with_fields(answer);
    match answer.previous_expires_at {
        Some(end) => format!("made {key}; the old one works until {end}"),
        None => format!("made {key}; the old one is taken to be dead"),
    }
}

fn has_phases(definition: &Definition) -> bool {
    definition.creates.as_ref().is_some_and(|creates| creates.activate.is_some())
}

fn pending(answer: &Answer) -> String {
    assert!(is(&answer.secret.key, NEW), "another key was taken");
    assert_eq!((answer.previous_expires_at, &answer.key_id), (None, &None));
    "made the new key, which is pending; the old one works until it is activated".to_owned()
}

fn created(answer: &Answer) -> String {
    assert!(is(&answer.secret.key, NEW), "another key was taken");
    assert_eq!(answer.previous_expires_at, None, "nothing was taken from the old key");
    let key = with_fields(answer);
    match &answer.key_id {
        Some(id) => format!("made {key}, {id}; the old one works until it is revoked"),
        None => format!("made {key}, whose id is not told; the old one works until it is revoked"),
    }
}

fn with_fields(answer: &Answer) -> String {
    let names: Vec<&str> = answer.secret.fields.keys().map(String::as_str).collect();
    if names.is_empty() { "the new key".to_owned() } else { format!("the new key with {}", names.join(", ")) }
}

fn listing(listing: &Listing) -> String {
    match listing {
        Listing::Keys(keys) => {
            let keys: Vec<String> =
                keys.iter().map(|key| format!("{} of rotation {}", key.key_id, key.rotation_id)).collect();
            if keys.is_empty() {
                "shows no rotation's key".to_owned()
            } else {
                format!("shows {}", keys.join(", "))
            }
        }
        Listing::Unavailable(problem) => format!("shows nothing: {problem}"),
        Listing::Refused(refusal) => format!("refuses: {} [{}]", refusal.problem, refusal.class.code()),
    }
}

fn revoking(revoking: &Revoking) -> String {
    match revoking {
        Revoking::Revoked => "the key is dead".to_owned(),
        Revoking::Unavailable(problem) => format!("nobody knows, it is tried again: {problem}"),
        Revoking::Refused(refusal) => format!("refuses: {} [{}]", refusal.problem, refusal.class.code()),
    }
}

fn marker(reading: &Reading<Option<SecretValue>>) -> String {
    match reading {
        Reading::Value(None) => "shows nothing of the kind".to_owned(),
        Reading::Value(Some(marker)) => {
            assert!(MARKERS.iter().any(|known| is(marker, known)), "something else was read");
            "shows what changes with the key".to_owned()
        }
        Reading::Unavailable(problem) => format!("shows nothing: {problem}"),
        Reading::Refused(refusal) => format!("refuses: {} [{}]", refusal.problem, refusal.class.code()),
    }
}

fn reading(reading: &Reading) -> String {
    match reading {
        Reading::Value(answer) => {
            assert!(is(&answer.secret.key, NEW), "another key was read");
            "shows the key".to_owned()
        }
        Reading::Unavailable(problem) => format!("shows nothing: {problem}"),
        Reading::Refused(refusal) => format!("refuses: {} [{}]", refusal.problem, refusal.class.code()),
    }
}
