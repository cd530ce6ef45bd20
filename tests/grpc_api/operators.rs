//! Who may do what: everybody looks and asks for ordinary rotations, only operators do more.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use keyturn::api::proto::credential_service_client::CredentialServiceClient;
use keyturn::api::proto::rotate_service_client::RotateServiceClient;
use keyturn::api::{ListenOptions, Listeners, proto, serve};
use keyturn::engine::PlanReport;
use keyturn::engine::scripted::{Asked, Said};
use keyturn::rotation::Phase;
use rustix::process::Uid;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::bench::{Fake, Served, StoppedClock, connect, fleet, id, in_phase, open};

/// What is asked of a fleet of one credential, `adyen`, with the open rotation 1.
pub(crate) fn willing() -> Fake {
    Fake::new(in_phase("adyen", Phase::Intended { rotation: open(1) }), |asked| {
        Ok(match asked {
            Asked::Rotate(_) => Said::Rotation(id(1)),
            Asked::Plan(_) => Said::Plan(PlanReport {
                steps: Vec::new(),
                if_answer_is_lost: String::new(),
                old_key: String::new(),
                a_person_is_asked: Vec::new(),
                findings: Vec::new(),
            }),
            _ => Said::Done,
        })
    })
}

/// What came of each thing that only operators may do.
async fn operate(channel: &Channel) -> Vec<(&'static str, Option<Status>)> {
    let mut rotations = RotateServiceClient::new(channel.clone());
    let mut credentials = CredentialServiceClient::new(channel.clone());
    let (credential, rotation_id) = ("adyen".to_owned(), id(1).to_string());
    let rotate =
        proto::RotateRequest { credential: credential.clone(), emergency: true, ..Default::default() };
    let cancel = proto::CancelRotationRequest { rotation_id: rotation_id.clone(), ..Default::default() };
    let decision = proto::Decision::KeepCurrent.into();
    let resolve = proto::ResolveRotationRequest { rotation_id, decision, ..Default::default() };
    let plan = proto::PlanRotationRequest { credential: credential.clone(), emergency: false };
    let pause = proto::PauseCredentialRequest { credential: credential.clone(), ..Default::default() };
    let resume = proto::ResumeCredentialRequest { credential, ..Default::default() };
    vec![
        ("emergency", rotations.rotate(rotate).await.err()),
        ("CancelRotation", rotations.cancel_rotation(cancel).await.err()),
        ("ResolveRotation", rotations.resolve_rotation(resolve).await.err()),
        ("PlanRotation", rotations.plan_rotation(plan).await.err()),
        ("PauseCredential", credentials.pause_credential(pause).await.err()),
        ("ResumeCredential", credentials.resume_credential(resume).await.err()),
    ]
}

/// Everything that everybody may do.
pub(crate) async fn look_and_rotate(channel: &Channel) {
    let mut rotations = RotateServiceClient::new(channel.clone());
    let mut credentials = CredentialServiceClient::new(channel.clone());
    let rotate = proto::RotateRequest { credential: "adyen".into(), ..Default::default() };
    rotations.rotate(rotate).await.unwrap();
    let rotation_id = id(1).to_string();
    let get = proto::GetRotationRequest { rotation_id: rotation_id.clone(), ..Default::default() };
    rotations.get_rotation(get).await.unwrap();
    rotations.list_rotations(proto::ListRotationsRequest::default()).await.unwrap();
    let watch = proto::WatchRotationRequest { rotation_id, ..Default::default() };
    rotations.watch_rotation(watch).await.unwrap();
    let get = proto::GetCredentialRequest { credential: "adyen".into() };
    credentials.get_credential(get).await.unwrap();
    credentials.list_credentials(proto::ListCredentialsRequest::default()).await.unwrap();
    credentials.watch_credentials(proto::WatchCredentialsRequest::default()).await.unwrap();
}

pub(crate) async fn assert_operator(channel: &Channel) {
    for (act, refused) in operate(channel).await {
        assert!(refused.is_none(), "{act}: {refused:?}");
    }
}

pub(crate) async fn assert_no_operator(channel: &Channel) {
    for (act, refused) in operate(channel).await {
        let status = refused.ok_or_else(|| format!("{act} was done")).unwrap();
        assert_eq!(status.code(), Code::PermissionDenied, "{act}");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "OPERATORS_ONLY");
        assert!(status.message().contains(act), "{}", status.message());
        assert!(status.message().contains("`listen.operators`"), "{}", status.message());
    }
}

/// Runs a client as another user; only the superuser can become one.
async fn as_user(uid: u32, address: String, act: impl AsyncFnOnce(&Channel) + Send + 'static) {
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        // The kernel changes this thread alone, and it ends here.
        let uid = Uid::from_raw(uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { act(&connect(address).await).await });
        done.send(()).unwrap();
    });
    let ended = ended.await;
    thread.join().unwrap();
    ended.unwrap();
}

#[tokio::test]
async fn keyturns_own_user_is_an_operator() {
    let fake = willing();
    let served = Served::start(fleet([&fake])).await;
    let channel = served.channel().await;
    look_and_rotate(&channel).await;
    assert_operator(&channel).await;
}

#[tokio::test]
async fn another_user_of_the_socket_is_an_operator_only_if_listed() {
    if !rustix::process::geteuid().is_root() {
        // Who cannot become another user is held to the table in `api::operators`.
        return;
    }
    let (listed, other) = (54_321, 54_322);
    let mut fake = willing();
    let served = Served::start_with(fleet([&fake]), |options| {
        options.operators = vec![listed];
        options.unix.as_mut().unwrap().mode = 0o666;
    })
    .await;
    fs::set_permissions(served.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let address = format!("unix://{}", served.socket().display());
    as_user(other, address.clone(), async |channel| {
        assert_no_operator(channel).await;
        look_and_rotate(channel).await;
    })
    .await;
    let asked = fake.asked.try_recv().unwrap();
    assert!(matches!(asked, Asked::Rotate(asked) if asked.caller == Some(format!("uid {other}"))));
    assert!(fake.asked.try_recv().is_err(), "a refused call reached the credential");
    as_user(listed, address, assert_operator).await;
}

#[tokio::test]
async fn over_tcp_nobody_is_an_operator_unless_the_owner_says_so() {
    let mut fake = willing();
    let (address, _ends) = serve_on_tcp(&fake, false).await;
    let channel = connect(format!("http://{address}")).await;
    assert_no_operator(&channel).await;
    assert!(fake.asked.try_recv().is_err(), "a refused call reached the credential");
    look_and_rotate(&channel).await;

    let fake = willing();
    let (address, _ends) = serve_on_tcp(&fake, true).await;
    assert_operator(&connect(format!("http://{address}")).await).await;
}

async fn serve_on_tcp(fake: &Fake, tcp_operators: bool) -> (SocketAddr, watch::Sender<bool>) {
    let tcp = Some("127.0.0.1:0".parse().unwrap());
    let options = ListenOptions { tcp, tcp_operators, ..ListenOptions::default() };
    let listeners = Listeners::bind(&options).await.unwrap();
    let address = listeners.tcp_address().unwrap();
    let (readiness, ready) = watch::channel(true);
    tokio::spawn(serve(listeners, fleet([fake]), StoppedClock, ready, CancellationToken::new()));
    (address, readiness)
}
