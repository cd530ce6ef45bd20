//! Following the configuration file: read anew when its bytes change or a signal says so, applied or refused as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use keyturn::config::Config;
use keyturn::mistake::Mistake;
use keyturn::provider::Catalog;
use keyturn::telemetry::Reloads;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fleet::Tasks;

/// How often the file's bytes are compared. A mounted ConfigMap takes longer than that to arrive.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A configuration file as it was read.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads the file and checks all of it.
    pub(super) fn load(path: &Path) -> Result<(Self, Config), Vec<Mistake>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![Mistake::new("", format!("{} cannot be read: {error}", path.display()))])?;
        let home = path.parent().unwrap_or(Path::new(""));
        let config = Config::parse(&text, home, Catalog::embedded())?;
        Ok((Self { path: path.to_owned(), text }, config))
    }

    /// A number that differs where the bytes do, small enough for every scraper's floats.
    fn hash(&self) -> u64 {
        let digest = digest(&SHA256, self.text.as_bytes());
        digest.as_ref().iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

/// What runs, and how it follows the file.
pub(super) struct Reload {
    source: Source,
    config: Config,
    tasks: Tasks,
    hangup: Signal,
    shown: watch::Sender<Reloads>,
    /// The last refusal, which is told once.
    said: String,
}

impl Reload {
    /// Follows the file from which the tasks were started.
    pub(super) fn new(source: Source, config: Config, tasks: Tasks) -> io::Result<Self> {
        let shown = watch::channel(Reloads { hash: source.hash(), ..Reloads::default() }).0;
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { source, config, tasks, hangup, shown, said: String::new() })
    }

    /// How it goes, for the metrics.
    pub(super) fn shown(&self) -> watch::Receiver<Reloads> {
        self.shown.subscribe()
    }

    /// Looks at the file again and again, until the shutdown.
    pub(super) async fn follow(mut self, shutdown: CancellationToken) {
        loop {
            let asked = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = self.hangup.recv() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let path = self.source.path.clone();
            let runs = (!asked).then(|| self.source.text.clone());
            let looking = tokio::task::spawn_blocking(move || look(&path, runs.as_deref())).await;
            match looking.unwrap_or_else(|error| Err(vec![Mistake::new("", error.to_string())])) {
                Ok(None) => self.runs(),
                Ok(Some((source, config))) => match self.apply(source, config) {
                    Ok(()) => self.runs(),
                    Err(mistakes) => self.refuse(&mistakes),
                },
                Err(mistakes) => self.refuse(&mistakes),
            }
        }
    }

    fn apply(&mut self, source: Source, config: Config) -> Result<(), Vec<Mistake>> {
        let change = self.config.change_to(&config)?;
        self.tasks.follow(&change)?;
        let names = |credentials: &[&keyturn::config::Credential]| {
            credentials.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        tracing::info!(
            added = names(&change.added),
            changed = names(&change.changed),
            removed = change.removed.len(),
            "the changed configuration is applied; what is changed or removed ends its open rotation first"
        );
        self.shown.send_modify(|reloads| {
            reloads.applied += 1;
            reloads.hash = source.hash();
        });
        (self.source, self.config) = (source, config);
        Ok(())
    }

    /// The file is what runs.
    fn runs(&mut self) {
        self.said.clear();
        self.shown.send_modify(|reloads| reloads.is_behind = false);
    }

    fn refuse(&mut self, mistakes: &[Mistake]) {
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        let refusal = lines.join("; ");
        if refusal == self.said {
            return;
        }
        tracing::error!(
            code = "CONFIG_REFUSED",
            "the changed configuration is refused, and the old one goes on: {refusal}"
        );
        self.said = refusal;
        self.shown.send_modify(|reloads| {
            reloads.refused += 1;
            reloads.is_behind = true;
        });
    }
}

/// What the file says now; nothing where it says the same as what runs.
fn look(path: &Path, runs: Option<&str>) -> Result<Option<(Source, Config)>, Vec<Mistake>> {
    if runs.is_some_and(|runs| std::fs::read_to_string(path).is_ok_and(|text| text == runs)) {
        return Ok(None);
    }
    Source::load(path).map(Some)
}
