//! Health and reflection.

use keyturn::api::{LIVE, READY, STARTUP};
use keyturn::engine::Fleet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::bench::{Fake, Served, fleet, idle};

const SERVICES: [&str; 2] = ["keyturn.v1.RotateService", "keyturn.v1.CredentialService"];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn services_are_not_serving_until_they_are_ready_and_watchers_are_told() {
    let served = Served::start(Fleet::new([])).await;
    let mut client = HealthClient::new(served.channel().await);
    let mut process = client.watch(of("")).await.unwrap().into_inner();
    while process.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    for service in SERVICES {
        assert_eq!(client.check(of(service)).await.unwrap().into_inner().status(), ServingStatus::NotServing);
        let mut stream = client.watch(of(service)).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        served.readiness.send_replace(true);
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        served.readiness.send_replace(false);
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    assert_eq!(client.check(of("other")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_vault_that_is_away_makes_keyturn_neither_unstarted_nor_dead_nor_unready() {
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    let mut client = HealthClient::new(served.channel().await);
    for name in [STARTUP, LIVE, READY] {
        let mut stream = client.watch(of(name)).await.unwrap().into_inner();
        while stream.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    assert_eq!(client.check(of(SERVICES[0])).await.unwrap().into_inner().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_credential_whose_task_is_gone_is_no_life() {
    let fake = Fake::new(idle("adyen"), |_| panic!("this task breaks at whatever it is asked"));
    let served = Served::start(fleet([&fake])).await;
    let mut client = HealthClient::new(served.channel().await);
    let mut stream = client.watch(of(LIVE)).await.unwrap().into_inner();
    while stream.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    fake.handle.resume().await.unwrap_err();
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(client.check(of(STARTUP)).await.unwrap().into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let served = Served::start(Fleet::new([])).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(served.channel().await);
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let answer: ServerReflectionResponse = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for expected in SERVICES.iter().chain(&["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]) {
        assert!(names.iter().any(|name| name == expected), "{expected} is missing in {names:?}");
    }
}
