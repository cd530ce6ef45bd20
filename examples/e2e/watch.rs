//! The steps of a run, each with the time it took, and patience for what takes a while.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

/// How long anything that should happen may take; the provider's read is believed after more than two minutes.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(200);

/// Tells what was done, and how long it took since the last step.
#[derive(Debug)]
pub(crate) struct Watch {
    last: Instant,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { last: Instant::now() }
    }

    /// A step came out as it should.
    pub(crate) fn step(&mut self, what: impl Display) -> anyhow::Result<()> {
        let took = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        Ok(writeln!(io::stdout(), "{took:>7.1} s  {what}")?)
    }
}

/// Looks again and again until it is so.
pub(crate) async fn until<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        if Instant::now() > deadline {
            bail!("{what}: not so within {PATIENCE:?}");
        }
        sleep(POLL).await;
    }
    Ok(())
}
