//! Faults after a rotation, when keys that nobody needs are found and revoked.

use keyturn::testbed::Operation;
use keyturn::testbed::tcp_proxy::Aim;
use tokio::time::{Instant, sleep};

use super::super::faults::Uncleared;
use super::super::settle;
use super::super::stage::Stage;
use super::wire;

pub(super) async fn troubled(stage: &mut Stage<'_>, uncleared: Uncleared, times: u32) -> anyhow::Result<()> {
    stage.start().await?;
    stage.ask().await;
    settle::settled(stage).await;
    let over = Instant::now() + stage.provider.is_busy_for();
    match uncleared {
        Uncleared::List(bad) => {
            (0..times).for_each(|_| stage.simulator.next(Operation::List, wire::answer(bad)));
        }
        Uncleared::Revocation(bad) => {
            (0..times).for_each(|_| stage.simulator.next(Operation::Revoke, wire::answer(bad)));
        }
        Uncleared::Wire(trouble) => stage.to_provider.arm(trouble, Aim::Any, times),
        Uncleared::Killed(after) => {
            sleep(after).await;
            for replica in &mut stage.replicas {
                if let Some(mut sidecar) = replica.sidecar.take() {
                    sidecar.kill()?;
                }
            }
            stage.spawn_missing()?;
        }
    }
    tokio::time::sleep_until(over).await;
    Ok(())
}
