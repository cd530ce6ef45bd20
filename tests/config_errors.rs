//! Every mistake in a configuration is found at once, at its place, with a hint and without a secret.

#![allow(clippy::string_slice, reason = "a cut that is no cut fails the test")]

use std::path::Path;
use std::sync::LazyLock;

use keyturn::config::Config;
use keyturn::mistake::Mistake;
use keyturn::provider::Catalog;
use proptest::prelude::*;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::embedded);

fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    Config::parse(text, Path::new("/etc/keyturn"), CATALOG.clone())
}

fn mistakes(text: &str) -> Vec<String> {
    parse(text).err().into_iter().flatten().map(|mistake| mistake.to_string()).collect()
}

#[test]
fn one_file_with_everything_wrong_gets_one_list_of_everything() {
    let found = mistakes(include_str!("config_errors/bad.yaml")).join("\n") + "\n";
    let golden = include_str!("config_errors/bad.txt");
    assert!(found == golden, "the list is now:\n{found}");
    assert!(!found.contains("CANARY"), "a text that could be a secret was repeated");
}

const GOOD: &str = r#"
vault: { address: "https://vault:8200", auth: { token_file: /token }, record_prefix: secret/keyturn }
listen: { unix: /run/keyturn.sock }
escrow: { dir: /var/lib/keyturn }
credentials:
  - name: spritz
    provider: spritz/integrator-secret
    params: { integrator_key: int_123 }
    store: secret/spritz#secret
    schedule: { every: 30d }
"#;

#[test]
fn no_schedule_is_shorter_than_an_old_keys_time() {
    let every = |interval: &str, more: &str| {
        let beside = GOOD
            .replace("spritz/integrator-secret", "sendgrid/api-key")
            .replace("{ integrator_key: int_123 }", "{ label: a, scopes: mail.send }")
            .replace("every: 30d }", &format!("every: {interval} }}\n{more}"));
        parse(&beside)
            .map(|config| config.credentials.into_iter().find_map(|it| it.definition.plan().creates.clone()))
    };
    let creates = every("30d", "    revoke_after: 7d\n    first_key: k0\n").unwrap().unwrap();
    assert_eq!((creates.revoke_after.as_secs(), creates.first_key.unwrap().as_str()), (7 * 86_400, "k0"));
    assert!(every("25h", "").is_ok());
    for (interval, more) in [("24h", ""), ("7d", "    revoke_after: 7d\n")] {
        let found = every(interval, more).unwrap_err();
        assert!(found[0].path == "credentials[0].schedule.every", "{found:#?}");
    }
}

#[test]
fn what_goes_with_a_key_has_a_field_of_its_own_and_signs_nothing() {
    let slack = |more: &str| {
        let slack = GOOD
            .replace("spritz/integrator-secret", "slack/configuration-token")
            .replace("    params: { integrator_key: int_123 }\n", more)
            .replace("every: 30d", "every: 6h");
        slack.replace("store:", "accept_lock_out: spritz\n    store:")
    };
    let fields = |more: &str| parse(&slack(more)).unwrap().credentials[0].fields.clone();
    assert_eq!(fields("")["token"], "token");
    assert_eq!(fields("    fields: { token: slack_token }\n")["token"], "slack_token");
    let other = "  - { name: other, provider: spritz/integrator-secret, params: { integrator_key: int_1 }, grace: 1h,\n      store: secret/spritz#token }\n";
    for (file, place, words) in [
        (slack("    fields: { tokn: a }\n"), "credentials[0].fields.tokn", "did you mean \"token\"?"),
        (slack("    fields: { token: 'a b' }\n"), "credentials[0].fields.token", "a field is 1 to 128"),
        (
            slack("    fields: { token: secret }\n"),
            "credentials[0].fields.token",
            "published into this field",
        ),
        (slack("") + other, "credentials[1].store", "published into this field"),
        (slack("    auth: { vault: secret/spritz#token }\n"), "credentials[0].auth.vault", "`answer.secret`"),
        (
            slack("    secrets: { token: secret/spritz#token }\n"),
            "credentials[0].secrets.token",
            "`answer.secret`",
        ),
        (
            GOOD.replace("    store", "    fields: { id: id }\n    store"),
            "credentials[0].fields.id",
            "no such thing",
        ),
    ] {
        let found = mistakes(&file);
        let is_said = found.iter().any(|it| it.starts_with(place) && it.contains(words));
        assert!(is_said, "{place}, {words}: {found:#?}\n{file}");
    }
}

