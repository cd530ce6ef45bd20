//! The simulators keep their providers' contracts, and their faults reach the caller as real ones do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use keyturn::clock::{Clock, SystemClock};
use keyturn::testbed::{CallOutcome, Fault, Gate, Operation, Simulator, adyen, publicsquare, spritz};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

const HOUR: Duration = Duration::from_hours(1);

/// One client, as its certificates take long to load; it keeps no connection, as each belongs to one test's runtime.
fn client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        let builder = Client::builder().no_proxy().pool_max_idle_per_host(0);
        builder.timeout(Duration::from_secs(20)).build().unwrap()
    });
    &CLIENT
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    json(response).await
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

// Adyen

fn adyen_url(simulator: &Simulator, level: &str, rest: &str) -> String {
    let account = if level == "companies" { "TestCompany" } else { "TestMerchant" };
    format!("{}/{level}/{account}/apiCredentials/S2-6262224667{rest}", simulator.base_url())
}

fn adyen_generate(simulator: &Simulator) -> RequestBuilder {
    let url = adyen_url(simulator, "companies", "/generateClientKey");
    client().post(url).header("x-api-key", "adyen-admin-key")
}

#[tokio::test]
async fn adyen_mints_both_kinds_of_key_at_both_levels() {
    let adyen = adyen::start().await.unwrap();
    for level in ["companies", "merchants"] {
        for (verb, slot) in [("/generateClientKey", adyen::CLIENT_KEY), ("/generateApiKey", adyen::API_KEY)] {
            let old = adyen.current_key_of(slot);
            let url = adyen_url(&adyen, level, verb);
            let body = ok(client().post(url).header("x-api-key", "adyen-admin-key")).await;
            let new = text(&body, &format!("/{slot}"));
            assert_eq!(adyen.current_key_of(slot), new);
            assert!(new.contains("CANARY") && adyen.accepts(new) && adyen.accepts(&old));
        }
    }
    assert_eq!(adyen.minted_count(), 4);
}

#[tokio::test]
async fn adyen_accepts_the_old_key_for_24_hours_and_the_new_one_after_its_propagation() {
    let setup = adyen::Setup { propagation: Duration::from_mins(3), ..adyen::Setup::default() };
    let adyen = adyen::start_with(setup).await.unwrap();
    let old = adyen.current_key();
    let new = text(&ok(adyen_generate(&adyen)).await, "/clientKey").to_owned();
    assert!(adyen.accepts(&old) && !adyen.accepts(&new));
    adyen.advance(Duration::from_mins(3));
    assert!(adyen.accepts(&old) && adyen.accepts(&new));
    adyen.advance(24 * HOUR);
    assert!(!adyen.accepts(&old) && adyen.accepts(&new));
}

#[tokio::test]
async fn adyen_shows_the_client_key_but_never_the_api_key() {
    let adyen = adyen::start().await.unwrap();
    let get = |path: &str, key: &str| {
        client().get(adyen_url(&adyen, "merchants", path)).header("x-api-key", key.to_owned())
    };
    let body = ok(get("", "adyen-admin-key")).await;
    assert_eq!(text(&body, "/clientKey"), adyen.current_key());
    assert!(!body.to_string().contains(&adyen.current_key_of(adyen::API_KEY)));
    assert_eq!(adyen.calls_of(Operation::Read).len(), 1);
}

#[tokio::test]
async fn adyen_lets_a_new_api_key_answer_for_itself_once_it_is_usable() {
    let setup = adyen::Setup {
        primary: adyen::API_KEY,
        propagation: Duration::from_mins(3),
        ..adyen::Setup::default()
    };
    let adyen = adyen::start_with(setup).await.unwrap();
    let me = |key: &str| client().get(format!("{}/me", adyen.base_url())).header("x-api-key", key.to_owned());
    let url = adyen_url(&adyen, "companies", "/generateApiKey");
    let body = ok(client().post(url).header("x-api-key", adyen.current_key())).await;
    let new = text(&body, "/apiKey");
    assert_eq!(me(new).send().await.unwrap().status(), 401);
    adyen.advance(Duration::from_mins(3));
    assert_eq!(text(&ok(me(new)).await, "/id"), "S2-6262224667");
    assert_eq!(ok(me("adyen-reader-key")).await["active"], true);
}

