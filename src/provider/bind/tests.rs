use super::*;
use bytes::Bytes;

use crate::provider::body::{Filling, write};
use crate::provider::catalog::Catalog;
use crate::provider::describe::{if_answer_is_lost, steps};
use crate::provider::template::Template;
use crate::rotation::schedule::Cadence;
use crate::secret::SecretValue;

fn binding(params: &[(&str, &str)]) -> Binding {
    Binding {
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        environment: None,
        base_url: None,
        auth_scheme: None,
        self_authenticating: false,
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
        call_timeout: Duration::from_secs(30),
        settle: Duration::from_mins(1),
        claim: Duration::from_mins(2),
    }
}

const ADYEN: &[(&str, &str)] = &[("company_id", "Acme"), ("api_credential_id", "S2-1")];
const PUBLICSQUARE: &[(&str, &str)] = &[("id", "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ")];
const SPRITZ: &[(&str, &str)] = &[("integrator_key", "int_123")];

fn try_bind(name: &str, binding: Binding) -> Result<BoundDefinition, Vec<String>> {
    bind(Catalog::embedded().get(name).unwrap(), binding)
        .map_err(|found| found.into_iter().map(|mistake| mistake.to_string()).collect())
}

fn plan_of(name: &str, binding: Binding) -> Plan {
    try_bind(name, binding).unwrap().plan().clone()
}

