//! A write whose answer does not arrive is settled by what Vault holds, never by a second write.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod vault_bed;

use std::time::Duration;

use keyturn::ids::KvVersion;
use keyturn::vault::{Error, Store, WriteError};
use serde_json::json;

use vault_bed::proxy::{Fault, Proxy};
use vault_bed::{Bed, name, place, record, secret, server, stamp};

async fn bed() -> (Proxy, Bed) {
    let proxy = Proxy::to(server().await.port()).await;
    let bed = Bed::at(&proxy.address, Duration::from_secs(2));
    (proxy, bed)
}

#[tokio::test]
async fn a_lost_answer_is_recognised_as_our_own_write() {
    let (proxy, Bed { store, .. }) = &bed().await;
    for (number, fault) in [Fault::LoseAnswer, Fault::HoldAnswer].into_iter().enumerate() {
        proxy.fault(fault);
        let credential = name(&format!("lost-{number}"));
        let claimed = store.write_record(&credential, &record(None), KvVersion(0)).await;
        assert_eq!(claimed.unwrap(), KvVersion(1), "{fault:?}");

        let place = place(&format!("secret/app/lost-{number}#key"));
        let entry = store.read_entry(&place.path).await.unwrap();
        let published = store.publish(&place, &entry, &secret("new").into(), &stamp(1)).await;
        assert_eq!(published.unwrap(), KvVersion(1), "{fault:?}");
    }
    assert_eq!(proxy.seen("POST /v1/secret/data/"), 4, "a write was sent again");
}

#[tokio::test]
async fn a_write_that_did_not_arrive_stays_unclear_and_may_be_tried_again() {
    let (proxy, Bed { store, .. }) = &bed().await;
    let credential = name("vanished");
    store.record_version(&credential).await.unwrap();
    proxy.fault(Fault::LoseRequest);
    let write = store.write_record(&credential, &record(None), KvVersion(0)).await;
    assert!(matches!(write, Err(WriteError::Unclear(Error::Unavailable { .. }))), "{write:?}");
    proxy.fault(Fault::Pass);
    assert_eq!(store.write_record(&credential, &record(None), KvVersion(0)).await.unwrap(), KvVersion(1));
}

#[tokio::test]
async fn a_lost_write_that_somebody_else_overtook_is_a_conflict() {
    let (proxy, Bed { store, .. }) = &bed().await;
    let place = place("secret/app/overtaken#key");
    let entry = store.read_entry(&place.path).await.unwrap();
    server().await.put("secret/app/overtaken", &json!({ "key": "theirs" })).await.unwrap();
    proxy.fault(Fault::LoseRequest);
    let write = store.publish(&place, &entry, &secret("ours").into(), &stamp(1)).await;
    assert!(matches!(write, Err(WriteError::Conflict)), "{write:?}");
}

#[tokio::test]
async fn answers_to_a_write_are_classed_by_what_they_say_about_it() {
    let (proxy, Bed { store, .. }) = &bed().await;
    let credential = name("classes");
    store.write_record(&credential, &record(None), KvVersion(0)).await.unwrap();
    let write = async |answer| {
        proxy.fault(Fault::Forge(answer));
        store.write_record(&credential, &record(None), KvVersion(1)).await.unwrap_err()
    };

    let no_leader = write(concat!(
        "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n",
        r#"{"errors":["local node not active but active cluster node not found"]}"#
    ));
    assert!(matches!(no_leader.await, WriteError::Unclear(Error::Standby)));

    let limited =
        write("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    let WriteError::NotWritten(Error::RateLimited { retry_after }) = limited else { panic!("{limited:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let limited = write("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(limited, WriteError::NotWritten(Error::RateLimited { retry_after: None })));

    let standby =
        write("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other/\r\ncontent-length: 0\r\n\r\n");
    assert!(matches!(standby.await, WriteError::NotWritten(Error::Standby)));
    let sealed = write(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"errors\":[\"Vault is sealed\"]}",
    );
    assert!(matches!(sealed.await, WriteError::NotWritten(Error::Sealed)));
    let cut = write("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"data\":");
    assert!(matches!(cut.await, WriteError::Unclear(Error::Unavailable { .. })));
}
