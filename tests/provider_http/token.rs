//! Access tokens: what is sent for one, how long it is kept, and that without one no call is made.

use std::time::Duration;

use keyturn::provider::definition::AuthScheme;
use keyturn::provider::{Binding, Definition, HttpProvider, Probe, Provider, Reading};
use keyturn::rotation::Outcome;

use super::server::{Behaviour, Server, answer};
use super::{StoppedClock, binding, name_of, provider_of, rotation, secret, signer};

const DEFINITION: &str = r#"
name: example/client-secret
title: Example
environments: { live: "https://api.example.com" }
default_environment: live
params: { client: { description: the client } }
auth:
  - oauth2:
      path: /oauth/token
      client_id: "{client}"
      parameters: { scope: keys }
  - header: { name: X-Key }
extra_secrets: { pin: { description: a further one, header: X-Pin } }
self: possible
regenerate: { path: "/clients/{client}/rotate" }
answer: { secret: /secret }
read: { path: "/clients/{client}", secret: /secret, lag: 1s }
probe: { path: /me }
"#;

const TOKEN: &str = r#"{"access_token":"canary-token","token_type":"Bearer","expires_in":3600}"#;

/// The provider at one server, its tokens at another.
fn client(
    api: &Server,
    tokens: &Server,
    post: bool,
    binding_of: impl Fn(Binding) -> Binding,
) -> HttpProvider<StoppedClock> {
    let where_stated = if post { "client_auth: post" } else { "client_auth: basic" };
    let yaml = DEFINITION.replace("path: /oauth/token", &format!("path: /oauth/token\n      {where_stated}"));
    let mut definition = Definition::parse(&yaml).unwrap();
    if let AuthScheme::Oauth2(oauth2) = &mut definition.auth[0] {
        oauth2.base_url = Some(format!("http://127.0.0.1:{}/login", tokens.port));
    }
    let base = format!("http://127.0.0.1:{}", api.port);
    let bound = Binding { extra_secrets: vec!["pin".into()], ..binding(base, &[("client", "a b")]) };
    provider_of(&definition, binding_of(bound))
}

fn extra() -> Vec<(String, keyturn::secret::SecretValue)> {
    vec![("pin".to_owned(), secret("canary-pin"))]
}