fn only_mistake(name: &str, binding: Binding) -> String {
    let found = try_bind(name, binding).unwrap_err();
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

/// The body of the regenerate call as it leaves.
fn written(bound: &BoundDefinition) -> Bytes {
    let filling = Filling {
        supplied: None,
        key_id: None,
        rotation: Some("019360f0-0000-7000-8000-000000000001".parse().unwrap()),
        signer: &SecretValue::new("s\"&cret".into()),
        extra: &[("further".to_owned(), SecretValue::new("a b".into()))],
        now: "2026-11-26T12:00:00.5Z".parse().unwrap(),
    };
    write(bound.wire.regenerate.body.as_ref().unwrap(), filling).unwrap().bytes
}

#[test]
fn the_levels_param_decides_the_path() {
    let company = try_bind("adyen/client-key", binding(ADYEN)).unwrap();
    assert_eq!(
        company.regenerate_call(),
        "POST https://management-live.adyen.com/v3/companies/Acme/apiCredentials/S2-1/generateClientKey"
    );
    let merchant = [("merchant_id", "Shop"), ("api_credential_id", "S2-1")];
    let merchant = Binding { environment: Some("test".into()), ..binding(&merchant) };
    assert_eq!(
        try_bind("adyen/api-key", merchant).unwrap().regenerate_call(),
        "POST https://management-test.adyen.com/v3/merchants/Shop/apiCredentials/S2-1/generateApiKey"
    );
}

#[test]
fn params_are_missing_unknown_malformed_or_too_many() {
    let mistake =
        |params: &[(&str, &str)]| try_bind("adyen/client-key", binding(params)).unwrap_err().join("\n");
    let both = [("company_id", "A"), ("merchant_id", "B"), ("api_credential_id", "S2-1")];
    assert!(
        mistake(&both).starts_with("params: only one may be given (either company_id and"),
        "{}",
        mistake(&both)
    );
    assert!(mistake(&[("api_credential_id", "S2-1")]).contains("which one is meant cannot be told"));
    let one = mistake(&[("company_id", "A")]);
    assert!(one.starts_with("params.api_credential_id: it is missing (The API credential's id"), "{one}");
    let wrong = mistake(&[("compani_id", "A"), ("merchant_id", "B"), ("api_credential_id", "S2-1")]);
    assert!(wrong.contains("did you mean \"company_id\"?"), "{wrong}");
    let unused = mistake(&[("merchant_id", "B"), ("api_credential_id", "S2-1"), ("ws_user", "ws@Company.A")]);
    assert!(unused.starts_with("params.ws_user: nothing uses it"), "{unused}");
    for bad in ["", ".", "..", "a/b", "a b", "a\nb", &"a".repeat(101)] {
        assert!(
            mistake(&[("company_id", bad), ("api_credential_id", "S2-1")]).starts_with("params.company_id"),
            "{bad:?} was taken"
        );
    }
}

#[test]
fn params_are_percent_encoded_into_the_path() {
    let mut definition = Catalog::embedded().get("publicsquare/api-key").unwrap().clone();
    definition.params.get_mut("id").unwrap().pattern = None;
    let bound = bind(&definition, binding(&[("id", "a/../b?c#d%2e ä")])).unwrap();
    assert_eq!(bound.wire.regenerate.path_and_query, "/api-keys/a%2F..%2Fb%3Fc%23d%252e%20%C3%A4/regenerate");
}

#[test]
fn a_query_is_sent_as_it_is_signed() {
    let mut definition = Catalog::embedded().get("spritz/integrator-secret").unwrap().clone();
    let template = |text: &str| Template::try_from(text.to_owned()).unwrap();
    definition.regenerate.query =
        BTreeMap::from([("version".into(), template("2 {integrator_key}")), ("api".into(), template("x"))]);
    let bound = bind(&definition, Binding { self_authenticating: true, ..binding(SPRITZ) }).unwrap();
    let call = &bound.wire.regenerate;
    assert_eq!(call.path_and_query, "/v1/integrator/regenerate-secret?api=x&version=2%20int_123");
    assert!(call.url.as_str().ends_with(&call.path_and_query), "{}", call.url);
}

#[test]
fn who_signs_must_fit_the_definition() {
    let own = |params| Binding { self_authenticating: true, ..binding(params) };
    assert!(only_mistake("adyen/client-key", own(ADYEN)).contains("another credential must"));
    assert!(only_mistake("spritz/integrator-secret", binding(SPRITZ)).contains("leave `auth` out"));
    assert!(try_bind("adyen/api-key", own(ADYEN)).is_ok(), "24 hours of grace cover a lost answer");
    let mut basic = Binding { auth_scheme: Some("basic".into()), ..own(ADYEN) };
    basic.params.insert("ws_user".into(), "ws@Company.Acme".into());
    assert!(only_mistake("adyen/api-key", basic).contains("does not speak this scheme"));
    let refused = only_mistake("publicsquare/api-key", own(PUBLICSQUARE));
    assert!(refused.contains("lock-out") && refused.contains("accepts_lock_out: true"), "{refused}");
}

#[test]
fn a_key_that_can_only_be_read_needs_somebody_alive_to_read_it() {
    let mut definition = Catalog::embedded().get("publicsquare/api-key").unwrap().clone();
    definition.answer.secret = None;
    let own = Binding { self_authenticating: true, accepts_lock_out: true, ..binding(PUBLICSQUARE) };
    let found = bind(&definition, own).unwrap_err();
    assert!(found[0].to_string().contains("can only be read back"), "{found:#?}");
    assert!(bind(&definition, binding(PUBLICSQUARE)).is_ok());
}

#[test]
fn a_dead_key_signs_no_replay_no_read_and_no_second_call() {
    let separate = plan_of("publicsquare/api-key", binding(PUBLICSQUARE));
    assert_eq!(separate.replay, Some(Duration::from_hours(24)));
    assert_eq!(separate.read, Some(Duration::from_secs(30)));
    let own = Binding { self_authenticating: true, accepts_lock_out: true, ..binding(PUBLICSQUARE) };
    let own = plan_of("publicsquare/api-key", own);
    assert_eq!((own.replay, own.read, own.redo), (None, None, None));
    assert!(if_answer_is_lost(&own).contains("lock-out"));
}

#[test]
fn plans_say_what_the_definitions_say() {
    let client_key = plan_of("adyen/client-key", binding(ADYEN));
    assert_eq!(client_key.grace, Some(Duration::from_hours(24)));
    assert_eq!((client_key.replay, client_key.redo, client_key.probe), (None, None, false));
    assert_eq!(client_key.propagation.unwrap().delay, Duration::from_mins(5));
    assert!(client_key.read.is_some());

    let publishable = plan_of("publicsquare/publishable-key", binding(PUBLICSQUARE));
    assert!(!publishable.probe && publishable.replay.is_some() && publishable.read.is_some());

    let api_key = plan_of("adyen/api-key", binding(ADYEN));
    assert_eq!((api_key.read, api_key.redo, api_key.probe), (None, Some(2), true));
    let propagation = api_key.propagation.unwrap();
    assert_eq!((propagation.delay, propagation.deadline), (Duration::ZERO, Duration::from_mins(10)));

    let spritz =
        plan_of("spritz/integrator-secret", Binding { self_authenticating: true, ..binding(SPRITZ) });
    assert_eq!((spritz.grace, spritz.redo), (Some(Duration::from_hours(1)), Some(3)));
    assert!(spritz.self_authenticating && spritz.probe && spritz.propagation.is_none());
}

const EVERY_KIND_OF_VALUE: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
params: { id: { description: the id } }
extra_secrets: { further: { description: a further one } }
auth: [ { body: {} } ]
self: possible
grace: { requested: { default: 2h, max: 4h } }
lifetime: 720h
answer: { secret: /key }
regenerate:
  path: /rotate
  body:
    json:
      fixed: { truth: true, number: 3, nothing: null, list: [1, "a {{b}}"] }
      name: "keyturn {rotation_id} of {id}"
      grace: ["{grace_seconds}", "{grace_minutes}", "{grace_hours}", "{grace_milliseconds}", "{grace_hours}h"]
      until: ["{grace_end_rfc3339}", "{grace_end_unix_seconds}", "{grace_end_unix_milliseconds}"]
      expires: ["{lifetime_end_date}", "{lifetime_days}"]
      secrets: ["{secret}", "{further}"]
"#;

fn every_kind(yaml: &str) -> BoundDefinition {
    let definition = Definition::parse(yaml).unwrap_or_else(|found| panic!("{found:#?}"));
    bind(&definition, Binding { extra_secrets: vec!["further".into()], ..binding(&[("id", "x\"y")]) })
        .unwrap()
}

#[test]
fn a_json_body_holds_every_kind_of_value_with_its_type() {
    let body: serde_json::Value = serde_json::from_slice(&written(&every_kind(EVERY_KIND_OF_VALUE))).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "fixed": { "truth": true, "number": 3, "nothing": null, "list": [1, "a {b}"] },
            "name": "keyturn 019360f0-0000-7000-8000-000000000001 of x\"y",
            "grace": [7200, 120, 2, 7_200_000, "2h"],
            "until": ["2026-11-26T14:00:00Z", 1_795_701_600, 1_795_701_600_500_i64],
            "expires": ["2026-12-26", 30],
            "secrets": ["s\"&cret", "a b"],
        })
    );
}