#[test]
fn metrics_are_for_other_machines_where_that_is_said() {
    let exposed = format!("{GOOD}metrics: {{ listen: \"0.0.0.0:9400\", exposed: true }}\n");
    assert_eq!(parse(&exposed).unwrap().metrics, Some("0.0.0.0:9400".parse().unwrap()));
}

/// The mistakes of the good file with one text replaced by another.
fn with(old: &str, new: &str) -> Vec<String> {
    assert!(GOOD.contains(old), "{old}");
    mistakes(&GOOD.replace(old, new))
}

/// What stands in the good file, what stands there instead, the mistake's place and words of it.
const SINGLE_MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("listen: { unix: /run/keyturn.sock }", "listen: {}", "listen", "give unix, tcp or both"),
    ("keyturn.sock }", "keyturn.sock, operators: [-1] }", "listen.operators[0]", "no uid"),
    ("keyturn.sock }", "keyturn.sock, operators: [65534] }", "listen.operators[0]", "tells nobody apart"),
    ("keyturn.sock }", "keyturn.sock, operators: [0, app] }", "listen.operators[1]", "a number"),
    ("keyturn.sock }", "keyturn.sock, operators: [1.5] }", "listen.operators[0]", "a number"),
    ("keyturn.sock }", "keyturn.sock, tcp_operators: true }", "listen.tcp_operators", "no TCP address"),
    (
        "keyturn.sock }",
        "keyturn.sock, tcp: { address: \"[::]:1\", tls: { cert_file: a, key_file: b, operators: [c] } } }",
        "listen.tcp.tls.operators[0]",
        "give client_ca_file",
    ),
    (
        "keyturn.sock }",
        "keyturn.sock, tcp: { address: \"[::]:1\", tls: { cert_file: a, key_file: b } }, tcp_operators: true }",
        "listen.tcp_operators",
        "listen.tcp.tls.operators",
    ),
    ("keyturn.sock }", "keyturn.sock, tcp: { address: \"[::]:1\" } }", "listen.tcp.tls", "it is missing"),
    ("escrow: { dir: /var/lib/keyturn }", "", "escrow", "it is missing"),
    (
        "/var/lib/keyturn }",
        "/var/lib/keyturn, kubernetes_secret: {} }",
        "escrow.kubernetes_secret.name",
        "missing",
    ),
    (
        "/var/lib/keyturn }",
        "/var/lib/keyturn, kubernetes_secret: { name: a_b } }",
        "escrow.kubernetes_secret.name",
        "must exist already",
    ),
    (
        "/var/lib/keyturn }",
        "/var/lib/keyturn, kubernetes_secret: { name: a, address: \"http://a\" } }",
        "escrow.kubernetes_secret.address",
        "https://kubernetes.default.svc",
    ),
    (
        "/var/lib/keyturn }",
        "/var/lib/keyturn }\nmetrics: { listen: \"0.0.0.0:9400\" }",
        "metrics.listen",
        "metrics.exposed",
    ),
    ("unix: /run", "unixx: /run", "listen.unixx", "did you mean \"unix\"?"),
    ("store: secret/spritz#secret", "store: secret/spritz", "credentials[0].store", "#field"),
    ("store: secret/spritz#secret", "store: secret/keyturn/x#y", "credentials[0].store", "record_prefix"),
    ("integrator_key: int_123", "integrator_key: 123", "credentials[0].params.integrator_key", "quotes"),
    ("{ integrator_key: int_123 }", "{}", "credentials[0].params.integrator_key", "it is missing"),
    ("spritz/integrator-secret", "spritz/integrator", "credentials[0].provider", "did you mean"),
    ("https://vault:8200", "https://user:pw@vault", "vault.address", "logs in by `auth`"),
    ("https://vault:8200", "http://10.0.0.1:8200", "vault.address", "this machine only"),
    ("token_file: /token", "tls: {}", "vault.auth.tls", "known: "),
    ("every: 30d", "every: 30", "credentials[0].schedule.every", "quotes"),
    (
        "every: 30d }",
        "every: 30d }\n    revoke_after: 1h",
        "credentials[0].revoke_after",
        "no step revokes one",
    ),
    ("every: 30d }", "every: 30d }\n    first_key: k 0", "credentials[0].first_key", "visible ASCII"),
    ("every: 30d }", "every: 30d }\n    first_key: k0", "credentials[0].first_key", "replaces the old key"),
    ("every: 30d", "every: 10s", "credentials[0].schedule.every", "from 1m to 3650d"),
    ("every: 30d", "cron: \"0 0 30 2 *\", zone: UTC", "credentials[0].schedule.cron", "no day of any year"),
    ("every: 30d", "cron: \"0 0 * * *\"", "credentials[0].schedule.zone", "time zone"),
    ("every: 30d", "manual: false", "credentials[0].schedule", "exactly one of"),
    ("name: spritz", "name: spritz\n    name: spritz", "", "given twice"),
    ("name: spritz", "name: spritz\n    name", "", "YAML"),
];

