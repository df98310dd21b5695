//! The crate from the outside, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop here and say where")]

mod clocks;
mod fuzz;
