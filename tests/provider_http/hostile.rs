//! Servers that hang, cut, redirect, overflow and reset: always one request, always the right outcome.

use std::time::Duration;

use keyturn::provider::{
    Binding, Catalog, Error, HttpProvider, Probe, Provider, Reading, Response, Transport, TransportOptions,
    bind,
};
use keyturn::rotation::{Doubt, Outcome};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::server::{Behaviour, Server, answer};
use super::{PUBLICSQUARE, StoppedClock, binding, is, name_of, provider, rotation, secret, signer};

pub(super) const SUCCESS: &str = r#"{"key":"canary-NEW"}"#;

async fn call(base: String, timeout: Duration) -> Response {
    let bound = Binding { call_timeout: timeout, ..binding(base, PUBLICSQUARE) };
    provider("publicsquare/api-key", bound)
        .regenerate(rotation().into(), signer(&secret("canary-OLD"), &[]))
        .await
}

/// One call against a server that behaves like this: its outcome, and the proof that there was one request.
async fn outcome_of(behaviour: Behaviour, timeout: Duration) -> Response {
    let mut server = Server::start(behaviour.clone()).await;
    let response = call(format!("http://127.0.0.1:{}", server.port), timeout).await;
    let posts = server.requests().len();
    let expected = usize::from(!matches!(behaviour, Behaviour::ResetAtOnce));
    assert_eq!((posts, server.connections()), (expected, 1), "{behaviour:?}");
    let shown = format!("{response:?}");
    assert!(!shown.contains("canary"), "{shown}");
    response
}

