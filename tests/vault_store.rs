//! Records and entries in a real OpenBao: what is kept, what is refused, and what a lost answer comes to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use keyturn::clock::SystemClock;
use keyturn::ids::KvVersion;
use keyturn::secret::{FingerprintKey, Secret};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::vault::{Auth, Error, Needs, Stamp, Store, VaultStore, WriteError};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

use vault_bed::{Bed, PATIENCE, name, options, place, record, secret, server, stamp};

#[tokio::test]
async fn a_record_is_claimed_once_and_keeps_no_old_version() {
    let Bed { store, .. } = &Bed::new().await;
    let credential = name("record-life");
    assert!(store.read_record(&credential).await.unwrap().is_none());
    assert_eq!(store.record_version(&credential).await.unwrap(), KvVersion(0));

    let first = record(Some("canary-staged"));
    assert_eq!(store.write_record(&credential, &first, KvVersion(0)).await.unwrap(), KvVersion(1));
    let late = store.write_record(&credential, &record(None), KvVersion(0)).await;
    assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");

    let (found, version) = store.read_record(&credential).await.unwrap().unwrap();
    assert_eq!(version, KvVersion(1));
    assert_eq!((found.state.clone(), &found.unknown), (first.state.clone(), &first.unknown));
    let key = FingerprintKey::new("k".into());
    assert_eq!(found.staged.as_ref().unwrap().fingerprint(&key), secret("canary-staged").fingerprint(&key));
    assert_eq!(found.identities[0].1.fingerprint(&key), secret("canary-identity").fingerprint(&key));

    let mut done = found;
    done.staged = None;
    assert_eq!(store.write_record(&credential, &done, version).await.unwrap(), KvVersion(2));
    assert_eq!(store.record_version(&credential).await.unwrap(), KvVersion(2));
    let old = server().await.request("GET", "secret/data/keyturn/record-life?version=1", None).await.unwrap();
    assert_eq!(old.status, 404, "the staged value can still be read as an old version");
}

#[tokio::test]
async fn a_deleted_record_is_not_taken_for_a_new_credential() {
    let Bed { store, .. } = &Bed::new().await;
    let credential = name("record-deleted");
    store.write_record(&credential, &record(None), KvVersion(0)).await.unwrap();
    server().await.delete("secret/keyturn/record-deleted").await.unwrap();
    let found = store.read_record(&credential).await;
    assert!(matches!(&found, Err(Error::Malformed { cause, .. }) if cause.contains("undelete")), "{found:?}");
}

#[tokio::test]
async fn publishing_changes_one_field_and_keeps_all_others() {
    let Bed { store, .. } = &Bed::new().await;
    let foreign = json!({ "client_key": "old", "n": 9_007_199_254_740_991_u64, "f": 0.1, "list": [null, true], "o": {"x": "ü"} });
    server().await.put("secret/app/publish", &foreign).await.unwrap();
    let place = place("secret/app/publish#client_key");
    let entry = store.read_entry(&place.path).await.unwrap();
    assert_eq!(entry.version, KvVersion(1));
    let version = store.publish(&place, &entry, &secret("new").into(), &stamp(3)).await.unwrap();
    assert_eq!(version, KvVersion(2));

    let (data, _) = server().await.get("secret/app/publish").await.unwrap().unwrap();
    let mut expected = foreign;
    expected["client_key"] = json!("new");
    expected["_keyturn"] = json!({ "client_key": serde_json::to_value(stamp(3)).unwrap() });
    assert_eq!(data, expected);
    assert_eq!(store.read_entry(&place.path).await.unwrap().stamp("client_key"), Some(&stamp(3)));

    let stale = store.publish(&place, &entry, &secret("late").into(), &stamp(4)).await;
    assert!(matches!(stale, Err(WriteError::Conflict)), "{stale:?}");
    let read = store.read_secret(&place).await.unwrap();
    let key = FingerprintKey::new("k".into());
    assert_eq!(read.fingerprint(&key), secret("new").fingerprint(&key));
}

