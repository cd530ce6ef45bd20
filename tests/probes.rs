//! What an orchestrator's probes are told: a real keyturn, a real OpenBao that is away at first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Command;

use keyturn::api::proto::RotationState;
use keyturn::testbed::installation::Installation;
use keyturn::testbed::sidecar::Sidecar;
use serde_json::json;
use support::world::{BINARY, Providers, World, eventually, publicsquare};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What `keyturn health` ends with.
async fn health(installation: &Installation, what: &str) -> i32 {
    let line = format!("health {what} --config {}", installation.config.display());
    let run = move || Command::new(BINARY).args(line.split_whitespace()).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap().status.code().unwrap()
}

/// A way to Vault that closes every connection until it is opened.
async fn way_to(port: u16) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (open, is_open) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            if *is_open.borrow() {
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        }
    });
    (own, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn keyturn_starts_before_vault_can_be_reached_and_goes_on_by_itself() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let (port, open) = way_to(world.server.port()).await;
    let away = json!({ "vault": { "address": format!("http://127.0.0.1:{port}") } });
    let installation = world.install_with(std::slice::from_ref(&setup), &away).await;
    let mut sidecar = Sidecar::spawn(Path::new(BINARY), &installation, &[]).unwrap();
    eventually("the socket", || async { sidecar.channel().await.is_ok() }).await;
    eventually("the start", || async { health(&installation, "--for startup").await == 0 }).await;
    let seen = sidecar.until(&setup.name, "the hold", |credential| credential.hold.is_some()).await.unwrap();
    let hold = seen.hold.unwrap();
    assert_eq!(hold.reason, "VAULT_UNAVAILABLE", "{}", hold.message);
    eventually("life", || async { health(&installation, "--for live").await == 0 }).await;
    assert_eq!(health(&installation, "--for ready").await, 0, "callers are answered");
    assert_eq!(health(&installation, "").await, 0);
    assert_eq!(health(&installation, "--service keyturn.v1.RotateService").await, 7);

    open.send_replace(true);
    sidecar.serving().await.unwrap();
    assert_eq!(health(&installation, "--service keyturn.v1.RotateService").await, 0);
    let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_makes_no_progress_is_not_live() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let installation = world.install(&[publicsquare(&providers.publicsquare)]).await;
    let mut sidecar = world.sidecar(&installation).await;
    eventually("life", || async { health(&installation, "--for live").await == 0 }).await;
    sidecar.freeze().unwrap();
    assert_eq!(health(&installation, "--for live").await, 7);
    sidecar.thaw().unwrap();
    assert_eq!(health(&installation, "--for live").await, 0);
    sidecar.terminate().await.unwrap();
    assert_eq!(health(&installation, "--for live").await, 3);
}
