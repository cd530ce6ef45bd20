//! What each style of rotation may say beside the others: side by side, chosen by the caller, named, pending, marked.

use super::*;

const BESIDE: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
params: { label: { description: "what its name begins with" }, team: { description: "the team" } }
auth: [ { header: { name: X-Key } } ]
self: possible
regenerate: { path: "/teams/{team}/keys", body: { json: { name: "{label} {rotation_id}" } } }
answer: { secret: /key, key_id: /id }
creates:
  revoke_after: 7d
  keys_max: 10
  list: { path: "/teams/{team}/keys", keys: /data, id: /id, label: /name, next: { number: { parameter: page } } }
  revoke: [ { path: "/teams/{team}/keys/{key_id}" } ]
"#;

#[test]
fn keys_that_live_side_by_side_are_read_with_careful_defaults() {
    let definition = Definition::parse(BESIDE).unwrap();
    let creates = definition.creates.unwrap();
    assert_eq!(creates.revoke_after, Duration::from_hours(7 * 24));
    let [revoke] = &creates.revoke[..] else { panic!("not one request") };
    assert_eq!((revoke.method, &revoke.statuses[..]), (RevokeMethod::Delete, &[200, 204][..]));
    assert_eq!(revoke.gone, [404, 410]);
    let without = BESIDE.replace("  revoke_after: 7d\n", "");
    assert_eq!(Definition::parse(&without).unwrap().creates.unwrap().revoke_after, Duration::from_hours(24));
}

/// Keys side by side with one text replaced by another, and what is said of it, with its place.
#[test]
fn keys_that_live_side_by_side_contradict_what_only_a_replaced_key_has() {
    let key_id = "answer: { secret: /key, key_id: /id }";
    for (old, new, expected) in [
        (
            key_id,
            "answer: { secret: /key }",
            "answer.key_id: line 10, column 1: no answer says which key was made",
        ),
        (
            key_id,
            "answer: { secret: /key, key_id: /key }",
            "answer.key_id: line 10, column 25: an id is shown in logs",
        ),
        (
            key_id,
            "answer: { secret: /key, key_id: /id, previous_expires_at: { at: /end } }",
            "lives until it is revoked",
        ),
        ("creates:", "grace: { fixed: 1h }\ncreates:", "grace: line 11, column 1: the call takes nothing"),
        ("creates:", "read: { path: /key, secret: /key, lag: 1s }\ncreates:", "here several live"),
        (
            "creates:",
            "redo: { max_calls: 2 }\ncreates:",
            "redo: line 11, column 1: after a lost answer the old key",
        ),
        (
            "revoke_after: 7d",
            "revoke_after: 0s",
            "creates.revoke_after: line 12, column 3: applications would hold",
        ),
        ("keys_max: 10", "keys_max: 1", "creates.keys_max: line 13, column 3: no second key"),
    ] {
        refuses_in(BESIDE, old, new, expected);
    }
    let alone = BESIDE.split("creates:").next().unwrap();
    let found = Definition::parse(alone).unwrap_err();
    assert!(
        found[0].to_string().contains("answer.key_id: line 10, column 25: nothing revokes"),
        "{found:#?}"
    );
}

#[test]
fn each_request_about_keys_side_by_side_says_which_key_is_meant() {
    let revoke = "[ { path: \"/teams/{team}/keys/{key_id}\" } ]";
    for (old, new, expected) in [
        (revoke, "[]", "creates.revoke: line 15, column 3: nothing revokes"),
        (
            revoke,
            "[ { path: \"/teams/{team}/keys\" } ]",
            "creates.revoke[0]: line 15, column 13: it does not say which",
        ),
        (revoke, "[ { path: \"/keys/{key_id}/{old}\" } ]", "{old} stands for nothing"),
        (revoke, "[ { path: \"/keys/{key_id}?x\" } ]", "a path has no '?'"),
        (
            revoke,
            "[ { path: \"/keys/{key_id}\", query: { key: \"{key_id}\" } } ]",
            "{key_id} stands for nothing",
        ),
        (
            revoke,
            "[ { path: /k, body: { json: { key: \"{key_id}\", old: \"{secret}\" } } } ]",
            "{secret} stands for nothing",
        ),
        (revoke, "[ { path: \"/keys/{key_id}\", statuses: [404] } ]", "a status from 200 to 299"),
        (revoke, "[ { path: \"/keys/{key_id}\", gone: [401] } ]", "only 400, 404, 409, 410 and 422"),
        ("{label} {rotation_id}", "{label}", "creates.list: line 14, column 3: no key has a label"),
        ("{label} {rotation_id}", "{label} {rotation_id} {grace_days}", "creates.list: line 14"),
        ("keys: /data", "query: { page: \"1\" }, keys: /data", "by the same parameter"),
        (
            "path: \"/teams/{team}/keys\", keys",
            "path: \"/teams/{key_id}/keys\", keys",
            "{key_id} stands for nothing",
        ),
        ("team: {", "key_id: {", "params.key_id: line 6, column 64: {key_id} stands for the key"),
        ("{ header: { name: X-Key } }", "{ body: {} }", "only the body of the call authenticates"),
        ("parameter: page", "parameter: \"\"", "empty name"),
    ] {
        refuses_in(BESIDE, old, new, expected);
    }
}

