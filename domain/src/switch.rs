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

/// How a switch closes again that was opened for want of credit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// By itself.
    #[default]
    Automatic,
    /// It becomes ready, and waits for the customer's own act: nobody comes home to an oven that went on by itself.
    Ready,
}

/// Why a switch is not where it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// It says open, and power flows: welded, or bypassed.
    Bypassed,
    /// It says closed, and there is neither power nor voltage: something else is open.
    Tripped,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bypassed => "it says open, but power flows: the contact is welded, or somebody goes round it",
            Self::Tripped => "it says closed, but there is no voltage behind it: a breaker tripped, or a wire is off",
        })
    }
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
    /// Credit is low, so power is limited.
    CreditLow,
    /// The emergency credit is in use.
    EmergencyCredit,
    /// Nothing is left, but nobody is disconnected at this hour.
    FriendlyHours,
    /// As much is owed as was agreed on.
    LimitOwed,
    /// The energy of this day is used up.
    AllowanceUsed,
    /// There is credit again, and the switch waits for the customer's own act.
    Ready,
    /// The customer asked for it.
    Customer,
    /// More power was drawn than is allowed.
    Overload,
    /// The pause after an overload is over.
    OverloadOver,
    /// The account could not be checked for a while; the switch follows its `on_silence` rule.
    Silence,
    /// This customer is protected and is never disconnected.
    Protected,
    /// By the grid operator's register another provider feeds this customer.
    NotOurs,
    /// A person asked for it.
    Operator,
    /// It must be without power for somebody's safety.
    Safety,
}

impl Reason {
    /// Whether it is want of money: after such a disconnection a switch may wait for the customer's own act.
    #[must_use]
    pub fn is_want_of_credit(self) -> bool {
        matches!(self, Self::CreditExhausted | Self::LimitOwed | Self::Ready)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreditExhausted => "the prepaid credit is used up",
            Self::CreditRestored => "there is credit again",
            Self::CreditGood => "the account has credit",
            Self::CreditLow => "credit is low, so power is limited",
            Self::EmergencyCredit => "the emergency credit is in use",
            Self::FriendlyHours => "the credit is used up, but nobody is disconnected at this hour",
            Self::LimitOwed => "as much is owed as was agreed on",
            Self::AllowanceUsed => "today's energy is used up",
            Self::Ready => "there is credit again: ask for reconnection when it is safe",
            Self::Customer => "the customer asked for it",
            Self::Overload => "more power was drawn than is allowed",
            Self::OverloadOver => "the pause after too much power is over",
            Self::Silence => "the account could not be checked for a while",
            Self::Protected => "this customer is protected and never disconnected",
            Self::NotOurs => "by the grid operator's register another provider feeds this customer",
            Self::Operator => "the operator asked for it",
            Self::Safety => "it is kept without power for safety",
        })
    }
}
