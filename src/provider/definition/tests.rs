mod styles;

use super::*;
use crate::provider::template::Pointer;

const SMALL: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
params: { id: { description: "the id" } }
auth: [ { header: { name: X-Key } } ]
self: possible
regenerate: { path: "/keys/{id}/rotate" }
answer: { secret: /key }
"#;

fn mistakes(change: impl FnOnce(&mut Definition)) -> Vec<String> {
    let mut definition = Definition::parse(SMALL).unwrap();
    change(&mut definition);
    check::mistakes(&definition).into_iter().map(|mistake| mistake.to_string()).collect()
}

fn template(text: &str) -> Template {
    Template::try_from(text.to_owned()).unwrap()
}

fn json(name: &str, text: &str) -> Body {
    let value = BodyValue::Scalar(Scalar::Text(template(text)));
    Body::Json(BodyValue::Object(BTreeMap::from([(name.to_owned(), value)])))
}

#[test]
fn what_is_not_said_is_read_carefully() {
    let definition = Definition::parse(SMALL).unwrap();
    assert_eq!(definition.grace, Grace::None);
    assert!(definition.read.is_none() && definition.redo.is_none() && definition.idempotency.is_none());
    assert_eq!(
        (&definition.answer.statuses[..], &definition.answer.without_value[..]),
        (&[200][..], &[204][..])
    );
    assert_eq!(definition.regenerate.body, None);
    assert_eq!(definition.problem.code, Pointer::literal("/type"));
}

#[test]
fn what_cannot_be_read_shows_its_place_and_nothing_of_the_file() {
    let instead = |old: &str, new: &str| {
        assert!(SMALL.contains(old), "{old}");
        SMALL.replace(old, new)
    };
    for (yaml, expected) in [
        (
            instead("title: Example", "title: Example\ntitel: canary"),
            "line 4, column 1: there is no such field",
        ),
        (instead("title: Example", "title: Example\ntitel: canary"), "did you mean \"title\"?"),
        (instead("title: Example", "title: Example\ncanary.4711: x"), "line 4"),
        (
            instead("X-Key }", "X-Key, canary: x }"),
            "auth[0].header: line 7, column 34: there is no such field",
        ),
        (
            instead("title: Example", "title: [canary]"),
            "title: line 3, column 1: expected text, found a list",
        ),
        (instead("title: Example", "title: 4711"), "put it in quotes"),
        (instead("title: Example\n", ""), "title: line 2, column 1: it is missing"),
        (instead("self: possible", "self: canary-4711"), "one of: always, possible, never"),
        (
            instead("[ { header: { name: X-Key } } ]", "[ { canary: {} } ]"),
            "known: header, basic, hmac, body, oauth2",
        ),
        (
            instead("[ { header: { name: X-Key } } ]", "canary-4711"),
            "auth: line 7, column 1: expected a list",
        ),
        (instead("{ secret: /key }", "{ secret: /key, statuses: [canary] }"), "answer.statuses[0]: line 10"),
        (instead("{ secret: /key }", "{ secret: /key, statuses: [70000] }"), "answer.statuses[0]: line 10"),
        (instead("{ secret: /key }", "{ secret: canary/key }"), "answer.secret: line 10, column 11: a JSON"),
        (instead("{ secret: /key }", "{ secret: /canary~ }"), "'~' is written '~0'"),
        (instead("{id}/rotate", "{id/canary"), "between '{' and '}'"),
        (instead("{id}/rotate", "id}/canary"), "'}' without '{'"),
        (instead("{id}/rotate\"", "{id}\", body: { json: { a: 1.5 } }"), "regenerate.body.json"),
        (instead("{id}/rotate\"", "{id}\", body: { form: { a: [canary] } }"), "regenerate.body.form.a"),
        (
            instead("{id}/rotate\"", "{id}\", body: { json: { a: [ \"{canary\" ] } }"),
            "regenerate.body.json.a[0]: line 9, column",
        ),
        (instead("{id}/rotate\"", "{id}\", body: { form: { a: \"canary}\" } }"), "'}' without '{'"),
        (instead("{id}/rotate\"", "{id}\", method: canary"), "one of: POST, PUT, PATCH"),
        (format!("{SMALL}lock: canary\n"), "lock: line 11, column 1: what stands here cannot be read"),
        (format!("{SMALL}lock: 3 canary\n"), "a duration is 30s"),
        (format!("{SMALL}grace: {{ fixed: canary }}\n"), "grace.fixed: line 11, column 10"),
        (format!("{SMALL}grace: canary\n"), "grace: line 11, column 1"),
        (format!("{SMALL}sources: *canary\n"), "cannot be read"),
        (format!("{SMALL}sources: !canary x\n"), "line 11"),
        (format!("{SMALL}title: [canary-4711"), "line 11"),
        (format!("{SMALL}title: canary-4711\n"), "given twice"),
        ("canary-4711\n".to_owned(), "line 1"),
        ("canary-4711: [\n---\n".to_owned(), "line"),
        ("-----BEGIN CANARY canary-----\ncanary\n".to_owned(), "line"),
    ] {
        let found = Definition::parse(&yaml).unwrap_err();
        let text = found[0].to_string();
        assert_eq!(found.len(), 1, "{yaml}{found:#?}");
        assert!(text.contains(expected) && text.contains("line"), "{expected}\n{yaml}{text}");
        assert!(!text.contains("canary") && !text.contains('\n'), "{yaml}{text}");
    }
}

