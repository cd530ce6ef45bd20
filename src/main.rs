//! The composition root: the only file that names concrete adapters and joins them.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use keyturn::api::{ListenOptions, Listeners, UnixOptions};
use keyturn::cli::{Cli, Command, ConfigCommand, Console, DoctorArguments, EscrowCommand, Exit, Target};
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::config::{self, Config};
use keyturn::doctor::{self, Finding, Level};
use keyturn::engine::{Adapters, Credential, Fleet, Handle};
use keyturn::escrow::{FileEscrow, MirroredEscrow};
use keyturn::ids::RotationId;
use keyturn::mistake::Mistake;
use keyturn::provider::{Accounts, Catalog, HttpProvider, Transport, TransportOptions};
use keyturn::vault::{Needs, VaultStore};
use keyturn::{api, cli, engine, telemetry, vault};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut answers = io::BufReader::new(io::stdin());
    let at_terminal = out.is_terminal();
    let person = at_terminal && io::stdin().is_terminal();
    let mut console = Console::new(&mut out, &mut err);
    if at_terminal {
        console = console.on_terminal();
    }
    if person {
        console = console.with_person(&mut answers);
    }
    match dispatch(cli.command, &mut console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console.fail(&format!("{error:#}"));
            Exit::Unexpected.into()
        }
    }
}

