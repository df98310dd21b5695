//! Mathematics over what was recorded. Numbers in, numbers out: no I/O, no clock, no async, and nothing here knows what
//! a customer owes.
//!
//! [`balance`] compares a feeder with the homes behind it.

pub mod balance;
mod normal;
mod ridge;
mod sparse;
