//! One keyturn of a world, over all its lives: started, killed, shut down and started again.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chaos::Chaos;
use super::judge::Judge;
use super::shared::Shared;
use super::world::World;
use crate::engine::{self, Adapters, Handle};
use crate::ids::{ReplicaId, RotationId};
use crate::testbed::fake::{
    Death, Dice, FakeDisk, FakeEscrow, FakeProvider, FakeStore, Life, Moment, SkewedClock, VaultLink, Witness,
};

/// What outlives the lives of one replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) number: usize,
    pub(super) id: ReplicaId,
    pub(super) link: VaultLink,
    pub(super) clock: SkewedClock,
    /// One disk per credential.
    pub(super) disks: Vec<FakeDisk>,
    /// One handle per credential, while it runs.
    pub(super) handles: Shared<Vec<Handle>>,
    /// Asks it to end: as by `kill -9`, or as a process does that is asked to.
    pub(super) kill: Notify,
    pub(super) shut_down: Notify,
}

struct Running {
    life: Life,
    task: JoinHandle<()>,
}

/// How long a shutdown may take before it becomes a kill.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_mins(2);

impl Replica {
    pub(super) fn new(number: usize, credentials: usize, clock: SkewedClock) -> Self {
        Self {
            number,
            id: ReplicaId::from_uuid(Uuid::from_u128(number as u128 + 1)),
            link: VaultLink::default(),
            clock,
            disks: (0..credentials).map(|_| FakeDisk::default()).collect(),
            handles: Shared::new(Vec::new()),
            kill: Notify::new(),
            shut_down: Notify::new(),
        }
    }

    /// Runs it for ever, one life after another.
    pub(super) async fn live(&self, world: &World, dice: Dice, chaos: &Chaos) {
        let mut short_lives = 0_u64;
        loop {
            let shutdown = CancellationToken::new();
            let running = self.start(
                world,
                chaos,
                &shutdown,
                |dice| {
                    let operation = usize::try_from(dice.below(60)).unwrap_or_default();
                    let moment = if dice.happens(5_000) { Moment::Before } else { Moment::After };
                    (short_lives > 0).then_some(Death { operation, moment })
                },
                &dice,
            );
            let deaths = running.iter().map(|cell| Box::pin(cell.life.is_ended()));
            tokio::select! {
                biased;
                _ = select_all(deaths) => {}
                () = self.kill.notified() => world.judge.count("killed at rest"),
                () = self.shut_down.notified() => {
                    world.judge.count("shut down");
                    shutdown.cancel();
                    let ends = running.iter().map(|cell| async { while !cell.task.is_finished() { tokio::time::sleep(Duration::from_millis(50)).await; } });
                    tokio::time::timeout(SHUTDOWN_TIME_MAX, join_all(ends)).await.ok();
                }
            }
            self.bury(running, &world.judge).await;
            short_lives = match short_lives {
                0 if dice.happens(1_000) && !chaos.is_over() => 1 + dice.below(12),
                left => left.saturating_sub(1),
            };
            if chaos.is_over() {
                short_lives = 0;
            }
            let down_max = if dice.happens(500) { Duration::from_mins(40) } else { Duration::from_secs(40) };
            let down = dice.between(Duration::from_millis(100), down_max);
            world.judge.trouble_for(down);
            tokio::time::sleep(down).await;
        }
    }

    /// Starts a life on every credential.
    fn start(
        &self,
        world: &World,
        chaos: &Chaos,
        shutdown: &CancellationToken,
        death: impl Fn(&Dice) -> Option<Death>,
        dice: &Dice,
    ) -> Vec<Running> {
        world.judge.say(|| format!("r{} starts", self.number));
        let started = self.disks.iter().zip(&world.accounts).enumerate().map(|(index, (disk, account))| {
            let life = Life::new(death(dice));
            life.suffer(chaos.of_life((self.number, index)));
            let (judge, id, of) = (world.judge.clone(), self.id, life.clone());
            let witness = Witness::new(move |act| judge.provider(index, act, id, &of));
            let provider =
                FakeProvider::new(account.plan.clone(), account.mint.clone(), world.clock, life.clone());
            let adapters = Adapters {
                provider: provider.watched_by(witness),
                store: Arc::new(FakeStore::new(world.vault.clone(), self.link.clone(), life.clone())),
                escrow: Arc::new(FakeEscrow::new(disk.clone(), life.clone())),
                clock: self.clock.clone(),
                replica: self.id,
                new_rotation_id,
            };
            let (handle, task) = engine::spawn(account.credential.clone(), adapters, shutdown.clone());
            life.belongs_to(task.abort_handle());
            (handle, Running { life, task })
        });
        let (handles, running) = started.unzip();
        self.handles.with(|known| *known = handles);
        running
    }

    /// Takes away what a death left; a task that panicked is a broken promise.
    async fn bury(&self, running: Vec<Running>, judge: &Judge) {
        judge.say(|| format!("r{} is dead", self.number));
        self.handles.with(Vec::clear);
        for cell in &running {
            cell.life.end();
        }
        for (index, cell) in running.into_iter().enumerate() {
            if let Err(error) = cell.task.await
                && error.is_panic()
            {
                judge.judge(index, Err(format!("P8: the task panicked: {error}")));
            }
        }
    }

    /// The handle of one credential, while the replica runs.
    pub(super) fn handle(&self, credential: usize) -> Option<Handle> {
        self.handles.with(|handles| handles.get(credential).cloned())?
    }
}

thread_local! {
    /// A simulation has its thread for itself, so its ids are the same in every run.
    static ROTATIONS: Cell<u128> = const { Cell::new(0) };
}

/// The next world counts its rotations from the start.
pub(super) fn forget_rotations() {
    ROTATIONS.with(|count| count.set(0));
}

pub(super) fn new_rotation_id() -> RotationId {
    ROTATIONS.with(|count| {
        count.set(count.get() + 1);
        RotationId::from_uuid(Uuid::from_u128(count.get()))
    })
}