const SUPPLIED: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
auth: [ { header: { name: X-Key } } ]
self: never
regenerate: { path: /secret, body: { json: { key: "{new_secret}" } } }
answer: { statuses: [200] }
supplies: {}
"#;

/// A text in which one part is replaced by another, and what is said of it.
#[test]
fn a_key_that_the_caller_chooses_is_named_once_and_said_nowhere_else() {
    let supplies = Definition::parse(SUPPLIED).unwrap().supplies.unwrap();
    assert_eq!((supplies.bytes, supplies.encoding, supplies.prefix.as_str()), (32, SuppliedText::Hex, ""));
    for (old, new, expected) in [
        ("supplies: {}", "", "it holds {new_secret}, and no key is chosen"),
        ("supplies: {}", "supplies: { bytes: 15 }", "16 to 64 random bytes"),
        ("supplies: {}", "supplies: { prefix: \"a b\" }", "characters that any header can carry"),
        ("\"{new_secret}\"", "\"x\"", "does not say once, in a text of its own"),
        ("\"{new_secret}\"", "\"k_{new_secret}\"", "does not say once, in a text of its own"),
        ("\"{new_secret}\"", "\"{new_secret}\", again: \"{new_secret}\"", "does not say once"),
        ("path: /secret,", "path: \"/secret/{new_secret}\",", "{new_secret} stands for nothing"),
        ("statuses: [200]", "secret: /key", "the key is the one that was chosen"),
        ("supplies: {}", "supplies: {}\nredo: { max_calls: 2 }", "the same call is made again anyway"),
        ("supplies: {}", "supplies: {}\nlock: 1h", "a lost answer is settled by the same call"),
        (
            "supplies: {}",
            "supplies: {}\nidempotency: { header: Idem, replays_for: 1h }",
            "brings the same key anyway, at any time",
        ),
        ("self: never", "self: possible", "a lost answer is settled by the same call"),
        (
            "supplies: {}",
            "supplies: {}\ncreates: { revoke: [ { path: \"/keys/{key_id}\" } ] }",
            "would make a second key beside the first",
        ),
    ] {
        refuses_in(SUPPLIED, old, new, expected);
    }
    let in_its_window = SUPPLIED.replace("self: never", "self: possible\ngrace: { fixed: 1h }");
    assert!(Definition::parse(&in_its_window).is_ok());
}

const SLOTS: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
auth: [ { header: { name: X-Key } } ]
self: never
slots: [one, two]
regenerate: { path: "/keys/{slot}" }
answer: { secret: /key }
read: { path: "/keys/{slot}", secret: /key, lag: 1m }
"#;

#[test]
fn the_call_and_the_read_of_several_keys_say_which_one_is_meant() {
    assert_eq!(Definition::parse(SLOTS).unwrap().slots, ["one", "two"]);
    let in_the_body =
        SLOTS.replace("path: \"/keys/{slot}\" }", "path: /keys, body: { form: { name: \"{slot}\" } } }");
    assert!(Definition::parse(&in_the_body).is_ok());
    for (old, new, expected) in [
        ("slots: [one, two]\n", "", "{slot} stands for nothing"),
        ("[one, two]", "[one]", "slots: line 8, column 1: it takes two different names"),
        ("[one, two]", "[one, one]", "it takes two different names"),
        ("[one, two]", "[one, \"t w o\"]", "it takes two different names"),
        ("{ path: \"/keys/{slot}\" }", "{ path: /keys }", "it does not say which of the keys is made anew"),
        (
            "{ path: \"/keys/{slot}\", secret",
            "{ path: /keys, secret",
            "it does not say which of the keys is read",
        ),
        (
            "read: { path: \"/keys/{slot}\", secret: /key, lag: 1m }",
            "",
            "nothing shows which of the keys is in use",
        ),
        ("self: never", "self: never\nheaders: { X-Slot: \"{slot}\" }", "{slot} stands for nothing"),
        ("self: never", "self: never\nprobe: { path: \"/{slot}\" }", "{slot} stands for nothing"),
        (
            "self: never",
            "self: never\ngrace: { fixed: 1h }",
            "the old key lives on in its own slot until another rotation",
        ),
        ("self: never", "self: never\nredo: { max_calls: 2 }", "a lost answer is settled by the read"),
        (
            "self: never",
            "self: never\ncreates: { revoke: [ { path: \"/keys/{key_id}\" } ] }",
            "the call makes a key anew in its slot",
        ),
        ("self: never", "self: never\nparams: { slot: { description: x } }", "choose another name"),
    ] {
        refuses_in(SLOTS, old, new, expected);
    }
}

