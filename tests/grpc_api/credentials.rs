//! CredentialService: what it shows, asks, and follows.

use std::sync::Arc;

use keyturn::api::proto::{self, RotationState};
use keyturn::engine::scripted::{Asked, Said};
use keyturn::engine::{Activity, Condition, Role};
use keyturn::rotation::{Pause, Phase};
use tonic::Code;

use crate::bench::{Fake, NOW, Served, fleet, idle, in_phase, open, rotated, with_history};

async fn get(served: &Served, name: &str) -> proto::Credential {
    let request = proto::GetCredentialRequest { credential: name.into() };
    served.credentials().await.get_credential(request).await.unwrap().into_inner().credential.unwrap()
}

#[tokio::test]
async fn a_credential_is_shown_with_its_rotations() {
    let mut snapshot = with_history("adyen", vec![rotated(1)]);
    let state = Arc::make_mut(snapshot.state.as_mut().unwrap());
    state.phase = Phase::Intended { rotation: open(2) };
    state.pause = Some(Pause { since: NOW, reason: "deploy".into() });
    snapshot.role = Role::Follower;
    snapshot.activity = Activity::Calling;
    snapshot.conditions = vec![Condition { code: "DRIFT", message: "they differ".into() }];
    snapshot.fields = [("client_id".to_owned(), "cf_client_id".to_owned())].into();
    let fake = Fake::showing(snapshot);
    let served = Served::start(fleet([&fake])).await;
    let credential = get(&served, "adyen").await;
    assert_eq!(credential.fields.get("client_id").map(String::as_str), Some("cf_client_id"));
    assert_eq!((credential.name.as_str(), credential.provider.as_str()), ("adyen", "adyen/client-key"));
    assert_eq!(credential.store, "secret/payments/adyen#client_key");
    assert_eq!((credential.loaded, credential.role()), (true, proto::Role::Follower));
    let current = credential.current_rotation.unwrap();
    assert_eq!(current.state(), RotationState::Intended);
    assert_eq!(current.activity(), proto::Activity::Unspecified, "another replica drives it");
    assert_eq!(credential.last_rotation.unwrap().state(), RotationState::Succeeded);
    assert_eq!(credential.last_success_time.unwrap().seconds, NOW.as_second());
    assert_eq!(credential.pause.unwrap().reason, "deploy");
    assert_eq!(credential.conditions[0].reason, "DRIFT");
    assert_eq!((credential.entry_version, credential.previous_expire_time.is_some()), (9, true));
}

#[tokio::test]
async fn a_credential_whose_record_was_not_read_says_so() {
    let mut snapshot = idle("adyen");
    (snapshot.state, snapshot.entry_version, snapshot.activity) = (None, None, Activity::Loading);
    let fake = Fake::showing(snapshot);
    let served = Served::start(fleet([&fake])).await;
    let credential = get(&served, "adyen").await;
    assert!(!credential.loaded && credential.adopt_time.is_none() && credential.last_rotation.is_none());
    assert_eq!(credential.activity(), proto::Activity::Loading);
}

#[tokio::test]
async fn lists_are_in_the_order_of_names_and_paged() {
    let fakes: Vec<_> = ["c", "a", "b"].iter().map(|name| Fake::showing(idle(name))).collect();
    let served = Served::start(fleet(&fakes)).await;
    let mut client = served.credentials().await;
    let mut request = proto::ListCredentialsRequest { page_size: 2, ..Default::default() };
    let first = client.list_credentials(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token;
    let second = client.list_credentials(request).await.unwrap().into_inner();
    let names =
        |credentials: &[proto::Credential]| credentials.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first.credentials), ["a", "b"]);
    assert_eq!(names(&second.credentials), ["c"]);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn a_watch_sends_everything_in_batches_and_then_what_changes() {
    let fakes: Vec<_> = (0..150).map(|number| Fake::showing(idle(&format!("c{number}")))).collect();
    let served = Served::start(fleet(&fakes)).await;
    let request = proto::WatchCredentialsRequest::default();
    let mut stream = served.credentials().await.watch_credentials(request).await.unwrap().into_inner();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let message = stream.message().await.unwrap().unwrap();
        assert!(message.credentials.len() <= 100);
        seen.extend(message.credentials.into_iter().map(|credential| credential.name));
        assert_eq!(message.synced, seen.len() == 150);
        if message.synced {
            break;
        }
    }
    fakes[7].shows.send_replace(in_phase("c7", Phase::Intended { rotation: open(1) }));
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!((message.credentials.len(), message.credentials[0].name.as_str()), (1, "c7"));
    assert!(message.synced && message.credentials[0].current_rotation.is_some());
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_state_and_no_queue() {
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::WatchCredentialsRequest { credentials: vec!["adyen".into()] };
    let mut stream = served.credentials().await.watch_credentials(request).await.unwrap().into_inner();
    let mut messages = 0_u64;
    for version in 0..100_000_u64 {
        fake.shows.send_modify(|snapshot| snapshot.entry_version = Some(keyturn::ids::KvVersion(version)));
    }
    loop {
        let message = stream.message().await.unwrap().unwrap();
        messages += 1;
        if message.credentials[0].entry_version == 99_999 {
            break;
        }
    }
    assert!(messages < 100_000, "{messages} messages were queued");
}

#[tokio::test]
async fn only_the_named_credentials_are_watched() {
    let fakes: Vec<_> = ["a", "b"].iter().map(|name| Fake::showing(idle(name))).collect();
    let served = Served::start(fleet(&fakes)).await;
    let mut client = served.credentials().await;
    let request = proto::WatchCredentialsRequest { credentials: vec!["b".into(), "b".into()] };
    let mut stream = client.watch_credentials(request).await.unwrap().into_inner();
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!((message.credentials.len(), message.credentials[0].name.as_str()), (1, "b"));
    assert!(message.synced);
    let request = proto::WatchCredentialsRequest { credentials: vec!["none".into()] };
    assert_eq!(client.watch_credentials(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn pausing_and_resuming_reach_the_task_once_per_request_id() {
    let mut fake = Fake::new(idle("adyen"), |_| Ok(Said::Done));
    let served = Served::start(fleet([&fake])).await;
    let mut client = served.credentials().await;
    let pause = proto::PauseCredentialRequest {
        credential: "adyen".into(),
        reason: "deploy".into(),
        request_id: "p-1".into(),
    };
    client.pause_credential(pause.clone()).await.unwrap();
    client.pause_credential(pause).await.unwrap();
    let resume = proto::ResumeCredentialRequest { credential: "adyen".into(), request_id: String::new() };
    client.resume_credential(resume.clone()).await.unwrap();
    client.resume_credential(resume).await.unwrap();
    for expected in [Asked::Pause("deploy".into()), Asked::Resume, Asked::Resume] {
        assert_eq!(fake.asked.recv().await, Some(expected));
    }
    let reused = proto::ResumeCredentialRequest { credential: "adyen".into(), request_id: "p-1".into() };
    assert_eq!(client.resume_credential(reused).await.unwrap_err().code(), Code::InvalidArgument);
}
