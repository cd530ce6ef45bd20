//! The gRPC services over real connections, in front of a scripted engine.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod bench;
mod credentials;
mod errors;
mod health;
mod listening;
mod operators;
mod rotations;
mod shutdown;
mod tls;