const PHASES: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
auth: [ { header: { name: X-Key } } ]
self: never
regenerate: { path: /next }
answer: { secret: /key }
probe: { path: /me }
creates: { activate: { path: /promote }, discard: { path: /next } }
"#;

#[test]
fn a_pending_key_is_probed_before_it_is_activated_and_has_no_second_name() {
    let creates = Definition::parse(PHASES).unwrap().creates.unwrap();
    let activate = creates.activate.unwrap();
    assert_eq!(
        (activate.method, &activate.statuses[..], &activate.done[..]),
        (RevokeMethod::Post, &[200, 204][..], &[][..])
    );
    assert_eq!(creates.discard.unwrap().method, RevokeMethod::Delete);
    for (old, new, expected) in [
        ("probe: { path: /me }", "", "nothing shows that the pending key is the published one"),
        ("activate: { path: /promote }, ", "", "no key is pending where none is activated"),
        ("{ path: /promote }", "{ path: \"/keys/{key_id}\" }", "{key_id} stands for nothing"),
        ("{ path: /promote }", "{ path: /promote, statuses: [404] }", "creates.activate.statuses"),
        ("{ path: /promote }", "{ path: /promote, done: [401] }", "only 400, 404, 409, 410 and 422"),
        ("creates: {", "creates: { keys_max: 2,", "an old key and a pending one have a place each"),
        (
            "creates: {",
            "creates: { revoke: [ { path: \"/{key_id}\" } ],",
            "the old key dies when the pending one is activated",
        ),
        ("{ secret: /key }", "{ secret: /key, key_id: /id }", "nothing names a key by its id"),
        (
            "probe: { path: /me }",
            "probe: { path: /me }\ngrace: { fixed: 1h }",
            "the call takes nothing from the old key",
        ),
    ] {
        refuses_in(PHASES, old, new, expected);
    }
}

const MARKED: &str = r#"
name: example/key
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
auth: [ { header: { name: X-Key } } ]
self: never
regenerate: { path: "/keys/rotate" }
answer: { secret: /key }
marker: { path: /key, at: /hint, lag: 1s }
"#;

#[test]
fn a_marker_stands_only_where_nothing_tells_more() {
    let marker = Definition::parse(MARKED).unwrap().marker.unwrap();
    assert_eq!((marker.method, marker.lag), (ReadMethod::Get, Duration::from_secs(1)));
    for (old, new, expected) in [
        ("marker:", "read: { path: /key, secret: /key, lag: 1s }\nmarker:", "the key itself can be read"),
        (
            "marker:",
            "creates: { revoke: [ { path: \"/{key_id}\" } ] }\nmarker:",
            "a key beside the old one, which it does not change",
        ),
        ("marker:", "slots: [a, b]\nmarker:", "told apart only by reading them"),
        ("marker:", "supplies: {}\nmarker:", "the same call is made again with the same key"),
        ("answer: { secret: /key }", "answer: {}", "no answer shows the key, and a marker does not either"),
        ("self: never", "self: always", "the old key signs the look at the marker"),
        ("{ path: /key,", "{ path: key,", "a path begins with '/'"),
        ("{ path: /key,", "{ path: \"/{slot}\",", "{slot} stands for nothing"),
        ("{ path: /key,", "{ path: /key, query: { a: \"{b}\" },", "{b} stands for nothing"),
        (
            "lag: 1s }",
            "lag: 1s, among: { list: /keys, where: { at: /id, is: \"{c}\" } } }",
            "{c} stands for nothing",
        ),
        (", lag: 1s", "", "marker.lag"),
    ] {
        refuses_in(MARKED, old, new, expected);
    }
}

#[test]
fn a_key_that_expires_before_the_old_one_is_revoked_is_refused() {
    let lifetime = "lifetime: 12h\ncreates:";
    refuses_in(BESIDE, "creates:", lifetime, "the new key expires before the old one is revoked");
}

#[test]
fn a_probe_that_does_more_than_look_is_refused() {
    let probe = "probe: { path: /me, side_effects: true }\nmarker:";
    refuses_in(MARKED, "marker:", probe, "the probe is made many times");
}
