//! A changed configuration is followed by a running keyturn, or refused as a whole: a real process, a real OpenBao.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;

use keyturn::api::proto::{RotationState, WatchCredentialsRequest, WatchCredentialsResponse};
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault, Gate};
use serde_json::{Value, json};
use support::world::{Providers, World, client_key, eventually, publicsquare};
use tonic::Streaming;

/// An installation whose configuration lies where a ConfigMap's volume has it: behind two links, of which one is swapped.
struct Mounted {
    installation: Installation,
    whole: Value,
    versions: u32,
}

impl Mounted {
    async fn prepare(world: &World, setups: &[CredentialSetup]) -> Self {
        let installation = world.install(setups).await;
        let whole = serde_json::from_slice(&fs::read(&installation.config).unwrap()).unwrap();
        fs::remove_file(&installation.config).unwrap();
        std::os::unix::fs::symlink("..data/keyturn.yaml", &installation.config).unwrap();
        Self { installation, whole, versions: 0 }
    }

    fn put(&mut self, text: &str) {
        self.versions += 1;
        let (home, version) = (&self.installation.directory, format!("..{}", self.versions));
        fs::create_dir(home.join(&version)).unwrap();
        fs::write(home.join(&version).join("keyturn.yaml"), text).unwrap();
        std::os::unix::fs::symlink(&version, home.join("..data_tmp")).unwrap();
        fs::rename(home.join("..data_tmp"), home.join("..data")).unwrap();
    }

    /// The whole configuration with these credentials alone, and with a change.
    fn put_with(&mut self, names: &[&str], change: impl FnOnce(&mut Value)) {
        let mut config = self.whole.clone();
        let all = config["credentials"].as_array_mut().unwrap();
        all.retain(|one| names.contains(&one["name"].as_str().unwrap()));
        change(&mut config);
        self.put(&config.to_string());
    }
}

fn said(sidecar: &Sidecar, words: &str) -> usize {
    sidecar.log_text().lines().filter(|line| line.contains(words)).count()
}

async fn refused(sidecar: &Sidecar, words: &str) {
    sidecar.hang_up().unwrap();
    eventually(words, || async { said(sidecar, words) > 0 }).await;
    let log = sidecar.log_text();
    let line = log.lines().find(|line| line.contains(words)).unwrap();
    assert!(line.contains("CONFIG_REFUSED"), "{line}");
}

async fn watch(sidecar: &Sidecar) -> Streaming<WatchCredentialsResponse> {
    let all = WatchCredentialsRequest::default();
    sidecar.credentials().await.unwrap().watch_credentials(all).await.unwrap().into_inner()
}