pub(super) const LONG: Duration = Duration::from_secs(20);
pub(super) const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn one_request_is_made_whatever_the_server_does() {
    let cut = answer(200, "", SUCCESS).strip_suffix("W\"}").unwrap().to_owned();
    let head_only = "HTTP/1.1 200 OK\r\ncontent-le".to_owned();
    let large = format!(r#"{{"key":"{}"}}"#, "x".repeat(100_000));
    let endless_chunk =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n{}", "x".repeat(100_000));
    let cases = [
        (Behaviour::Answer(answer(200, "", SUCCESS)), LONG, "APPLIED"),
        (Behaviour::AnswerAndClose(answer(200, "", SUCCESS)), LONG, "APPLIED"),
        (Behaviour::Answer(answer(204, "", "")), LONG, "APPLIED_WITHOUT_VALUE"),
        (Behaviour::Answer(answer(409, "", "{}")), LONG, "PROVIDER_IN_PROGRESS"),
        (Behaviour::Answer(answer(500, "", "canary")), LONG, "ANSWER_STATUS"),
        (Behaviour::Answer(answer(200, "", "canary")), LONG, "ANSWER_UNREADABLE"),
        (Behaviour::Answer(answer(200, "", &large)), LONG, "ANSWER_UNREADABLE"),
        (Behaviour::AnswerAndHang(endless_chunk), LONG, "ANSWER_UNREADABLE"),
        (Behaviour::AnswerAndClose(cut.clone()), LONG, "ANSWER_UNREADABLE"),
        (Behaviour::AnswerAndHang(cut), SHORT, "ANSWER_UNREADABLE"),
        (Behaviour::AnswerAndClose(head_only.clone()), LONG, "ANSWER_CONNECTION_LOST"),
        (Behaviour::AnswerAndHang(head_only), SHORT, "ANSWER_TIMEOUT"),
        (Behaviour::AnswerAndHang(String::new()), SHORT, "ANSWER_TIMEOUT"),
        (Behaviour::AnswerAndClose("not http at all\r\n\r\n".into()), LONG, "ANSWER_CONNECTION_LOST"),
        (Behaviour::ResetAtOnce, LONG, "ANSWER_CONNECTION_LOST"),
    ];
    let all = cases.into_iter().map(async |(behaviour, timeout, expected)| {
        let response = outcome_of(behaviour.clone(), timeout).await;
        assert_eq!(name_of(&response.outcome), expected, "{behaviour:?}");
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn what_came_of_a_cut_answer_is_kept_for_a_person() {
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{SUCCESS}");
    let response = outcome_of(Behaviour::AnswerAndClose(cut), LONG).await;
    assert!(is(&response.residue.unwrap(), SUCCESS));
}

#[tokio::test]
async fn no_connection_is_used_twice() {
    let mut server = Server::answering(200, SUCCESS).await;
    let bound = binding(format!("http://127.0.0.1:{}", server.port), PUBLICSQUARE);
    let provider = provider("publicsquare/api-key", bound);
    for _ in 0..3 {
        provider.regenerate(rotation().into(), signer(&secret("old"), &[])).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn a_connection_that_never_came_about_is_certainly_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = call(format!("http://127.0.0.1:{port}"), LONG).await;
    let plain = Server::start(Behaviour::SpeakAtOnce(answer(400, "", "{}"))).await;
    let not_tls = call(format!("https://127.0.0.1:{}", plain.port), LONG).await;
    let reset = Server::start(Behaviour::ResetAtOnce).await;
    let reset_in_tls = call(format!("https://127.0.0.1:{}", reset.port), LONG).await;
    let silent = Server::answering(200, SUCCESS).await;
    let silent_in_tls = call(format!("https://127.0.0.1:{}", silent.port), LONG).await;
    for response in [refused, not_tls, reset_in_tls, silent_in_tls] {
        let Outcome::NotApplied(refusal) = response.outcome else { panic!("{response:?}") };
        assert_eq!(refusal.class.code(), "PROVIDER_UNREACHABLE");
        let title = refusal.problem.title.unwrap();
        assert!(title.starts_with("cannot connect to 127.0.0.1:"), "{title}");
        assert!(!title.contains("api-keys"), "{title}");
    }
}

#[tokio::test]
async fn reads_and_probes_say_that_they_could_not_ask() {
    for behaviour in [
        Behaviour::AnswerAndClose(String::new()),
        Behaviour::ResetAtOnce,
        Behaviour::Answer(answer(302, "location: /elsewhere\r\n", "")),
        Behaviour::Answer(answer(503, "", "")),
    ] {
        let server = Server::start(behaviour.clone()).await;
        let bound = binding(format!("http://127.0.0.1:{}", server.port), PUBLICSQUARE);
        let provider = provider("publicsquare/api-key", bound);
        let key = secret("key");
        let reading = provider.read(None, signer(&key, &[])).await;
        assert!(matches!(reading, Reading::Unavailable(_)), "{behaviour:?}: {reading:?}");
        let probe = provider.probe(&key, &[]).await;
        assert!(matches!(probe, Probe::Unavailable(_)), "{behaviour:?}: {probe:?}");
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn errors_show_members_and_never_a_repeated_secret() {
    let body = r#"{"type":"t","title":"bad key canary-OLD","detail":"no","errors":{"id":["canary-OLD"]}}"#;
    let response = outcome_of(Behaviour::Answer(answer(500, "", body)), LONG).await;
    let Outcome::Unknown(Doubt::Status { problem }) = response.outcome else { panic!("{response:?}") };
    assert_eq!(problem.to_string(), "HTTP 500, t, [left out: it repeats a secret], no, invalid fields: id");
}

#[test]
fn a_connect_that_may_take_as_long_as_the_call_is_refused() {
    let bound = binding("https://127.0.0.1:1".into(), PUBLICSQUARE);
    let bound = bind(Catalog::embedded().get("publicsquare/api-key").unwrap(), bound).unwrap();
    let options = TransportOptions { connect_timeout: LONG, ..TransportOptions::default() };
    let refused = HttpProvider::new(bound, StoppedClock, Transport::new(&options).unwrap()).unwrap_err();
    assert!(matches!(refused, Error::ConnectTimeout), "{refused}");
}

/// Everything is logged here that any library on the way would log, by the other tests of this binary too: a
/// subscriber of one thread alone would miss events that another thread saw first.
#[tokio::test]
async fn no_log_line_shows_a_secret() {
    let (lines, mut logged) = mpsc::unbounded_channel();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Lines(lines.clone()))
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for behaviour in [
        Behaviour::Answer(answer(200, "", SUCCESS)),
        Behaviour::Answer(answer(401, "", r#"{"title":"canary-OLD"}"#)),
        Behaviour::Answer(answer(200, "", "canary-NEW")),
        Behaviour::AnswerAndClose(String::new()),
    ] {
        outcome_of(behaviour, LONG).await;
    }
    let text: Vec<u8> = std::iter::from_fn(|| logged.try_recv().ok()).flatten().collect();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("called the provider") && text.contains("status"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

struct Lines(mpsc::UnboundedSender<Vec<u8>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn only_a_real_certificate_authority_is_taken() {
    let with = |pem: &[u8]| {
        Transport::new(&TransportOptions { extra_ca_pem: vec![pem.to_vec()], ..TransportOptions::default() })
    };
    let own = rcgen::generate_simple_self_signed(["provider.internal".to_owned()]).unwrap();
    assert!(with(own.cert.pem().as_bytes()).is_ok());
    for bad in [&b""[..], b"not a certificate"] {
        let error = with(bad).unwrap_err();
        assert!(matches!(error, Error::CertificateAuthority { number: 1, .. }), "{error:?}");
        assert_eq!(error.code(), "PROVIDER_CA_INVALID");
    }
}
