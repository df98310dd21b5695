//! Radios at known places, and how loud they hear whom: nodes that publish over MQTT as ESPresense does, and a bridge on a
//! serial port that speaks a line protocol of our own.
//!
//! What they hear says nothing of who sent it: anybody can send any code. Loudness becomes a distance, and a distance a
//! verdict, elsewhere.

mod bridge;
mod espresense;
mod line;

pub use bridge::Bridge;
pub use espresense::{Node, heard};
pub use line::{LONGEST, Line, Lines, NotALine};

use domain::Dbm;

/// Loudness beyond these is no loudness, in dBm: below is less than thermal noise in the narrowest channel, above is more
/// than a transmitter in the same room.
const QUIETEST: f64 = -150.0;
const LOUDEST: f64 = 20.0;

/// What tells a sender apart, in one spelling: of an iBeacon its UUID, without hyphens; of others what they are called.
#[must_use]
pub fn code(sender: &str) -> String {
    let Some(beacon) = sender.strip_prefix("iBeacon:") else { return sender.to_ascii_lowercase() };
    // A UUID has four hyphens; what follows the fifth are its major and minor.
    beacon.split('-').take(5).collect::<String>().to_ascii_lowercase()
}

fn loudness(dbm: f64) -> Option<Dbm> {
    Dbm::finite(dbm).filter(|_| (QUIETEST..=LOUDEST).contains(&dbm))
}
