//! The stages of credit, and their thresholds. [`crate::Terms::judge`] says which stage a balance means.

use crate::Money;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an account stands, as it is shown to the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// Above the warning threshold.
    Good,
    /// The customer should top up soon.
    Low,
    /// The customer may take the emergency credit.
    EmergencyOffered,
    /// The emergency credit is in use.
    Emergency,
    /// Nothing left, but at this hour nobody is disconnected: what is used becomes debt.
    Friendly,
    /// Nothing left: the switch is to open.
    Exhausted,
}

impl Credit {
    /// All stages, from the best to the worst.
    pub const ALL: [Self; 6] =
        [Self::Good, Self::Low, Self::EmergencyOffered, Self::Emergency, Self::Friendly, Self::Exhausted];
}

impl fmt::Display for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Low => "low",
            Self::EmergencyOffered => "low, and emergency credit is offered",
            Self::Emergency => "used up, and the emergency credit is in use",
            Self::Friendly => "used up, in friendly hours",
            Self::Exhausted => "exhausted",
        })
    }
}

/// The thresholds of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditRule {
    /// At or below this the credit is low.
    pub low_at: Money,
    /// After exhaustion the balance must reach this before supply returns: a cent of feed-in does not make a contactor
    /// chatter around zero. At least one minor unit.
    pub restore_at: Money,
}