#[tokio::test]
async fn a_secret_of_several_fields_is_one_version_and_the_old_ones_fields_go_with_it() {
    let Bed { store, .. } = &Bed::new().await;
    let place = place("secret/app/whole#token");
    server().await.put("secret/app/whole", &json!({ "token": "old", "note": "theirs" })).await.unwrap();
    let whole = |token: &str, refresh: &str| Secret {
        key: secret(token),
        fields: BTreeMap::from([("refresh_token".to_owned(), secret(refresh))]),
    };
    let stamped = |epoch: u64, field: &str| Stamp {
        fields: BTreeMap::from([("refresh_token".to_owned(), field.to_owned())]),
        ..stamp(epoch)
    };
    for (epoch, field) in [(3, "refresh_token"), (4, "again")] {
        let entry = store.read_entry(&place.path).await.unwrap();
        let (token, refresh) = (format!("token-{epoch}"), format!("refresh-{epoch}"));
        let stamp = stamped(epoch, field);
        store.publish(&place, &entry, &whole(&token, &refresh), &stamp).await.unwrap();
        let (data, _) = server().await.get("secret/app/whole").await.unwrap().unwrap();
        let stamps = json!({ "token": serde_json::to_value(&stamp).unwrap() });
        assert_eq!(data, json!({ "token": token, field: refresh, "note": "theirs", "_keyturn": stamps }));
    }
    // What an entry holds is told by its stamp, whatever the configuration says by now.
    let key = FingerprintKey::new("k".into());
    let entry = store.read_entry(&place.path).await.unwrap();
    let read = entry.secret("token", &BTreeMap::new()).unwrap();
    assert_eq!(read.fingerprint(&key), whole("token-4", "refresh-4").fingerprint(&key));
}