#[test]
fn all_that_cannot_be_read_is_found_at_once_in_the_order_of_the_file() {
    let yaml = SMALL
        .replace("title: Example", "titel: Example")
        .replace("{ secret: /key }", "{ secret: key, statuses: [two] }")
        .replace("/keys/{id}/rotate", "/keys/{id")
        + "lock: soon\ngrace: { fixed: 1 day or so }\nredo: { max_calls: 2, times: 3 }\n";
    let found = Definition::parse(&yaml).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "title: line 2, column 1: it is missing",
        "line 3, column 1: there is no such field",
        "regenerate.path: line 9, column 15: between",
        "answer.secret: line 10, column 11: a JSON pointer",
        "answer.statuses[0]: line 10, column 35: expected a number",
        "lock: line 11, column 1: what stands here",
        "grace.fixed: line 12, column 10: what stands here",
        "redo: line 13, column 23: there is no such field",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{expected}: {found:#?}");
    }
}

#[test]
fn what_a_definition_means_is_checked_with_places_too() {
    let yaml = SMALL.replace("name: X-Key", "name: X Key").replace("{id}/rotate", "{idd}/rotate");
    let found = Definition::parse(&yaml).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "params.id: line 6, column 11: nothing uses it (write {id} where it belongs, or leave it out)",
            "auth[0].header: line 7, column 11: it is not a header's name",
            "regenerate.path: line 9, column 15: {idd} stands for nothing (did you mean \"id\"?)",
        ]
    );
}

#[test]
fn all_mistakes_are_found_at_once() {
    let found = mistakes(|definition| {
        definition.name = "Example".into();
        definition.default_environment = "lvie".into();
        definition.environments.insert("other".into(), template("http://api.example.com"));
        definition.auth.clear();
        definition.answer.statuses.clear();
    });
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found[1].starts_with("environments.other: keys go over https only"), "{found:#?}");
    assert!(found[2].contains("did you mean \"live\"?"), "{found:#?}");
}

#[test]
fn contradictions_are_refused() {
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("stands for nothing", mistakes(|it| it.regenerate.path = template("/keys/{idd}"))),
        ("begins with '/'", mistakes(|it| it.regenerate.path = template("keys/{id}"))),
        ("no '?'", mistakes(|it| it.regenerate.path = template("/keys/{id}?a=b"))),
        ("which is missing", mistakes(|it| it.regenerate.path = template("{resource}/{id}"))),
        ("no path begins with {resource}", mistakes(|it| it.resource.push(template("/a/{id}")))),
        ("it is 2 to 10", mistakes(|it| it.redo = Some(Redo { max_calls: 1 }))),
        (
            "no grace window keeps it alive",
            mistakes(|it| {
                it.self_signing = SelfSigning::Always;
                it.redo = Some(Redo { max_calls: 2 });
            }),
        ),
        (
            "no body asks",
            mistakes(|it| {
                let hour = Duration::from_hours(1);
                it.grace = Grace::Requested(GraceRequest { default: hour, max: hour });
            }),
        ),
        (
            "that the definition has not",
            mistakes(|it| {
                it.regenerate.body = Some(json("grace", "{grace_seconds}"));
            }),
        ),
        (
            "sent twice",
            mistakes(|it| {
                it.idempotency = Some(Idempotency { header: Some("x-key".into()), replays_for: None });
            }),
        ),
        ("the same status", mistakes(|it| it.answer.without_value = vec![200])),
        (
            "set by keyturn itself",
            mistakes(|it| {
                it.headers.insert("Host".into(), template("other"));
            }),
        ),
    ];
    for (expected, found) in cases {
        assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:#?}");
    }
}

