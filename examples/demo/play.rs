//! The demo from its first line to its last.

use anyhow::{Context as _, bail};
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::testbed::sidecar;

use super::credentials::Managed;
use super::rotations::{self, Finished};
use super::screen::{Screen, Tone};
use super::stage::Stage;
use super::{Arguments, commands, keyturn_binary, proof, table};

/// What is left of the demo when it has been shown: the stage still runs.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) stage: Stage,
    pub(crate) is_proven: bool,
}

const INTRODUCTION: &str = "\
Some API keys only their provider can make, and it shows a new one once: a crash
between its answer and the vault loses the key. keyturn makes the provider's
regenerate call once, seals the answer on disk, writes it into Vault or OpenBao
in one step, and says over gRPC where each rotation stands. Here it does so for
four keys at once. Real: OpenBao, keyturn, the calls. Simulated: the providers.
";

const EMERGENCY: &str = "\
Spritz once more. Its old secret signed the call above; the new one signs this.
The old one still has most of its 3600 s to live, and a second rotation may cut
off who uses it, so a plain request is refused:";

/// Starts the stage, rotates every credential, shows and checks what came of it.
pub(crate) async fn play(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Played> {
    screen.paint(Tone::Strong, "keyturn demo")?;
    screen.say(INTRODUCTION)?;
    let binary = match &arguments.keyturn {
        Some(path) => path.clone(),
        None => keyturn_binary::build().await?,
    };
    let clock = SystemClock::start();
    let stage = Stage::set(binary, screen).await?;
    let credentials = stage.providers.credentials();

    screen.paint(Tone::Strong, "\nThe rotations, asked for and watched over gRPC")?;
    let all: Vec<&Managed<'_>> = credentials.iter().collect();
    let mut finished = rotations::run(&all, false, &stage, screen).await?;
    finished.extend(once_more(&credentials, &stage, screen).await?);

    screen.say("")?;
    table::show(&finished, screen)?;
    let is_proven = proof::show(&finished, screen)?;
    screen.say(&format!("\nThe demo took {:.1} s.", clock.monotonic().as_secs_f64()))?;
    drop(finished);
    drop(credentials);
    if arguments.keep {
        commands::show(&stage, screen)?;
    } else {
        screen.say(
            "Look for yourself: `cargo demo -- --keep` leaves all of it running, with commands to try.",
        )?;
    }
    Ok(Played { stage, is_proven })
}

/// Rotates Spritz's secret inside the grace window of the rotation before.
async fn once_more<'a>(
    credentials: &'a [Managed<'a>],
    stage: &Stage,
    screen: &mut Screen,
) -> anyhow::Result<Vec<Finished<'a>>> {
    let again = credentials.iter().find(|managed| managed.signs_itself).context("no key signs for itself")?;
    screen.say("")?;
    screen.say(EMERGENCY)?;
    match stage.sidecar.rotate(&again.setup.name, false).await {
        Err(sidecar::Error::Status(status)) => {
            screen.paint(Tone::Faint, &format!("  {}", status.message()))?;
        }
        Err(other) => return Err(other.into()),
        Ok(_) => bail!("keyturn took a plain request inside an open grace window"),
    }
    screen.say("As an emergency it goes ahead:")?;
    rotations::run(&[again], true, stage, screen).await
}
