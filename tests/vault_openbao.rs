//! The throw-away OpenBao itself: what the demo and every other test stand on.

use keyturn::testbed::openbao::{OpenBao, Options};
use serde_json::json;

fn options() -> Options {
    Options::in_directory(concat!(env!("CARGO_TARGET_TMPDIR"), "/.."))
}

#[tokio::test]
async fn a_server_in_memory_seals_unseals_and_keeps_its_data() {
    let server = OpenBao::start(options()).await.unwrap();
    assert_eq!(server.put("secret/a", &json!({ "k": "v" })).await.unwrap(), 1);
    server.seal().await.unwrap();
    assert_eq!(server.request("GET", "secret/data/a", None).await.unwrap().status, 503);
    server.unseal().await.unwrap();
    assert_eq!(server.get("secret/a").await.unwrap(), Some((json!({ "k": "v" }), 1)));
}

#[tokio::test]
async fn a_persistent_server_comes_back_from_a_kill_with_its_data() {
    let mut server = OpenBao::start(Options { persistent: true, ..options() }).await.unwrap();
    assert_eq!(server.put("secret/a", &json!({ "k": "v" })).await.unwrap(), 1);
    server.kill();
    assert!(server.request("GET", "secret/data/a", None).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(server.get("secret/a").await.unwrap(), Some((json!({ "k": "v" }), 1)));
}

#[tokio::test]
async fn a_server_with_tls_is_trusted_through_its_own_authority() {
    let server = OpenBao::start(Options { tls: true, ..options() }).await.unwrap();
    assert!(server.address().starts_with("https://"));
    assert_eq!(server.put("secret/a", &json!({ "k": "v" })).await.unwrap(), 1);
}
