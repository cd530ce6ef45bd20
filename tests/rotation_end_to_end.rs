//! The main job, end to end: a real sidecar, a real OpenBao, the providers' wire contracts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keyturn::api::proto::{
    CancelRotationRequest, ListRotationsRequest, PauseCredentialRequest, PlanRotationRequest,
    ResumeCredentialRequest, RotateRequest, RotationState, WatchRotationRequest,
};
use keyturn::clock::SystemClock;
use keyturn::provider::simulator::{Simulator, Trouble};
use keyturn::provider::{Binding, Catalog, bind};
use keyturn::secret::SecretValue;
use keyturn::testbed::installation::CredentialSetup;
use keyturn::testbed::sidecar::{Error, Sidecar};
use keyturn::testbed::{Fault, Gate, Operation, adyen, spritz};
use serde_json::json;
use support::world::{
    BINARY, Providers, World, api_key, client_key, eventually, publicsquare, spritz as spritz_credential,
};
use tokio::net::TcpListener;
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn each_first_provider_is_rotated_and_vault_holds_the_key_that_it_accepts() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let all = providers.all();
    let setups: Vec<_> = all.iter().map(|(setup, _)| setup.clone()).collect();
    let installation = world.install(&setups).await;
    let sidecar = world.sidecar(&installation).await;
    for (setup, simulator) in &all {
        let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
        assert_eq!(rotation.state(), RotationState::Succeeded, "{}: {rotation:?}", setup.name);
        let value = world.value(&installation, &setup.store).await;
        assert_ne!(value, setup.first_key, "{}", setup.name);
        assert_eq!(value, simulator.current_key(), "{}", setup.name);
        assert!(simulator.accepts(&value), "{}", setup.name);
        assert_eq!(simulator.calls().len(), 1, "{}", setup.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_in_one_entry_keep_each_other_and_what_others_put_there() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setups = [client_key(&providers.client_key), api_key(&providers.api_key)];
    let installation = world.install(&setups).await;
    let sidecar = world.sidecar(&installation).await;
    for setup in &setups {
        sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    }
    let (data, version) = world.entry(&installation, "payments/adyen").await;
    assert_eq!(data["client_key"], json!(providers.client_key.current_key()));
    assert_eq!(data["api_key"], json!(providers.api_key.current_key()));
    assert_eq!(data["note"], json!("kept by the application's team"));
    let stamps = data["_keyturn"].as_object().unwrap();
    assert_eq!(stamps.keys().collect::<Vec<_>>(), ["api_key", "client_key"]);
    let first =
        world.server.get(&format!("{}/payments/adyen", installation.prefix)).await.unwrap().unwrap().1;
    assert_eq!(version, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_write_between_intent_and_publish_is_kept() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    gate.reached().await;
    let path = format!("{}/payments/publicsquare", installation.prefix);
    let (mut data, _) = world.entry(&installation, "payments/publicsquare").await;
    data["endpoint"] =
        json!({ "url": "https://example.com", "retries": 3, "large": 12_345_678_901_234_567_u64 });
    world.server.put(&path, &data).await.unwrap();
    gate.release();
    let rotation = sidecar.ended(&rotation.rotation_id).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");
    let (after, version) = world.entry(&installation, "payments/publicsquare").await;
    assert_eq!(after["endpoint"]["url"], data["endpoint"]["url"]);
    assert_eq!(after["endpoint"]["retries"], data["endpoint"]["retries"]);
    assert_eq!(after["key"], json!(providers.publicsquare.current_key()));
    assert_eq!(rotation.entry_version, version);
    assert_eq!(providers.publicsquare.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_keys_live_side_by_side_old_ones_and_strays_are_revoked_and_no_others() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let params = [("label", "keyturn"), ("scopes", "mail.send,alerts.read")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()));
    let binding =
        Binding { params: params.clone().into(), base_url: Some(base_url.clone()), ..Binding::usual() };
    let bound = bind(Catalog::embedded().get("sendgrid/api-key").unwrap(), binding).unwrap();
    let (clock, admin) = (SystemClock::start(), "an admin's key");
    let admin_key = SecretValue::new(admin.to_owned());
    let simulator = Arc::new(Simulator::new(bound, clock, Trouble::AnswerLost, admin_key, Vec::new()));
    tokio::spawn(Arc::clone(&simulator).serve(listener));
    let text_of = |number: u128| format!("{:032x}", 0x6b65_7974_7572_6e00_u128 + number);
    let setup = CredentialSetup {
        name: "sendgrid".into(),
        provider: "sendgrid/api-key".into(),
        base_url,
        params: json!(BTreeMap::from(params)),
        admin_key: Some(admin.to_owned()),
        store: "payments/sendgrid#key".into(),
        first_key: text_of(0),
        more: json!({ "revoke_after": "2s", "first_key": "key-0" }),
    };
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Failed, "its answer was lost, and the old key works on");
    assert_eq!(world.value(&installation, &setup.store).await, text_of(0));
    // The credential's own, one by hand, the stray, and the one of the try that follows by itself.
    eventually("only the newest key and the foreign one", async || simulator.living() == [1, 3]).await;
    let (data, _) = world.entry(&installation, "payments/sendgrid").await;
    assert_eq!((&data["key"], &data["_keyturn"]["key"]["key_id"]), (&json!(text_of(3)), &json!("key-3")));
    let nothing_is_owed =
        async || world.record(&setup.name).await["state"]["revocations"].as_array().is_none_or(Vec::is_empty);
    eventually("no key is owed", nothing_is_owed).await;
    let calls = simulator.heard().iter().filter(|heard| heard.what == "regenerate").count();
    assert_eq!((calls, simulator.made()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_key_is_staged_until_it_is_usable_and_only_then_published() {
    let world = World::start().await;
    let propagation = std::time::Duration::from_secs(1);
    let simulator = adyen::start_with(adyen::Setup { propagation, ..adyen::Setup::default() }).await.unwrap();
    let setup = client_key(&simulator);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    let staged = |state| state == RotationState::Staged;
    sidecar
        .until(&setup.name, "staged", |credential| {
            credential.current_rotation.as_ref().is_some_and(|open| staged(open.state()))
        })
        .await
        .unwrap();
    let before = world.value(&installation, &setup.store).await;
    assert_eq!(before, setup.first_key, "applications keep the old key, which Adyen accepts for 24 hours");
    assert_eq!(world.record(&setup.name).await["staged"], json!(simulator.current_key()));
    let rotation = sidecar.ended(&rotation.rotation_id).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");
    assert!(simulator.accepts(&world.value(&installation, &setup.store).await));
    assert!(rotation.previous_expire_time.is_some());
    assert!(world.record(&setup.name).await.get("staged").is_none_or(serde_json::Value::is_null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_signs_its_own_rotation_and_the_next_is_signed_by_the_new_one() {
    let world = World::start().await;
    let simulator = spritz::start().await.unwrap();
    let setup = spritz_credential(&simulator);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let first = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(first.state(), RotationState::Succeeded);
    let refused = sidecar.rotate(&setup.name, false).await;
    let Err(Error::Status(status)) = refused else { panic!("rotated inside the grace window") };
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.get_details_error_info().unwrap().reason, "GRACE_WINDOW_OPEN");
    // Both secrets sign now; to see which one is used, the old one has to be dead.
    simulator.retire_old_keys();
    assert!(!simulator.accepts(&setup.first_key));
    let second = sidecar.rotate(&setup.name, true).await.unwrap();
    let second = sidecar.ended(&second.rotation_id).await.unwrap();
    assert_eq!(second.state(), RotationState::Succeeded, "{second:?}");
    assert_eq!(simulator.calls().len(), 2);
    assert_eq!(world.value(&installation, &setup.store).await, simulator.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_on_one_credential_make_one_call_and_both_tell_its_end() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let twin = installation.replica(&world.directory.path().join("two")).unwrap();
    let (one, two) = (world.sidecar(&installation).await, world.sidecar(&twin).await);
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    let (first, second) = tokio::join!(one.rotate(&setup.name, false), two.rotate(&setup.name, false));
    gate.reached().await;
    gate.release();
    assert!(first.is_ok() || second.is_ok());
    for sidecar in [&one, &two] {
        let seen = sidecar
            .until(&setup.name, "the rotation's end", |credential| {
                credential.last_success_time.is_some() && credential.current_rotation.is_none()
            })
            .await
            .unwrap();
        assert_eq!(seen.last_rotation.unwrap().state(), RotationState::Succeeded);
    }
    assert_eq!(providers.publicsquare.calls().len(), 1, "{:?}", providers.publicsquare.calls());
    assert_eq!(world.value(&installation, &setup.store).await, providers.publicsquare.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_over_when_the_holder_is_gone_for_good() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let twin = installation.replica(&world.directory.path().join("two")).unwrap();
    let mut one =
        Sidecar::start(Path::new(BINARY), &installation, &["--crash-at", "after-answer"]).await.unwrap();
    one.rotate(&setup.name, false).await.ok();
    one.exit().await.unwrap();
    let two = world.sidecar(&twin).await;
    let seen = two.credential(&setup.name).await.unwrap();
    assert_eq!(seen.role(), keyturn::api::proto::Role::Follower);
    two.until(&setup.name, "the take-over's end", |credential| {
        credential.last_success_time.is_some() && credential.current_rotation.is_none()
    })
    .await
    .unwrap();
    let value = world.value(&installation, &setup.store).await;
    assert_eq!(value, providers.publicsquare.current_key());
    assert_eq!(providers.publicsquare.minted_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_signal_lets_a_sent_call_come_to_its_end_and_exits_with_0() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let mut sidecar = world.sidecar(&installation).await;
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    let request = WatchRotationRequest { rotation_id: rotation.rotation_id, credential: String::new() };
    let mut stream = sidecar.rotations().await.unwrap().watch_rotation(request).await.unwrap().into_inner();
    gate.reached().await;
    let stopping = tokio::join!(sidecar.terminate(), async {
        while let Ok(Some(_)) = stream.message().await {}
        gate.release();
    });
    assert_eq!(stopping.0.unwrap().code(), Some(0), "{}", sidecar.log_text());
    assert!(!installation.socket.exists(), "the socket is left behind");
    assert_eq!(world.value(&installation, &setup.store).await, providers.publicsquare.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_closes_as_failed_with_the_providers_words_and_is_not_repeated() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = api_key(&providers.api_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    providers.api_key.next_call(Fault::refuses(422));
    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Failed);
    let failure = rotation.failure.unwrap();
    assert_eq!(failure.reason, "PROVIDER_INVALID_REQUEST");
    assert_eq!(failure.problem.unwrap().http_status, 422);
    let credential = sidecar.credential(&setup.name).await.unwrap();
    assert!(
        credential.retry.is_none() && credential.next_due_time.is_none(),
        "a refused call is tried again"
    );
    assert_eq!(world.value(&installation, &setup.store).await, setup.first_key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_tried_again_by_itself() {
    let world = World::start().await;
    let simulator = spritz::start().await.unwrap();
    let setup = spritz_credential(&simulator);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    simulator.next_call(Fault::rate_limits(Some("5")));
    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Failed);
    sidecar
        .until(&setup.name, "the second try", |credential| credential.last_success_time.is_some())
        .await
        .unwrap();
    assert_eq!(world.value(&installation, &setup.store).await, simulator.current_key());
    assert_eq!(simulator.minted_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_gives_the_same_rotation_also_after_a_restart() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let mut sidecar = world.sidecar(&installation).await;
    let request = RotateRequest {
        credential: setup.name.clone(),
        emergency: false,
        request_id: "7c2f7f0e-3a7e-4b37-9f55-0d0f4c3c1a11".into(),
    };
    let id = |answer: tonic::Response<keyturn::api::proto::RotateResponse>| {
        answer.into_inner().rotation.unwrap().rotation_id
    };
    let first = id(sidecar.rotations().await.unwrap().rotate(request.clone()).await.unwrap());
    sidecar.ended(&first).await.unwrap();
    sidecar.terminate().await.unwrap();
    let sidecar = world.sidecar(&installation).await;
    let again = id(sidecar.rotations().await.unwrap().rotate(request).await.unwrap());
    assert_eq!(first, again);
    assert_eq!(providers.publicsquare.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_happen_and_touches_nothing() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = client_key(&providers.client_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let request = PlanRotationRequest { credential: setup.name.clone(), emergency: false };
    let plan = sidecar.rotations().await.unwrap().plan_rotation(request).await.unwrap().into_inner();
    assert!(plan.steps.len() > 4 && !plan.if_answer_is_lost.is_empty());
    assert!(plan.findings.iter().all(|finding| !finding.blocking), "{:?}", plan.findings);
    assert_eq!(providers.client_key.calls().len(), 0);
    assert_eq!(providers.client_key.calls_of(Operation::Read).len(), 1, "the baseline is read");
    assert!(keyturn::escrow::list_directory(&installation.escrow, None).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_credential_refuses_until_it_is_resumed_and_remembers_it_over_a_restart() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let mut sidecar = world.sidecar(&installation).await;
    let pause = PauseCredentialRequest {
        credential: setup.name.clone(),
        reason: "change freeze".into(),
        request_id: String::new(),
    };
    sidecar.credentials().await.unwrap().pause_credential(pause).await.unwrap();
    sidecar.terminate().await.unwrap();
    let sidecar = world.sidecar(&installation).await;
    let Err(Error::Status(status)) = sidecar.rotate(&setup.name, false).await else { panic!("not refused") };
    assert_eq!(status.get_details_error_info().unwrap().reason, "CREDENTIAL_PAUSED");
    let resume = ResumeCredentialRequest { credential: setup.name.clone(), request_id: String::new() };
    sidecar.credentials().await.unwrap().resume_credential(resume).await.unwrap();
    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_waits_for_vault_can_be_cancelled_and_says_so() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    world.server.seal().await.unwrap();
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    sidecar
        .until(&setup.name, "the hold", |credential| {
            credential.hold.as_ref().is_some_and(|hold| hold.reason == "VAULT_SEALED")
        })
        .await
        .unwrap();
    let request =
        CancelRotationRequest { rotation_id: rotation.rotation_id.clone(), request_id: String::new() };
    sidecar.rotations().await.unwrap().cancel_rotation(request).await.unwrap();
    let rotation = sidecar.ended(&rotation.rotation_id).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Cancelled);
    assert_eq!(providers.publicsquare.calls().len(), 0);
    world.server.unseal().await.unwrap();
    let listed =
        ListRotationsRequest { credential: setup.name.clone(), page_size: 0, page_token: String::new() };
    let listed = sidecar.rotations().await.unwrap().list_rotations(listed).await.unwrap().into_inner();
    assert_eq!(listed.rotations.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_in_the_middle_of_a_rotation_does_not_keep_it_from_its_end() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = client_key(&providers.client_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    sidecar
        .until(&setup.name, "staged", |credential| {
            credential.current_rotation.as_ref().is_some_and(|open| open.state() == RotationState::Staged)
        })
        .await
        .unwrap();
    let pause = PauseCredentialRequest {
        credential: setup.name.clone(),
        reason: "audit".into(),
        request_id: String::new(),
    };
    sidecar.credentials().await.unwrap().pause_credential(pause).await.unwrap();
    let rotation = sidecar.ended(&rotation.rotation_id).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");
    assert_eq!(world.value(&installation, &setup.store).await, providers.client_key.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_preflight_is_held_can_be_paused_and_then_wants_nothing_more() {
    let world = World::start().await;
    let simulator = spritz::start().await.unwrap();
    let mut setup = spritz_credential(&simulator);
    setup.more = json!({ "grace": "1h" });
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let path = format!("{}/payments/spritz", installation.prefix);
    world.server.put(&path, &json!({ "note": "no secret yet" })).await.unwrap();
    let sidecar = world.sidecar(&installation).await;
    sidecar.rotate(&setup.name, false).await.unwrap();
    let held = |credential: &keyturn::api::proto::Credential| {
        credential.hold.as_ref().is_some_and(|hold| hold.reason == "FIRST_SECRET_MISSING")
    };
    sidecar.until(&setup.name, "the hold", held).await.unwrap();
    let pause = PauseCredentialRequest {
        credential: setup.name.clone(),
        reason: "audit".into(),
        request_id: String::new(),
    };
    sidecar.credentials().await.unwrap().pause_credential(pause).await.unwrap();
    sidecar
        .until(&setup.name, "the end of the hold", |credential| {
            credential.hold.is_none() && credential.current_rotation.is_none() && credential.pause.is_some()
        })
        .await
        .unwrap();
}
