//! What docs/reliability.md promises and no other test shows: the real binary, a real OpenBao, a simulated provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::time::Duration;

use keyturn::api::proto::{Decision, ResolveRotationRequest, RotationState};
use keyturn::testbed::installation::CredentialSetup;
use keyturn::testbed::{Fault, Operation, adyen};
use serde_json::json;
use support::world::{Providers, World, api_key};

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_costs_one_call_closes_by_its_class_and_leaves_the_old_key() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = api_key(&providers.api_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    let calls = || providers.api_key.calls_of(Operation::Regenerate).len();
    for (status, reason) in [
        (400, "PROVIDER_INVALID_REQUEST"),
        (401, "PROVIDER_UNAUTHENTICATED"),
        (403, "PROVIDER_FORBIDDEN"),
        (404, "PROVIDER_NOT_FOUND"),
        (409, "PROVIDER_CONFLICT"),
        (422, "PROVIDER_INVALID_REQUEST"),
    ] {
        let before = calls();
        providers.api_key.next_call(Fault::refuses(status));
        // The request itself is answered with OK and the rotation; how that ended is its state.
        let asked = sidecar.rotate(&setup.name, true).await.unwrap();
        let rotation = sidecar.ended(&asked.rotation_id).await.unwrap();
        assert_eq!(rotation.state(), RotationState::Failed, "{status}");
        let failure = rotation.failure.unwrap();
        assert_eq!(failure.reason, reason, "{status}");
        assert_eq!(failure.problem.unwrap().http_status, u32::from(status));
        assert_eq!(calls() - before, 1, "{status} was tried again");
        let credential = sidecar.credential(&setup.name).await.unwrap();
        assert!(credential.retry.is_none(), "{status} will be tried again");
    }
    assert_eq!(world.value(&installation, &setup.store).await, setup.first_key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_older_than_its_entry_stops_every_rotation_until_a_person_has_looked() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = api_key(&providers.api_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let sidecar = world.sidecar(&installation).await;
    sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    drop(sidecar);
    let published = world.value(&installation, &setup.store).await;
    let minted = providers.api_key.minted_count();

    world.forget_record(&setup.name).await;
    let sidecar = world.sidecar(&installation).await;
    sidecar.rotate(&setup.name, true).await.unwrap();
    let held = |credential: &keyturn::api::proto::Credential| {
        credential.hold.as_ref().is_some_and(|hold| hold.reason == "RECORD_BEHIND_ENTRY")
    };
    sidecar.until(&setup.name, "the hold", held).await.unwrap();
    assert_eq!(providers.api_key.minted_count(), minted, "a blind rotation");
    assert_eq!(world.value(&installation, &setup.store).await, published);

    // The way out that the message names.
    let path = format!("{}/{}", installation.prefix, setup.store.split('#').next().unwrap());
    let (mut data, _) = world.server.get(&path).await.unwrap().unwrap();
    data.as_object_mut().unwrap().remove("_keyturn");
    world.server.put(&path, &data).await.unwrap();
    let rotated = |credential: &keyturn::api::proto::Credential| credential.entry_version > 3;
    sidecar.until(&setup.name, "the rotation", rotated).await.unwrap();
    assert_eq!(world.value(&installation, &setup.store).await, providers.api_key.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_is_refused_for_good_halts_unpublished_and_is_never_replaced_by_itself() {
    let world = World::start().await;
    let simulator = adyen::start_with(adyen::Setup {
        primary: adyen::API_KEY,
        propagation: Duration::from_hours(1),
        ..adyen::Setup::default()
    });
    let simulator = simulator.await.unwrap();
    let definition = include_str!("../src/provider/catalog/adyen-api-key.yaml")
        .replace("name: adyen/api-key", "name: own/impatient-key")
        .replace("poll: 15s, deadline: 10m", "poll: 1s, deadline: 3s");
    let file = world.directory.path().join("own.yaml");
    fs::write(&file, definition).unwrap();
    let setup = CredentialSetup { provider: "own/impatient-key".into(), ..api_key(&simulator) };
    let installation =
        world.install_with(std::slice::from_ref(&setup), &json!({ "providers": [file] })).await;
    let sidecar = world.sidecar(&installation).await;

    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Halted);
    let halt = rotation.halt.unwrap();
    assert_eq!(halt.reason, "NEW_KEY_REFUSED");
    assert_eq!(simulator.minted_count(), 1);
    assert_eq!(
        world.value(&installation, &setup.store).await,
        setup.first_key,
        "a refused key was published"
    );

    let request = ResolveRotationRequest {
        rotation_id: rotation.rotation_id.clone(),
        decision: Decision::KeepCurrent.into(),
        ..ResolveRotationRequest::default()
    };
    sidecar.rotations().await.unwrap().resolve_rotation(request).await.unwrap();
    assert_eq!(sidecar.ended(&rotation.rotation_id).await.unwrap().state(), RotationState::Resolved);
    assert_eq!(
        (simulator.minted_count(), world.value(&installation, &setup.store).await),
        (1, setup.first_key)
    );
}