#[tokio::test]
async fn adyen_refuses_in_its_own_words() {
    let adyen = adyen::start().await.unwrap();
    let url = adyen_url(&adyen, "companies", "/generateClientKey");
    let post = |url: &str, key: &str| client().post(url.to_owned()).header("x-api-key", key.to_owned());
    let cases = [
        (post(&url, "wrong"), 401),
        (post(&url, "adyen-reader-key"), 403),
        (post(&url.replace("TestCompany", "Other"), "adyen-admin-key"), 403),
        (post(&url.replace("S2-6262224667", "S2-1"), "adyen-admin-key"), 422),
        (client().post(url.clone()), 401),
    ];
    for (request, status) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/json");
        let body = json(response).await;
        assert_eq!(body["status"], status);
        for member in ["/type", "/errorCode", "/title", "/detail", "/requestId"] {
            text(&body, member);
        }
    }
    assert_eq!(adyen.minted_count(), 0);
    let basic = client().post(url).basic_auth("ws@Company.TestCompany", Some("adyen-basic-password"));
    ok(basic).await;
}

#[tokio::test]
async fn adyen_can_answer_every_success_with_204() {
    let setup = adyen::Setup { answers_no_content: true, ..adyen::Setup::default() };
    let adyen = adyen::start_with(setup).await.unwrap();
    let old = adyen.current_key();
    let response = adyen_generate(&adyen).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert_ne!(adyen.current_key(), old);
}

// PublicSquare

fn square_regenerate(simulator: &Simulator, key: &str, idempotency_key: &str) -> RequestBuilder {
    let url = format!("{}/api-keys/key_7Ay5mcUXAxwrN6wQEQUVEHBCJ/regenerate", simulator.base_url());
    client()
        .post(url)
        .header("X-API-KEY", key.to_owned())
        .header("IDEMPOTENCY-KEY", idempotency_key.to_owned())
}

const ROTATOR: &str = "publicsquare-rotator-key";

