//! ARCHITECTURE.md's crash table, walked: a real process is killed at each row, for each first provider, and
//! what is found is what the table says; the next start ends with the provider's live key in Vault.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use futures_util::StreamExt as _;
use keyturn::escrow::list_directory;
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault, Simulator};
use serde_json::json;
use support::world::{BINARY, Providers, World, api_key, client_key, eventually, publicsquare, spritz};

/// One row of the table.
#[derive(Debug, Clone)]
struct Row {
    point: String,
    provider: String,
    record: String,
    entry: String,
    escrow: String,
}

fn crash_table() -> Vec<Row> {
    let text = include_str!("../ARCHITECTURE.md");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let point = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        let [_, provider, record, entry, escrow, _] = cells.as_slice() else { return None };
        let (point, provider) = (point.to_owned(), (*provider).to_owned());
        let (record, entry, escrow) = ((*record).to_owned(), (*entry).to_owned(), (*escrow).to_owned());
        Some(Row { point, provider, record, entry, escrow })
    });
    rows.collect()
}

#[test]
fn the_table_has_a_row_for_each_crash_point_of_the_code() {
    let mut rows: Vec<_> = crash_table().into_iter().map(|row| row.point).collect();
    let mut points: Vec<_> = keyturn::engine::crash::POINTS.iter().map(ToString::to_string).collect();
    rows.sort();
    points.sort();
    assert_eq!(rows, points);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readable_client_key_survives_a_crash_at_each_row() {
    walk(|providers| (client_key(&providers.client_key), &providers.client_key), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_can_be_made_again_survives_a_crash_at_each_row() {
    walk(|providers| (api_key(&providers.api_key), &providers.api_key), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_is_replayed_survives_a_crash_at_each_row() {
    walk(|providers| (publicsquare(&providers.publicsquare), &providers.publicsquare), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_signs_its_own_rotation_survives_a_crash_at_each_row() {
    walk(|providers| (spritz(&providers.spritz), &providers.spritz), 2).await;
}

/// How many worlds of one walk run at once.
const AT_ONCE: usize = 3;

async fn walk(choose: fn(&Providers) -> (CredentialSetup, &Simulator), minted_max: usize) {
    let staged = ["client-key", "api-key"];
    let walks = crash_table().into_iter().map(|row| async move {
        let providers = Providers::start().await;
        let (setup, simulator) = choose(&providers);
        if row.point == "after-stage" && !staged.contains(&setup.name.as_str()) {
            return;
        }
        Walk { row, setup, simulator, minted_max }.run().await;
    });
    futures_util::stream::iter(walks).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

struct Walk<'a> {
    row: Row,
    setup: CredentialSetup,
    simulator: &'a Simulator,
    /// How many keys the provider may mint for one rotation, by its declared capability.
    minted_max: usize,
}

impl Walk<'_> {
    async fn run(mut self) {
        let world = World::start().await;
        let settings = quick_definition(&world, &mut self.setup);
        let installation = world.install_with(std::slice::from_ref(&self.setup), &settings).await;
        self.die(&installation).await;
        self.compare(&world, &installation).await;
        let sidecar = world.sidecar(&installation).await;
        self.recovers(&world, &installation, &sidecar).await;
    }

    async fn die(&self, installation: &Installation) {
        if self.row.point == "after-unknown" {
            self.simulator.next_call(Fault::answer_lost());
        }
        let arguments = ["--crash-at", &self.row.point];
        let mut sidecar = Sidecar::start(Path::new(BINARY), installation, &arguments).await.unwrap();
        // It may die before it has answered.
        sidecar.rotate(&self.setup.name, false).await.ok();
        let status = sidecar.exit().await.unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{}: {status}",
            self.what()
        );
    }

    async fn compare(&self, world: &World, installation: &Installation) {
        let what = self.what();
        let made = self.simulator.minted_count() > 0;
        assert_eq!(made, self.row.provider == "new key", "{what}: provider");
        let record = world.record(&self.setup.name).await;
        let phase = record["state"]["phase"]["phase"].as_str().unwrap().to_owned();
        assert!(self.row.record.split(" or ").any(|known| known == phase), "{what}: record is {phase}");
        let published = world.value(installation, &self.setup.store).await != self.setup.first_key;
        assert_eq!(published, self.row.entry == "new", "{what}: entry");
        let slots = list_directory(&installation.escrow, None).unwrap();
        let holds: Vec<_> = slots.iter().map(|slot| slot.holds.as_str()).collect();
        assert_eq!(holds, [self.row.escrow.as_str()], "{what}: escrow");
    }

    async fn recovers(&self, world: &World, installation: &Installation, sidecar: &Sidecar) {
        let what = self.what();
        let wanted = u32::from(self.row.point != "before-intent");
        sidecar
            .until(&self.setup.name, &format!("{what}: the end"), |credential| {
                let rotated = u32::from(credential.last_success_time.is_some());
                credential.loaded && credential.current_rotation.is_none() && rotated == wanted
            })
            .await
            .unwrap();
        let value = world.value(installation, &self.setup.store).await;
        assert_eq!(value, self.simulator.current_key(), "{what}: Vault does not hold the live key");
        assert!(self.simulator.accepts(&value), "{what}: the key in Vault is dead");
        let minted = self.simulator.minted_count();
        assert!(minted >= wanted as usize && minted <= self.minted_max, "{what}: {minted} keys were made");
        eventually(&format!("{what}: the empty escrow"), || async {
            list_directory(&installation.escrow, None).unwrap().is_empty()
        })
        .await;
    }

    fn what(&self) -> String {
        format!("{} died {}", self.setup.name, self.row.point)
    }
}

/// The readable provider's definition with a shorter lag, as a file of the user's own: a read that shows no
/// change is believed after seconds instead of minutes.
fn quick_definition(world: &World, setup: &mut CredentialSetup) -> serde_json::Value {
    if setup.provider != "adyen/client-key" {
        return json!({});
    }
    let definition = include_str!("../src/provider/catalog/adyen-client-key.yaml")
        .replace("name: adyen/client-key", "name: test/client-key")
        .replace("lag: 2m", "lag: 1s");
    let file = world.directory.path().join("client-key.yaml");
    std::fs::write(&file, definition).unwrap();
    setup.provider = "test/client-key".into();
    json!({ "providers": [file] })
}
