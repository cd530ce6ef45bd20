//! Looking for a secret wherever the process could have shown one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyturn::api::proto::{ListCredentialsRequest, ListRotationsRequest, PlanRotationRequest};
use keyturn::testbed::derived::Derived;
use keyturn::testbed::sidecar::Sidecar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::providers::CANARY;
use super::stage::Stage;

/// Where a secret was found; nowhere, if all is well.
pub(crate) async fn found(stage: &Stage<'_>) -> Vec<String> {
    let mut search = Search::of(stage);
    for replica in &stage.replicas {
        let Some(sidecar) = &replica.sidecar else { continue };
        let patience = Duration::from_secs(5);
        let said = timeout(patience, everything_over_grpc(sidecar, stage.provider.name())).await;
        search.text("gRPC", &said.unwrap_or_default());
        let page = timeout(patience, scrape(&replica.metrics)).await;
        search.text("/metrics", &page.ok().and_then(Result::ok).unwrap_or_default());
        search.process(sidecar.pid());
    }
    search.files(stage.directory.path());
    let log = stage.replicas.first().map(|replica| fs::read_to_string(replica.log()).unwrap_or_default());
    if !log.is_some_and(|log| log.contains("TRACE")) {
        search.places.push("the log is not the talkative one, so the search proves nothing".to_owned());
    }
    search.places
}

/// What is looked for, and where it was found.
struct Search {
    needles: Vec<String>,
    places: Vec<String>,
}

impl Search {
    fn of(stage: &Stage<'_>) -> Self {
        let mut needles = vec![CANARY.to_owned()];
        needles.extend(stage.to_vault.tokens());
        let secret_ids =
            stage.replicas.iter().map(|replica| replica.installation.directory.join("secret-id"));
        needles.extend(secret_ids.filter_map(|path| fs::read_to_string(path).ok()));
        // Some are made by rules, or chosen by keyturn, and have no canary.
        needles.extend(stage.simulator.keys());
        let with_keys = stage.derived.iter().flat_map(Derived::keys);
        let with_keys =
            with_keys.flat_map(|key| key.fields.into_values().filter(move |value| *value != key.id));
        needles.extend(with_keys);
        needles.retain(|needle| !needle.trim().is_empty());
        Self { needles, places: Vec::new() }
    }

    /// The place is named, the text around it is not: it would be one more place.
    fn text(&mut self, place: &str, text: &str) {
        for (number, needle) in self.needles.iter().enumerate() {
            if text.contains(needle.trim()) {
                self.places.push(format!("secret {number} is in {place}"));
            }
        }
    }

    fn process(&mut self, pid: u32) {
        for file in ["environ", "cmdline"] {
            let path = format!("/proc/{pid}/{file}");
            // What its own user may not look at, nobody else can.
            let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            self.text(&path, &text.unwrap_or_default());
        }
    }

    /// Everything below a directory, but what the process was given.
    fn files(&mut self, directory: &Path) {
        let mut folders: Vec<PathBuf> = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && path.file_name().is_some_and(|name| name != "secret-id") {
                    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    self.text(&path.display().to_string(), &text.unwrap_or_default());
                }
            }
        }
    }
}

/// All that the services say of the credential, as text; a refusal is text too.
async fn everything_over_grpc(sidecar: &Sidecar, name: &str) -> String {
    let mut text = String::new();
    if let Ok(mut credentials) = sidecar.credentials().await {
        let listed = credentials.list_credentials(ListCredentialsRequest::default()).await;
        // A text grows without failing.
        writeln!(text, "{}", as_text(&listed)).ok();
    }
    if let Ok(mut rotations) = sidecar.rotations().await {
        let listed = rotations.list_rotations(ListRotationsRequest::default()).await;
        writeln!(text, "{}", as_text(&listed)).ok();
        let plan = PlanRotationRequest { credential: name.to_owned(), emergency: true };
        writeln!(text, "{}", as_text(&rotations.plan_rotation(plan).await)).ok();
    }
    text
}

fn as_text(message: &impl std::fmt::Debug) -> String {
    format!("{message:?}")
}

async fn scrape(address: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}
