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
        (instead("[ { header: { name: X-Key } } ]", "[ { canary: {} } ]"), "known: header, basic, hmac"),
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
        (instead("{id}/rotate\"", "{id}\", body: { json: { a: [canary] } }"), "regenerate.body.json.a"),
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
        definition.environments.insert("other".into(), "http://api.example.com".into());
        definition.auth.clear();
        definition.answer.statuses.clear();
    });
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found[1].starts_with("environments.other: keys go over https only"), "{found:#?}");
    assert!(found[2].contains("did you mean \"live\"?"), "{found:#?}");
}

#[test]
fn contradictions_are_refused() {
    let template = |text: &str| Template::try_from(text.to_owned()).unwrap();
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("stands for nothing", mistakes(|it| it.regenerate.path = template("/keys/{idd}"))),
        ("begins with '/'", mistakes(|it| it.regenerate.path = template("keys/{id}"))),
        ("no '?'", mistakes(|it| it.regenerate.path = template("/keys/{id}?a=b"))),
        ("which is missing", mistakes(|it| it.regenerate.path = template("{resource}/{id}"))),
        ("no path begins with {resource}", mistakes(|it| it.resource.push(template("/a/{id}")))),
        ("2 or more", mistakes(|it| it.redo = Some(Redo { max_calls: 1 }))),
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
                let value = BodyValue::From { from: Fact::GraceSeconds };
                it.regenerate.body = Some(Body::Json(BTreeMap::from([("grace".into(), value)])));
            }),
        ),
        (
            "sent twice",
            mistakes(|it| {
                it.idempotency =
                    Some(Idempotency { header: "x-key".into(), replays_for: None, in_progress: None });
            }),
        ),
        ("the same status", mistakes(|it| it.answer.without_value = vec![200])),
        (
            "set by keyturn itself",
            mistakes(|it| {
                it.regenerate.headers.insert("Host".into(), "other".into());
            }),
        ),
    ];
    for (expected, found) in cases {
        assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn the_schema_names_every_member() {
    let schema = serde_json::to_value(schemars::schema_for!(Definition)).unwrap();
    let properties = schema.pointer("/properties").and_then(serde_json::Value::as_object).unwrap();
    for member in ["self", "grace", "idempotency", "probe", "rate_limit_block"] {
        assert!(properties.contains_key(member), "{member} is missing");
    }
}
