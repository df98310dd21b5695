//! The whole house from outside: the real binary, real sockets and files, and programs by other people.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop here and say where"
)]

mod access;
mod alarms;
#[allow(dead_code, reason = "the tests of the agents start it plainly")]
#[path = "../../../actors/tests/it/anvil.rs"]
mod anvil;
mod bad_files;
mod bad_input;
mod balance;
mod broker;
mod consensus;
mod crash;
mod demo;
mod dispatch;
mod field;
mod fleet;
mod foreign;
mod full_disk;
mod gpio;
mod hostile;
mod house;
mod inverter;
mod kept;
mod load;
mod locate;
mod operator;
mod places;
mod receipt;
mod register;
mod rules;
mod scan;
mod setup;
mod simulated;
mod supply;
mod tokens;
mod topup;
mod witness;
