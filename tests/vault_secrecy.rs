//! Neither the token nor a secret is ever printed: not by `Debug`, not at the most talkative log level.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use keyturn::clock::SystemClock;
use keyturn::ids::KvVersion;
use keyturn::secret::{Secret, SecretValue};
use keyturn::vault::{Auth, Settings, Stamp, Store, VaultStore};
use serde_json::json;
use tempfile::TempDir;

use vault_bed::log::Log;
use vault_bed::proxy::{Fault, Proxy};
use vault_bed::{eventually, name, place, record, server, settings, stamp, write};

#[tokio::test]
async fn nothing_secret_is_logged_or_shown_even_at_trace() {
    let (log, _guard) = Log::listen(tracing::Level::TRACE);

    let files = TempDir::new().unwrap();
    let server = server().await;
    let token = server.create_token(&json!({ "policies": ["root"], "ttl": "1h" })).await.unwrap();
    server.put("secret/app/secrecy", &json!({ "key": "canary-old", "other": "canary-other" })).await.unwrap();
    let proxy = Proxy::to(server.port()).await;
    let auth = Auth::TokenFile { path: write(&files, "token", &token) };
    let settings: Settings = settings(&proxy.address, auth);
    let settings_shown = format!("{settings:?}");
    let store = VaultStore::connect(settings, SystemClock::start()).unwrap();

    let place = place("secret/app/secrecy#key");
    let entry = store.read_entry(&place.path).await.unwrap();
    let mut secret = Secret::from(SecretValue::new("canary-new".into()));
    secret.fields.insert("id".into(), SecretValue::new("canary-id".into()));
    let stamp = |epoch| Stamp { fields: BTreeMap::from([("id".into(), "key_id".into())]), ..stamp(epoch) };
    let mut first = record(Some("canary-staged"));
    first.staged.as_mut().unwrap().fields.insert("id".into(), SecretValue::new("canary-staged-id".into()));
    store.write_record(&name("secrecy"), &first, KvVersion(0)).await.unwrap();
    let conflict = store.write_record(&name("secrecy"), &first, KvVersion(0)).await.unwrap_err();
    proxy.fault(Fault::LoseAnswer);
    store.publish(&place, &entry, &secret, &stamp(1)).await.unwrap();
    proxy.fault(Fault::Forge("HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\ncanary-body"));
    let unclear = store.publish(&place, &entry, &secret, &stamp(2)).await.unwrap_err();
    let found = store.read_record(&name("secrecy")).await.unwrap();
    let errors_shown = format!("{conflict:?} {unclear:?} {unclear}");
    let shown = format!("{settings_shown} {store:?} {entry:?} {secret:?} {found:?} {first:?} {errors_shown}");

    let logged = log.heard();
    assert!(logged.contains("rustify"), "the test hears nothing of what it is about");
    for text in [&logged, &shown] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains(&token), "{text}");
    }
}

#[tokio::test]
async fn a_secrets_file_that_others_may_read_is_named_in_one_warning() {
    let (log, _guard) = Log::listen(tracing::Level::WARN);
    let files = TempDir::new().unwrap();
    let open_token = write(&files, "open-token", server().await.root_token());
    let closed_token = write(&files, "closed-token", server().await.root_token());
    std::fs::set_permissions(&open_token, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::set_permissions(&closed_token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let address = server().await.address();
    let connect = |path| {
        let settings = settings(&address, Auth::TokenFile { path });
        VaultStore::connect(settings, SystemClock::start()).unwrap()
    };
    let stores = [connect(closed_token), connect(open_token)];
    eventually("a warning", || async { log.heard().contains("open-token") }).await;
    assert_eq!(log.heard().lines().count(), 1, "{}", log.heard());
    drop(stores);
}
