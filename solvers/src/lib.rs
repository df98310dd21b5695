//! Mathematics over what was recorded. Numbers in, numbers out: no I/O, no clock, no async, and nothing here knows what
//! a customer owes.
//!
//! [`balance`] compares a feeder with the homes behind it; [`forecast`] says what a load will be, and [`tou`] makes ranges
//! of it. [`locate`] says where a device is. [`witness`] says how many of a drawn set must sign a batch, and who of them is
//! flagged.

pub mod balance;
pub mod forecast;
pub mod locate;
mod normal;
mod ridge;
pub mod tou;
pub mod witness;
