//! The command line as a person uses it: the real binary, a real sidecar, a real OpenBao.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::process::{Command, Output};

use keyturn::testbed::Fault;
use support::world::{self, Providers, World};

fn keyturn(line: &str) -> Output {
    let words: Vec<&str> = line.split_whitespace().collect();
    Command::new(env!("CARGO_BIN_EXE_keyturn")).args(words).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_rotates_and_sees_what_became_of_it() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = world::client_key(&providers.client_key);
    let installation = world.install(std::slice::from_ref(&setup)).await;
    let _sidecar = world.sidecar(&installation).await;
    let config = installation.config.display().to_string();
    let run = async |line: &str| {
        let line = format!("{line} --config {config}");
        let output = tokio::task::spawn_blocking(move || keyturn(&line)).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let expect = async |line: &str, code: u8, part: &str| {
        let (actual, out, err) = run(line).await;
        assert!(
            actual == i32::from(code) && (out.contains(part) || err.contains(part)),
            "{actual} {out}{err}"
        );
        assert!(!out.contains(world::CANARY) && !err.contains(world::CANARY), "{line} shows a secret");
    };

    expect("health", 0, "serving").await;
    expect("status", 0, "not rotated yet").await;
    expect("rotate client-key --dry-run", 0, "Nothing stands in its way").await;
    assert_eq!(providers.client_key.minted_count(), 0, "a dry run changes nothing");
    expect("rotate client-key --wait", 0, "rotated: the new key is in").await;
    expect("rotate client-key", 4, "[GRACE_WINDOW_OPEN]").await;
    expect("status", 0, "dies in 23h").await;
    expect("pause client-key --reason audit", 0, "is paused").await;
    expect("rotate client-key", 4, "`keyturn resume client-key` ends the pause").await;
    expect("resume client-key", 0, "runs by its schedule").await;
    expect("resolve client-key --as try-again", 4, "nothing to resolve").await;
    expect("rotate nobody", 2, "[CREDENTIAL_NOT_FOUND]").await;

    providers.client_key.next_call(Fault::refuses(403));
    expect("rotate client-key --wait --emergency", 5, "[PROVIDER_FORBIDDEN]").await;
    expect("history client-key", 0, "PROVIDER_FORBIDDEN").await;
    expect("status client-key -o json", 0, "\"state\": \"failed\"").await;
}
