//! One fault: brought about, and taken away again.

mod clearing;
mod disk;
mod process;
mod vault;
mod wire;

use std::time::Duration;

use keyturn::testbed::{Fault as AnswerFault, Gate};
use tokio::time::timeout;

use super::dice::Dice;
use super::faults::{Fault, When};
use super::stage::Stage;

pub(crate) use disk::Tmpfs;

/// What a fault leaves to know.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    /// Why a person had to look, by reason.
    pub(crate) for_a_person: Vec<String>,
    /// Vault was made to forget the newest key after it had it, so only the next rotation brings one back.
    pub(crate) vault_forgot: bool,
}

/// About as long as Vault takes to begin with a restore.
const RESTORE: Duration = Duration::from_millis(400);

/// Starts the round's keyturn, asks for a rotation, and lets the fault happen around it.
pub(crate) async fn inject(
    stage: &mut Stage<'_>,
    fault: Fault,
    dice: &mut Dice,
) -> anyhow::Result<Aftermath> {
    let mut aftermath = Aftermath::default();
    match fault {
        Fault::ProviderWire { passing, trouble, aim, times } => {
            stage.start().await?;
            stage.to_provider.arm_after(passing, trouble, aim, times);
            stage.ask().await;
        }
        Fault::VaultWire { trouble, aim, times, when } => {
            wire::to_vault(stage, trouble, aim, times, when).await?;
        }
        Fault::Answers { bad, times } => wire::bad_answers(stage, bad, times).await?,
        Fault::KillAnytime { after, answer_after } => {
            process::kill_anytime(stage, after, answer_after).await?;
        }
        Fault::KillAtPoint { point } => process::kill_at(stage, point).await?,
        Fault::Clearing { uncleared, times } => clearing::troubled(stage, uncleared, times).await?,
        Fault::RestartLoop { times, lives } => process::restart_loop(stage, times, lives, dice).await?,
        Fault::Freeze { with_twin } => process::freeze(stage, with_twin).await?,
        Fault::Replicas { kill_after, comes_back, .. } => {
            process::replicas(stage, kill_after, comes_back, dice).await?;
        }
        Fault::Triggers => process::triggers(stage).await?,
        Fault::TokenRevoked { when } => vault::token_revoked(stage, when).await?,
        Fault::PolicyWithdrawn { when, lasts } => vault::policy_withdrawn(stage, when, lasts).await?,
        Fault::Seal { when, lasts } => vault::sealed(stage, when, lasts).await?,
        Fault::VaultKilled { when, lasts } => vault::killed(stage, when, lasts).await?,
        Fault::Restored { restore, restart } => {
            aftermath.vault_forgot = vault::restored(stage, restore, restart, dice.time(RESTORE)).await?;
        }
        Fault::LeaderKilled { when } => vault::leader_killed(stage, when).await?,
        Fault::DiskFull { when } => disk::full(stage, when).await?,
        Fault::SyncError { first } => disk::sync_error(stage, first).await?,
        Fault::EscrowDamaged { at } => aftermath.for_a_person = disk::damaged(stage, at).await?,
        Fault::ClockJump { when, seconds } => process::clock_jump(stage, when, seconds).await?,
    }
    Ok(aftermath)
}

/// A rotation at the instant at which something shall break.
#[must_use = "the rotation does not go on by itself"]
struct Reached(Option<Gate>);

/// Brings the rotation to the instant: not begun yet, or acted on by the provider and not answered.
async fn reach(stage: &Stage<'_>, when: When) -> Reached {
    if when == When::Before {
        return Reached(None);
    }
    let gate = Gate::new();
    stage.simulator.next_call(AnswerFault::held(&gate));
    stage.ask().await;
    // A call that was never made is seen in the end.
    timeout(Duration::from_secs(5), gate.reached()).await.ok();
    Reached(Some(gate))
}

impl Reached {
    async fn go_on(self, stage: &Stage<'_>) {
        match self.0 {
            Some(gate) => gate.release(),
            None => stage.ask().await,
        }
    }
}