#[test]
fn a_form_is_encoded_piece_by_piece() {
    let (head, _) = EVERY_KIND_OF_VALUE.split_once("    json:").unwrap();
    let form = r#"    form: { a: "{secret}={further}", "b c": true, d: "{grace_seconds}", e: "{lifetime_end_date}", f: "{id}" }"#;
    let body = written(&every_kind(&format!("{head}{form}")));
    assert_eq!(body, b"a=s%22%26cret%3Da%20b&b%20c=true&d=7200&e=2026-12-26&f=x%22y"[..]);
}

#[test]
fn the_parts_of_a_form_are_as_they_are_and_none_holds_what_stands_between_them() {
    let (head, _) = EVERY_KIND_OF_VALUE.split_once("    json:").unwrap();
    let form = r#"    multipart: { a: "{secret}={further}", "b\"c": true, d: "{grace_seconds}", f: "{id}" }"#;
    let bound = every_kind(&format!("{head}{form}"));
    let part = |name: &str, value: &str| {
        format!("--keyturn-0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let all = [("a", "s\"&cret=a b"), ("b%22c", "true"), ("d", "7200"), ("f", "x\"y")];
    let expected: String = all.iter().map(|(name, value)| part(name, value)).collect();
    assert_eq!(written(&bound), format!("{expected}--keyturn-0--\r\n"));
    for (secret, boundary) in
        [("x--keyturn-0", "keyturn-1"), ("--keyturn-0--keyturn-1\r\n--keyturn-2", "keyturn-3")]
    {
        let body = bound.wire.regenerate.body.as_ref().unwrap();
        let (signer, extra) =
            (SecretValue::new(secret.into()), [("further".into(), SecretValue::new("f".into()))]);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let body = write(
            body,
            Filling { key_id: None, supplied: None, rotation: None, signer: &signer, extra: &extra, now },
        )
        .unwrap();
        assert_eq!(body.boundary.as_deref(), Some(boundary));
        let fields = crate::provider::body::fields(&body.bytes, boundary);
        assert_eq!((fields.len(), fields[0].1.as_str()), (4, format!("{secret}=f").as_str()));
    }
}

