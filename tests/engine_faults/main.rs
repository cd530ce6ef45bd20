//! The real engine on fake outsides that fail on purpose, in virtual time.
//!
//! Each test tells one story of promises P1 to P5 and P8: what the provider was asked, what the application's entry
//! holds, where the record stands, and what is left in escrow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "nobody else can reach into a test program")]

mod clocks;
mod commands;
mod crashes;
mod created;
mod drift;
mod fields;
mod marked;
mod orphans;
mod outages;
mod phases;
mod replicas;
mod slots;
mod supplied;
mod sweeps;
mod verdict;
mod world;
