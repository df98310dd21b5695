//! The broker as its clients see it, on real sockets, and killed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop here and say where"
)]

mod bridged;
mod client;
mod fuzz;
mod killed;
mod paced;
mod served;
mod strangers;

#[test]
#[ignore = "the broker that other tests start as a process of its own, to kill it"]
fn a_broker_to_be_killed() {
    killed::serve();
}
