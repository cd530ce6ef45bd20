//! The pure core: what a rotation is, and what happens next. No I/O, no clock, no async, no secret.

mod effect;
mod event;
mod outcome;
mod plan;
pub mod schedule;
mod state;

pub use effect::Effect;
pub use event::{Event, Holding, Reading, Verdict};
pub use outcome::{Doubt, Outcome, Problem, Refusal, RefusalClass};
pub use plan::{Plan, Propagation};
pub use state::{
    Answer, Baseline, Closed, ClosedAs, Decision, HISTORY_MAX, Halt, HaltReason, Pause, Phase, Publication,
    Request, Retry, Rotation, State, Timings, Trigger, Unknown,
};
