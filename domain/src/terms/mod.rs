//! What a customer's contract says about supply: how it is paid for, and every step between full power and none.

mod calendar;
mod forecast;
mod friendly;
mod standing;
mod topup;

pub use calendar::Calendar;
pub use forecast::lasts;
pub use friendly::{Friendly, Holiday, Weekday};
pub use standing::{Situation, Standing, Supply};
pub use topup::{Split, split_topup};

use crate::{CreditRule, Money, WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How energy is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Before it is used. Begins with the first payment: nobody is cut off for an account that was never paid into.
    Prepaid,
    /// After it was used, up to a limit.
    Postpaid {
        /// The most that may be owed.
        limit: Money,
    },
}

/// Credit for an emergency: offered once, when the balance comes down to a threshold; paid back by the next top-up
/// before anything else, and not offered again until the balance was above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmergencyCredit {
    /// How much.
    pub amount: Money,
    /// At or below this it is offered.
    pub at: Money,
    /// Taken as soon as it is offered, without anybody's act.
    pub automatic: bool,
    /// The most power that may be drawn while it is used.
    pub power: Option<Watts>,
}

/// Less power as a step before none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimit {
    /// At or below this balance.
    pub below: Money,
    /// The most power that may be drawn.
    pub power: Watts,
}

/// The most energy that may be used in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How much.
    pub energy: WattHours,
    /// The minute of the local day at which it begins anew.
    pub reset: u16,
}

/// The terms of one customer. All thresholds of a postpaid account count what is left of its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How energy is paid for.
    pub mode: Mode,
    /// When credit is low, and when supply returns after exhaustion.
    pub rule: CreditRule,
    /// Never disconnected, and never limited, because a limit is kept by disconnecting.
    pub protected: bool,
    /// Emergency credit, if there is any.
    pub emergency: Option<EmergencyCredit>,
    /// When nobody is disconnected for want of credit.
    pub friendly: Friendly,
    /// Less power before none.
    pub limit: Option<LoadLimit>,
    /// The most energy of a day.
    pub allowance: Option<Allowance>,
}

impl Terms {
    /// Plain prepayment.
    #[must_use]
    pub fn prepaid(rule: CreditRule) -> Self {
        Self {
            mode: Mode::Prepaid,
            rule,
            protected: false,
            emergency: None,
            friendly: Friendly::default(),
            limit: None,
            allowance: None,
        }
    }

    /// What may still be used before supply ends, emergency credit aside.
    #[must_use]
    pub fn left(&self, balance: Money) -> Money {
        match self.mode {
            Mode::Prepaid => balance,
            Mode::Postpaid { limit } => Money(balance.0.saturating_add(limit.0)),
        }
    }
}

/// How far an account has come with its emergency credit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emergency {
    /// Not needed.
    #[default]
    None,
    /// The customer may take it.
    Offered,
    /// Taken: it is used, or about to be.
    Accepted,
    /// Used up. The next top-up pays it back.
    Spent,
}

impl fmt::Display for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "paid back",
            Self::Offered => "offered",
            Self::Accepted => "taken",
            Self::Spent => "used up",
        })
    }
}

#[cfg(test)]
mod tests;
