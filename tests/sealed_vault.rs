//! Vault is sealed between the provider's answer and the store: the key waits in escrow, everybody is told, and
//! the rotation ends by itself once Vault is unsealed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use keyturn::escrow::list_directory;
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault, Gate};
use support::world::{BINARY, Providers, World, eventually, publicsquare};

#[tokio::test(flavor = "multi_thread")]
async fn the_key_waits_in_escrow_and_reaches_vault_after_the_unseal() {
    seal_after_the_answer(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_also_when_the_sidecar_is_restarted_while_vault_is_sealed() {
    seal_after_the_answer(true).await;
}

async fn seal_after_the_answer(restart: bool) {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let mut sidecar = world.sidecar(&installation).await;
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    sidecar.rotate(&setup.name, false).await.unwrap();
    gate.reached().await;
    world.server.seal().await.unwrap();
    gate.release();
    eventually("the sealed answer", || async {
        let slots = list_directory(&installation.escrow, None).unwrap();
        slots.iter().map(|slot| slot.holds.as_str()).eq(["sealed"])
    })
    .await;
    let held = sidecar
        .until(&setup.name, "the hold", |credential| {
            credential.hold.as_ref().is_some_and(|hold| hold.reason == "VAULT_SEALED")
        })
        .await
        .unwrap();
    assert!(held.hold.unwrap().message.contains("unseal"), "the way out is not named");
    if restart {
        sidecar.kill().unwrap();
        sidecar = Sidecar::spawn(Path::new(BINARY), &installation, &[]).unwrap();
        eventually("the socket of the restarted sidecar", || async { sidecar.channel().await.is_ok() }).await;
        sidecar
            .until(&setup.name, "the hold after the restart", |credential| {
                credential.hold.as_ref().is_some_and(|hold| hold.reason == "VAULT_SEALED")
            })
            .await
            .unwrap();
    }
    world.server.unseal().await.unwrap();
    sidecar
        .until(&setup.name, "the end", |credential| {
            credential.last_success_time.is_some() && credential.current_rotation.is_none()
        })
        .await
        .unwrap();
    assert_eq!(world.value(&installation, &setup.store).await, providers.publicsquare.current_key());
    assert_eq!(providers.publicsquare.calls().len(), 1);
    eventually("the empty escrow", || async {
        list_directory(&installation.escrow, None).unwrap().is_empty()
    })
    .await;
}
