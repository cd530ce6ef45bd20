//! Whatever makes HTTP stacks send a request again: here one call is one POST, and its outcome is the right one.

use std::time::Duration;

use keyturn::provider::{Binding, HttpProvider, Provider, Reading, Transport, TransportOptions};
use keyturn::rotation::Outcome;

use super::hostile::{LONG, SHORT, SUCCESS};
use super::server::{Behaviour, Secure, Server, answer};
use super::{
    PUBLICSQUARE, StoppedClock, binding, is, name_of, provider, provider_over, rotation, secret, signer,
};

/// HTTP/2 frames, which begin with a length of three bytes and a type: SETTINGS, GOAWAY that has seen no stream,
/// RST_STREAM with REFUSED_STREAM. The latter two say "not processed, send it again".
const SETTINGS: &str = "\0\0\0\x04\0\0\0\0\0";
const GOAWAY: &str = "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
const REFUSED_STREAM: &str = "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07";

/// Each way: its name, what the server does, how long the call may take, and what it came to.
fn ways() -> Vec<(&'static str, Behaviour, Duration, &'static str)> {
    use Behaviour::{Answer, AnswerAndClose, AnswerAndHalfClose, AnswerAndHang, ResetAfterRequest};
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let success = || answer(200, "", SUCCESS);
    let elsewhere = |status| Answer(answer(status, "location: /elsewhere\r\n", ""));
    let later = |status| Answer(answer(status, "retry-after: 0\r\n", ""));
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
    vec![
        ("301 to another place", elsewhere(301), LONG, "ANSWER_STATUS"),
        ("302 to another place", elsewhere(302), LONG, "ANSWER_STATUS"),
        ("303 to another place", elsewhere(303), LONG, "ANSWER_STATUS"),
        ("307 to another place", elsewhere(307), LONG, "ANSWER_STATUS"),
        ("308 to another place", elsewhere(308), LONG, "ANSWER_STATUS"),
        (
            "401 with a challenge",
            Answer(answer(401, "www-authenticate: Basic realm=\"a\"\r\n", "")),
            LONG,
            "PROVIDER_UNAUTHENTICATED",
        ),
        (
            "407 of a proxy",
            Answer(answer(407, "proxy-authenticate: Basic realm=\"a\"\r\n", "")),
            LONG,
            "PROVIDER_INVALID_REQUEST",
        ),
        ("408 and closed", AnswerAndClose(answer(408, "connection: close\r\n", "")), LONG, "ANSWER_STATUS"),
        ("421 misdirected", Answer(answer(421, "", "")), LONG, "PROVIDER_INVALID_REQUEST"),
        ("425 too early", Answer(answer(425, "", "")), LONG, "PROVIDER_INVALID_REQUEST"),
        ("429 with retry-after", later(429), LONG, "PROVIDER_RATE_LIMITED"),
        ("502 of a proxy", Answer(answer(502, "", "")), LONG, "ANSWER_STATUS"),
        ("503 with retry-after", later(503), LONG, "ANSWER_STATUS"),
        (
            "503 of a mesh that overflows",
            Answer(answer(503, "x-envoy-overloaded: true\r\n", "")),
            LONG,
            "ANSWER_STATUS",
        ),
        ("504 of a proxy", Answer(answer(504, "", "")), LONG, "ANSWER_STATUS"),
        ("100 and the answer", Answer(format!("{go_on}{}", success())), LONG, "APPLIED"),
        ("100, closed", AnswerAndClose(go_on.into()), LONG, "ANSWER_CONNECTION_LOST"),
        ("100, and silence", AnswerAndHang(go_on.into()), SHORT, "ANSWER_TIMEOUT"),
        ("103 and the answer", Answer(format!("{hints}{}", success())), LONG, "APPLIED"),
        (
            "closed after the request's last byte",
            AnswerAndClose(String::new()),
            LONG,
            "ANSWER_CONNECTION_LOST",
        ),
        ("reset after the request's last byte", ResetAfterRequest, LONG, "ANSWER_CONNECTION_LOST"),
        ("half closed without an answer", AnswerAndHalfClose(String::new()), LONG, "ANSWER_CONNECTION_LOST"),
        ("half closed after the answer", AnswerAndHalfClose(success()), LONG, "APPLIED"),
        ("an upgrade that nobody asked for", AnswerAndHang(upgrade.into()), SHORT, "ANSWER_STATUS"),
        ("HTTP/2: GOAWAY", AnswerAndClose(format!("{SETTINGS}{GOAWAY}")), LONG, "ANSWER_CONNECTION_LOST"),
        (
            "HTTP/2: REFUSED_STREAM",
            AnswerAndHang(format!("{SETTINGS}{REFUSED_STREAM}")),
            LONG,
            "ANSWER_CONNECTION_LOST",
        ),
    ]
}