#[test]
fn a_body_without_its_secret_is_never_sent() {
    let bound = every_kind(EVERY_KIND_OF_VALUE);
    let filling = Filling {
        supplied: None,
        key_id: None,
        rotation: None,
        signer: &SecretValue::new("s".into()),
        extra: &[],
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let missing = write(bound.wire.regenerate.body.as_ref().unwrap(), filling).err().unwrap();
    assert_eq!(missing, "the secret further is missing");
}

#[test]
fn a_key_that_would_expire_before_its_next_rotation_is_refused() {
    let definition = Definition::parse(EVERY_KIND_OF_VALUE).unwrap();
    let every = |days: u64| Binding {
        extra_secrets: vec!["further".into()],
        schedule: Schedule {
            cadence: Cadence::Every(Duration::from_hours(24 * days)),
            ..binding(&[]).schedule
        },
        ..binding(&[("id", "x")])
    };
    assert!(bind(&definition, every(20)).is_ok());
    let found = bind(&definition, every(30)).unwrap_err();
    assert!(found[0].to_string().contains("would expire before its next rotation"), "{found:#?}");
}

#[test]
fn the_old_keys_time_and_the_first_keys_id_are_said_only_where_keys_live_side_by_side() {
    let sendgrid = &[("label", "keyturn"), ("scopes", "mail.send, alerts.read")];
    let hour = Some(Duration::from_hours(1));
    let first_key: Option<KeyId> = Some("k0".parse().unwrap());
    let plan = plan_of("sendgrid/api-key", Binding { self_authenticating: true, ..binding(sendgrid) });
    let creates = plan.creates.unwrap();
    assert_eq!((creates.revoke_after, creates.first_key), (Duration::from_hours(24), None));
    assert!(creates.lists && creates.keys_max == Some(100));
    let said = Binding { revoke_after: hour, first_key: first_key.clone(), ..binding(sendgrid) };
    let creates = plan_of("sendgrid/api-key", said).creates.unwrap();
    assert_eq!((creates.revoke_after, &creates.first_key), (Duration::from_hours(1), &first_key));
    let nothing = Binding { revoke_after: Some(Duration::ZERO), ..binding(sendgrid) };
    assert!(only_mistake("sendgrid/api-key", nothing).contains("would hold a dead key"));
    for (place, own) in [
        ("revoke_after", Binding { revoke_after: hour, ..binding(PUBLICSQUARE) }),
        ("first_key", Binding { first_key, ..binding(PUBLICSQUARE) }),
    ] {
        let mistake = only_mistake("publicsquare/api-key", own);
        assert!(mistake.starts_with(place) && mistake.contains("replaces the old key"), "{mistake}");
    }
}

#[test]
fn a_parameter_that_is_a_list_is_checked_item_by_item_and_sent_as_one() {
    let with = |scopes| try_bind("sendgrid/api-key", binding(&[("label", "keyturn"), ("scopes", scopes)]));
    let body = written(&with("mail.send,alerts.read").unwrap());
    assert_eq!(
        body,
        br#"{"name":"keyturn 019360f0-0000-7000-8000-000000000001","scopes":["mail.send","alerts.read"]}"#[..]
    );
    for scopes in ["mail.send,", "mail.send,,alerts.read", "mail send"] {
        assert!(with(scopes).is_err(), "{scopes:?} was taken");
    }
}

#[test]
fn grace_can_be_asked_for_only_where_it_is_granted() {
    let ask = |name: &str, params, grace| {
        let self_authenticating = name.starts_with("spritz");
        let grace = Some(Duration::from_secs(grace));
        try_bind(name, Binding { self_authenticating, grace, ..binding(params) })
    };
    let spritz = ask("spritz/integrator-secret", SPRITZ, 600).unwrap();
    assert_eq!(spritz.plan().grace, Some(Duration::from_mins(10)));
    assert_eq!(written(&spritz), br#"{"oldSecretValidForSeconds":600}"#[..]);
    assert!(ask("spritz/integrator-secret", SPRITZ, 0).unwrap_err()[0].contains("lock-out"));
    assert!(ask("spritz/integrator-secret", SPRITZ, 3601).unwrap_err()[0].contains("no such long window"));
    assert!(ask("publicsquare/api-key", PUBLICSQUARE, 60).unwrap_err()[0].contains("no grace window"));
    assert!(ask("adyen/api-key", ADYEN, 60).unwrap_err()[0].contains("always grants"));
    assert!(ask("adyen/api-key", ADYEN, 86_400).is_ok());
}

#[test]
fn the_other_settings_are_checked_with_hints() {
    let base = || binding(PUBLICSQUARE);
    let name = "publicsquare/api-key";
    let cases = [
        (Binding { environment: Some("producton".into()), ..base() }, "did you mean \"production\"?"),
        (Binding { base_url: Some("http://10.0.0.1".into()), ..base() }, "https only"),
        (Binding { auth_scheme: Some("heeder".into()), ..base() }, "did you mean \"header\"?"),
        (Binding { extra_secrets: vec!["token".into()], ..base() }, "knows no such secret"),
        (Binding { call_timeout: Duration::ZERO, ..base() }, "no time"),
        (Binding { settle: Duration::from_secs(1), ..base() }, "settle"),
        (Binding { claim: Duration::from_secs(40), ..base() }, "claim"),
    ];
    for (binding, expected) in cases {
        let mistake = only_mistake(name, binding);
        assert!(mistake.contains(expected), "{expected}: {mistake}");
    }
    let local = Binding { base_url: Some("http://127.0.0.1:8080/base".into()), ..base() };
    assert!(
        try_bind(name, local)
            .unwrap()
            .regenerate_call()
            .starts_with("POST http://127.0.0.1:8080/base/api-keys/")
    );
}

#[test]
fn an_owner_may_know_the_propagation_better() {
    let with = |name: &str, seconds| {
        let propagation = Some(Duration::from_secs(seconds));
        let params = if name.starts_with("adyen") { ADYEN } else { PUBLICSQUARE };
        try_bind(name, Binding { propagation, ..binding(params) })
    };
    let delay = |bound: BoundDefinition| bound.plan().propagation.map(|it| it.delay.as_secs());
    assert_eq!(delay(with("adyen/client-key", 60).unwrap()), Some(60));
    assert_eq!(delay(with("adyen/client-key", 0).unwrap()), None);
    assert_eq!(delay(with("publicsquare/api-key", 5).unwrap()), Some(5));
    assert!(with("adyen/client-key", 90_000).unwrap_err()[0].contains("dead before"));
    assert!(with("adyen/api-key", 900).unwrap_err()[0].contains("before the first probe"));
}

#[test]
fn plans_can_be_told_in_words() {
    let separate = plan_of("publicsquare/api-key", binding(PUBLICSQUARE));
    assert_eq!(
        if_answer_is_lost(&separate),
        "First the same request is sent again with the same idempotency key, which returns the same answer for \
         24h; then the provider's current key is read and compared with the one before the call, for 2m. If \
         nothing of that settles it, a person resolves it."
    );
    let spritz =
        plan_of("spritz/integrator-secret", Binding { self_authenticating: true, ..binding(SPRITZ) });
    assert!(if_answer_is_lost(&spritz).contains("signed with the old key while its 1h last"));
    let told = steps(&plan_of("adyen/client-key", binding(ADYEN)));
    assert_eq!(told.len(), 8, "{told:#?}");
    assert!(
        told[3].starts_with("Call the provider once, signed with the separate credential, for at most 30s")
    );
    assert!(told[5].contains("for 5m"), "{told:#?}");
}