/// Whether a changed definition is refused with these words.
fn refuses(expected: &str, change: impl FnOnce(&mut Definition)) {
    let found = mistakes(change);
    assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:#?}");
}

#[test]
fn a_body_that_holds_no_secret_or_the_wrong_one_is_refused() {
    let by_body = || vec![AuthScheme::Body(BodyAuth { id: None })];
    refuses("did you mean \"grace_seconds\"", |it| it.regenerate.body = Some(json("a", "{grace_secnds}")));
    refuses("{secret}, but no scheme", |it| it.regenerate.body = Some(json("a", "{secret}")));
    refuses("the body should hold the secret", |it| it.auth = by_body());
    refuses("only a body authenticates", |it| {
        it.auth = by_body();
        it.regenerate.body = Some(json("a", "{secret}"));
        it.read = Some(Read {
            method: ReadMethod::Get,
            path: template("/keys/{id}"),
            query: BTreeMap::new(),
            secret: Pointer::literal("/key"),
            among: None,
            encoding: SecretEncoding::Text,
            lag: Duration::ZERO,
        });
    });
    refuses("either the user name or the password", |it| {
        it.auth = vec![AuthScheme::Basic(BasicAuth { id: None, username: None, password: None })];
    });
}

#[test]
fn a_signature_that_somebody_could_use_again_is_refused() {
    let hmac = |message: &str, headers: &[(&str, &str)]| {
        let yaml = format!(
            "{{ algorithm: sha1, message: {message:?}, timestamp: http_date, headers: {{}}, skew: 5m }}"
        );
        let mut hmac: HmacAuth = serde_saphyr::from_str(&yaml).unwrap();
        hmac.headers = headers.iter().map(|(name, text)| ((*name).to_owned(), template(text))).collect();
        vec![AuthScheme::Hmac(hmac)]
    };
    let sent = [("Date", "{timestamp}"), ("X-Signature", "{signature}")];
    let with_nonce = [sent[0], sent[1], ("X-Nonce", "{nonce}")];
    assert_eq!(mistakes(|it| it.auth = hmac("{timestamp}\n{method}\n{path}\n{body}", &sent)), [""; 0]);
    let covers_all = "{nonce}{timestamp}{method}{path_and_query}{body_hash}";
    assert_eq!(mistakes(|it| it.auth = hmac(covers_all, &with_nonce)), [""; 0]);
    refuses("no header holds {nonce}", |it| it.auth = hmac(covers_all, &sent));
    let without_nonce = "{timestamp}{method}{path_and_query}{body_hash}";
    refuses("does not cover {nonce}", |it| it.auth = hmac(without_nonce, &with_nonce));
    refuses("does not cover {body_hash}", |it| it.auth = hmac("{timestamp}{method}{path}", &sent));
    refuses("does not cover {path_and_query}", |it| {
        it.regenerate.query.insert("a".into(), template("b"));
        it.auth = hmac("{timestamp}{method}{path}{body}", &sent);
    });
}

#[test]
fn tokens_are_asked_for_over_https_with_fields_that_nobody_else_fills() {
    let oauth2 = |change: fn(&mut Oauth2Auth)| {
        let yaml = "{ path: /token, client_id: \"{id}\", parameters: { scope: all } }";
        let mut oauth2: Oauth2Auth = serde_saphyr::from_str(yaml).unwrap();
        change(&mut oauth2);
        move |it: &mut Definition| it.auth = vec![AuthScheme::Oauth2(oauth2)]
    };
    assert_eq!(mistakes(oauth2(|_| {})), [""; 0]);
    refuses("https only", oauth2(|it| it.base_url = Some("http://login.example.com".into())));
    refuses("begins with '/'", oauth2(|it| it.path = template("token")));
    refuses("stands for nothing", oauth2(|it| it.client_id = template("{client}")));
    refuses(
        "fills this field itself",
        oauth2(|it| {
            it.parameters.insert("client_secret".into(), template("x"));
        }),
    );
    refuses("would be sent twice", |it| {
        oauth2(|_| {})(it);
        it.headers.insert("authorization".into(), template("x"));
    });
}