#[tokio::test]
async fn publicsquare_kills_the_old_key_at_once() {
    let square = publicsquare::start().await.unwrap();
    let old = square.current_key();
    let body = ok(square_regenerate(&square, ROTATOR, "one")).await;
    let new = text(&body, "/key");
    assert!(square.accepts(new) && !square.accepts(&old));
    assert_eq!(text(&body, "/id"), "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ");
    text(&body, "/modified_at").parse::<Timestamp>().unwrap();
    let probe = |key: &str| {
        client().get(format!("{}/permissions", square.base_url())).header("X-API-KEY", key.to_owned())
    };
    assert!(ok(probe(new)).await.is_array());
    assert_eq!(probe(&old).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn publicsquare_replays_a_success_for_24_hours_and_no_failure() {
    let square = publicsquare::start().await.unwrap();
    let first = ok(square_regenerate(&square, ROTATOR, "one")).await;
    assert_eq!(ok(square_regenerate(&square, ROTATOR, "one")).await, first);
    assert_ne!(ok(square_regenerate(&square, ROTATOR, "two")).await["key"], first["key"]);
    square.advance(24 * HOUR);
    assert_ne!(ok(square_regenerate(&square, ROTATOR, "one")).await["key"], first["key"]);

    square.next_call(Fault::acts_and_answers(502));
    assert_eq!(square_regenerate(&square, ROTATOR, "three").send().await.unwrap().status(), 502);
    ok(square_regenerate(&square, ROTATOR, "three")).await;
    let outcomes: Vec<CallOutcome> = square.calls().iter().map(|call| call.outcome).collect();
    let (done, replayed) = (CallOutcome::Done, CallOutcome::Replayed);
    assert_eq!(outcomes, [done, replayed, done, done, done, done]);
}

#[tokio::test]
async fn publicsquare_replays_an_answer_that_was_lost_but_not_to_a_dead_key() {
    let square = publicsquare::start().await.unwrap();
    let old = square.current_key();
    square.next_call(Fault::answer_lost());
    square_regenerate(&square, &old, "one").send().await.unwrap_err();
    assert_eq!(square_regenerate(&square, &old, "one").send().await.unwrap().status(), 401);
    let body = ok(square_regenerate(&square, ROTATOR, "one")).await;
    assert_eq!(text(&body, "/key"), square.current_key());
    assert_eq!(square.minted_count(), 1);
}

#[tokio::test]
async fn publicsquare_answers_409_while_the_first_call_is_in_progress() {
    let square = publicsquare::start().await.unwrap();
    let gate = Gate::new();
    square.next_call(Fault::held(&gate));
    let first = tokio::spawn(ok(square_regenerate(&square, ROTATOR, "one")));
    gate.reached().await;
    assert_eq!(square_regenerate(&square, ROTATOR, "one").send().await.unwrap().status(), 409);
    gate.release();
    assert_eq!(text(&first.await.unwrap(), "/key"), square.current_key());
}

#[tokio::test]
async fn publicsquare_reveals_the_key_and_shows_it_nowhere_else() {
    let square = publicsquare::start().await.unwrap();
    let url = format!("{}/api-keys/key_7Ay5mcUXAxwrN6wQEQUVEHBCJ", square.base_url());
    let get = |url: &str| client().get(url.to_owned()).header("X-API-KEY", "publicsquare-reader-key");
    assert_eq!(text(&ok(get(&format!("{url}/reveal"))).await, "/key"), square.current_key());
    assert!(ok(get(&url)).await["key"].is_null());
}

#[tokio::test]
async fn publicsquare_refuses_in_its_own_words() {
    let square = publicsquare::start().await.unwrap();
    let post = |id: &str, key: &str| {
        client()
            .post(format!("{}/api-keys/{id}/regenerate", square.base_url()))
            .header("X-API-KEY", key.to_owned())
    };
    let id = "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ";
    let cases = [
        (post("no-id", ROTATOR), 400),
        (post("key_0OIl", ROTATOR), 400),
        (post(id, "wrong"), 401),
        (post(id, "publicsquare-reader-key"), 403),
        (post("key_Abc", ROTATOR), 404),
    ];
    for (request, status) in cases {
        let body = json(request.send().await.unwrap()).await;
        assert_eq!(body["status"], status);
        text(&body, "/title");
        assert_eq!(body.get("errors").is_some(), status == 400);
    }
}

// Spritz

fn spritz_request(simulator: &Simulator, secret: &str, body: &str) -> RequestBuilder {
    spritz_request_at(simulator, secret, body, SystemClock::start().now().as_millisecond())
}

fn spritz_request_at(simulator: &Simulator, secret: &str, body: &str, timestamp: i64) -> RequestBuilder {
    let (method, path) = if body.is_empty() {
        ("GET", "/v1/integrator/")
    } else {
        ("POST", "/v1/integrator/regenerate-secret")
    };
    let hash = match body {
        "" => String::new(),
        body => HEXLOWER.encode(digest::digest(&digest::SHA256, body.as_bytes()).as_ref()),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}.{method}.{path}.{hash}").as_bytes());
    client()
        .request(method.parse().unwrap(), format!("{}{path}", simulator.base_url()))
        .header("X-Integrator-Key", "int_123")
        .header("X-Timestamp", timestamp)
        .header("X-Signature", format!("sha256={}", HEXLOWER.encode(tag.as_ref())))
        .header("Content-Type", "application/json")
        .body(body.to_owned())
}

#[tokio::test]
async fn spritz_names_the_old_secrets_end_only_where_a_grace_was_asked_for() {
    let spritz = spritz::start().await.unwrap();
    let old = spritz.current_key();
    let before = SystemClock::start().now();
    let body = ok(spritz_request(&spritz, &old, r#"{"oldSecretValidForSeconds":3600}"#)).await;
    let expires_at: Timestamp = text(&body, "/oldSecretExpiresAt").parse().unwrap();
    assert!((3599..3630).contains(&expires_at.duration_since(before).as_secs()));
    let new = text(&body, "/secret").to_owned();
    assert!(spritz.accepts(&old) && spritz.accepts(&new));

    let body = ok(spritz_request(&spritz, &new, "{}")).await;
    assert!(body.get("oldSecretExpiresAt").is_none());
    assert!(!spritz.accepts(&new));
    assert!(spritz.accepts(&old), "a secret inside its own grace stays");
}

#[tokio::test]
async fn spritz_lets_any_secret_inside_its_grace_sign() {
    let spritz = spritz::start().await.unwrap();
    let old = spritz.current_key();
    let with_grace = r#"{"oldSecretValidForSeconds":600}"#;
    spritz.next_call(Fault::answer_lost());
    spritz_request(&spritz, &old, with_grace).send().await.unwrap_err();
    ok(spritz_request(&spritz, &old, with_grace)).await;
    ok(spritz_request(&spritz, &old, "")).await;
    spritz.advance(Duration::from_mins(10));
    let now = SystemClock::start().now().as_millisecond() + 600_000;
    let late = spritz_request_at(&spritz, &old, "", now).send().await.unwrap();
    assert_eq!(late.status(), 401);
    let profile = ok(spritz_request_at(&spritz, &spritz.current_key(), "", now)).await;
    assert_eq!(text(&profile, "/integratorKey"), "int_123");
    assert_eq!(spritz.minted_count(), 2);
}

#[tokio::test]
async fn spritz_refuses_bad_signatures_times_and_graces_in_its_own_words() {
    let spritz = spritz::start().await.unwrap();
    let secret = spritz.current_key();
    let now = SystemClock::start().now().as_millisecond();
    let cases = [
        (spritz_request(&spritz, "wrong", "{}"), 401, "urn:problem-type:auth:unauthorized"),
        (spritz_request_at(&spritz, &secret, "{}", now - 301_000), 401, "urn:problem-type:auth:unauthorized"),
        (spritz_request_at(&spritz, &secret, "{}", now + 320_000), 401, "urn:problem-type:auth:unauthorized"),
        (spritz_request(&spritz, &secret, "no json"), 400, "urn:problem-type:validation:invalid-fields"),
        (
            spritz_request(&spritz, &secret, r#"{"oldSecretValidForSeconds":3601}"#),
            400,
            "urn:problem-type:validation:invalid-fields",
        ),
    ];
    for (request, status, kind) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(text(&json(response).await, "/type"), kind);
    }
    assert_eq!(spritz.minted_count(), 0);
}

// Faults

#[tokio::test]
async fn a_lost_answer_is_a_broken_connection_after_the_provider_acted() {
    let adyen = adyen::start().await.unwrap();
    let old = adyen.current_key();
    adyen.next_call(Fault::answer_lost());
    let error = adyen_generate(&adyen).send().await.unwrap_err();
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
    assert_ne!(adyen.current_key(), old);
    ok(adyen_generate(&adyen)).await;
}

#[tokio::test]
async fn a_lost_request_leaves_the_provider_as_it_was() {
    let adyen = adyen::start().await.unwrap();
    let old = adyen.current_key();
    adyen.next_call(Fault::request_lost());
    adyen_generate(&adyen).send().await.unwrap_err();
    assert_eq!(adyen.current_key(), old);
}

#[tokio::test]
async fn a_cut_body_arrives_up_to_the_cut() {
    let adyen = adyen::start().await.unwrap();
    adyen.next_call(Fault::answer_cut(12));
    let mut response = adyen_generate(&adyen).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.chunk().await.unwrap().unwrap().as_ref(), br#"{"clientKey""#);
    response.chunk().await.unwrap_err();
    assert_eq!(adyen.minted_count(), 1);
}

#[tokio::test]
async fn a_hanging_answer_runs_into_the_callers_deadline() {
    let adyen = adyen::start().await.unwrap();
    adyen.next_call(Fault::answer_hangs());
    let error = adyen_generate(&adyen).timeout(Duration::from_millis(300)).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(adyen.minted_count(), 1);
}

#[tokio::test]
async fn statuses_come_with_or_without_the_act() {
    let adyen = adyen::start().await.unwrap();
    for status in [401, 403, 404, 422, 500, 503] {
        adyen.next_call(Fault::refuses(status));
        let response = adyen_generate(&adyen).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(json(response).await["status"], status);
    }
    assert_eq!(adyen.minted_count(), 0);
    adyen.next_call(Fault::acts_and_answers(500));
    assert_eq!(adyen_generate(&adyen).send().await.unwrap().status(), 500);
    assert_eq!(adyen.minted_count(), 1);
}

#[tokio::test]
async fn rate_limits_say_when_to_come_back_only_where_told() {
    let adyen = adyen::start().await.unwrap();
    adyen.next_call(Fault::rate_limits(Some("7")));
    adyen.next_call(Fault::rate_limits(None));
    let first = adyen_generate(&adyen).send().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    let second = adyen_generate(&adyen).send().await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers().get("retry-after")), (429, None));
}

#[tokio::test]
async fn successes_can_come_without_a_usable_value() {
    let square = publicsquare::start().await.unwrap();
    square.next_call(Fault::answer_null());
    let body = ok(square_regenerate(&square, ROTATOR, "one")).await;
    assert!(body["key"].is_null() && body["name"].is_string());
    square.next_call(Fault::answer_empty());
    let response = square_regenerate(&square, ROTATOR, "two").send().await.unwrap();
    assert_eq!(response.status(), 204);
    square.next_call(Fault::answer_garbled());
    let response = square_regenerate(&square, ROTATOR, "three").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).is_err());
    assert_eq!(square.minted_count(), 3);
}