#[test]
fn each_single_mistake_is_found_alone_and_says_what_to_do() {
    assert_eq!(mistakes(GOOD), [""; 0]);
    for (old, new, place, words) in SINGLE_MISTAKES {
        let found = with(old, new);
        let alone = found.iter().filter(|line| line.starts_with(&format!("{place}: ")) || place.is_empty());
        let alone = alone.filter(|line| line.contains(words));
        assert_eq!(alone.count(), 1, "{new}: {found:#?}");
        assert_eq!(found.len(), 1, "{new}: {found:#?}");
    }
}

#[test]
fn http_is_for_this_machine_only() {
    for address in ["http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200", "https://10.0.0.1"]
    {
        assert_eq!(with("https://vault:8200", address), [""; 0], "{address}");
    }
    for address in
        ["http://vault:8200", "http://localhost.evil", "ftp://localhost", "vault:8200", "https://v/v1"]
    {
        assert_eq!(with("https://vault:8200", address).len(), 1, "{address}");
    }
}

#[test]
fn a_lock_out_is_accepted_only_by_repeating_the_name() {
    let definition = "name: own/key\ntitle: Own\nenvironments: { live: https://own.example }\n\
        default_environment: live\nauth: [{ header: { name: X-Key } }]\nself: always\n\
        regenerate: { method: POST, path: /keys }\nanswer: { secret: /key }\ngrace: none\n";
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("own.yaml"), definition).unwrap();
    let file = |extra: &str| {
        let own = GOOD
            .replace("spritz/integrator-secret", "own/key")
            .replace("    params: { integrator_key: int_123 }\n", extra);
        format!("{own}providers: [own.yaml]\n")
    };
    let load = |extra: &str| Config::parse(&file(extra), home.path(), Catalog::embedded());
    let refused = load("").unwrap_err();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0].path, "credentials[0].auth");
    assert!(refused[0].hint.as_ref().unwrap().contains("accept_lock_out: spritz"), "{refused:#?}");
    let other = load("    accept_lock_out: other\n").unwrap_err();
    assert!(other.iter().any(|mistake| mistake.path == "credentials[0].accept_lock_out"), "{other:#?}");
    load("    accept_lock_out: spritz\n").unwrap();
}

