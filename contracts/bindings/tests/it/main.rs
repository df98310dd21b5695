//! The crate from the outside, in one binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod billing;
mod edge;
mod foreign;
mod fuzz;
mod persistence;
mod server;
mod street;
mod tou;
mod vectors;
