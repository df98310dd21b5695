//! The drivers against simulated and hostile devices on real sockets, pseudo-terminals and a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop here and say where")]

mod bench;
mod board;
mod brokers;
mod fuzz;
mod gpio;
mod hostile;
mod inverters;
mod late;
mod lines;
mod mqtt;
mod noise;
mod pipeline;
mod radio;
mod refusals;
mod scan;
mod setup;
mod sunspec;
mod telegrams;
mod templates;
mod tls;
mod traffic;
