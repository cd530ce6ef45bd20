//! The main job, end to end: a real sidecar, a real OpenBao, the providers' wire contracts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use keyturn::api::proto::RotationState;
use support::world::{Providers, World};

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
