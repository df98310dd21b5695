//! Mathematics over what was recorded. Numbers in, numbers out: no I/O, no clock, no async, and nothing here knows what
//! a customer owes.
//!
//! [`balance`] compares a feeder with the homes behind it; [`forecast`] says what a load will be, and [`tou`] makes ranges
//! of it. [`grid`] is a network in per unit; [`flow`] says what flows in it, [`opf`] finds its cheapest dispatch. [`locate`]
//! says where a device is. [`witness`] says how many of a drawn set must sign a batch, and who of them is flagged.

pub mod balance;
pub mod flow;
pub mod forecast;
pub mod grid;
pub mod locate;
mod normal;
pub mod opf;
mod ridge;
mod sparse;
pub mod tou;
pub mod witness;
