//! Every secret of the world has a marker in it. Whatever the process shows or leaves behind is searched for the
//! marker, at the most talkative log level, through good and bad days: it is found nowhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::use_debug,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use keyturn::api::proto::{ListCredentialsRequest, ListRotationsRequest, PlanRotationRequest};
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Fault, Simulator, adyen, publicsquare, spritz};
use serde_json::json;
use support::world::{BINARY, CANARY, Providers, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Simulators whose admin keys have the marker too.
async fn providers() -> Providers {
    let admin = || format!("admin-{CANARY}-key");
    let api_key = adyen::Setup { primary: adyen::API_KEY, admin_key: admin(), ..adyen::Setup::default() };
    Providers {
        client_key: adyen::start_with(adyen::Setup { admin_key: admin(), ..adyen::Setup::default() })
            .await
            .unwrap(),
        api_key: adyen::start_with(api_key).await.unwrap(),
        publicsquare: publicsquare::start_with(publicsquare::Setup {
            rotator_key: admin(),
            ..publicsquare::Setup::default()
        })
        .await
        .unwrap(),
        spritz: spritz::start().await.unwrap(),
    }
}

fn marked(mut setup: CredentialSetup) -> CredentialSetup {
    if setup.admin_key.is_some() {
        setup.admin_key = Some(format!("admin-{CANARY}-key"));
    }
    assert!(setup.first_key.contains(CANARY), "a secret without the marker proves nothing");
    setup
}

/// A key that goes with two fields, one of which has the marker.
const WITH_FIELDS: &str = "
name: own/key-with-fields
title: A key with its name and its age
environments: { production: 'https://api.publicsquare.com' }
default_environment: production
params: { id: { description: The key's id } }
auth: [{ header: { name: X-API-KEY } }]
self: never
regenerate: { path: '/api-keys/{id}/regenerate' }
answer: { secret: /key, fields: { label: /name, modified_at: /modified_at } }
idempotency: { header: IDEMPOTENCY-KEY, replays_for: 24h }
";

fn with_fields(simulator: &Simulator) -> CredentialSetup {
    CredentialSetup {
        name: "with-fields".into(),
        provider: "own/key-with-fields".into(),
        store: "payments/with-fields#key".into(),
        more: json!({ "fields": { "label": "named" } }),
        ..support::world::publicsquare(simulator)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marker_is_found_nowhere() {
    let (world, providers) = (World::start().await, providers().await);
    let named = publicsquare::start_with(publicsquare::Setup {
        name: format!("name-{CANARY}"),
        rotator_key: format!("admin-{CANARY}-key"),
        ..publicsquare::Setup::default()
    })
    .await
    .unwrap();
    let all: Vec<_> = providers
        .all()
        .into_iter()
        .chain([(with_fields(&named), &named)])
        .map(|(setup, simulator)| (marked(setup), simulator))
        .collect();
    let setups: Vec<_> = all.iter().map(|(setup, _)| setup.clone()).collect();
    let metrics = free_address();
    let definition = world.directory.path().join("with-fields.yaml");
    fs::write(&definition, WITH_FIELDS).unwrap();
    let settings = json!({ "metrics": { "listen": metrics }, "providers": [definition] });
    let installation = world.install_with(&setups, &settings).await;
    let mut found = Search::new(&installation);

    // A good day, then bad ones: unusable answers, refusals, a lost answer.
    let mut sidecar = world.sidecar(&installation).await;
    for (setup, simulator) in &all {
        let rotation = sidecar.rotate_to_the_end(&setup.name).await.unwrap();
        found.text("a rotation", &format!("{rotation:?}"));
        bad_days(&sidecar, setup, simulator, &mut found).await;
    }
    let (entry, _) = world.entry(&installation, "payments/with-fields").await;
    assert!(entry["named"] == format!("name-{CANARY}") && entry["modified_at"].is_string(), "{entry}");
    assert_eq!(entry["_keyturn"]["key"]["fields"], json!({ "label": "named", "modified_at": "modified_at" }));
    found.text("gRPC", &everything_over_grpc(&sidecar, &setups).await);
    found.text("metrics", &scrape(&metrics).await);
    found.process(sidecar.pid());
    sidecar.terminate().await.unwrap();

    // The escrow with an answer in it, and a panic whose message shows the answer.
    let points = [("after-seal", None), ("panic", None), ("after-unknown", Some(Fault::answer_lost()))];
    for ((point, fault), (setup, simulator)) in
        points.into_iter().flat_map(|it| [(it.clone(), &all[2]), (it, &all[4])])
    {
        if let Some(fault) = fault {
            simulator.next_call(fault);
        }
        let mut sidecar =
            Sidecar::start(Path::new(BINARY), &installation, &["--crash-at", point]).await.unwrap();
        sidecar.rotate(&setup.name, true).await.ok();
        sidecar.exit().await.unwrap();
        found.files();
        let sidecar = world.sidecar(&installation).await;
        let settled = |credential: &keyturn::api::proto::Credential| credential.current_rotation.is_none();
        sidecar.until(&setup.name, "the end", settled).await.unwrap();
    }
    let log = fs::read_to_string(installation.directory.join("keyturn.log")).unwrap();
    assert!(log.contains("TRACE") && log.contains("keyturn panicked"), "the log is not the talkative one");
    found.files();
    assert!(found.places.is_empty(), "the marker was found:\n{}", found.places.join("\n"));
}

async fn bad_days(sidecar: &Sidecar, setup: &CredentialSetup, simulator: &Simulator, found: &mut Search) {
    for fault in [Fault::answer_garbled(), Fault::refuses(401), Fault::refuses(422)] {
        simulator.next_call(fault);
        let promised = sidecar.rotate(&setup.name, true).await;
        found.text("the answer to a request", &format!("{promised:?}"));
        let Ok(rotation) = promised else { continue };
        let seen = sidecar
            .until(&setup.name, "the bad day's end or doubt", |credential| {
                let open = credential.current_rotation.as_ref();
                open.is_none_or(|open| open.unknown.is_some() || open.halt.is_some())
            })
            .await
            .unwrap();
        found.text("a credential", &format!("{seen:?}"));
        // A doubtful one settles by itself; the next day begins after it.
        let rotation = sidecar.ended(&rotation.rotation_id).await.unwrap();
        found.text("a rotation on a bad day", &format!("{rotation:?}"));
    }
}

async fn everything_over_grpc(sidecar: &Sidecar, setups: &[CredentialSetup]) -> String {
    let mut text = String::new();
    let credentials = ListCredentialsRequest::default();
    let listed = sidecar.credentials().await.unwrap().list_credentials(credentials).await;
    writeln!(text, "{listed:?}").unwrap();
    let mut rotations = sidecar.rotations().await.unwrap();
    writeln!(text, "{:?}", rotations.list_rotations(ListRotationsRequest::default()).await).unwrap();
    for setup in setups {
        let plan = PlanRotationRequest { credential: setup.name.clone(), emergency: true };
        writeln!(text, "{:?}", rotations.plan_rotation(plan).await).unwrap();
    }
    text
}

async fn scrape(address: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.contains("keyturn_"), "no metrics: {page}");
    page
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Where the marker was found.
struct Search {
    directory: std::path::PathBuf,
    needles: Vec<String>,
    places: Vec<String>,
}

impl Search {
    fn new(installation: &Installation) -> Self {
        let secret_id = fs::read_to_string(installation.directory.join("secret-id")).unwrap();
        let needles = vec![CANARY.to_owned(), secret_id.trim().to_owned(), "X-Vault-Token: s.".to_owned()];
        Self { directory: installation.directory.clone(), needles, places: Vec::new() }
    }

    fn text(&mut self, place: &str, text: &str) {
        for needle in &self.needles {
            if let Some(at) = text.find(needle.as_str()) {
                let start = text.floor_char_boundary(at.saturating_sub(200));
                self.places.push(format!("{place}: …{}", &text[start..at]));
            }
        }
    }

    /// Everything that the process has written, but its own configuration's secret id.
    fn files(&mut self) {
        let mut folders = vec![self.directory.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && path.file_name().is_some_and(|name| name != "secret-id") {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    self.text(&path.display().to_string(), &text);
                }
            }
        }
    }

    fn process(&mut self, pid: u32) {
        for file in ["environ", "cmdline"] {
            let path = format!("/proc/{pid}/{file}");
            // Where the process may not be looked at by its own user, nobody else can either.
            let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            self.text(&path, &text.unwrap_or_default());
        }
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("leak"), format!("token={CANARY}x")).unwrap();
    let needles = vec![CANARY.to_owned()];
    let mut search = Search { directory: directory.path().to_owned(), needles, places: Vec::new() };
    search.files();
    search.text("a text", CANARY);
    assert_eq!(search.places.len(), 2, "{:?}", search.places);
}
