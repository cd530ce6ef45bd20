//! The real engine in worlds that a seed draws: replicas, credentials, people, and everything that can go wrong,
//! in virtual time and in one thread.
//!
//! [`simulate`] runs one world, breaks it for some simulated days, lets the faults stop, and waits until everything
//! has come to rest. A judge sees every act of provider and Vault, and says at once when a promise is broken. The same
//! seed gives the same world, operation by operation; [`Concluded::trace`] shows it.

mod beside;
mod chaos;
mod docket;
mod judge;
mod lot;
mod people;
mod replica;
mod rest;
mod shared;
pub mod storm;
mod tally;
mod weather;
mod world;

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Builder;

use self::chaos::{Chaos, Rates};
use self::judge::Judge;
use self::world::World;
use crate::testbed::fake::{Dice, FakeClock};

pub use self::lot::CLASSES;
pub use self::tally::Tally;

/// How one world is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Keep the last lines of what happened, for the eyes.
    pub keeps_trail: bool,
    /// A defect of a fake that the judge must notice.
    pub defect: Option<Defect>,
    /// The faults stop after so many hours at the latest.
    pub hours_max: Option<u64>,
    /// All credentials are of this class of providers; else each draws its own.
    pub class: Option<&'static str>,
}

/// A defect of a fake, to see whether the judge notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The escrow says that it has sealed an answer, and has not.
    EscrowSealsNothing,
    /// The provider makes two keys at each call, and shows the first.
    ProviderMintsTwice,
    /// Vault takes every write, whatever version it names.
    VaultIgnoresVersions,
}

/// What one world came to.
#[derive(Debug, Clone, Default)]
pub struct Concluded {
    /// The first promise that was broken, if one was.
    pub broken: Option<String>,
    /// What happened, in figures.
    pub tally: Tally,
    /// A hash of all operations with their times: the same seed gives the same.
    pub trace: u64,
    /// The last lines of what happened, if they were kept.
    pub trail: Vec<String>,
}

/// Runs the world of a seed to its end, or to the first broken promise.
pub fn simulate(seed: u64, options: Options) -> io::Result<Concluded> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(run(seed, options)))
}

async fn run(seed: u64, options: Options) -> Concluded {
    replica::forget_rotations();
    let dice = Dice::new(seed);
    // Before the clocks of the machine, so that no world depends on when it is run.
    let clock = FakeClock::starting_at(Timestamp::constant(1_772_323_200, 0));
    let judge = Judge::new(clock, options.keeps_trail);
    let chaos = Chaos::new(dice.fork(), Rates::drawn(&dice), judge.clone());
    let world = World::drawn(&dice, clock, judge.clone(), &chaos, options);
    let hours = 4 + dice.below(26);
    let days = Duration::from_hours(options.hours_max.unwrap_or(hours).min(hours));
    tokio::select! {
        biased;
        () = watch(&world, &chaos, days) => {}
        () = happen(&world, &dice, &chaos) => {}
    }
    let (mut tally, trace, trail) = judge.conclude();
    tally.seeds = 1;
    tally.simulated = crate::clock::Clock::monotonic(&clock);
    Concluded { broken: judge.broken(), tally, trace, trail }
}

/// Everything that goes on by itself; never ends.
async fn happen(world: &World, dice: &Dice, chaos: &Chaos) {
    let lives = world.replicas.iter().map(|replica| replica.live(world, dice.fork(), chaos));
    let credentials = 0..world.accounts.len();
    let askers = credentials.clone().map(|index| people::ask(world, index, dice.fork()));
    let settlers = credentials.map(|index| people::settle(world, index, dice.fork()));
    let weather = weather::Kind::ALL.iter().map(|kind| weather::blow(world, *kind, dice.fork(), chaos));
    let troubles = async {
        tokio::join!(futures_util::future::join_all(weather), futures_util::future::join_all(askers));
        std::future::pending::<()>().await;
    };
    let until_quiet = async {
        tokio::select! {
            biased;
            () = chaos.is_stopped() => {}
            () = troubles => {}
        }
    };
    tokio::join!(
        futures_util::future::join_all(lives),
        futures_util::future::join_all(settlers),
        until_quiet
    );
}

/// Looks at the world each minute; when its days are over, lets all faults stop, and waits until it has come to rest.
async fn watch(world: &World, chaos: &Chaos, days: Duration) {
    let minute = Duration::from_mins(1);
    let minutes = days.as_secs() / 60;
    for _ in 0..minutes {
        tokio::time::sleep(minute).await;
        world.inspect();
        if world.judge.broken().is_some() {
            return;
        }
    }
    chaos.stop();
    weather::clear_up(world);
    world.judge.say(|| "all faults stop".to_owned());
    rest::come_to_rest(world).await;
}
