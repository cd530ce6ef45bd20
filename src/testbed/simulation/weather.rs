//! What goes wrong for a while: outages, cut connections, full disks, wrong clocks, restarts.

use std::time::Duration;

use super::chaos::Chaos;
use super::world::World;
use crate::rotation::RefusalClass;
use crate::testbed::fake::{Dice, DiskCall, FakeDisk};

/// The kinds of weather; each comes and goes by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    VaultOutage,
    ProviderOutage,
    CutLink,
    FullDisk,
    WrongClock,
    Restart,
}

impl Kind {
    pub(super) const ALL: &[Self] = &[
        Self::VaultOutage,
        Self::ProviderOutage,
        Self::CutLink,
        Self::FullDisk,
        Self::WrongClock,
        Self::Restart,
    ];
}

const MINUTE: Duration = Duration::from_mins(1);

/// Lets one kind come and go for ever, as often as the world's lot wants.
pub(super) async fn blow(world: &World, kind: Kind, dice: Dice, chaos: &Chaos) {
    let gaps = [0, 0, 20, 90, 360].map(|minutes| MINUTE * minutes);
    let Some(gap) = dice.pick(&gaps).copied().filter(|gap| !gap.is_zero()) else { return };
    loop {
        tokio::time::sleep(dice.between(Duration::from_secs(1), gap * 2)).await;
        let longest = if dice.happens(500) { MINUTE * 120 } else { MINUTE * 12 };
        let time = dice.between(Duration::from_secs(1), longest);
        strike(world, kind, time, &dice, chaos).await;
    }
}

async fn strike(world: &World, kind: Kind, time: Duration, dice: &Dice, chaos: &Chaos) {
    let Some(replica) = dice.pick(&world.replicas) else { return };
    match kind {
        Kind::VaultOutage => {
            world.judge.trouble_for(time);
            world.judge.fault("weather: Vault outage");
            world.vault.go_down(chaos.refusal().1);
            tokio::time::sleep(time).await;
            world.vault.recover();
        }
        Kind::ProviderOutage => {
            let Some(account) = dice.pick(&world.accounts) else { return };
            world.judge.trouble_for(time);
            world.judge.fault("weather: provider outage");
            account.mint.go_down(RefusalClass::Unreachable);
            tokio::time::sleep(time).await;
            account.mint.recover();
        }
        Kind::CutLink => {
            world.judge.trouble_for(time);
            world.judge.fault("weather: replica cut off from Vault");
            replica.link.cut();
            tokio::time::sleep(time).await;
            replica.link.mend();
        }
        Kind::FullDisk => {
            let Some(disk) = dice.pick(&replica.disks) else { return };
            world.judge.trouble_for(time);
            world.judge.fault("weather: disk full");
            for call in [DiskCall::Prepare, DiskCall::MarkSent, DiskCall::Seal] {
                if dice.happens(6_000) {
                    disk.fill_up(call);
                }
            }
            tokio::time::sleep(time).await;
            disk.recover();
        }
        Kind::WrongClock => {
            let hour = 3_600;
            let skews = [-365 * 24 * hour, -hour, hour, 365 * 24 * hour];
            world.judge.clocks_go_wrong();
            world.judge.fault("weather: wall clock jumps");
            replica.clock.set_skew(dice.pick(&skews).copied().unwrap_or_default());
            tokio::time::sleep(time).await;
            replica.clock.set_skew(0);
        }
        Kind::Restart => {
            let order = if dice.happens(5_000) { &replica.kill } else { &replica.shut_down };
            order.notify_one();
        }
    }
}

/// Ends all of it.
pub(super) fn clear_up(world: &World) {
    world.vault.recover();
    world.accounts.iter().for_each(|account| account.mint.recover());
    for replica in &world.replicas {
        replica.link.mend();
        replica.clock.set_skew(0);
        replica.disks.iter().for_each(FakeDisk::recover);
    }
}
