//! Logs and metrics: what operators see while nobody looks.

mod log;
mod metrics;
mod metrics_server;
mod panic_hook;
#[cfg(test)]
mod sample;

pub use log::{InvalidFilter, LogFormat, start_log, subscriber};
pub use metrics::Metrics;
pub use metrics_server::serve_metrics;
pub use panic_hook::install_panic_hook;
