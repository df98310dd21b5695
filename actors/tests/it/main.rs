//! A whole street of agents with a clock of its own: in-process homes, a real ledger, a real chain.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failure here should stop the test")]

mod anvil;
mod attested;
mod balance;
mod books;
mod chaos;
mod day;
mod faults;
mod fuzz;
mod held;
mod hook;
mod keeper;
mod leaving;
mod liars;
mod places;
mod prices;
mod proxy;
mod ranges;
mod refused;
mod restored;
mod rounds;
mod silent;
mod street;
mod sunny;
mod supply;
mod together;
mod week;
