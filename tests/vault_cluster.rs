//! A Vault of several nodes, of which any may answer: here OpenBao's standbys, which serve reads themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod vault_bed;

use keyturn::clock::SystemClock;
use keyturn::ids::KvVersion;
use keyturn::testbed::openbao::Cluster;
use keyturn::vault::{Auth, Settings, Store, VaultStore};
use tempfile::TempDir;

use vault_bed::{PATIENCE, name, options, record, settings, write};

#[tokio::test]
async fn a_standby_never_shows_an_older_record_than_the_one_that_was_written() {
    let cluster = Cluster::start(&options()).await.unwrap();
    let standby = cluster.standby().await.unwrap();
    let files = TempDir::new().unwrap();
    let path = write(&files, "token", standby.root_token());
    let settings =
        Settings { request_timeout: PATIENCE, ..settings(&standby.address(), Auth::TokenFile { path }) };
    let store = VaultStore::connect(settings, SystemClock::start()).unwrap();
    let credential = name("behind");
    for before in 0..50 {
        let written = store.write_record(&credential, &record(None), KvVersion(before)).await.unwrap();
        assert_eq!(store.record_version(&credential).await.unwrap(), written);
        let (_, read) = store.read_record(&credential).await.unwrap().unwrap();
        assert_eq!(read, written);
    }
}
