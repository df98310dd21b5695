//! What the balance of a feeder promises, on streets whose truth is known; power flow and dispatch on public cases.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "test helpers: small numbers, and a failure should stop the test"
)]

mod alternating;
mod cases;
mod dispatch;
mod disturbed;
mod flow;
mod forecast;
mod found;
mod honest;
mod lane;
mod locate;
mod odd;
mod street;
mod tou;
mod witness;

use domain::feeder::Irregularity;
use solvers::balance::{Judgement, Settings, Verdict, Window, balance};

pub fn judge_by(window: &Window, settings: &Settings) -> Judgement {
    match balance(window, settings) {
        Verdict::Judged(judged) => judged,
        Verdict::NotEnough { have, need, absent } => panic!("{have} of {need}, {absent:?}"),
    }
}

pub fn found(window: &Window) -> Vec<Irregularity> {
    judge_by(window, &street::settings()).found
}