#[tokio::test]
async fn a_held_call_is_seen_in_flight_and_outlives_its_caller() {
    let adyen = adyen::start().await.unwrap();
    let (old, gate) = (adyen.current_key(), Gate::new());
    adyen.next_call(Fault::acts_late(&gate));
    let caller = tokio::spawn(adyen_generate(&adyen).send());
    gate.reached().await;
    assert_eq!(adyen.calls()[0].outcome, CallOutcome::InFlight);
    caller.abort();
    caller.await.unwrap_err();
    assert_eq!(adyen.current_key(), old);
    gate.release();
    adyen.settled().await;
    assert_ne!(adyen.current_key(), old);
}

#[tokio::test]
async fn it_survives_many_connections_and_is_gone_when_dropped() {
    let adyen = adyen::start().await.unwrap();
    for _ in 0..100 {
        ok(adyen_generate(&adyen)).await;
    }
    assert_eq!(adyen.calls().len(), 100);
    let request = adyen_generate(&adyen);
    drop(adyen);
    assert!(request.send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn what_others_do_at_the_provider_shows_in_its_keys_alone() {
    let adyen = adyen::start().await.unwrap();
    let old = adyen.current_key();
    let new = adyen.rotate_by_hand(Duration::ZERO);
    assert!(adyen.accepts(&new) && !adyen.accepts(&old) && adyen.calls().is_empty());
}