fn dispatch(command: Command, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    match command {
        Command::Config(ConfigCommand::Check { file }) => {
            let mistakes = Config::load(&file, Catalog::embedded()).err().unwrap_or_default();
            Ok(cli::report_mistakes(&file, &mistakes, console))
        }
        Command::Config(ConfigCommand::Schema) => {
            console.print(&serde_json::to_string_pretty(&config::schema())?)?;
            Ok(Exit::Done)
        }
        Command::Escrow(EscrowCommand::List { dir, output }) => Ok(cli::list_escrow(&dir, &output, console)),
        Command::Doctor(arguments) => diagnose(&arguments, console),
        Command::Providers(arguments) => {
            runtime()?.block_on(async { Ok(cli::providers(&arguments, &Catalog::embedded(), console).await) })
        }
        Command::Completions { shell } => Ok(cli::complete(shell, &mut io::stdout())),
        Command::Client(command) => {
            runtime()?.block_on(async { Ok(cli::execute(command, target_of, console).await) })
        }
        #[cfg(not(feature = "crash-points"))]
        Command::Run { config } => serve(&config, console),
        #[cfg(feature = "crash-points")]
        Command::Run { config, crash_at } => {
            if let Some(point) = crash_at {
                anyhow::ensure!(
                    engine::crash::POINTS.contains(&point.as_str()) || point == engine::crash::PANIC,
                    "there is no crash point {point}"
                );
                engine::crash::arm(point);
            }
            serve(&config, console)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime does not start")
}

fn target_of(file: &Path) -> Result<Target, Vec<Mistake>> {
    let listen = Config::load(file, Catalog::embedded())?.listen;
    target(&listen).ok_or_else(|| vec![Mistake::new("listen", "keyturn listens nowhere")])
}

fn target(listen: &config::Listen) -> Option<Target> {
    match (&listen.unix, listen.tcp) {
        (Some(unix), _) => Some(Target::Socket(unix.path.clone())),
        (None, Some(address)) => Some(Target::Address(format!("http://{address}"))),
        (None, None) => None,
    }
}

/// Looks at everything that a rotation needs, from here, and changes nothing.
fn diagnose(arguments: &DoctorArguments, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    forbid_core_dumps()?;
    let findings = match Config::load(&arguments.config, Catalog::embedded()) {
        Ok(config) => runtime()?.block_on(examine(&config)),
        Err(mistakes) => mistakes.iter().map(Finding::mistake).collect(),
    };
    Ok(cli::show_findings(&arguments.config, findings, arguments, console))
}

async fn examine(config: &Config) -> Vec<Finding> {
    let root = Path::new("/");
    let count = config.credentials.len();
    let mut found = vec![Finding::ok("configuration", format!("right; credentials: {count}"))];
    found.extend(tokio::task::block_in_place(|| doctor::look_at_escrow(root, &config.escrow)));
    found.extend(examine_vault(config).await);
    let ways = doctor::ways(&config.credentials);
    for (way, credential) in &ways {
        found.push(match credential.ca_pem() {
            Ok(authority) => {
                let limit = config.timeouts.provider_call / CONNECT_SHARE;
                doctor::look_at_provider(way, authority.as_deref(), limit).await
            }
            Err(mistake) => Finding::mistake(&mistake),
        });
    }
    found.extend(doctor::look_for_meshes(root, &ways.iter().map(|(way, _)| way.site()).collect()));
    if let Some(target) = target(&config.listen) {
        found.push(cli::look_at_keyturn(target).await);
    }
    found
}

async fn examine_vault(config: &Config) -> Vec<Finding> {
    let clock = SystemClock::start();
    let settings = match config.vault.settings() {
        Ok(settings) => settings,
        Err(mistake) => return vec![Finding::mistake(&mistake)],
    };
    let mut found = doctor::look_at_server(&vault::server_state(&settings).await, clock.now());
    if found.iter().all(|finding| finding.level < Level::Problem) {
        let method = settings.auth.method();
        match VaultStore::connect(settings, clock) {
            Ok(store) => {
                let login = store.login_now().await;
                found.push(doctor::look_at_login(method, &login));
                if login.is_ok() {
                    for configured in &config.credentials {
                        found.push(doctor::look_at_credential(&store, &needs(configured)).await);
                    }
                    store.close().await;
                    return found;
                }
            }
            Err(error) => found.push(doctor::look_at_login(method, &Err(error))),
        }
    }
    let unchecked = |configured: &config::Credential| {
        Finding::unchecked(format!("credential {}", configured.name), "Vault stands in the way")
    };
    found.extend(config.credentials.iter().map(unchecked));
    found
}

fn needs(configured: &config::Credential) -> Needs {
    let signer = configured.signer.place().unwrap_or(&configured.store);
    Needs {
        credential: configured.name.clone(),
        entry: configured.store.path.clone(),
        secrets: std::iter::once(signer).chain(configured.secrets.values()).cloned().collect(),
        lasting: configured.definition.plan().claim,
    }
}

/// The server, from its configuration to its end.
fn serve(file: &Path, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    let config = match Config::load(file, Catalog::embedded()) {
        Ok(config) => config,
        Err(mistakes) => return Ok(cli::report_mistakes(file, &mistakes, console)),
    };
    forbid_core_dumps()?;
    telemetry::log::init(log_format(config.log.format), log_level(config.log.level))?;
    telemetry::install_panic_hook();
    let ended = runtime()?.block_on(run(config));
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
fn forbid_core_dumps() -> anyhow::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .context("core dumps cannot be forbidden")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("core dumps cannot be forbidden")
}

async fn run(config: Config) -> anyhow::Result<()> {
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
    let (fleet, tasks) = start_fleet(&config, &store, &Arc::new(escrow), clock, &shutdown)?;
    let readiness = readiness(vault_ready, &fleet, &shutdown);
    if let Some(address) = config.metrics {
        telemetry::metrics::serve(address, fleet.clone(), clock.now(), shutdown.clone())
            .await
            .with_context(|| format!("metrics cannot be served on {address}"))?;
    }
    tracing::info!(
        credentials = config.credentials.len(),
        version = env!("CARGO_PKG_VERSION"),
        "keyturn serves"
    );
    let serving = tokio::spawn(api::serve(listeners, fleet, clock, readiness, shutdown.clone()));
    let broken = tokio::select! {
        () = signals.first() => false,
        () = shutdown.cancelled() => true,
    };
    tracing::info!(broken, "stopping: no new rotation begins, a sent call comes to its end");
    shutdown.cancel();
    let longest = config.timeouts.provider_call + Duration::from_secs(10);
    if tokio::time::timeout(longest, tasks.join_all()).await.is_err() {
        tracing::warn!("a rotation is cut off; the next start goes on from record and escrow");
    }
    store.close().await;
    serving.await.context("the server was cut off")??;
    anyhow::ensure!(!broken, "a credential's task broke, see above; start keyturn again, and it recovers");
    tracing::info!("keyturn has stopped");
    Ok(())
}

fn listen_options(config: &Config) -> ListenOptions {
    let unix =
        config.listen.unix.as_ref().map(|unix| UnixOptions { path: unix.path.clone(), mode: unix.mode });
    ListenOptions {
        unix,
        tcp: config.listen.tcp,
        operators: config.listen.operators.clone(),
        tcp_operators: config.listen.tcp_operators,
        ..ListenOptions::default()
    }
}

fn start_fleet(
    config: &Config,
    store: &Arc<VaultStore<SystemClock>>,
    escrow: &Arc<MirroredEscrow>,
    clock: SystemClock,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Fleet, JoinSet<()>)> {
    let connect_timeout = config.timeouts.provider_call / CONNECT_SHARE;
    let shared = Transport::new(&TransportOptions { connect_timeout, ..TransportOptions::default() })?;
    let mut accounts = Accounts::default();
    let mut handles = Vec::new();
    let mut tasks = JoinSet::new();
    for configured in &config.credentials {
        let transport = transport(configured, &shared, connect_timeout)?;
        let provider = HttpProvider::new(configured.definition.clone(), clock, transport)?;
        let account = accounts.of(configured.definition.base_url(), configured.signer.place());
        let adapters = Adapters {
            provider: provider.with_account(account),
            store: Arc::clone(store),
            replica: escrow.replica_id(),
            escrow: Arc::clone(escrow),
            clock,
            new_rotation_id,
        };
        let (handle, task) = engine::spawn(credential(configured), adapters, shutdown.child_token());
        tasks.spawn(watch_over(configured.name.to_string(), task, shutdown.clone()));
        handles.push((configured.name.clone(), handle));
    }
    Ok((Fleet::new(handles), tasks))
}

/// A task that panics takes the process with it: a restart recovers, a silent hole in the fleet does not.
async fn watch_over(name: String, task: JoinHandle<()>, shutdown: CancellationToken) {
    if task.await.is_err() {
        tracing::error!(
            credential = name,
            "a credential's task broke; keyturn stops, and a restart recovers"
        );
        shutdown.cancel();
    }
}

/// The share of a provider call's time that its connect may take; only a connect that fails by itself proves
/// that nothing was sent.
const CONNECT_SHARE: u32 = 3;

fn transport(
    configured: &config::Credential,
    shared: &Transport,
    connect_timeout: Duration,
) -> anyhow::Result<Transport> {
    match configured.ca_pem().map_err(|mistake| anyhow::anyhow!("{mistake}"))? {
        None => Ok(shared.clone()),
        Some(pem) => {
            let extra_ca_pem = vec![pem.into_bytes()];
            Ok(Transport::new(&TransportOptions { extra_ca_pem, connect_timeout })?)
        }
    }
}

fn credential(configured: &config::Credential) -> Credential {
    Credential {
        name: configured.name.clone(),
        provider: configured.definition.name().to_owned(),
        store: configured.store.clone(),
        signer: configured.signer.place().cloned(),
        extra: configured.secrets.clone().into_iter().collect(),
    }
}

fn new_rotation_id() -> RotationId {
    RotationId::from_uuid(uuid::Uuid::now_v7())
}

/// True while Vault lets keyturn in and every record has been read at least once.
fn readiness(
    mut vault: watch::Receiver<bool>,
    fleet: &Fleet,
    shutdown: &CancellationToken,
) -> watch::Receiver<bool> {
    let (ready, seen) = watch::channel(false);
    let handles: Vec<Handle> = fleet.iter().map(|(_, handle)| handle.clone()).collect();
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for handle in handles {
            let mut snapshots = handle.watch();
            if snapshots.wait_for(|snapshot| snapshot.state.is_some()).await.is_err() {
                return;
            }
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
