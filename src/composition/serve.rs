//! `keyturn run`: the server, from its configuration to its end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use keyturn::api::Listeners;
use keyturn::cli::{Console, Exit};
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::config::{self, Config};
use keyturn::engine::{Fleet, Handle};
use keyturn::escrow::{FileEscrow, MirroredEscrow};
use keyturn::vault::VaultStore;
use keyturn::{api, cli, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fleet::{Outside, Tasks};
use super::listening::listen_options;
use super::reload::{Reload, Source};
use crate::runtime;

/// The server, from its configuration to its end.
pub(crate) fn serve(file: &Path, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    let (source, config) = match Source::load(file) {
        Ok(loaded) => loaded,
        Err(mistakes) => return Ok(cli::report_mistakes(file, &mistakes, console)),
    };
    forbid_core_dumps()?;
    telemetry::log::init(log_format(config.log.format), log_level(config.log.level))?;
    telemetry::install_panic_hook();
    let ended = runtime()?.block_on(run(source, config));
    if let Err(error) = &ended {
        tracing::error!("keyturn ends: {error:#}");
    }
    ended.map(|()| Exit::Done)
}

const fn log_format(format: config::LogFormat) -> telemetry::log::Format {
    match format {
        config::LogFormat::Json => telemetry::log::Format::Json,
        config::LogFormat::Text => telemetry::log::Format::Text,
    }
}

const fn log_level(level: config::LogLevel) -> tracing::Level {
    match level {
        config::LogLevel::Error => tracing::Level::ERROR,
        config::LogLevel::Warn => tracing::Level::WARN,
        config::LogLevel::Info => tracing::Level::INFO,
        config::LogLevel::Debug => tracing::Level::DEBUG,
        config::LogLevel::Trace => tracing::Level::TRACE,
    }
}

/// A core dump would hold every secret in memory.
pub(crate) fn forbid_core_dumps() -> anyhow::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .context("core dumps cannot be forbidden")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("core dumps cannot be forbidden")
}

async fn run(source: Source, config: Config) -> anyhow::Result<()> {
    let clock = SystemClock::start();
    let shutdown = CancellationToken::new();
    let signals = Signals::listen()?;
    let options = listen_options(&config).within(api::raise_descriptor_limit());
    let listeners = Listeners::bind(&options).await?;
    let escrow = FileEscrow::open(&config.escrow.dir, &config.escrow.recipients)?;
    let escrow = MirroredEscrow::new(escrow, config.escrow.kubernetes_secret.clone());
    let settings = config.vault.settings().map_err(|mistake| anyhow::anyhow!("{mistake}"))?;
    let store = Arc::new(VaultStore::connect(settings, clock)?);
    let vault_ready = store.ready();
    let outside = Outside::new(&config, Arc::clone(&store), escrow, clock, shutdown.clone())?;
    let tasks = Tasks::start(&config, outside)?;
    let (fleet, running) = (tasks.fleet(), tasks.running());
    let readiness = readiness(vault_ready, &fleet, &shutdown);
    let (metrics, longest) = (config.metrics, config.timeouts.provider_call + Duration::from_secs(10));
    let credentials = config.credentials.len();
    let reload = Reload::new(source, config, tasks).context("signals cannot be received")?;
    if let Some(address) = metrics {
        let process =
            telemetry::Process { renewal_refused: listeners.renewal_refused(), reloads: reload.shown() };
        telemetry::metrics::serve(address, fleet.clone(), process, clock.now(), shutdown.clone())
            .await
            .with_context(|| format!("metrics cannot be served on {address}"))?;
    }
    tracing::info!(credentials, version = env!("CARGO_PKG_VERSION"), "keyturn serves");
    let serving = tokio::spawn(api::serve(listeners, fleet, clock, readiness, shutdown.clone()));
    let mut following = tokio::spawn(reload.follow(shutdown.clone()));
    let (broken, followed) = tokio::select! {
        () = signals.first() => (false, None),
        () = shutdown.cancelled() => (true, None),
        // It ends at the shutdown alone; before, it has broken.
        followed = &mut following => (followed.is_err(), Some(followed)),
    };
    tracing::info!(broken, "stopping: no new rotation begins, a sent call comes to its end");
    shutdown.cancel();
    let followed = match followed {
        Some(followed) => followed,
        None => following.await,
    };
    let followed = followed.context("the configuration was followed no more");
    running.close();
    if tokio::time::timeout(longest, running.wait()).await.is_err() {
        tracing::warn!("a rotation is cut off; the next start goes on from record and escrow");
    }
    store.close().await;
    followed?;
    serving.await.context("the server was cut off")??;
    anyhow::ensure!(!broken, "a credential's task broke, see above; start keyturn again, and it recovers");
    tracing::info!("keyturn has stopped");
    Ok(())
}

/// True while Vault lets keyturn in and every record has been read at least once.
fn readiness(
    mut vault: watch::Receiver<bool>,
    fleet: &Fleet,
    shutdown: &CancellationToken,
) -> watch::Receiver<bool> {
    let (ready, seen) = watch::channel(false);
    let handles: Vec<Handle> = fleet.all().values().cloned().collect();
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for handle in handles {
            let mut snapshots = handle.watch();
            // One that is taken out of the configuration is not waited for.
            snapshots.wait_for(|snapshot| snapshot.state.is_some()).await.ok();
        }
        loop {
            ready.send_replace(*vault.borrow_and_update());
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = vault.changed() => if changed.is_err() { break },
            }
        }
        ready.send_replace(false);
    });
    seen
}

/// The signals that end the server: the orchestrator's and the keyboard's.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let signals = || {
            io::Result::Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        };
        signals().context("signals cannot be received")
    }

    async fn first(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
