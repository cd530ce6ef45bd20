//! What leaves on the wire, to the last header, for each of the embedded definitions.

use jiff::Timestamp;
use keyturn::provider::{Binding, Catalog, HttpProvider, Probe, Provider, Reading, bind};
use keyturn::rotation::Outcome;
use keyturn::testbed::fake::{FakeClock, SkewedClock};

use super::server::{Behaviour, Server, answer};
use super::{
    ADYEN_COMPANY, ADYEN_MERCHANT, PUBLICSQUARE, SPRITZ, TRANSPORT, binding, is, map, provider, rotation,
    secret, signer,
};

/// The one request that came, its headers sorted, without what differs from run to run.
fn only_request(server: &mut Server) -> String {
    let requests = server.requests();
    assert_eq!((requests.len(), server.connections()), (1, 1), "{requests:#?}");
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap();
    let mut headers: Vec<&str> = headers.lines().collect();
    headers.sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let agent = concat!("user-agent: keyturn/", env!("CARGO_PKG_VERSION"));
    assert!(headers.contains(&host.as_str()) && headers.contains(&agent), "{headers:#?}");
    headers.retain(|line| *line != host && *line != agent);
    format!("{first}\n{}\n\n{body}", headers.join("\n"))
}

#[tokio::test]
async fn adyen_client_key_is_regenerated_and_read_on_company_level() {
    let mut server = Server::answering(200, r#"{"clientKey":"test_NEW"}"#).await;
    let base = format!("http://127.0.0.1:{}/v3", server.port);
    let provider = provider("adyen/client-key", binding(base, ADYEN_COMPANY));
    let admin = secret("admin-key");
    let response = provider.regenerate(rotation().into(), signer(&admin, &[])).await;
    let Outcome::Applied(answer) = response.outcome else { panic!("{response:?}") };
    assert!(is(&answer.secret, "test_NEW"));
    assert_eq!(answer.previous_expires_at.unwrap().to_string(), "2023-11-15T22:13:20Z");
    assert_eq!(
        only_request(&mut server),
        "POST /v3/companies/Acme/apiCredentials/S2-6262224667/generateClientKey HTTP/1.1\n\
         accept: application/json\n\
         content-length: 0\n\
         idempotency-key: 019360f0-0000-7000-8000-000000000001\n\
         x-api-key: admin-key\n\n"
    );

    let mut server = Server::answering(200, r#"{"id":"S2","clientKey":"test_NEW","roles":[]}"#).await;
    let base = format!("http://127.0.0.1:{}/v3", server.port);
    let provider = super::provider("adyen/client-key", binding(base, ADYEN_COMPANY));
    let Reading::Value(answer) = provider.read(None, signer(&admin, &[])).await else { panic!("no value") };
    assert!(is(&answer.secret, "test_NEW"));
    assert_eq!(
        only_request(&mut server),
        "GET /v3/companies/Acme/apiCredentials/S2-6262224667 HTTP/1.1\n\
         accept: application/json\n\
         x-api-key: admin-key\n\n"
    );
}

#[tokio::test]
async fn adyen_api_key_is_regenerated_with_basic_on_merchant_level() {
    let mut server = Server::answering(200, r#"{"apiKey":"NEW"}"#).await;
    let base = format!("http://127.0.0.1:{}/v3", server.port);
    let mut with_basic = Binding { auth_scheme: Some("basic".into()), ..binding(base, ADYEN_MERCHANT) };
    with_basic.params.extend(map(&[("ws_user", "ws@Company.Acme")]));
    let provider = provider("adyen/api-key", with_basic);
    let response = provider.regenerate(rotation().into(), signer(&secret("password"), &[])).await;
    assert!(matches!(response.outcome, Outcome::Applied(_)), "{response:?}");
    assert_eq!(
        only_request(&mut server),
        "POST /v3/merchants/Shop/apiCredentials/S2-6262224667/generateApiKey HTTP/1.1\n\
         accept: application/json\n\
         authorization: Basic d3NAQ29tcGFueS5BY21lOnBhc3N3b3Jk\n\
         content-length: 0\n\
         idempotency-key: 019360f0-0000-7000-8000-000000000001\n\n"
    );
    provider.probe(&secret("NEW"), &[]).await;
    let probe = server.requests().concat();
    assert!(probe.contains("x-api-key: NEW") && !probe.contains("authorization"), "{probe}");
}

#[tokio::test]
async fn adyen_api_key_is_probed_with_the_new_key() {
    for (status, expected) in
        [(200, "accepted"), (401, "not accepted"), (403, "shows nothing"), (500, "shows nothing")]
    {
        let mut server = Server::answering(status, "{}").await;
        let base = format!("http://127.0.0.1:{}/v3", server.port);
        let provider = provider("adyen/api-key", binding(base, ADYEN_COMPANY));
        let shown = match provider.probe(&secret("NEW"), &[]).await {
            Probe::Accepted => "accepted",
            Probe::NotAccepted(_) => "not accepted",
            Probe::Unavailable(_) => "shows nothing",
        };
        assert_eq!(shown, expected, "{status}");
        assert_eq!(
            only_request(&mut server),
            "GET /v3/me HTTP/1.1\naccept: application/json\nx-api-key: NEW\n\n"
        );
    }
}

#[tokio::test]
async fn publicsquare_is_regenerated_revealed_and_probed() {
    let admin = secret("sk_admin");
    let at = |server: &Server| {
        let base = format!("http://127.0.0.1:{}", server.port);
        provider("publicsquare/api-key", binding(base, PUBLICSQUARE))
    };
    let mut server = Server::answering(200, r#"{"id":"key_1","key":"sk_NEW","name":"n"}"#).await;
    let response = at(&server).regenerate(rotation().into(), signer(&admin, &[])).await;
    let Outcome::Applied(answer) = response.outcome else { panic!("{response:?}") };
    assert!(is(&answer.secret, "sk_NEW") && answer.previous_expires_at.is_none());
    assert_eq!(
        only_request(&mut server),
        "POST /api-keys/key_7Ay5mcUXAxwrN6wQEQUVEHBCJ/regenerate HTTP/1.1\n\
         accept: application/json\n\
         content-length: 0\n\
         idempotency-key: 019360f0-0000-7000-8000-000000000001\n\
         x-api-key: sk_admin\n\n"
    );

    let mut server = Server::answering(200, r#"{"key":"sk_NEW"}"#).await;
    let reading = at(&server).read(None, signer(&admin, &[])).await;
    assert!(matches!(&reading, Reading::Value(answer) if is(&answer.secret, "sk_NEW")), "{reading:?}");
    assert_eq!(
        only_request(&mut server),
        "GET /api-keys/key_7Ay5mcUXAxwrN6wQEQUVEHBCJ/reveal HTTP/1.1\n\
         accept: application/json\n\
         x-api-key: sk_admin\n\n"
    );

    let mut server = Server::answering(200, "[]").await;
    assert_eq!(at(&server).probe(&secret("sk_NEW"), &[]).await, Probe::Accepted);
    assert_eq!(
        only_request(&mut server),
        "GET /permissions HTTP/1.1\naccept: application/json\nx-api-key: sk_NEW\n\n"
    );
}

#[tokio::test]
async fn spritz_is_regenerated_and_probed_with_signatures() {
    let old = secret("test-secret-key-12345");
    let mut server =
        Server::answering(200, r#"{"secret":"NEW","oldSecretExpiresAt":"2023-11-14T23:13:20.000Z"}"#).await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let with_user = Binding { extra_secrets: vec!["user_api_key".into()], ..binding(base, SPRITZ) };
    let provider = provider("spritz/integrator-secret", with_user);
    let extra = [("user_api_key".to_owned(), secret("user-key"))];
    let response = provider.regenerate(rotation().into(), signer(&old, &extra)).await;
    let Outcome::Applied(answer) = response.outcome else { panic!("{response:?}") };
    assert_eq!(answer.previous_expires_at.unwrap().to_string(), "2023-11-14T23:13:20Z");
    assert_eq!(
        only_request(&mut server),
        "POST /v1/integrator/regenerate-secret HTTP/1.1\n\
         accept: application/json\n\
         authorization: Bearer user-key\n\
         content-length: 33\n\
         content-type: application/json\n\
         x-integrator-key: int_123\n\
         x-signature: sha256=116db045d8023415d8a7a51dfe31b2772cf7a1be667f68a0b2e7c938e745bb9a\n\
         x-timestamp: 1700000000000\n\n\
         {\"oldSecretValidForSeconds\":3600}"
    );

    let mut server = Server::answering(200, "{}").await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let provider = super::provider("spritz/integrator-secret", binding(base, SPRITZ));
    assert_eq!(provider.probe(&old, &[]).await, Probe::Accepted);
    assert_eq!(
        only_request(&mut server),
        "GET /v1/integrator/ HTTP/1.1\n\
         accept: application/json\n\
         x-integrator-key: int_123\n\
         x-signature: sha256=3322d1b32f9b56bde800555cd68b946664cef9753396b028215232d193e136fb\n\
         x-timestamp: 1700000000000\n\n"
    );
    let reading = provider.read(None, signer(&old, &[])).await;
    assert!(matches!(reading, Reading::Refused(_)), "{reading:?}");
    assert_eq!(server.connections(), 1, "nothing is declared to be read, so nothing is asked");
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_corrected_from_the_providers_date() {
    let timestamps = async |date: &str| {
        let late = answer(401, &format!("date: {date}\r\n"), "{}");
        let mut server = Server::start(Behaviour::Answer(late)).await;
        let base = format!("http://127.0.0.1:{}", server.port);
        let provider = provider("spritz/integrator-secret", binding(base, SPRITZ));
        for _ in 0..2 {
            provider.probe(&secret("s"), &[]).await;
        }
        let requests = server.requests();
        let stamp = |request: &String| {
            request.lines().find_map(|line| line.strip_prefix("x-timestamp: ").map(str::to_owned)).unwrap()
        };
        requests.iter().map(stamp).collect::<Vec<_>>()
    };
    assert_eq!(timestamps("Tue, 14 Nov 2023 23:13:20 GMT").await, ["1700000000000", "1700003600000"]);
    assert_eq!(timestamps("Tue, 14 Nov 2023 22:13:25 GMT").await, ["1700000000000", "1700000000000"]);
}

#[tokio::test]
async fn a_clock_that_is_set_right_after_it_was_corrected_is_not_corrected_once_more() {
    let right = "2023-11-14T22:13:20Z".parse::<Timestamp>().unwrap();
    let clock = SkewedClock::new(FakeClock::starting_at(right));
    let late = answer(401, "date: Tue, 14 Nov 2023 22:13:20 GMT\r\n", "{}");
    let mut server = Server::start(Behaviour::Answer(late)).await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let catalog = Catalog::embedded();
    let bound = bind(catalog.get("spritz/integrator-secret").unwrap(), binding(base, SPRITZ)).unwrap();
    let provider = HttpProvider::new(bound, clock.clone(), TRANSPORT.clone()).unwrap();
    for skew_seconds in [3_600, 3_600, 0, -3_600] {
        clock.set_skew(skew_seconds);
        provider.probe(&secret("s"), &[]).await;
    }
    let off: Vec<i64> = server
        .requests()
        .iter()
        .map(|request| {
            let stamp = request.lines().find_map(|line| line.strip_prefix("x-timestamp: ")).unwrap();
            (stamp.parse::<i64>().unwrap() - right.as_millisecond()) / 60_000
        })
        .collect();
    assert_eq!(off, [60, 0, 0, 0], "minutes off the provider's time");
}

#[tokio::test]
async fn a_secret_that_no_header_can_carry_is_refused_before_anything_is_sent() {
    let server = Server::answering(200, "{}").await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let provider = provider("publicsquare/api-key", binding(base, PUBLICSQUARE));
    for unfit in ["canary\n", "canary-\u{e9}", "canary\u{7f}"] {
        let response = provider.regenerate(rotation().into(), signer(&secret(unfit), &[])).await;
        assert_eq!(super::name_of(&response.outcome), "PROVIDER_INVALID_REQUEST");
        let shown = format!("{response:?}");
        assert!(shown.contains("x-api-key") && !shown.contains("canary"), "{shown}");
    }
    assert_eq!(server.connections(), 0);
}