#[tokio::test]
async fn a_deleted_entry_is_empty_and_can_be_published_to() {
    let Bed { store, .. } = &Bed::new().await;
    let place = place("secret/app/deleted#key");
    server().await.put("secret/app/deleted", &json!({ "key": "old" })).await.unwrap();
    server().await.delete("secret/app/deleted").await.unwrap();
    let entry = store.read_entry(&place.path).await.unwrap();
    assert!(entry.version == KvVersion(1) && entry.field("key").is_none());
    assert_eq!(store.publish(&place, &entry, &secret("new").into(), &stamp(1)).await.unwrap(), KvVersion(2));
    let missing = store.read_secret(&vault_bed::place("secret/app/deleted#other")).await;
    assert!(matches!(missing, Err(Error::FieldMissing { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_stamp_of_another_hand_is_neither_trusted_nor_overwritten() {
    let Bed { store, .. } = &Bed::new().await;
    let data = json!({ "key": "v", "_keyturn": "somebody's note" });
    server().await.put("secret/app/stamped", &data).await.unwrap();
    let error = store.read_entry(&place("secret/app/stamped#key").path).await.unwrap_err();
    assert!(error.code() == "VAULT_DATA_MALFORMED" && !error.to_string().contains("note"), "{error}");
}

#[tokio::test]
async fn engines_without_check_and_set_and_missing_ones_are_told_apart() {
    let Bed { store, .. } = &Bed::new().await;
    server().await.mount("kv", "plain-kv", Some(1)).await.unwrap();
    server().await.mount("transit", "ciphers", None).await.unwrap();
    server().await.mount("kv", "teams/deep", Some(2)).await.unwrap();
    let refusal = async |path: &str| store.read_entry(&path.parse().unwrap()).await.unwrap_err().to_string();
    assert!(refusal("plain-kv/a").await.contains("KV version 1"));
    assert!(refusal("ciphers/a").await.contains("transit"));
    assert!(refusal("nowhere/a").await.contains("no secrets engine is mounted at nowhere/a"));

    let place = place("teams/deep/er/app#key");
    let entry = store.read_entry(&place.path).await.unwrap();
    store.publish(&place, &entry, &secret("v").into(), &stamp(1)).await.unwrap();
    server().await.request("DELETE", "sys/mounts/teams/deep", None).await.unwrap();
    let gone = store.read_entry(&place.path).await.unwrap_err();
    assert_eq!(gone.code(), "VAULT_MOUNT_MISSING");
}

#[tokio::test]
async fn a_sealed_vault_is_told_apart_and_the_same_store_goes_on_when_it_is_unsealed() {
    let server = OpenBao::start(options()).await.unwrap();
    let Bed { store, .. } = &Bed::at(&server.address(), PATIENCE);
    let credential = name("sealed");
    store.write_record(&credential, &record(None), KvVersion(0)).await.unwrap();
    server.seal().await.unwrap();
    assert_eq!(store.read_record(&credential).await.unwrap_err().code(), "VAULT_SEALED");
    let write = store.write_record(&credential, &record(None), KvVersion(1)).await;
    assert!(matches!(write, Err(WriteError::NotWritten(Error::Sealed))), "{write:?}");
    server.unseal().await.unwrap();
    assert_eq!(store.write_record(&credential, &record(None), KvVersion(1)).await.unwrap(), KvVersion(2));
}

#[tokio::test]
async fn a_store_can_be_made_before_vault_is_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let Bed { store, .. } = &Bed::at(&address, PATIENCE);
    assert!(!*store.ready().borrow());
    let write = store.write_record(&name("nobody"), &record(None), KvVersion(1)).await;
    assert!(matches!(write, Err(WriteError::NotWritten(Error::Unavailable { .. }))), "{write:?}");
}

#[tokio::test]
async fn a_vault_that_never_answers_costs_all_who_wait_one_login_together() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (connections, seen) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
            connections.send_replace(held.len());
        }
    });
    let Bed { store, .. } = &Bed::at(&address, Duration::from_millis(300));
    let credential = name("silence");
    let reads = futures_util::future::join_all((0..50).map(|_| store.read_record(&credential)));
    for read in tokio::time::timeout(PATIENCE, reads).await.unwrap() {
        assert_eq!(read.unwrap_err().code(), "VAULT_UNAVAILABLE");
    }
    assert!(*seen.borrow() <= 3, "{} logins for 50 callers", *seen.borrow());
}

#[tokio::test]
async fn a_store_goes_on_by_itself_after_vault_was_killed_and_came_back() {
    let mut server = OpenBao::start(Options { persistent: true, ..options() }).await.unwrap();
    let files = tempfile::TempDir::new().unwrap();
    let path = vault_bed::write(&files, "token", server.root_token());
    let settings = vault_bed::settings(&server.address(), Auth::TokenFile { path });
    let store = VaultStore::connect(settings, SystemClock::start()).unwrap();
    let credential = name("killed");
    store.write_record(&credential, &record(None), KvVersion(0)).await.unwrap();
    server.kill();
    let write = store.write_record(&credential, &record(None), KvVersion(1)).await;
    assert!(matches!(write, Err(WriteError::NotWritten(_) | WriteError::Unclear(_))), "{write:?}");
    server.restart().await.unwrap();
    assert_eq!(store.write_record(&credential, &record(None), KvVersion(1)).await.unwrap(), KvVersion(2));
}

#[tokio::test]
async fn the_preflight_passes_with_all_rights_and_names_a_missing_mount() {
    let Bed { store, .. } = &Bed::new().await;
    let mut needs = Needs {
        credential: name("preflight"),
        entry: "secret/app/preflight".parse().unwrap(),
        secrets: vec![place("secret/app/admin#key")],
        lasting: Duration::from_hours(1),
    };
    store.preflight(&needs).await.unwrap();
    needs.entry = "absent/app".parse().unwrap();
    assert_eq!(store.preflight(&needs).await.unwrap_err().code(), "VAULT_MOUNT_MISSING");
}
