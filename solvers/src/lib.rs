//! Mathematics over what was recorded. Numbers in, numbers out: no I/O, no clock, no async, and nothing here knows what
//! a customer owes.
//!
//! [`balance`] compares a feeder with the homes behind it; [`forecast`] says what a load will be, and [`tou`] makes ranges
//! of it.

pub mod balance;
pub mod forecast;
mod normal;
mod ridge;
pub mod tou;
