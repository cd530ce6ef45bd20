//! Everything of one round; dropping it ends its processes and removes its files.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use keyturn::secret::SecretValue;
use keyturn::testbed::Simulator;
use keyturn::testbed::derived::Derived;
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::tcp_proxy::TcpProxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::house::{House, Vault};
use super::inject::Tmpfs;
use super::providers::{Provider, Running};

/// The running parts, in the order in which they end.
pub(crate) struct Stage<'a> {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) to_provider: TcpProxy,
    pub(crate) to_vault: TcpProxy,
    pub(crate) simulator: Simulator,
    /// What is known of a provider that is derived from its definition.
    pub(crate) derived: Option<Derived>,
    /// How many keys the provider had before the first call; the last of them is the credential's.
    pub(crate) keys_before: usize,
    pub(crate) vault: Vault,
    pub(crate) provider: Arc<Provider>,
    pub(crate) setup: CredentialSetup,
    /// The first version of the entry that keyturn sees.
    pub(crate) first_version: u64,
    /// Opens every sealed answer, as an operator's break-glass key does.
    pub(crate) break_glass: SecretValue,
    pub(crate) name: String,
    pub(crate) house: &'a House,
    pub(crate) mounts: Vec<Tmpfs>,
    pub(crate) directory: TempDir,
}

/// One keyturn: its files, and its process while it runs.
pub(crate) struct Replica {
    pub(crate) sidecar: Option<Sidecar>,
    pub(crate) installation: Installation,
    pub(crate) metrics: String,
}

impl<'a> Stage<'a> {
    /// Prepares all but the processes.
    pub(crate) async fn set(
        house: &'a House,
        provider: Arc<Provider>,
        vault: Vault,
        name: String,
        replicas: usize,
        call_timeout: &str,
    ) -> anyhow::Result<Self> {
        // In the system's directory, because a socket's path must be short.
        let directory = tempfile::Builder::new().prefix("keyturn-chaos-").tempdir()?;
        let running = provider.start().await?;
        let to_vault = TcpProxy::to(vault.addresses()).await?;
        let entry = entry_path(&name);
        let (setup, more) = provider.credential(&running, &entry, directory.path())?;
        let beside = provider.beside_the_first_key(&running);
        if !beside.is_empty() {
            vault.server().await?.put(&entry, &json!(beside)).await?;
        }
        let identity = age::x25519::Identity::generate();
        let settings = settings(&to_vault, &identity.to_public().to_string(), call_timeout, &more);
        let first = Installation::prepare(
            vault.server().await?,
            &directory.path().join("1"),
            &name,
            std::slice::from_ref(&setup),
            &settings,
        )
        .await?;
        let first_version = vault.server().await?.get(&entry).await?.map_or(0, |(_, version)| version);
        let mut installations = vec![first.clone()];
        for number in 1..replicas {
            installations.push(first.replica(&directory.path().join((number + 1).to_string()))?);
        }
        let replicas = installations.into_iter().map(Replica::of).collect::<anyhow::Result<_>>()?;
        let break_glass = SecretValue::new(identity.to_string().expose_secret().to_owned());
        let Running { simulator, derived, proxy } = running;
        Ok(Self {
            replicas,
            to_provider: proxy,
            to_vault,
            keys_before: simulator.keys().len(),
            simulator,
            derived,
            vault,
            provider,
            setup,
            first_version,
            break_glass,
            name,
            house,
            mounts: Vec::new(),
            directory,
        })
    }

