//! Logs and metrics: what operators see while nobody looks.

pub mod log;
pub mod metrics;
mod metrics_page;
mod panic_hook;
mod process;

pub use panic_hook::install_panic_hook;
pub use process::{Process, Reloads};
