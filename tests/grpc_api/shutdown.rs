//! The end: streams are told, calls in flight finish, the socket goes.

use keyturn::api::proto;
use keyturn::engine::Fleet;
use keyturn::engine::scripted::Said;
use keyturn::rotation::Phase;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt as _;

use crate::bench::{Fake, Served, fleet, id, idle, in_phase, open};

fn assert_stopping(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "STOPPING");
}

#[tokio::test]
async fn a_shutdown_ends_every_stream_and_removes_the_socket() {
    let fake = Fake::showing(in_phase("adyen", Phase::Intended { rotation: open(1) }));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::WatchRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let mut rotation = served.rotations().await.watch_rotation(request).await.unwrap().into_inner();
    rotation.message().await.unwrap().unwrap();
    let request = proto::WatchCredentialsRequest::default();
    let mut credentials = served.credentials().await.watch_credentials(request).await.unwrap().into_inner();
    credentials.message().await.unwrap().unwrap();
    let request = HealthCheckRequest { service: "keyturn.v1.RotateService".into() };
    let mut health = HealthClient::new(served.channel().await).watch(request).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);

    served.shutdown.cancel();
    assert_stopping(&rotation.message().await.unwrap_err());
    assert_stopping(&credentials.message().await.unwrap_err());
    assert!(health.message().await.unwrap().is_none_or(|last| last.status() == ServingStatus::NotServing));
    let socket = served.socket();
    served.task.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn streams_end_when_the_task_they_look_at_has_ended() {
    let fake = Fake::showing(in_phase("adyen", Phase::Intended { rotation: open(1) }));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::WatchRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let mut rotation = served.rotations().await.watch_rotation(request).await.unwrap().into_inner();
    rotation.message().await.unwrap().unwrap();
    drop(fake.shows);
    assert_stopping(&rotation.message().await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_finishes() {
    let (entered, mut has_entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let fake = Fake::new(idle("adyen"), move |_| {
        entered.send(()).unwrap();
        released.recv().unwrap();
        Ok(Said::Rotation(id(1)))
    });
    let served = Served::start(fleet([&fake])).await;
    let mut client = served.rotations().await;
    let request = proto::RotateRequest { credential: "adyen".into(), ..Default::default() };
    let call = tokio::spawn(async move { client.rotate(request).await });
    has_entered.recv().await.unwrap();
    served.shutdown.cancel();
    release.send(()).unwrap();
    let answer = call.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.rotation.unwrap().rotation_id, id(1).to_string());
    served.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_holds_on_delays_the_end_for_a_bounded_time_only() {
    let served = Served::start(Fleet::new([])).await;
    let mut client = ServerReflectionClient::new(served.channel().await);
    let held = client.server_reflection_info(tokio_stream::pending()).await.unwrap();
    tokio::time::pause();
    served.shutdown.cancel();
    served.task.await.unwrap().unwrap();
    drop(held);
}
