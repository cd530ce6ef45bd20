//! The shell: one task per credential runs the core's effects and publishes what it sees.

mod handle;
#[cfg(feature = "testbed")]
pub mod scripted;
mod snapshot;

pub use handle::{Finding, Fleet, Handle, PlanReport, Rejection, RotateRequest};
pub use snapshot::{Activity, Condition, Hold, Role, Snapshot};
