//! What several test programs need.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of it")]

pub mod rotation;
