//! Everything that runs while the demo is shown; dropping it ends all of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::testbed::sidecar::Sidecar;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::credentials::{Managed, Providers};
use super::screen::{self, Screen};

/// The running processes and their files; they end in the order of the fields.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) sidecar: Sidecar,
    pub(crate) binary: PathBuf,
    pub(crate) server: OpenBao,
    pub(crate) providers: Providers,
    pub(crate) installation: Installation,
    directory: TempDir,
}

impl Stage {
    /// Starts OpenBao, the providers and the sidecar, and says so.
    pub(crate) async fn set(binary: PathBuf, screen: &mut Screen) -> anyhow::Result<Self> {
        let clock = SystemClock::start();
        let step = |what: &str, screen: &mut Screen| {
            screen.say(&format!("  {:>5.1} s  {what}", clock.monotonic().as_secs_f64()))
        };
        screen::transient("starting OpenBao");
        let options = Options { progress: screen::transient, ..Options::in_directory(openbao_directory()?) };
        let server = OpenBao::start(options).await.context("OpenBao does not start")?;
        step(&format!("OpenBao serves on {}", server.address()), screen)?;

        let providers = Providers::start().await.context("a simulator does not start")?;
        step("Adyen, PublicSquare and Spritz, simulated on loopback, wait for calls", screen)?;

        // In the system's directory, because a socket's path must be short.
        let directory = tempfile::Builder::new().prefix("keyturn-demo-").tempdir();
        let directory = directory.context("no temporary directory can be made")?;
        let setups: Vec<CredentialSetup> =
            providers.credentials().into_iter().map(|managed| managed.setup).collect();
        let installation =
            Installation::prepare(&server, directory.path(), "app", &setups, &json!({})).await?;
        screen::transient("starting keyturn");
        let sidecar = Sidecar::start(&binary, &installation, &[]).await?;
        step(&format!("keyturn serves on {}", installation.socket.display()), screen)?;
        screen.say("           with an AppRole that may touch the paths of its credentials and no other")?;
        Ok(Self { sidecar, binary, server, providers, installation, directory })
    }

    /// Lets the sidecar stop in order, and ends the rest.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.sidecar.terminate().await?;
        let Self { sidecar, server, directory, .. } = self;
        drop((sidecar, server));
        directory.close().context("the temporary directory cannot be removed")
    }

    /// The value that OpenBao serves to applications.
    pub(crate) async fn served(&self, managed: &Managed<'_>) -> anyhow::Result<String> {
        let (path, field) = managed.setup.store.split_once('#').context("a store without a field")?;
        let entry = self.server.get(&format!("{}/{path}", self.installation.prefix)).await?;
        let (data, _) = entry.with_context(|| format!("{path} is not in OpenBao"))?;
        Ok(data.get(field).and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

/// Beside the build, so that a fetched server is fetched once; the tests use the same.
fn openbao_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the demo's own path is not known")?;
    // target/debug/examples/demo
    let target = program.ancestors().nth(3).map(Path::to_owned);
    target.context("the demo runs outside of a target directory")
}
