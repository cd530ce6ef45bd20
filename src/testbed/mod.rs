//! Provider simulators and a throw-away OpenBao, for the demo and the tests.
//!
//! A simulator speaks its provider's wire contract on a loopback port of its own, on a thread of its own, so that
//! a test that blocks, or a keyturn in another process, can use it alike. [`Fault`]s make it misbehave in the ways
//! that lose keys.

pub mod break_glass;
mod connection;
pub mod derived;
mod exchange;
pub mod fake;
mod fault;
pub mod fuzzing;
pub mod installation;
mod keyring;
mod ledger;
pub mod openbao;
mod reply;
pub mod sidecar;
pub mod simulation;
mod simulator;
mod spritz_signature;
pub mod tcp_proxy;

pub mod adyen;
pub mod publicsquare;
pub mod spritz;

pub use fault::{Fault, Gate};
pub use ledger::{Call, CallOutcome, Operation};
pub use simulator::Simulator;
