//! `keyturn providers` as it is typed and read: the list, one definition, own ones that are right or wrong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use clap::Parser as _;
use keyturn::cli::{Cli, Command, Console, Exit, providers};
use keyturn::provider::definition::Param;
use keyturn::provider::{Catalog, Definition, Template};
use keyturn::rehearsal::{Error, Scene, rehearse};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// What a command says on both outputs, and how it ends.
async fn run(line: &str) -> (Exit, String, String) {
    let words = format!("keyturn providers {line}");
    let Command::Providers(arguments) = Cli::parse_from(words.split_whitespace()).command else {
        panic!("{line} is about something else");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = providers(&arguments, &Catalog::embedded(), &mut Console::new(&mut out, &mut err)).await;
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

async fn json(line: &str) -> (Exit, Value) {
    let (exit, out, _) = run(&format!("{line} -o json")).await;
    (exit, serde_json::from_str(&out).unwrap())
}

#[tokio::test]
async fn the_list_has_every_definition_with_what_becomes_of_a_lost_answer() {
    let (exit, out, _) = run("").await;
    assert_eq!(exit, Exit::Done);
    let catalog = Catalog::embedded();
    for name in catalog.names() {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name}: {out}");
    }
    let line = out.lines().find(|line| line.starts_with("publicsquare/api-key")).unwrap();
    assert!(line.ends_with("replay for 24h, else read; signed by the key itself: a person"), "{line}");
    let (_, list) = json("").await;
    assert_eq!(list.as_array().unwrap().len(), catalog.names().count());
}

#[tokio::test]
async fn a_definition_is_shown_with_its_requests_and_masked_secrets() {
    let (exit, out, _) = run("show spritz/integrator-secret").await;
    assert_eq!(exit, Exit::Done);
    for part in [
        "\n  regenerate: POST https://platform.spritz.finance/v1/integrator/regenerate-secret\n",
        "\n    authorization: Bearer <user_api_key>\n",
        "\n    x-integrator-key: {integrator_key}\n",
        "\n    x-signature: <computed for each request>\n",
        "\n    {\"oldSecretValidForSeconds\":3600}\n",
        "signed with the old key itself",
        "If the answer is lost: First after 30s",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let (_, shown) = json("show adyen/api-key").await;
    assert_eq!(shown["ways"].as_array().unwrap().len(), 2);
    let requests = shown["requests"].as_array().unwrap();
    let basic = requests.iter().find_map(|request| request["headers"]["authorization"].as_str()).unwrap();
    assert_eq!(basic, "Basic <base64 of {ws_user}:<signing key>>");
    assert!(requests.iter().all(|request| !request["url"].as_str().unwrap().contains('%')), "{requests:#?}");
}

#[tokio::test]
async fn a_definition_that_is_not_there_gets_the_nearest_name() {
    let (exit, _, err) = run("show adyen/clientkey").await;
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("did you mean \"adyen/client-key\"?") && !err.contains("check FILE"), "{err}");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("definition");
    fs::write(&file, RISKY).unwrap();
    for word in ["paddle.yaml", "paddle.yml", file.to_str().unwrap()] {
        let (exit, _, err) = run(&format!("show {word}")).await;
        assert_eq!(exit, Exit::Usage);
        assert!(err.contains("`keyturn providers check FILE` says the same of a file"), "{err}");
    }
}

#[tokio::test]
async fn everything_wrong_in_a_file_is_said_at_once_with_its_place() {
    for name in ["unreadable", "wrong"] {
        let (exit, out, err) = run(&format!("check tests/provider_errors/{name}.yaml")).await;
        assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
        let golden = fs::read_to_string(format!("tests/provider_errors/{name}.txt")).unwrap_or_default();
        assert!(err == golden, "{name} is now:\n{err}");
        assert!(
            err.lines().skip(1).all(|line| line.contains(": line ") || line.starts_with("  line ")),
            "{err}"
        );
    }
    let (exit, checked) = json("check tests/provider_errors/wrong.yaml").await;
    assert_eq!((exit, &checked[0]["mistakes"][0]["place"]["line"]), (Exit::Usage, &Value::from(1)));
}

#[tokio::test]
async fn a_right_file_says_what_it_does_and_what_to_know_and_no_file_hides_another() {
    let home = tempfile::tempdir().unwrap();
    let (right, missing) = (home.path().join("right.yaml"), home.path().join("missing.yaml"));
    fs::write(&right, RISKY).unwrap();
    let line = format!("check {} {}", missing.display(), right.display());
    let (exit, out, err) = run(&line).await;
    assert_eq!(exit, Exit::Usage, "one of two files is wrong");
    assert!(err.contains("missing.yaml has 1 mistake") && err.contains("cannot be read"), "{err}");
    assert!(out.contains("this is a lock-out") && out.ends_with("right.yaml is right\n"), "{out}");
    assert_eq!(run(&format!("check {}", right.display())).await.0, Exit::Done, "findings are no mistakes");
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_before_a_configuration_refuses_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("own.yaml");
    fs::write(&file, RISKY.replace("own/key", "adyen/api-key")).unwrap();
    let (exit, checked) = json(&format!("check {}", file.display())).await;
    assert_eq!(exit, Exit::Done, "by itself it is right");
    let found = checked[0]["findings"].as_array().unwrap();
    let taken = found.iter().find(|finding| finding["path"] == "name").unwrap();
    assert!(taken["what"].as_str().unwrap().contains("named adyen/api-key already"), "{taken}");
    assert_eq!(taken["help"], "give yours another name");
}

const RISKY: &str = "name: own/key
title: Own
environments: { live: https://own.example }
default_environment: live
auth: [{ header: { name: X-Key } }]
self: always
regenerate: { path: /keys }
answer: { secret: /key }
";

/// The findings about the risky definition with one more line.
async fn findings(more: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("own.yaml");
    fs::write(&file, format!("{RISKY}{more}\n")).unwrap();
    let (_, checked) = json(&format!("check {}", file.display())).await;
    assert_eq!(checked[0]["mistakes"], Value::Array(Vec::new()), "{more}: {checked:#}");
    let found = checked[0]["findings"].as_array().unwrap();
    assert!(found.iter().all(|finding| finding["path"] != "name"), "the name is free: {found:#?}");
    found
        .iter()
        .map(|finding| format!("{}: {}", finding["path"].as_str().unwrap(), finding["what"]))
        .collect()
}

#[tokio::test]
async fn each_risk_and_each_vain_declaration_is_found() {
    let fixed = "grace: { fixed: 1h }\n";
    for (more, expected) in [
        ("", "self: \"a key that signs its own regeneration is dead"),
        ("", "regenerate: \"a lost answer cannot be settled"),
        ("", "probe: \"without a probe and without a read"),
        ("", "sources: \"no page is named"),
        (
            &format!("{fixed}redo: {{ max_calls: 2 }}\nread: {{ path: /key, secret: /key, lag: 1s }}"),
            "redo: \"it is",
        ),
        ("grace: { fixed: 2m }\nredo: { max_calls: 2 }", "grace: \"the window is over before a second call"),
        (
            &format!("{fixed}idempotency: {{ header: Idempotency-Key, replays_for: 1m }}"),
            "idempotency.replays_for: \"this is shorter",
        ),
        (&format!("{fixed}propagation: {{ delay: 5m }}"), "propagation: \"without a probe the new key"),
        ("grace: { fixed: 9m }\npropagation: { delay: 5m }", "grace: \"the old key may be dead before"),
        ("probe: { path: /keys/rotate }", "probe.path: \"\\\"rotate\\\" in its path"),
        (
            &format!("{fixed}marker: {{ path: /key, at: /hint, lag: 1s }}"),
            "marker: \"the old key may sign the look",
        ),
        (
            &format!("{fixed}marker: {{ path: /key, at: /hint, lag: 1s }}"),
            "marker: \"it tells whether a lost call",
        ),
        (
            "headers: { X-Account: sk_live_4eC39HqLyjWDarjtT1zdp7dc }",
            "headers.X-Account: \"a text in it looks like a secret",
        ),
        ("unconfirmed: [a, b]", "unconfirmed: \"statements that are assumed and not confirmed: 2"),
    ] {
        let found = findings(more).await;
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
    }
    let careful =
        "sources: [https://own.example]\ngrace: { fixed: 1h }\nredo: { max_calls: 2 }\nprobe: { path: /me }";
    assert_eq!(findings(careful).await, [""; 0]);
    let vouched_for = careful.replace("{ path: /me }", "{ path: /activated, side_effects: false }");
    assert_eq!(findings(&vouched_for).await, [""; 0]);
}

#[tokio::test]
async fn the_schema_is_the_one_that_files_are_held_against() {
    let (exit, out, _) = run("schema").await;
    assert_eq!(exit, Exit::Done);
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert!(schema["properties"]["regenerate"].is_object());
}

/// Every line of the table with its last column, by situation.
fn rehearsed(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.ends_with("  yes") || line.ends_with("  NO")).collect()
}

#[tokio::test]
async fn a_rehearsal_ends_as_the_definition_promises() {
    for (name, params, situations) in [
        ("adyen/client-key", "--param company_id=Acme --param api_credential_id=S2-1", 15),
        ("adyen/api-key", "--param merchant_id=Shop --param api_credential_id=S2-1", 32),
        ("publicsquare/api-key", "--param id=key_7Ay5", 29),
        ("spritz/integrator-secret", "--param integrator_key=int_1", 15),
        ("sendgrid/api-key", "--param label=keyturn --param scopes=mail.send,alerts.read", 32),
    ] {
        let (exit, out, err) = run(&format!("test {name} {params}")).await;
        assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
        let rows = rehearsed(&out);
        assert!(rows.len() == situations && rows.iter().all(|row| row.ends_with("  yes")), "{out}");
    }
    let (_, scenes) = json("test publicsquare/api-key --param id=key_7Ay5").await;
    let lost = |own: bool| {
        let mut scenes = scenes.as_array().unwrap().iter();
        scenes
            .find(|it| it["signed_by_itself"] == own && it["situation"] == "the answer is lost")
            .map(|it| (it["promised"].as_str().unwrap().to_owned(), it["calls"].to_string()))
            .unwrap()
    };
    let replayed = r#"["read 200","regenerate broken off","regenerate 200","probe 200"]"#;
    assert_eq!(lost(false), ("rotated".to_owned(), replayed.to_owned()));
    assert_eq!(lost(true), ("person_asked".to_owned(), r#"["regenerate broken off"]"#.to_owned()));
}

#[tokio::test]
async fn a_stray_is_found_and_revoked_and_what_nobody_can_find_is_left_alone() {
    let scene = async |name: &str, situation: &str| {
        let (exit, scenes) = json(&format!("test {name}")).await;
        assert_eq!(exit, Exit::Done, "{scenes:#}");
        let scenes = scenes.as_array().unwrap().clone();
        let scene = scenes.into_iter().find(|it| it["situation"] == situation).unwrap();
        (scene["promised"].as_str().unwrap().to_owned(), scene["calls"].to_string())
    };
    // Ids in pages of one key each, one of which is nobody's but the owner's.
    let linode = "linode/personal-access-token --param label=keyturn --param scopes=*";
    let found = r#"["regenerate broken off","3 times list 200","revoke 200","regenerate 201","3 times list 200","revoke 200","2 times list 200"]"#;
    let (promised, calls) = scene(linode, "the answer is lost").await;
    assert_eq!(
        (promised.as_str(), calls.replace("regenerate 200", "regenerate 201").as_str()),
        ("rotated", found)
    );
    let okta = "okta/client-secret --param domain=acme.okta.com --param app_id=0oa1";
    let (promised, calls) = scene(okta, "the answer is lost").await;
    assert_eq!((promised.as_str(), calls.as_str()), ("old_key_stands", r#"["regenerate broken off"]"#));
    let (_, calls) = scene(okta, "nothing goes wrong").await;
    assert_eq!(
        calls,
        r#"["regenerate 201","revoke 200","revoke 200"]"#
            .replace(r#""revoke 200","revoke 200""#, r#""2 times revoke 200""#)
    );
    let (promised, calls) = scene(okta, "as many keys live as may").await;
    assert_eq!((promised.as_str(), calls.as_str()), ("old_key_stands", r#"["regenerate 400"]"#));
}

#[tokio::test]
async fn a_key_that_nobody_can_find_again_is_told_of() {
    let beside = RISKY.replace("answer: { secret: /key }", "answer: { secret: /key, key_id: /id }")
        + "creates: { revoke_after: 1m, keys_max: 2, revoke: [{ path: \"/keys/{key_id}\" }] }\n";
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("own.yaml");
    fs::write(&file, beside).unwrap();
    let (exit, out, _) = run(&format!("check {}", file.display())).await;
    assert_eq!(exit, Exit::Done, "{out}");
    for part in [
        "it goes on to work, takes a place that the next rotation needs, and no other try is made by itself",
        "creates.revoke_after, line 9, column 12: the old key may be revoked before applications have read the new one",
        "No person is asked.",
        "it is revoked 1m later, signed with the new key.",
        "Configured with `auth: self`.",
        "revoke: DELETE https://own.example/keys/{key_id}",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(!out.contains("lock-out"), "the old key works on: {out}");
}

/// Parameters as the patterns want them, of several resources those of the first; never the same ones twice.
fn sample(definition: &Definition) -> BTreeMap<String, String> {
    let first: BTreeSet<&str> = definition.resource.first().into_iter().flat_map(Template::names).collect();
    let others = definition.resource.iter().skip(1).flat_map(Template::names);
    let others: BTreeSet<&str> = others.filter(|name| !first.contains(name)).collect();
    let mut runner = TestRunner::deterministic();
    let mut text = |param: &Param| {
        let pattern = param.pattern.as_ref().map_or("[a-z]{8}", |pattern| pattern.as_str());
        let texts = string_regex(pattern).unwrap();
        let mut texts = std::iter::repeat_with(|| texts.new_tree(&mut runner).unwrap().current());
        texts.find(|text| (2..=param.max_length).contains(&text.len()) && !text.contains("..")).unwrap()
    };
    let own = definition.params.iter().filter(|(name, _)| !others.contains(name.as_str()));
    own.map(|(name, param)| (name.clone(), text(param))).collect()
}

#[tokio::test]
async fn every_definition_that_comes_along_ends_as_it_promises() {
    let catalog = Catalog::embedded();
    for definition in catalog.names().filter_map(|name| catalog.get(name)) {
        let mut params = sample(definition);
        let scenes = loop {
            match rehearse(definition, &params).await {
                Ok(scenes) => break scenes,
                // Another scheme's parameter, or a host's: which one, is a matter of its own.
                Err(Error::Binding(mistakes)) => {
                    for mistake in &mistakes {
                        let name =
                            mistake.path.strip_prefix("params.").unwrap_or_else(|| panic!("{mistake}"));
                        if mistake.message.starts_with("nothing uses it") {
                            params.remove(name);
                        } else {
                            params.insert(name.to_owned(), "acme.example".to_owned());
                        }
                    }
                }
                Err(Error::Stage(reason)) => panic!("{}: {reason}", definition.name),
            }
        };
        let broken: Vec<&Scene> = scenes.iter().filter(|scene| !scene.is_kept).collect();
        assert!(scenes.len() > 6 && broken.is_empty(), "{}: {broken:#?}", definition.name);
    }
}

#[tokio::test]
async fn a_definition_that_promises_more_than_it_can_keep_is_told_from_others() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("own.yaml");
    fs::write(&file, format!("{RISKY}grace: {{ fixed: 2m }}\nredo: {{ max_calls: 2 }}\n")).unwrap();
    let (exit, out, _) = run(&format!("test {}", file.display())).await;
    assert_eq!(exit, Exit::Findings, "{out}");
    let lost = out.lines().find(|line| line.starts_with("the answer is lost")).unwrap();
    assert!(lost.contains("a person is asked: the means are used up") && lost.ends_with("NO"), "{lost}");
    assert!(out.contains("own/key breaks its promise; situations: "), "{out}");
    let well = out.lines().find(|line| line.starts_with("nothing goes wrong")).unwrap();
    assert!(well.ends_with("yes"), "{well}");
}

#[tokio::test]
async fn a_dry_run_shows_the_requests_and_what_is_missing_is_asked_for() {
    let line = "test spritz/integrator-secret --param integrator_key=int_1 --dry-run --environment sandbox";
    let (exit, out, _) = run(line).await;
    assert_eq!(exit, Exit::Done);
    assert!(
        out.starts_with("regenerate: POST https://sandbox.spritz.finance/v1/integrator/regenerate-secret\n")
    );
    assert!(out.contains("\n  x-integrator-key: ") && out.ends_with("Nothing was sent.\n"), "{out}");
    let (exit, _, err) = run("test spritz/integrator-secret").await;
    assert_eq!(exit, Exit::Usage);
    assert!(
        err.contains("params.integrator_key: it is missing") && err.contains("--param NAME=VALUE"),
        "{err}"
    );
    let (exit, _, err) = run("test nowhere/key").await;
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("nowhere/key: there is no such definition"), "{err}");
    assert!(
        err.contains("the name of a definition that comes along") && err.contains("or the path of a file"),
        "{err}"
    );
}
