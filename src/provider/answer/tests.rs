use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::*;
use crate::provider::bind::{Binding, bind};
use crate::provider::catalog::Catalog;
use crate::provider::definition::{ErrorMeaning, Expiry, ExpiryForm, SecretEncoding};
use crate::provider::template::Pointer;
use crate::provider::wire::{Among, Call, Condition, Signing};
use crate::rotation::schedule::{Cadence, Schedule};

const ALL: [(&str, &[(&str, &str)]); 4] = [
    ("adyen/api-key", &[("company_id", "Acme"), ("api_credential_id", "S2-1")]),
    ("adyen/client-key", &[("company_id", "Acme"), ("api_credential_id", "S2-1")]),
    ("publicsquare/api-key", &[("id", "key_7Ay5")]),
    ("spritz/integrator-secret", &[("integrator_key", "int_1")]),
];

fn facts(name: &str) -> &'static AnswerFacts {
    static BOUND: LazyLock<BTreeMap<&str, AnswerFacts>> =
        LazyLock::new(|| ALL.iter().map(|(name, _)| (*name, bound_facts(name))).collect());
    &BOUND[name]
}

fn bound_facts(name: &str) -> AnswerFacts {
    let (_, params) = ALL.iter().find(|(known, _)| *known == name).unwrap();
    let binding = Binding {
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        environment: None,
        base_url: None,
        auth_scheme: None,
        self_authenticating: name.starts_with("spritz"),
        accepts_lock_out: false,
        grace: None,
        propagation: None,
        revoke_after: None,
        first_key: None,
        extra_secrets: Vec::new(),
        schedule: Schedule {
            cadence: Cadence::Manual,
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        },
        call_timeout: Duration::from_secs(10),
        settle: Duration::from_secs(30),
        claim: Duration::from_mins(1),
    };
    bind(Catalog::embedded().get(name).unwrap(), binding).unwrap().wire.answer
}