/// The requests with their headers sorted, without what differs from run to run.
fn shown(requests: Vec<String>) -> String {
    let requests = requests.into_iter().map(|request| {
        let request = request.to_lowercase();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let (first, headers) = head.split_once("\r\n").unwrap();
        let mut headers: Vec<&str> = headers.lines().collect();
        headers.retain(|line| !line.starts_with("host: ") && !line.starts_with("user-agent: "));
        headers.sort_unstable();
        format!("{first}\n{}\n\n{body}", headers.join("\n"))
    });
    requests.collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_signs_every_call_until_its_end() {
    let mut api = Server::answering(200, r#"{"secret":"NEW"}"#).await;
    let mut tokens = Server::answering(200, TOKEN).await;
    let provider = client(&api, &tokens, false, |bound| bound);
    let (main, extra) = (secret("s/cret"), extra());
    let reading = provider.read(None, signer(&main, &extra)).await;
    assert!(matches!(reading, Reading::Value(_)), "{reading:?}");
    let response = provider.regenerate(rotation().into(), signer(&main, &extra)).await;
    assert!(matches!(response.outcome, Outcome::Applied(_)), "{response:?}");
    assert_eq!(
        shown(tokens.requests()),
        "post /login/oauth/token http/1.1\naccept: application/json\n\
         authorization: basic ysuymgi6cyuyrmnyzxq=\ncontent-length: 40\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&scope=keys"
    );
    assert_eq!(
        shown(api.requests()),
        "get /clients/a%20b http/1.1\naccept: application/json\nauthorization: bearer canary-token\n\
         x-pin: canary-pin\n\n\n---\n\
         post /clients/a%20b/rotate http/1.1\naccept: application/json\n\
         authorization: bearer canary-token\ncontent-length: 0\nx-pin: canary-pin\n\n"
    );
    provider.read(None, signer(&secret("another"), &extra)).await;
    assert_eq!(tokens.requests().len(), 1, "a token is of one secret");
}

#[tokio::test]
async fn a_client_is_named_in_the_form_where_the_definition_says_so() {
    let api = Server::answering(200, r#"{"secret":"NEW"}"#).await;
    let mut tokens = Server::answering(200, TOKEN).await;
    let provider = client(&api, &tokens, true, |bound| bound);
    provider.regenerate(rotation().into(), signer(&secret("s/cret"), &extra())).await;
    let request = shown(tokens.requests());
    let form = "grant_type=client_credentials&scope=keys&client_id=a%20b&client_secret=s%2fcret";
    assert!(request.ends_with(form) && !request.contains("authorization"), "{request}");
    assert!(!request.contains("canary"), "{request}");
}

#[tokio::test]
async fn without_a_token_no_call_is_made() {
    let cases = [
        (Behaviour::Answer(answer(401, "", r#"{"error":"invalid_client"}"#)), "PROVIDER_UNAUTHENTICATED"),
        (Behaviour::Answer(answer(400, "", r#"{"error":"invalid_client"}"#)), "PROVIDER_UNAUTHENTICATED"),
        (
            Behaviour::Answer(answer(
                400,
                "",
                r#"{"error":"invalid_scope","error_description":"canary-old"}"#,
            )),
            "PROVIDER_INVALID_REQUEST",
        ),
        (Behaviour::Answer(answer(429, "retry-after: 7\r\n", "{}")), "PROVIDER_RATE_LIMITED"),
        (Behaviour::Answer(answer(503, "", "")), "PROVIDER_UNREACHABLE"),
        (Behaviour::Answer(answer(302, "location: /elsewhere\r\n", "")), "PROVIDER_UNREACHABLE"),
        (Behaviour::Answer(answer(200, "", "{}")), "PROVIDER_INVALID_REQUEST"),
        (Behaviour::Answer(answer(200, "", "canary")), "PROVIDER_INVALID_REQUEST"),
        (
            Behaviour::AnswerAndClose(format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{TOKEN}")),
            "PROVIDER_UNREACHABLE",
        ),
        (Behaviour::ResetAfterRequest, "PROVIDER_UNREACHABLE"),
        (Behaviour::ResetAtOnce, "PROVIDER_UNREACHABLE"),
        (Behaviour::AnswerAndHang(String::new()), "PROVIDER_UNREACHABLE"),
    ];
    for (behaviour, expected) in cases {
        let api = Server::answering(200, r#"{"secret":"NEW"}"#).await;
        let tokens = Server::start(behaviour.clone()).await;
        let hurried = |bound| Binding { call_timeout: Duration::from_secs(3), ..bound };
        let provider = client(&api, &tokens, false, hurried);
        let response = provider.regenerate(rotation().into(), signer(&secret("canary-old"), &extra())).await;
        assert_eq!(name_of(&response.outcome), expected, "{behaviour:?}");
        let shown = format!("{response:?}");
        assert!(!shown.contains("canary") && shown.contains("no access token"), "{shown}");
        assert_eq!((api.connections(), tokens.connections()), (0, 1), "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_nearly_over_or_no_longer_accepted_is_not_used_again() {
    let asked_for = async |token: &str, status: u16| {
        let api = Server::answering(status, "{}").await;
        let mut tokens = Server::answering(200, token).await;
        let provider = client(&api, &tokens, false, |bound| bound);
        let (main, extra) = (secret("s"), extra());
        for _ in 0..2 {
            provider.read(None, signer(&main, &extra)).await;
        }
        tokens.requests().len()
    };
    assert_eq!(asked_for(TOKEN, 200).await, 1);
    assert_eq!(asked_for(r#"{"access_token":"t","expires_in":"3600"}"#, 200).await, 1);
    assert_eq!(asked_for(r#"{"access_token":"t","expires_in":30}"#, 200).await, 2);
    assert_eq!(asked_for(r#"{"access_token":"t"}"#, 200).await, 2);
    assert_eq!(asked_for(TOKEN, 401).await, 2);
}

#[tokio::test]
async fn a_probe_asks_for_a_token_of_its_own() {
    let api = Server::answering(200, "{}").await;
    let mut tokens = Server::answering(200, TOKEN).await;
    let provider = client(&api, &tokens, false, |bound| bound);
    for _ in 0..2 {
        assert_eq!(provider.probe(&secret("NEW"), &extra()).await, Probe::Accepted);
    }
    assert_eq!(tokens.requests().len(), 2);

    let tokens = Server::answering(401, r#"{"error":"invalid_client"}"#).await;
    let provider = client(&api, &tokens, false, |bound| bound);
    assert!(matches!(provider.probe(&secret("NEW"), &extra()).await, Probe::NotAccepted(_)));
    let tokens = Server::answering(503, "").await;
    let provider = client(&api, &tokens, false, |bound| bound);
    assert!(matches!(provider.probe(&secret("NEW"), &extra()).await, Probe::Unavailable(_)));
}