    /// Starts every replica and waits until all serve.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let binary = self.house.binaries.plain.clone();
        for replica in &mut self.replicas {
            let sidecar = Sidecar::start(&binary, &replica.installation, &[]).await;
            replica.sidecar = Some(sidecar.context("keyturn does not start")?);
        }
        Ok(())
    }

    /// Starts the replicas that do not run, and waits for nothing.
    pub(crate) fn spawn_missing(&mut self) -> anyhow::Result<()> {
        for replica in self.replicas.iter_mut().filter(|replica| replica.sidecar.is_none()) {
            replica.sidecar = Some(Sidecar::spawn(&self.house.binaries.plain, &replica.installation, &[])?);
        }
        Ok(())
    }

    /// Ends every replica as an orchestrator does, and starts it again.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        for replica in &mut self.replicas {
            if let Some(mut sidecar) = replica.sidecar.take() {
                sidecar.terminate().await?;
            }
        }
        self.spawn_missing()
    }

    /// Asks every running replica for a rotation; what they say is seen in the end.
    pub(crate) async fn ask(&self) {
        let asking = self.sidecars().map(|sidecar| async {
            let patience = Duration::from_secs(5);
            drop(tokio::time::timeout(patience, sidecar.rotate(self.provider.name(), false)).await);
        });
        join_all(asking).await;
    }

    /// The processes that run.
    pub(crate) fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.replicas.iter().filter_map(|replica| replica.sidecar.as_ref())
    }

    /// The application's entry as Vault has it.
    pub(crate) async fn entry(&self) -> anyhow::Result<(Value, u64)> {
        let entry = self.vault.server().await?.get(&self.entry_path()).await?;
        entry.context("the application's entry is not in Vault")
    }

    /// The path of the application's entry.
    pub(crate) fn entry_path(&self) -> String {
        entry_path(&self.name)
    }

    /// The field of the entry.
    pub(crate) fn field(&self) -> &str {
        self.setup.store.split_once('#').map_or("", |(_, field)| field)
    }

    /// keyturn's own record; nothing where there is none yet.
    pub(crate) async fn record(&self) -> anyhow::Result<Option<Value>> {
        let path = format!("secret/keyturn-{}/{}", self.name, self.provider.name());
        Ok(self.vault.server().await?.get(&path).await?.map(|(record, _)| record))
    }

    /// Runs a command of the plain binary at the first replica that runs.
    pub(crate) async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let running = self.replicas.iter().find(|replica| replica.sidecar.is_some());
        let socket = &running.context("no keyturn runs")?.installation.socket;
        let mut command = Command::new(&self.house.binaries.plain);
        command.args(arguments).arg("--socket").arg(socket).env_clear();
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("keyturn {} ended with {}: {said}", arguments.join(" "), output.status);
        }
        Ok(said)
    }

    /// The escrow directories.
    pub(crate) fn escrows(&self) -> Vec<PathBuf> {
        self.replicas.iter().map(|replica| replica.installation.escrow.clone()).collect()
    }
}

fn entry_path(name: &str) -> String {
    format!("secret/{name}/payments")
}

impl Replica {
    /// Gives the installation a metrics address of its own.
    fn of(installation: Installation) -> anyhow::Result<Self> {
        let metrics = free_address()?;
        let config = std::fs::read_to_string(&installation.config)?;
        let mut config: Value = serde_json::from_str(&config)?;
        if let Some(config) = config.as_object_mut() {
            config.insert("metrics".into(), json!({ "listen": metrics }));
        }
        std::fs::write(&installation.config, serde_json::to_string_pretty(&config)?)?;
        Ok(Self { sidecar: None, installation, metrics })
    }

    /// The file that the process writes its log to.
    pub(crate) fn log(&self) -> PathBuf {
        log_of(&self.installation.directory)
    }
}

/// Where a sidecar of a directory logs.
pub(crate) fn log_of(directory: &Path) -> PathBuf {
    directory.join("keyturn.log")
}

/// Short waits, so that what waits on purpose does not make a round long.
fn settings(to_vault: &TcpProxy, recipient: &str, call: &str, more: &Value) -> Value {
    let mut settings = json!({
        "vault": { "address": format!("http://{}", to_vault.address()) },
        "timeouts": { "provider_call": call, "settle": call, "claim": "10s" },
        "escrow": { "recipients": [recipient] },
        "log": { "level": "trace", "format": "json" },
    });
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        settings.extend(more.clone());
    }
    settings
}

/// Below the ports that the system gives to connections, so that none of them takes it before keyturn does.
fn free_address() -> anyhow::Result<String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..1_000 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let spread = u16::try_from(std::process::id() % 100).unwrap_or_default() * 100;
        let port = 15_000 + offset.wrapping_add(spread) % 15_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(format!("127.0.0.1:{port}"));
        }
    }
    bail!("no loopback port is free")
}
