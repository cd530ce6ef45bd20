//! The pure core: what a rotation is, and what happens next. No I/O, no clock, no async, no secret.

mod close;
mod decide;
mod effect;
mod event;
mod halt;
mod history;
mod orphan;
mod outcome;
mod plan;
mod resolve;
mod resume;
mod revocation;
pub mod schedule;
mod slots;
mod state;
mod step;
mod times;

pub use close::{NotNow, admit, due_request, next_due, quiet_before_the_next};
pub use decide::possible_decisions;
pub use effect::Effect;
pub use event::{Event, Evidence, Holding, Reading, Verdict};
pub use halt::{Halt, HaltReason};
pub use history::{Closed, ClosedAs, Decision, Timings};
pub use orphan::{Orphan, Standing, quiet_for, tells_at};
pub use outcome::{Doubt, Outcome, Problem, Refusal, RefusalClass};
pub use plan::{Creates, Phases, Plan, Propagation};
pub use resume::is_wanted;
pub use revocation::{Created, Revocation, is_as_recorded, owed_for_at_most, shows_the_published, strays};
pub use slots::{Slot, idle_slot};
pub use state::{
    Answer, Baseline, HISTORY_MAX, Marked, Pause, Phase, Publication, Request, Retry, Rotation, State,
    Trigger, Unknown,
};
pub use step::{IllegalEvent, Step, step};
