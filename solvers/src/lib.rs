//! Mathematics over what was recorded. Numbers in, numbers out: no I/O, no clock, no async, and nothing here knows what
//! a customer owes.
//!
//! [`balance`] compares a feeder with the homes behind it. [`grid`] is a network in per unit; [`flow`] says what
//! flows in it, [`opf`] finds its cheapest dispatch.

pub mod balance;
pub mod flow;
pub mod grid;
mod normal;
pub mod opf;
mod ridge;
mod sparse;
