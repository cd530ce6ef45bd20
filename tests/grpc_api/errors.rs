//! What callers are told when it does not work.

use std::time::Duration;

use jiff::SignedDuration;
use keyturn::api::{ERROR_DOMAIN, proto};
use keyturn::engine::Rejection;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::bench::{Fake, NOW, Served, fleet, id, idle};

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.domain, ERROR_DOMAIN);
    info.reason.clone()
}

async fn rotate_against(rejection: Rejection) -> Status {
    let fake = Fake::new(idle("adyen"), move |_| Err(rejection.clone()));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::RotateRequest { credential: "adyen".into(), ..Default::default() };
    served.rotations().await.rotate(request).await.unwrap_err()
}

#[tokio::test]
async fn every_rejection_has_its_code_and_reason() {
    let until = NOW + SignedDuration::from_secs(90);
    let rotation_id = id(1);
    let held = Rejection::Held { code: "VAULT_SEALED", message: "Vault is sealed".into() };
    let table = [
        (Rejection::InProgress { rotation_id }, Code::Aborted, "ROTATION_IN_PROGRESS"),
        (Rejection::GraceWindowOpen { until }, Code::FailedPrecondition, "GRACE_WINDOW_OPEN"),
        (Rejection::TooSoon { until }, Code::FailedPrecondition, "TOO_SOON"),
        (Rejection::KeySlotsFull { until }, Code::FailedPrecondition, "KEY_SLOTS_FULL"),
        (Rejection::Paused { reason: "deploy".into() }, Code::FailedPrecondition, "CREDENTIAL_PAUSED"),
        (Rejection::NotOpen { rotation_id }, Code::FailedPrecondition, "ROTATION_NOT_OPEN"),
        (Rejection::TooLateToCancel { rotation_id }, Code::FailedPrecondition, "TOO_LATE_TO_CANCEL"),
        (
            Rejection::DecisionNotPossible { why: "x".into() },
            Code::FailedPrecondition,
            "DECISION_NOT_POSSIBLE",
        ),
        (Rejection::RequestIdReused { request_id: "a".into() }, Code::InvalidArgument, "REQUEST_ID_REUSED"),
        (held, Code::FailedPrecondition, "VAULT_SEALED"),
        (Rejection::Stopping, Code::Unavailable, "STOPPING"),
    ];
    for (rejection, code, expected) in table {
        let status = rotate_against(rejection.clone()).await;
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{rejection:?}");
        assert_eq!(status.message(), rejection.to_string());
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["credential"], "adyen");
        assert_eq!(details.precondition_failure().is_some(), code == Code::FailedPrecondition);
        assert_eq!(details.bad_request().is_some(), code == Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_rotation_in_progress_is_named() {
    let status = rotate_against(Rejection::InProgress { rotation_id: id(1) }).await;
    assert_eq!(status.get_error_details().error_info().unwrap().metadata["rotation_id"], id(1).to_string());
}

#[tokio::test]
async fn an_open_grace_window_says_how_long() {
    let until = NOW + SignedDuration::from_secs(90);
    let status = rotate_against(Rejection::GraceWindowOpen { until }).await;
    let details = status.get_error_details();
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(90)));
    assert_eq!(details.error_info().unwrap().metadata["until"], until.to_string());
}

#[tokio::test]
async fn a_task_that_died_is_a_shutdown_and_nothing_worse() {
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::PlanRotationRequest { credential: "adyen".into(), emergency: false };
    let status = served.rotations().await.plan_rotation(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STOPPING"));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    let mut client = served.rotations().await;
    let request = proto::RotateRequest { credential: "stripe".into(), ..Default::default() };
    let status = client.rotate(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "CREDENTIAL_NOT_FOUND"));
    let details = status.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (resource.resource_type.as_str(), resource.resource_name.as_str()),
        ("keyturn.v1.Credential", "stripe")
    );

    let request = proto::GetRotationRequest { rotation_id: id(5).to_string(), ..Default::default() };
    let status = client.get_rotation(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ROTATION_NOT_FOUND"));
    assert!(status.message().contains("last 20"), "{}", status.message());
}

#[tokio::test]
async fn a_field_that_cannot_be_understood_is_named() {
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    let mut rotations = served.rotations().await;
    let mut credentials = served.credentials().await;
    let adyen = || "adyen".to_owned();
    let too_long = "x".repeat(129);
    let statuses = [
        ("credential", rotations.rotate(proto::RotateRequest::default()).await.err()),
        (
            "request_id",
            rotations
                .rotate(proto::RotateRequest { credential: adyen(), request_id: too_long, emergency: false })
                .await
                .err(),
        ),
        ("rotation_id", rotations.get_rotation(proto::GetRotationRequest::default()).await.err()),
        (
            "decision",
            rotations
                .resolve_rotation(proto::ResolveRotationRequest {
                    rotation_id: id(1).to_string(),
                    ..Default::default()
                })
                .await
                .err(),
        ),
        (
            "page_size",
            rotations
                .list_rotations(proto::ListRotationsRequest { page_size: -1, ..Default::default() })
                .await
                .err(),
        ),
        (
            "page_token",
            credentials
                .list_credentials(proto::ListCredentialsRequest {
                    page_token: "?".into(),
                    ..Default::default()
                })
                .await
                .err(),
        ),
        (
            "reason",
            credentials
                .pause_credential(proto::PauseCredentialRequest {
                    credential: adyen(),
                    reason: "two\nlines".into(),
                    ..Default::default()
                })
                .await
                .err(),
        ),
    ];
    for (field, status) in statuses {
        let status = status.unwrap_or_else(|| panic!("{field} was taken"));
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
    }
}