#[test]
fn a_provider_file_is_named_where_it_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("bad.yaml"), "name: [").unwrap();
    let text = format!("{GOOD}providers: [bad.yaml, missing.yaml]\n");
    let found = Config::parse(&text, home.path(), Catalog::embedded()).unwrap_err();
    assert!(found.iter().any(|mistake| mistake.path.starts_with("providers[0]")), "{found:#?}");
    assert!(found.iter().any(|mistake| mistake.path == "providers[1]"), "{found:#?}");
}

#[test]
fn an_unknown_provider_is_a_mistake_of_its_own_only_where_all_definitions_were_read() {
    let home = tempfile::tempdir().unwrap();
    let definition = "name: own/key\ntitle: Own\nenvironments: { live: https://own.example }\n\
        default_environment: live\nauth: [{ header: { name: X-Key } }]\nself: never\n\
        regenerate: { path: /keys }\nanswer: { secret: /key }\n";
    std::fs::write(home.path().join("own.yaml"), definition).unwrap();
    std::fs::write(home.path().join("bad.yaml"), format!("{definition}grcae: none\n")).unwrap();
    let found = |provider: &str, files: &str| {
        let text = GOOD.replace("spritz/integrator-secret", provider);
        let config = Config::parse(&format!("{text}{files}"), home.path(), Catalog::embedded());
        config.err().unwrap_or_default()
    };
    let unknown = found("own/kye", "");
    assert_eq!((unknown.len(), unknown[0].path.as_str()), (1, "credentials[0].provider"), "{unknown:#?}");
    assert!(unknown[0].hint.as_ref().unwrap().contains("under providers"), "{unknown:#?}");

    let unknown = found("own/kye", "providers: [own.yaml]\n");
    assert_eq!((unknown.len(), unknown[0].path.as_str()), (1, "credentials[0].provider"), "{unknown:#?}");
    assert_eq!(unknown[0].hint.as_ref().unwrap(), "did you mean \"own/key\"?");

    for file in ["bad.yaml", "missing.yaml"] {
        let one = found("own/key", &format!("providers: [{file}]\n"));
        assert_eq!(one.len(), 1, "{one:#?}");
        assert!(one[0].path.starts_with("providers[0]"), "{one:#?}");
    }
}

/// Values of every kind and shape, some under names that the schema knows.
fn yaml() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        prop::sample::select(vec![
            "self",
            "30d",
            "10%",
            "secret/a#b",
            "https://v:1",
            "* * * * *",
            "9999999w"
        ])
        .prop_map(Into::into),
    ];
    let names = prop::sample::select(vec![
        "vault",
        "address",
        "auth",
        "kubernetes",
        "approle",
        "listen",
        "unix",
        "tcp",
        "escrow",
        "recipients",
        "credentials",
        "name",
        "provider",
        "params",
        "store",
        "schedule",
        "every",
        "cron",
        "zone",
        "window",
        "grace",
        "secrets",
        "timeouts",
        "claim",
        "log",
        "level",
        "",
        "x.y[0]",
    ]);
    scalar.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn no_value_makes_it_panic(value in yaml()) {
        prop_assert!(parse(&value.to_string()).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a-z0-9:#&*!|>'\"%@`{}\\[\\], \\n\\t]{0,80}") {
        prop_assert!(parse(&text).is_err());
    }

    #[test]
    fn no_cut_of_a_good_file_makes_it_panic(place in any::<prop::sample::Index>()) {
        let good = include_str!("../docs/examples/full.yaml");
        let end = (0..=place.index(good.len())).rev().find(|end| good.is_char_boundary(*end)).unwrap_or(0);
        parse(&good[..end]).err();
    }

    #[test]
    fn a_change_of_one_value_is_never_repeated(text in "canary-[a-z#/%: ]{0,10}") {
        let quoted = serde_json::Value::from(text.as_str()).to_string();
        for old in ["https://vault:8200", "/run/keyturn.sock", "int_123", "secret/spritz#secret", "30d"] {
            let changed = GOOD.replace(&format!("\"{old}\""), &quoted).replace(old, &quoted);
            let shown = mistakes(&changed).join("\n");
            prop_assert!(!shown.contains("canary"), "{}", shown);
        }
    }
}