#[test]
fn no_error_claims_more_than_an_answer_can_prove() {
    let error = |status: Option<u16>, code: Option<&str>, means| {
        let error = ErrorMeaning { status, code: code.map(str::to_owned), means };
        move |it: &mut Definition| it.errors.push(error)
    };
    assert_eq!(mistakes(error(Some(423), None, Meaning::Conflict)), [""; 0]);
    assert_eq!(mistakes(error(Some(503), Some("not_done"), Meaning::RateLimited)), [""; 0]);
    assert_eq!(mistakes(error(Some(400), None, Meaning::MayHaveActed)), [""; 0]);
    refuses("fits every answer", error(None, None, Meaning::Conflict));
    for status in [302, 408, 499, 500, 503] {
        refuses("does not prove that the provider did nothing", error(Some(status), None, Meaning::Invalid));
    }
    refuses("no body is asked", error(Some(200), Some("invalid_auth"), Meaning::Unauthenticated));
    refuses("its repetition returns the same answer", error(Some(409), None, Meaning::InProgress));
    refuses("an empty code", error(None, Some(""), Meaning::Conflict));
    refuses("never counts", |it| {
        error(Some(409), None, Meaning::Conflict)(it);
        error(Some(409), Some("x"), Meaning::Invalid)(it);
    });
}

#[test]
fn an_answer_without_the_key_needs_a_read() {
    refuses("nothing says where the new key is", |it| it.answer.secret = None);
    refuses("`secret` to look for", |it| {
        let condition = Condition { at: Pointer::literal("/name"), is: Scalar::Bool(true) };
        it.answer.among = Some(Among { list: Pointer::literal("/keys"), condition });
        it.answer.secret = None;
    });
    refuses("stands for nothing", |it| {
        it.success = Some(Condition { at: Pointer::literal("/ok"), is: Scalar::Text(template("{yes}")) });
    });
}

#[test]
fn a_multipart_body_says_its_own_type() {
    let multipart = |it: &mut Definition| {
        it.regenerate.body = Some(Body::Multipart(BTreeMap::from([("a".to_owned(), Scalar::Number(1))])));
    };
    assert_eq!(mistakes(multipart), [""; 0]);
    refuses("says its own type", |it| {
        multipart(it);
        it.headers.insert("content-Type".into(), template("text/plain"));
    });
}

#[test]
fn what_goes_with_a_key_has_a_field_and_a_place_of_its_own_and_no_read_leaves_it_out() {
    let with = |fields: &'static [(&str, &'static str)]| {
        move |it: &mut Definition| {
            let place = |(name, at): &(&str, &'static str)| ((*name).to_owned(), Pointer::literal(at));
            it.answer.fields = fields.iter().map(place).collect();
        }
    };
    assert_eq!(mistakes(with(&[("id", "/id"), ("token", "/token")])), [""; 0]);
    refuses("another part of the secret", with(&[("id", "/key")]));
    refuses("another part of the secret", with(&[("id", "/id"), ("again", "/id")]));
    refuses("a field is 1 to 128", with(&[("an id", "/id")]));
    refuses("keyturn's own", with(&[("_keyturn", "/id")]));
    refuses("half a secret is none", |it| {
        with(&[("id", "/id")])(it);
        it.read = serde_saphyr::from_str::<Read>("{ path: '/keys/{id}', secret: /key, lag: 1m }").ok();
    });
    refuses("no `secret` that they go with", |it| {
        with(&[("id", "/id")])(it);
        it.answer.secret = None;
    });
}

#[test]
fn capabilities_that_contradict_each_other_are_refused() {
    let hour = Duration::from_hours(1);
    let replays = || Some(Idempotency { header: Some("X-Id".into()), replays_for: Some(hour) });
    let read = || serde_saphyr::from_str::<Read>("{ path: '/keys/{id}', secret: /key, lag: 1m }").ok();
    refuses("signs the repeated call, but no grace window", |it| {
        it.self_signing = SelfSigning::Always;
        it.idempotency = replays();
    });
    refuses("signs the read, but no grace window", |it| {
        it.self_signing = SelfSigning::Always;
        it.read = read();
    });
    let with_grace = mistakes(|it| {
        it.self_signing = SelfSigning::Always;
        it.grace = Grace::Fixed(hour);
        (it.idempotency, it.read, it.redo) = (replays(), read(), Some(Redo { max_calls: 2 }));
    });
    assert_eq!(with_grace, [""; 0]);
    refuses("while its lock lasts", |it| {
        it.redo = Some(Redo { max_calls: 2 });
        it.lock = Some(hour);
    });
    let slow = Propagation { delay: hour, poll: Duration::from_secs(1), deadline: hour * 2 };
    refuses("dead before the new one counts", |it| {
        it.propagation = Some(slow);
        it.grace = Grace::Requested(GraceRequest { default: hour, max: hour });
    });
    refuses("expires before it counts", |it| {
        it.propagation = Some(slow);
        it.lifetime = Some(hour);
    });
    refuses("nothing uses it", |it| {
        let param = it.params["id"].clone();
        it.params.insert("other".into(), param);
    });
}

