//! What several test programs need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of it")]

pub mod rotation;
pub mod world;
