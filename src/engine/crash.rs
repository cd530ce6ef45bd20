//! Named instants between two durable writes, at which a test can kill the process.
//!
//! Compiled to nothing without the feature `crash-points`. The names are those of the crash table in
//! ARCHITECTURE.md, and a test holds the two lists together.

/// All crash points, in the order in which a rotation passes them.
pub const POINTS: &[&str] = &[
    "before-intent",
    "after-intent",
    "after-sent",
    "after-answer",
    "after-seal",
    "after-stage",
    "after-publish",
    "after-close",
    "after-unknown",
];

#[cfg(feature = "crash-points")]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Makes the process die, as by `kill -9`, when it first passes the point with this name.
#[cfg(feature = "crash-points")]
pub fn arm(point: String) {
    if ARMED.set(point).is_err() {
        tracing::warn!("a crash point is armed already");
    }
}

/// One point; dies here if it is armed.
#[cfg(feature = "crash-points")]
pub(crate) fn point(name: &'static str) {
    if ARMED.get().is_some_and(|armed| armed == name) {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        tracing::error!(?killed, "the process should be dead");
    }
}

/// The name that makes the process panic with the provider's answer in its message.
#[cfg(feature = "crash-points")]
pub const PANIC: &str = "panic";

/// Panics with a value in the message, as a defect would, if [`PANIC`] is armed.
#[cfg(feature = "crash-points")]
#[expect(clippy::panic, clippy::use_debug, reason = "a test shows that even such a panic tells no secret")]
pub(crate) fn panic_with(value: &impl std::fmt::Debug) {
    if ARMED.get().is_some_and(|armed| armed == PANIC) {
        panic!("a defect that shows {value:?}");
    }
}

/// Nothing in a product build.
#[cfg(not(feature = "crash-points"))]
pub(crate) const fn panic_with(_value: &impl std::fmt::Debug) {}

/// One point; nothing in a product build.
#[cfg(not(feature = "crash-points"))]
pub(crate) const fn point(_name: &'static str) {}