#[test]
fn a_further_secret_is_sent_in_one_place() {
    let with = |header: Option<&str>, optional, body: Option<&str>| {
        let (header, body) = (header.map(str::to_owned), body.map(|text| json("client", text)));
        move |it: &mut Definition| {
            let description = "a further one".to_owned();
            let extra = ExtraSecret { description, header, prefix: String::new(), optional };
            it.extra_secrets.insert("client".into(), extra);
            it.regenerate.body = body;
        }
    };
    refuses("sent nowhere", with(None, false, None));
    refuses("may do without it", with(None, true, Some("{client}")));
    refuses("as a header and in the body", with(Some("X-Client"), false, Some("{client}")));
    refuses("another meaning", |it| {
        with(Some("X-Client"), false, None)(it);
        it.params.insert("client".into(), it.params["id"].clone());
    });
}

#[test]
fn lengths_of_time_and_ids_are_asked_for_as_they_are_declared() {
    let hour = Duration::from_hours(1);
    let asks = |text: &str, longest: Duration| {
        let body = json("asks", text);
        move |it: &mut Definition| {
            it.grace = Grace::Requested(GraceRequest { default: Duration::from_hours(1), max: longest });
            it.regenerate.body = Some(body);
        }
    };
    refuses("counts whole hours", asks("{grace_hours}", Duration::from_mins(90)));
    refuses("counts whole days", asks("{grace_end_date}", hour));
    refuses("a lifetime that the definition has not", |it| {
        it.regenerate.body = Some(json("on", "{lifetime_end_date}"));
    });
    refuses("neither a header nor the body", |it| {
        it.idempotency = Some(Idempotency { header: None, replays_for: None });
    });
    refuses("no second request is the same", |it| {
        asks("{grace_end_rfc3339}", hour)(it);
        it.idempotency = Some(Idempotency { header: Some("x-id".into()), replays_for: Some(hour) });
    });
}

fn refuses_in(text: &str, old: &str, new: &str, expected: &str) {
    assert!(text.contains(old), "{old}");
    let found = Definition::parse(&text.replace(old, new)).unwrap_err();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(texts.iter().any(|text| text.contains(expected)), "{new}\n{expected}\n{texts:#?}");
    assert!(found.iter().all(|mistake| mistake.place.is_some()), "{texts:#?}");
}

#[test]
fn slips_of_a_hurried_hand_are_refused() {
    for (old, new, expected) in [
        (
            "path: \"/keys/{id}/rotate\"",
            "path: \"/keys/${id}/rotate\"",
            "a '$' stands before a name in braces",
        ),
        ("path: \"/keys/{id}/rotate\"", "path: \"https://api.example.com/{id}\"", "a path has no host"),
        (
            "rotate\" }",
            "rotate\", body: { json: { days: [{ a: {lifetime_days} }] } } }",
            "{lifetime_days} without quotes is an object",
        ),
        ("{id}/rotate\" }", "{di}\" }", "{di} stands for nothing (did you mean"),
        ("{id}/rotate\" }", "{something}\" }", "is declared under `params`"),
        ("self: possible", "self: possible\ngrace: 60m", "{ fixed: … }"),
        ("self: possible", "self: possible\npropagation: 60m", "its fields are deadline, delay, poll"),
        ("self: possible", "self: possible\nlock: 60", "write it with its unit, such as 60m"),
        ("self: possible", "self: possible\nlock:\n\t60m", "a tab stands here"),
        ("self: possible", "self: possible\nredo: { max_calls: 99 }", "it is 2 to 10"),
    ] {
        refuses_in(SMALL, old, new, expected);
    }
}

#[test]
fn the_schema_names_every_member() {
    let schema = serde_json::to_value(schemars::schema_for!(Definition)).unwrap();
    let properties = schema.pointer("/properties").and_then(serde_json::Value::as_object).unwrap();
    for member in ["self", "grace", "idempotency", "probe", "creates", "rate_limit_block"] {
        assert!(properties.contains_key(member), "{member} is missing");
    }
}
