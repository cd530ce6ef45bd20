//! Looking whether a provider can be reached: TCP and TLS, and not one byte of HTTP.

use std::time::Duration;

use keyturn::provider::{KnownBy, reach};
use tokio::net::TcpListener;

use super::hostile::SUCCESS;
use super::server::{Behaviour, Secure, Server, answer};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_look_at_the_way_says_who_vouches_for_the_provider_and_asks_nothing() {
    let secure = Secure::offering(&["h2", "http/1.1"]);
    let mut server = Server::start_secure(Behaviour::Answer(answer(200, "", SUCCESS)), &secure).await;
    let url = format!("https://127.0.0.1:{}", server.port).parse().unwrap();
    assert_eq!(reach(&url, Some(&secure.authority_pem), LIMIT).await, Ok(KnownBy::OwnAuthority));
    let stranger = reach(&url, None, LIMIT).await.unwrap_err();
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    assert!(server.requests().is_empty());

    let mut plain = Server::start(Behaviour::Answer(answer(200, "", SUCCESS))).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}", plain.port).parse().unwrap();
        assert_eq!(reach(&url, None, LIMIT).await, Ok(KnownBy::Nothing));
    }
    assert!(plain.requests().is_empty());
}

#[tokio::test]
async fn a_way_that_ends_nowhere_is_said_within_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let waited = reach(&silent, None, Duration::from_millis(200)).await;
    assert_eq!(waited, Err("no answer in time".to_owned()));
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = reach(&format!("http://127.0.0.1:{port}").parse().unwrap(), None, LIMIT).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}