fn place(secret: &'static str) -> KeyPlace {
    KeyPlace {
        secret: Pointer::literal(secret),
        fields: BTreeMap::new(),
        among: None,
        encoding: SecretEncoding::Text,
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn received(status: u16, body: &str, end: BodyEnd) -> Received {
    Received {
        status,
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
        end,
        asked_at: now(),
        at: now(),
    }
}

fn outcome(name: &str, status: u16, body: &str) -> String {
    let response = of_regenerate(facts(name), &received(status, body, BodyEnd::Whole), &Sent::default());
    let residue = if response.residue.is_some() { "+residue" } else { "" };
    format!("{}{residue}", summary(&response.outcome))
}

fn summary(outcome: &Outcome<Answer>) -> String {
    match outcome {
        Outcome::Applied(answer) => format!("applied {}", answer.secret.key.expose()),
        Outcome::AppliedNoValue => "no value".into(),
        Outcome::NotApplied(refusal) => refusal.class.code().into(),
        Outcome::Unknown(doubt) => doubt.code().into(),
    }
}

#[test]
fn every_refusal_and_every_doubt_reads_the_same_at_every_provider() {
    for (name, _) in ALL {
        for (status, expected) in [
            (100, "ANSWER_STATUS"),
            (202, "ANSWER_STATUS"),
            (301, "ANSWER_STATUS"),
            (304, "ANSWER_STATUS"),
            (307, "ANSWER_STATUS"),
            (400, "PROVIDER_INVALID_REQUEST"),
            (401, "PROVIDER_UNAUTHENTICATED"),
            (403, "PROVIDER_FORBIDDEN"),
            (404, "PROVIDER_NOT_FOUND"),
            (408, "ANSWER_STATUS"),
            (410, "PROVIDER_INVALID_REQUEST"),
            (421, "PROVIDER_INVALID_REQUEST"),
            (422, "PROVIDER_INVALID_REQUEST"),
            (425, "PROVIDER_INVALID_REQUEST"),
            (429, "PROVIDER_RATE_LIMITED"),
            (499, "ANSWER_STATUS"),
            (500, "ANSWER_STATUS"),
            (502, "ANSWER_STATUS"),
            (503, "ANSWER_STATUS"),
            (504, "ANSWER_STATUS"),
            (599, "ANSWER_STATUS"),
        ] {
            assert_eq!(outcome(name, status, ""), expected, "{name} {status}");
        }
    }
}

#[test]
fn a_conflict_is_work_in_progress_only_where_idempotency_says_so() {
    assert_eq!(outcome("publicsquare/api-key", 409, "{}"), "PROVIDER_IN_PROGRESS");
    assert_eq!(outcome("adyen/api-key", 409, "{}"), "PROVIDER_CONFLICT");
    assert_eq!(outcome("spritz/integrator-secret", 409, "{}"), "PROVIDER_CONFLICT");
}

#[test]
fn every_kind_of_success_is_told_apart() {
    for (name, member) in [
        ("adyen/api-key", "apiKey"),
        ("adyen/client-key", "clientKey"),
        ("publicsquare/api-key", "key"),
        ("spritz/integrator-secret", "secret"),
    ] {
        let body = format!(r#"{{"{member}":"new"}}"#);
        assert_eq!(outcome(name, 200, &body), "applied new", "{name}");
        assert_eq!(outcome(name, 201, &body), "applied new", "{name}");
        assert_eq!(outcome(name, 204, ""), "no value", "{name}");
        assert_eq!(outcome(name, 200, &format!(r#"{{"{member}":null}}"#)), "no value+residue", "{name}");
        assert_eq!(outcome(name, 200, &format!(r#"{{"{member}":""}}"#)), "no value+residue", "{name}");
        assert_eq!(outcome(name, 200, r#"{"other":1}"#), "no value+residue", "{name}");
        assert_eq!(
            outcome(name, 200, &format!(r#"{{"{member}":{{}}}}"#)),
            "ANSWER_UNREADABLE+residue",
            "{name}"
        );
        assert_eq!(outcome(name, 200, ""), "ANSWER_UNREADABLE", "{name}");
        assert_eq!(outcome(name, 200, "<html>"), "ANSWER_UNREADABLE+residue", "{name}");
        assert_eq!(outcome(name, 202, "{}"), "ANSWER_STATUS+residue", "{name}");
    }
}

#[test]
fn a_body_that_did_not_end_is_never_trusted_even_if_it_parses() {
    for end in [BodyEnd::Cut, BodyEnd::TimedOut, BodyEnd::TooLarge] {
        let response = of_regenerate(
            facts("adyen/api-key"),
            &received(200, r#"{"apiKey":"new"}"#, end),
            &Sent::default(),
        );
        assert_eq!(summary(&response.outcome), "ANSWER_UNREADABLE", "{end:?}");
        assert_eq!(response.residue.unwrap().expose(), r#"{"apiKey":"new"}"#);
    }
}

#[test]
fn a_residue_is_kept_to_the_last_byte() {
    let kept = |body: &[u8]| {
        let received = Received { body: Zeroizing::new(body.to_vec()), ..received(200, "", BodyEnd::Whole) };
        let response = of_regenerate(facts("adyen/api-key"), &received, &Sent::default());
        response.residue.unwrap().expose().to_owned()
    };
    assert_eq!(kept("key: ключ\0".as_bytes()), "key: ключ\0");
    assert_eq!(kept(b"key: \xff\xfe"), "base64:a2V5OiD//g==");
}

#[test]
fn the_old_keys_end_is_read_counted_or_taken_to_be_now() {
    let end = |name: &str, body: &str| {
        let response = of_regenerate(facts(name), &received(200, body, BodyEnd::Whole), &Sent::default());
        match response.outcome {
            Outcome::Applied(answer) => answer.previous_expires_at.map(|at| at.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end("adyen/api-key", r#"{"apiKey":"n"}"#).unwrap(), "2026-11-22T12:00:00Z");
    assert_eq!(end("publicsquare/api-key", r#"{"key":"n"}"#), None);
    let spritz = |expiry: &str| {
        end("spritz/integrator-secret", &format!(r#"{{"secret":"n","oldSecretExpiresAt":{expiry}}}"#))
    };
    assert_eq!(spritz(r#""2026-11-21T13:00:00.000Z""#).unwrap(), "2026-11-21T13:00:00Z");
    // Longer than was asked for is no more than a clock that is ahead.
    assert_eq!(spritz(r#""2026-11-21T13:04:59Z""#).unwrap(), "2026-11-21T13:04:59Z");
    assert_eq!(spritz(r#""9999-12-30T00:00:00Z""#).unwrap(), "2026-11-21T13:05:00Z");
    assert_eq!(spritz("null"), None);
    assert_eq!(spritz(r#""soon""#), None);
}

#[test]
fn an_end_that_nobody_can_check_is_believed_for_ninety_days() {
    let facts = AnswerFacts { grace: None, ..facts("spritz/integrator-secret").clone() };
    let end = |said: &str| {
        let body = format!(r#"{{"secret":"n","oldSecretExpiresAt":"{said}"}}"#);
        match of_regenerate(&facts, &received(200, &body, BodyEnd::Whole), &Sent::default()).outcome {
            Outcome::Applied(answer) => answer.previous_expires_at.unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end("2027-02-18T00:00:00Z"), "2027-02-18T00:00:00Z");
    assert_eq!(end("9999-12-30T00:00:00Z"), "2027-02-19T12:00:00Z");
}

#[test]
fn a_rate_limit_is_kept_away_from_as_told_or_as_declared() {
    let wait = |name: &str, header: Option<&'static str>| {
        let mut received = received(429, "{}", BodyEnd::Whole);
        if let Some(header) = header {
            received.headers.insert(RETRY_AFTER, HeaderValue::from_static(header));
        }
        match of_regenerate(facts(name), &received, &Sent::default()).outcome {
            Outcome::NotApplied(refusal) => refusal.retry_after,
            other => panic!("{other:?}"),
        }
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait("publicsquare/api-key", None), seconds(30));
    assert_eq!(wait("publicsquare/api-key", Some("7")), seconds(7));
    assert_eq!(wait("adyen/api-key", Some("Sat, 21 Nov 2026 12:01:00 GMT")), seconds(60));
    assert_eq!(wait("adyen/api-key", None), None);
}

/// One that reports errors under a success status, and names some of them.
fn with_envelope() -> AnswerFacts {
    let of_code = |status, code: &str, means| ErrorMeaning { status, code: Some(code.into()), means };
    AnswerFacts {
        success: Some(Condition { at: Pointer::literal("/ok"), is: true.into() }),
        errors: vec![
            of_code(None, "token_revoked", Meaning::Unauthenticated),
            of_code(Some(200), "ratelimited", Meaning::RateLimited),
            of_code(None, "4711", Meaning::Conflict),
            of_code(Some(403), "perhaps", Meaning::MayHaveActed),
        ],
        rate_limit_block: Some(Duration::from_secs(9)),
        ..facts("publicsquare/api-key").clone()
    }
}

#[test]
fn an_error_under_a_success_status_is_a_doubt_unless_the_definition_knows_it() {
    let facts = with_envelope();
    let outcome = |status, body: &str| {
        let response = of_regenerate(&facts, &received(status, body, BodyEnd::Whole), &Sent::default());
        assert!(!format!("{response:?}").contains("canary"), "{response:?}");
        let residue = if response.residue.is_some() { "+residue" } else { "" };
        format!("{}{residue}", summary(&response.outcome))
    };
    assert_eq!(outcome(200, r#"{"ok":true,"key":"new"}"#), "applied new");
    assert_eq!(outcome(200, r#"{"ok":true}"#), "no value+residue");
    for body in [r#"{"ok":false,"type":"fatal_error"}"#, r#"{"ok":"true"}"#, r#"{"key":"canary"}"#, "{}"] {
        assert_eq!(outcome(200, body), "ANSWER_STATUS+residue", "{body}");
    }
    assert_eq!(outcome(200, r#"{"ok":false,"type":"token_revoked"}"#), "PROVIDER_UNAUTHENTICATED");
    assert_eq!(outcome(200, r#"{"ok":false,"type":"ratelimited"}"#), "PROVIDER_RATE_LIMITED");
    assert_eq!(outcome(200, r#"{"ok":false,"type":4711}"#), "PROVIDER_CONFLICT");
    let with_a_key = r#"{"ok":false,"type":"token_revoked","key":"canary","title":"canary"}"#;
    assert_eq!(outcome(200, with_a_key), "ANSWER_STATUS+residue");
}

#[test]
fn an_error_means_what_the_definition_says_of_its_code() {
    let facts = with_envelope();
    let outcome = |status, body: &str, end| {
        summary(&of_regenerate(&facts, &received(status, body, end), &Sent::default()).outcome)
    };
    assert_eq!(outcome(500, r#"{"type":"token_revoked"}"#, BodyEnd::Whole), "PROVIDER_UNAUTHENTICATED");
    assert_eq!(outcome(500, r#"{"type":"token_revoked"}"#, BodyEnd::Cut), "ANSWER_STATUS");
    assert_eq!(outcome(500, r#"{"type":"ratelimited"}"#, BodyEnd::Whole), "ANSWER_STATUS");
    assert_eq!(outcome(403, r#"{"type":"perhaps"}"#, BodyEnd::Whole), "ANSWER_STATUS");
    assert_eq!(outcome(403, r#"{"type":"other"}"#, BodyEnd::Whole), "PROVIDER_FORBIDDEN");
}

#[test]
fn a_probe_believes_no_success_that_reports_an_error() {
    let call = Call {
        method: reqwest::Method::GET,
        url: "https://127.0.0.1".parse().unwrap(),
        path_and_query: "/".into(),
        headers: HeaderMap::new(),
        body: None,
    };
    let call = ProbeCall { call, signing: Signing::Body, accepted: vec![200], not_accepted: vec![401] };
    let facts = with_envelope();
    let shown = |status, body| match of_probe(
        &facts,
        &call,
        &received(status, body, BodyEnd::Whole),
        &Sent::default(),
    ) {
        Probe::Accepted => "accepted",
        Probe::NotAccepted(_) => "not accepted",
        Probe::Unavailable(_) => "shows nothing",
    };
    assert_eq!(shown(200, r#"{"ok":true}"#), "accepted");
    assert_eq!(shown(200, r#"{"ok":false,"type":"token_revoked"}"#), "not accepted");
    assert_eq!(shown(200, r#"{"ok":false,"type":"ratelimited"}"#), "shows nothing");
    assert_eq!(shown(200, "ok"), "shows nothing");
    assert_eq!(shown(401, ""), "not accepted");
}

#[test]
fn a_key_is_found_in_a_list_and_behind_its_encoding() {
    let condition = Condition { at: Pointer::literal("/name"), is: "key1".into() };
    let among = Among { list: Pointer::literal("/keys"), condition };
    let key = KeyPlace { among: Some(among), encoding: SecretEncoding::Base64, ..place("/value") };
    let facts = AnswerFacts {
        key: Some(key),
        previous_expires_at: Some(Expiry { at: Pointer::literal("/old"), form: ExpiryForm::UnixSeconds }),
        ..facts("adyen/api-key").clone()
    };
    let outcome = |body: &str| of_regenerate(&facts, &received(200, body, BodyEnd::Whole), &Sent::default());
    let found = outcome(
        r#"{"keys":[{"name":"key0","value":"b2xk"},{"name":"key1","value":"bmV3","old":1795701600}]}"#,
    );
    let Outcome::Applied(answer) = found.outcome else { panic!("{found:?}") };
    assert_eq!(answer.secret.key.expose(), "new");
    assert_eq!(answer.previous_expires_at.unwrap().to_string(), "2026-11-22T12:05:00Z", "at the latest");
    for (body, expected) in [
        (r#"{"keys":[{"name":"key0","value":"b2xk"}]}"#, "no value"),
        (r#"{"keys":[{"name":"key1","value":"bmV3"},{"name":"key1","value":"b2xk"}]}"#, "no value"),
        (r#"{"keys":{"name":"key1","value":"bmV3"}}"#, "no value"),
        (r#"{"keys":[{"name":"key1","value":"???"}]}"#, "ANSWER_UNREADABLE"),
        (r#"{"keys":[{"name":"key1","value":"//4="}]}"#, "ANSWER_UNREADABLE"),
    ] {
        let response = outcome(body);
        assert_eq!(
            (summary(&response.outcome).as_str(), response.residue.is_some()),
            (expected, true),
            "{body}"
        );
    }
}

#[test]
fn what_goes_with_a_key_comes_with_it_or_nothing_is_applied() {
    let fields = [("refresh_token", "/refresh_token"), ("number", "/n")];
    let fields = fields.map(|(name, at)| (name.to_owned(), Pointer::literal(at)));
    let key = KeyPlace { fields: BTreeMap::from(fields), ..place("/token") };
    let success = Some(Condition { at: Pointer::literal("/ok"), is: true.into() });
    let facts = AnswerFacts { key: Some(key), success, ..facts("adyen/api-key").clone() };
    let outcome = |body: &str| of_regenerate(&facts, &received(200, body, BodyEnd::Whole), &Sent::default());
    let found = outcome(r#"{"ok":true,"token":"t","refresh_token":"canary","n":7}"#);
    assert!(!format!("{found:?}").contains("canary"));
    let Outcome::Applied(answer) = found.outcome else { panic!("{found:?}") };
    let texts: Vec<_> = answer.secret.fields.iter().map(|(name, it)| (name.as_str(), it.expose())).collect();
    assert_eq!(
        (answer.secret.key.expose(), texts),
        ("t", vec![("number", "7"), ("refresh_token", "canary")])
    );
    for (body, expected) in [
        (r#"{"ok":true,"token":"t","refresh_token":"r"}"#, "no value"),
        (r#"{"ok":true,"token":"t","refresh_token":"","n":7}"#, "no value"),
        (r#"{"ok":true,"token":"t","refresh_token":["r"],"n":7}"#, "no value"),
        (r#"{"ok":true,"refresh_token":"r","n":7}"#, "no value"),
        (r#"{"ok":true,"token":{},"refresh_token":"r","n":7}"#, "ANSWER_UNREADABLE"),
        (r#"{"ok":false,"refresh_token":"r"}"#, "ANSWER_STATUS"),
    ] {
        let response = outcome(body);
        let residue = response.residue.map(|residue| residue.expose().to_owned());
        assert_eq!((summary(&response.outcome).as_str(), residue.as_deref()), (expected, Some(body)));
    }
}

#[test]
fn where_no_answer_shows_the_key_every_listed_success_is_one_without() {
    let facts = AnswerFacts { key: None, ..facts("adyen/api-key").clone() };
    let outcome = |status, body| {
        summary(&of_regenerate(&facts, &received(status, body, BodyEnd::Whole), &Sent::default()).outcome)
    };
    for (status, body) in [(200, ""), (200, "{}"), (200, "done"), (204, "")] {
        assert_eq!(outcome(status, body), "no value", "{status} {body}");
    }
    assert_eq!(outcome(202, "{}"), "ANSWER_STATUS");
}

#[test]
fn a_window_that_the_call_asked_for_begins_with_the_call() {
    let facts = AnswerFacts { previous_expires_at: None, ..facts("spritz/integrator-secret").clone() };
    let received = Received {
        asked_at: "2026-11-21T11:59:30Z".parse().unwrap(),
        ..received(200, r#"{"secret":"n"}"#, BodyEnd::Whole)
    };
    match of_regenerate(&facts, &received, &Sent::default()).outcome {
        Outcome::Applied(answer) => {
            assert_eq!(answer.previous_expires_at.unwrap().to_string(), "2026-11-21T12:59:30Z");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_gives_the_value_or_says_whose_fault_it_is() {
    let facts = facts("adyen/client-key");
    let read = |status, body: &str| match of_read(
        facts,
        &place("/clientKey"),
        &received(status, body, BodyEnd::Whole),
        &Sent::default(),
    ) {
        Reading::Value(answer) => answer.secret.key.expose().to_owned(),
        Reading::Unavailable(_) => "unavailable".into(),
        Reading::Refused(refusal) => refusal.class.code().into(),
    };
    assert_eq!(read(200, r#"{"clientKey":"k"}"#), "k");
    for (status, body) in [(200, "{}"), (200, "x"), (204, ""), (307, ""), (408, ""), (500, "")] {
        assert_eq!(read(status, body), "unavailable", "{status}");
    }
    assert_eq!(read(429, ""), "PROVIDER_RATE_LIMITED");
    assert_eq!(read(401, ""), "PROVIDER_UNAUTHENTICATED");
    assert_eq!(read(403, ""), "PROVIDER_FORBIDDEN");
}

proptest! {
    #[test]
    fn no_answer_panics_or_shows_its_body(
        status in 100u16..600,
        noise in prop::collection::vec(any::<u8>(), 0..200),
        shape in 0u8..4,
        end in prop::sample::select(&[BodyEnd::Whole, BodyEnd::Cut, BodyEnd::TimedOut, BodyEnd::TooLarge][..]),
    ) {
        const CANARY: &str = "canary-4711";
        let mut body = match shape {
            0 => CANARY.as_bytes().to_vec(),
            1 => format!(r#"{{"apiKey":"{CANARY}"}}"#).into_bytes(),
            2 => format!(r#"{{"value":["{CANARY}"],"title":"t"}}"#).into_bytes(),
            _ => format!(r#"{{"apiKey":{{"x":"{CANARY}"}}}}"#).into_bytes(),
        };
        if shape == 0 {
            body.extend(noise);
        }
        let received = Received { status, headers: HeaderMap::new(), body: Zeroizing::new(body), end, asked_at: now(), at: now() };
        let shown = format!("{:?}", of_regenerate(facts("adyen/api-key"), &received, &Sent::default()));
        prop_assert!(!shown.contains(CANARY), "{}", shown);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let received = |body: &Vec<u8>| Received {
            status, headers: HeaderMap::new(), body: Zeroizing::new(body.clone()), end: BodyEnd::Whole, asked_at: now(), at: now(),
        };
        let _ = of_regenerate(facts("spritz/integrator-secret"), &received(&body), &Sent::default());
        let _ = of_read(facts("spritz/integrator-secret"), &place("/secret"), &received(&body), &Sent::default());
    }
}
