//! The position of a customer's switch, and why it should be there.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a contact is. `Open` means disconnected: no power flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// The customer is disconnected.
    Open,
    /// The customer is connected.
    Closed,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
        })
    }
}

impl FromStr for Position {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            other => Err(format!("{other:?} is no switch position: say open or closed")),
        }
    }
}

/// Where a switch goes when its lease runs out, that is, when nobody could say for a while whether this customer
/// should have power. A required choice: there is no safe default for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSilence {
    /// Disconnect.
    Open,
    /// Connect.
    Closed,
    /// Leave the contact as it is.
    Hold,
}

/// Why a switch is ordered to a position, in words that a customer understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The prepaid credit is used up.
    CreditExhausted,
    /// There is credit again.
    CreditRestored,
    /// There is credit, and the contact was not where it should be.
    CreditGood,
    /// The account could not be checked for a while; the switch follows its `on_silence` rule.
    Silence,
    /// This customer is protected and is never disconnected.
    Protected,
    /// A person asked for it.
    Operator,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreditExhausted => "the prepaid credit is used up",
            Self::CreditRestored => "there is credit again",
            Self::CreditGood => "the account has credit",
            Self::Silence => "the account could not be checked for a while",
            Self::Protected => "this customer is protected and never disconnected",
            Self::Operator => "the operator asked for it",
        })
    }
}
