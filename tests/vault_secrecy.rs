//! Neither the token nor a secret is ever printed: not by `Debug`, not at the most talkative log level.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::io;
use std::sync::Arc;

use keyturn::clock::SystemClock;
use keyturn::ids::KvVersion;
use keyturn::secret::SecretValue;
use keyturn::vault::{Auth, Settings, Store, VaultStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

use vault_bed::proxy::{Fault, Proxy};
use vault_bed::{name, place, record, server, settings, stamp, write};

/// Collects what is logged.
#[derive(Clone)]
struct Log(Arc<watch::Sender<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_modify(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_secret_is_logged_or_shown_even_at_trace() {
    let log = Log(Arc::new(watch::channel(Vec::new()).0));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

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
    let value = SecretValue::new("canary-new".into());
    let first = record(Some("canary-staged"));
    store.write_record(&name("secrecy"), &first, KvVersion(0)).await.unwrap();
    let conflict = store.write_record(&name("secrecy"), &first, KvVersion(0)).await.unwrap_err();
    proxy.fault(Fault::LoseAnswer);
    store.publish(&place, &entry, &value, &stamp(1)).await.unwrap();
    proxy.fault(Fault::Forge("HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\ncanary-body"));
    let unclear = store.publish(&place, &entry, &value, &stamp(2)).await.unwrap_err();
    let found = store.read_record(&name("secrecy")).await.unwrap();
    let errors_shown = format!("{conflict:?} {unclear:?} {unclear}");
    let shown = format!("{settings_shown} {store:?} {entry:?} {value:?} {found:?} {first:?} {errors_shown}");

    let logged = String::from_utf8_lossy(&log.0.borrow()).into_owned();
    assert!(logged.contains("rustify"), "the test hears nothing of what it is about");
    for text in [&logged, &shown] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains(&token), "{text}");
    }
}
