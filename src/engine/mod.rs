//! The shell: one task per credential runs the core's effects and publishes what it sees.
//!
//! Read it in this order: [`Fleet`] and [`Handle`] are how the program speaks to the tasks and [`Snapshot`] what it sees of one;
//! `driver` is the loop (load, step, run effects, rest); `hands` holds the outsides and the secret in flight,
//! `anchor` keeps its time, and `load`, `preflight` and `act` are what it does with them; `desk` answers commands; `interruption` says what
//! ends a run of effects and how long to wait before everything is read afresh; `leftovers`, `chores` and `revoking` look
//! after what rotations that are not open have left.

mod act;
mod anchor;
mod chores;
pub mod crash;
mod credential;
mod desk;
mod driver;
mod fleet;
mod handle;
mod hands;
mod in_hand;
mod interruption;
mod leftovers;
mod load;
mod preflight;
mod rest;
mod revoking;
#[cfg(feature = "testbed")]
pub mod scripted;
mod sealing;
mod show;
mod snapshot;
mod stopwatch;

pub use credential::{Adapters, Credential, Place, spawn};
pub use fleet::{Fleet, Handles};
pub use handle::{Finding, Handle, PlanReport, Rejection, RotateRequest};
pub use snapshot::{Activity, Condition, Hold, Role, Snapshot, Withdrawn};
