//! What a switch obeys, what it can be told, and what it does.

use super::{Overload, Verify};
use domain::{OnSilence, Position, Reason, Reconnect, Timestamp};
use serde::Serialize;
use std::time::Duration;

/// The rules that a switch obeys whatever the account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Where it goes when its lease runs out.
    pub on_silence: OnSilence,
    /// A protected customer is never disconnected.
    pub protected: bool,
    /// How it closes after a disconnection for want of credit.
    pub reconnect: Reconnect,
    /// Once closed, it stays closed for at least this: a contactor wears.
    pub min_on: Duration,
    /// Once open, it stays open for at least this: a compressor must not start against pressure.
    pub min_off: Duration,
    /// How a power limit is kept.
    pub overload: Overload,
    /// When the contact is suspected.
    pub verify: Verify,
}

impl Rule {
    /// A switch that closes by itself, without least times.
    #[must_use]
    pub fn new(on_silence: OnSilence, protected: bool) -> Self {
        Self {
            on_silence,
            protected,
            reconnect: Reconnect::Automatic,
            min_on: Duration::ZERO,
            min_off: Duration::ZERO,
            overload: Overload::default(),
            verify: Verify::default(),
        }
    }
}

/// The three states that the field knows (DLMS disconnect control, class 70).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No power.
    Disconnected,
    /// Power.
    Connected,
    /// No power, and the customer's own act brings it back.
    ReadyForReconnection,
}

/// One step for the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Order the contact there, and read it back.
    Move(Position, Reason),
    /// Read the contact.
    Look,
}

/// What a person ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Override {
    /// Where to.
    pub position: Position,
    /// Until when; `None` until it is taken back.
    pub until: Option<Timestamp>,
    /// For somebody's safety: even a protected customer's switch opens, at once.
    pub safety: bool,
}
