//! The crate from the outside, in one binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod billing;
mod costs;
mod dispatch;
mod edge;
mod foreign;
mod fuzz;
mod gas;
mod heads;
mod location;
mod machine;
mod persistence;
mod provers;
mod server;
mod sightings;
mod street;
mod tou;
mod trade;
mod vectors;
mod witness;