async fn until_shown(stream: &mut Streaming<WatchCredentialsResponse>, name: &str) {
    let shown = async {
        while let Some(message) = stream.message().await.unwrap() {
            if message.credentials.iter().any(|one| one.name == name && one.loaded) {
                return;
            }
        }
        panic!("the stream has ended");
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), shown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_and_go_with_the_mounted_file_and_watchers_keep_their_streams() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let (one, two) = (publicsquare(&providers.publicsquare), client_key(&providers.client_key));
    let mut mounted = Mounted::prepare(&world, &[one.clone(), two.clone()]).await;
    mounted.put_with(&[&one.name], |_| {});
    let sidecar = world.sidecar(&mounted.installation).await;
    let mut stream = watch(&sidecar).await;
    until_shown(&mut stream, &one.name).await;
    assert!(sidecar.credential(&two.name).await.is_err());

    // Nothing tells keyturn of this swap: it looks by itself.
    mounted.put_with(&[&one.name, &two.name], |_| {});
    until_shown(&mut stream, &two.name).await;
    let rotation = sidecar.rotate_to_the_end(&two.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");

    mounted.put_with(&[&two.name], |_| {});
    sidecar.hang_up().unwrap();
    eventually("the end", || async { sidecar.credential(&one.name).await.is_err() }).await;
    assert_eq!(providers.publicsquare.calls().len(), 0);
    mounted.put_with(&[&one.name, &two.name], |_| {});
    sidecar.hang_up().unwrap();
    eventually("its return", || async { sidecar.credential(&one.name).await.is_ok_and(|one| one.loaded) })
        .await;
    assert_eq!(sidecar.rotate_to_the_end(&one.name).await.unwrap().state(), RotationState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_refused_as_a_whole_and_the_old_one_goes_on() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let (one, two) = (publicsquare(&providers.publicsquare), client_key(&providers.client_key));
    let mut mounted = Mounted::prepare(&world, &[one.clone(), two.clone()]).await;
    mounted.put_with(&[&one.name], |_| {});
    let mut sidecar = world.sidecar(&mounted.installation).await;
    mounted
        .put_with(&[&one.name, &two.name], |config| config["credentials"][0]["provider"] = json!("no/such"));
    refused(&sidecar, "there is no such definition").await;
    mounted.put_with(&[&one.name, &two.name], |config| {
        config["vault"]["record_prefix"] = json!("secret/elsewhere");
    });
    refused(&sidecar, "vault: restart to apply").await;
    let taken = mounted.whole["credentials"][0]["store"].clone();
    mounted.put_with(&[&two.name], |config| config["credentials"][0]["store"] = taken);
    refused(&sidecar, "it publishes into this field").await;
    let before = said(&sidecar, "CONFIG_REFUSED");
    mounted.put("credentials: [");
    sidecar.hang_up().unwrap();
    eventually("a refusal", || async { said(&sidecar, "CONFIG_REFUSED") > before }).await;
    assert!(sidecar.credential(&two.name).await.is_err(), "a part of a refused file was applied");
    let rotation = sidecar.rotate_to_the_end(&one.name).await.unwrap();
    assert_eq!(rotation.state(), RotationState::Succeeded, "{rotation:?}");
    sidecar.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_in_flight_ends_by_its_old_plan_before_the_new_one_counts() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let mut mounted = Mounted::prepare(&world, std::slice::from_ref(&setup)).await;
    mounted.put_with(&[&setup.name], |_| {});
    let sidecar = world.sidecar(&mounted.installation).await;
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    gate.reached().await;
    let (followed, ()) = tokio::join!(sidecar.ended(&rotation.rotation_id), async {
        mounted.put_with(&[&setup.name], |config| {
            config["credentials"][0]["schedule"] = json!({ "every": "30d" });
        });
        sidecar.hang_up().unwrap();
        eventually("the new configuration", || async { said(&sidecar, "configuration is applied") > 0 })
            .await;
        let open = sidecar.credential(&setup.name).await.unwrap();
        assert!(
            open.current_rotation.is_some() && open.next_due_time.is_none(),
            "the old plan does not count"
        );
        gate.release();
    });
    assert_eq!(followed.unwrap().state(), RotationState::Succeeded);
    sidecar
        .until(&setup.name, "the new plan", |credential| credential.next_due_time.is_some())
        .await
        .unwrap();
    assert_eq!(providers.publicsquare.calls().len(), 1);
    assert_eq!(world.value(&mounted.installation, &setup.store).await, providers.publicsquare.current_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_changes_while_a_rotation_is_open_waits_for_its_end() {
    let (world, providers) = (World::start().await, Providers::start().await);
    let setup = publicsquare(&providers.publicsquare);
    let mut mounted = Mounted::prepare(&world, std::slice::from_ref(&setup)).await;
    mounted.put_with(&[&setup.name], |_| {});
    let sidecar = world.sidecar(&mounted.installation).await;
    let gate = Gate::new();
    providers.publicsquare.next_call(Fault::slow(std::time::Duration::ZERO).until(&gate));
    let rotation = sidecar.rotate(&setup.name, false).await.unwrap();
    gate.reached().await;
    world.server.seal().await.unwrap();
    gate.release();
    sidecar.until(&setup.name, "the hold", |credential| credential.hold.is_some()).await.unwrap();

    // The open rotation's key goes to the old place, and the new one would stay behind.
    let (path, _) = setup.store.split_once('#').unwrap();
    let elsewhere = format!("{path}#elsewhere");
    mounted.put_with(&[&setup.name], |config| config["credentials"][0]["store"] = json!(elsewhere));
    refused(&sidecar, "a rotation is open that ends in").await;
    world.server.unseal().await.unwrap();
    let ended = sidecar.ended(&rotation.rotation_id).await.unwrap();
    assert_eq!(ended.state(), RotationState::Succeeded, "{ended:?}");
    assert_eq!(world.value(&mounted.installation, &setup.store).await, providers.publicsquare.current_key());
    sidecar.until(&setup.name, "the new place", |credential| credential.store == elsewhere).await.unwrap();
}
