//! Keys that live side by side: what is asked and what is believed when the other side behaves badly.

use keyturn::ids::KeyId;
use keyturn::provider::{Binding, Listing, Provider, Revoking};

use super::server::{Behaviour, Server, answer};
use super::{StoppedClock, binding, provider, rotation, secret, signer};
use keyturn::provider::HttpProvider;

const SENDGRID: &[(&str, &str)] = &[("label", "keyturn"), ("scopes", "mail.send")];
const PUBLICSQUARE: &[(&str, &str)] = &[("label", "keyturn"), ("permissions", "business:read")];

fn at(server: &Server, name: &str, params: &[(&str, &str)]) -> HttpProvider<StoppedClock> {
    provider(name, binding(format!("http://127.0.0.1:{}", server.port), params))
}

fn key(id: &str) -> KeyId {
    id.parse().unwrap()
}

async fn listed(server: &Server, name: &str, params: &[(&str, &str)]) -> Listing {
    let main = secret("SIGNER");
    at(server, name, params).list(signer(&main, &[])).await
}

#[tokio::test]
async fn a_list_without_an_end_is_left_after_a_hundred_pages() {
    let server = Server::answering(200, r#"{"data":[{"id":"key_1","name":"by hand"}]}"#).await;
    let listing = listed(&server, "publicsquare/restricted-key", PUBLICSQUARE).await;
    assert!(
        matches!(&listing, Listing::Unavailable(problem) if problem.to_string().contains("no end")),
        "{listing:?}"
    );
    assert_eq!(server.connections(), 100);
}

#[tokio::test]
async fn every_page_is_asked_for_by_its_number_until_one_is_empty() {
    let mut server = Server::answering(200, r#"{"data":[]}"#).await;
    let listing = listed(&server, "publicsquare/restricted-key", PUBLICSQUARE).await;
    assert!(matches!(&listing, Listing::Keys(keys) if keys.is_empty()), "{listing:?}");
    let requests = server.requests();
    assert!(
        requests[0].starts_with("GET /api-keys?page=1&size=100&type=restricted HTTP/1.1"),
        "{requests:?}"
    );
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn a_list_that_is_cut_or_too_large_shows_nothing() {
    let key = format!(r#"{{"api_key_id":"k1","name":"keyturn {}"}}"#, rotation());
    let whole = format!(r#"{{"result":[{key}]}}"#);
    let cut = answer(200, "", &whole).replace(&whole, whole.trim_end_matches("]}"));
    let huge = answer(200, "", &format!(r#"{{"result":[{key}],"more":"{}"}}"#, "x".repeat(1024 * 1024)));
    for behaviour in [Behaviour::AnswerAndClose(cut), Behaviour::Answer(huge)] {
        let server = Server::start(behaviour).await;
        let listing = listed(&server, "sendgrid/api-key", SENDGRID).await;
        assert!(matches!(listing, Listing::Unavailable(_)), "{listing:?}");
    }
    let server = Server::answering(200, &whole).await;
    let listing = listed(&server, "sendgrid/api-key", SENDGRID).await;
    assert!(matches!(&listing, Listing::Keys(keys) if keys.len() == 1), "{listing:?}");
}

#[tokio::test]
async fn an_id_never_leads_a_request_elsewhere() {
    let main = secret("SIGNER");
    let mut server = Server::answering(204, "").await;
    let provider = at(&server, "sendgrid/api-key", SENDGRID);
    for id in ["..", "."] {
        let revoking = provider.revoke(&key(id), signer(&main, &[])).await;
        assert!(matches!(revoking, Revoking::Refused(_)), "{id}: {revoking:?}");
    }
    assert_eq!(server.connections(), 0);
    for id in ["../../scopes", "k1?all=1", "k1#x", "%2e%2e", "a;b@c"] {
        let revoking = provider.revoke(&key(id), signer(&main, &[])).await;
        assert!(matches!(revoking, Revoking::Revoked), "{id}: {revoking:?}");
        let [request] = &server.requests()[..] else { panic!("not one request") };
        let target = request.split(' ').nth(1).unwrap();
        let segment = target.strip_prefix("/v3/api_keys/").unwrap();
        assert!(!segment.contains(['/', '?', '#']) && segment != "..", "{target}");
    }
}

#[tokio::test]
async fn a_revocation_of_several_requests_stops_at_the_first_that_is_refused() {
    let main = secret("SIGNER");
    let params = [("domain", "acme.okta.com"), ("app_id", "0oa1")];
    let okta = |server: &Server| {
        let local = format!("http://127.0.0.1:{}", server.port);
        provider("okta/client-secret", Binding { ..binding(local, &params[1..]) })
    };
    let mut server = Server::answering(403, "{}").await;
    let revoking = okta(&server).revoke(&key("ocs1"), signer(&main, &[])).await;
    assert!(matches!(revoking, Revoking::Refused(_)), "{revoking:?}");
    assert_eq!(server.requests().len(), 1);
    let mut server = Server::answering(404, "{}").await;
    let revoking = okta(&server).revoke(&key("ocs1"), signer(&main, &[])).await;
    assert!(matches!(revoking, Revoking::Revoked), "{revoking:?}");
    let requests = server.requests();
    assert!(requests[0].starts_with("POST ") && requests[1].starts_with("DELETE "), "{requests:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_says_nothing_of_a_key() {
    let main = secret("SIGNER");
    let server = Server::start(Behaviour::ResetAfterRequest).await;
    let revoking = at(&server, "sendgrid/api-key", SENDGRID).revoke(&key("k1"), signer(&main, &[])).await;
    assert!(matches!(revoking, Revoking::Unavailable(_)), "{revoking:?}");
    let listing = listed(&server, "sendgrid/api-key", SENDGRID).await;
    assert!(matches!(listing, Listing::Unavailable(_)), "{listing:?}");
    let server = Server::answering(500, r#"{"errors":[{"message":"key SIGNER failed"}]}"#).await;
    let revoking = at(&server, "sendgrid/api-key", SENDGRID).revoke(&key("k1"), signer(&main, &[])).await;
    assert!(!format!("{revoking:?}").contains("SIGNER"), "what was sent is shown");
}

#[tokio::test]
async fn a_definition_without_these_steps_has_none() {
    let main = secret("SIGNER");
    let server = Server::answering(200, "[]").await;
    let provider = at(&server, "publicsquare/api-key", super::PUBLICSQUARE);
    assert!(matches!(provider.list(signer(&main, &[])).await, Listing::Refused(_)));
    assert!(matches!(provider.revoke(&key("k1"), signer(&main, &[])).await, Revoking::Refused(_)));
    assert_eq!(server.connections(), 0);
}