async fn call(provider: &HttpProvider<StoppedClock>) -> Outcome<keyturn::provider::Answer> {
    provider.regenerate(rotation().into(), signer(&secret("canary-OLD"), &[])).await.outcome
}

fn transport_to(secure: &Secure) -> Transport {
    let extra_ca_pem = vec![secure.authority_pem.clone().into_bytes()];
    Transport::new(&TransportOptions { extra_ca_pem, ..TransportOptions::default() }).unwrap()
}

fn within(timeout: Duration, base: String) -> Binding {
    Binding { call_timeout: timeout, ..binding(base, PUBLICSQUARE) }
}

#[tokio::test]
async fn whatever_makes_others_send_again_one_post_arrives() {
    let mut calls = Vec::new();
    for (way, behaviour, timeout, expected) in ways() {
        let server = Server::start(behaviour).await;
        let base = format!("http://127.0.0.1:{}", server.port);
        calls.push((way, server, provider("publicsquare/api-key", within(timeout, base)), expected));
    }
    // All are ready before the first call's time begins to run.
    let all = calls.into_iter().map(async |(way, mut server, provider, expected)| {
        let outcome = call(&provider).await;
        assert_eq!(name_of(&outcome), expected, "{way}");
        let requests = server.requests();
        assert_eq!((requests.len(), server.connections()), (1, 1), "{way}: {requests:?}");
        assert!(requests[0].starts_with("POST "), "{way}: {requests:?}");
        if let Outcome::NotApplied(refusal) = outcome {
            let asked = (expected == "PROVIDER_RATE_LIMITED").then_some(Duration::ZERO);
            assert_eq!(refusal.retry_after, asked, "{way}");
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn over_tls_too_where_the_server_would_rather_speak_http_2() {
    let secure = Secure::offering(&["h2", "http/1.1"]);
    let transport = transport_to(&secure);
    let mut calls = Vec::new();
    for (way, behaviour, timeout, expected) in ways() {
        if timeout < LONG {
            continue;
        }
        let server = Server::start_secure(behaviour, &secure).await;
        let base = format!("https://127.0.0.1:{}", server.port);
        let provider = provider_over(&transport, "publicsquare/api-key", within(timeout, base));
        calls.push((way, server, provider, expected));
    }
    let all = calls.into_iter().map(async |(way, mut server, provider, expected)| {
        assert_eq!(name_of(&call(&provider).await), expected, "{way}");
        assert_eq!(server.protocols(), ["http/1.1"], "{way}");
        assert_eq!((server.requests().len(), server.connections()), (1, 1), "{way}");
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn a_server_that_speaks_http_2_alone_is_never_asked() {
    let secure = Secure::offering(&["h2"]);
    let mut server = Server::start_secure(Behaviour::Answer(answer(200, "", SUCCESS)), &secure).await;
    let base = format!("https://127.0.0.1:{}", server.port);
    let transport = transport_to(&secure);
    let outcome = call(&provider_over(&transport, "publicsquare/api-key", within(LONG, base))).await;
    assert_eq!(name_of(&outcome), "PROVIDER_UNREACHABLE");
    assert_eq!((server.requests().len(), server.connections()), (0, 1));
}

#[tokio::test]
async fn a_kept_connection_that_dies_is_never_the_way_of_the_post() {
    let mut server = Server::start(Behaviour::ResetWhenReused(answer(
        200,
        "connection: keep-alive\r\nkeep-alive: timeout=60\r\n",
        SUCCESS,
    )))
    .await;
    let provider =
        provider("publicsquare/api-key", within(LONG, format!("http://127.0.0.1:{}", server.port)));
    let old = secret("canary-OLD");
    let Reading::Value(read) = provider.read(None, signer(&old, &[])).await else {
        panic!("nothing was read")
    };
    assert!(is(&read.secret, "canary-NEW"));
    assert_eq!(name_of(&call(&provider).await), "APPLIED");
    assert!(matches!(provider.read(None, signer(&old, &[])).await, Reading::Value(_)));
    let methods: Vec<_> =
        server.requests().iter().map(|request| request.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["GET", "POST", "GET"]);
    assert_eq!(server.connections(), 3);
}
