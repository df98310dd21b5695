//! From a balance to a state of credit, with the hysteresis that keeps a contactor from chattering around zero.

use crate::Money;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a prepaid account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credit {
    /// Above the warning threshold.
    Good,
    /// The customer should top up soon.
    Low,
    /// Nothing left: the switch is to open.
    Exhausted,
}

impl fmt::Display for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Low => "low",
            Self::Exhausted => "exhausted",
        })
    }
}

/// The thresholds of a prepaid account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditRule {
    /// At or below this the credit is low.
    pub low_at: Money,
    /// After exhaustion the balance must reach this before supply returns. At least one minor unit.
    pub restore_at: Money,
}

impl CreditRule {
    /// The state that follows from `balance`, given the state before.
    #[must_use]
    pub fn judge(&self, before: Credit, balance: Money) -> Credit {
        let still_exhausted = before == Credit::Exhausted && balance < self.restore_at;
        if balance <= Money::ZERO || still_exhausted {
            Credit::Exhausted
        } else if balance <= self.low_at {
            Credit::Low
        } else {
            Credit::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cent_of_feed_in_does_not_reconnect_before_the_threshold() {
        let rule = CreditRule { low_at: Money(100), restore_at: Money(50) };
        assert_eq!(rule.judge(Credit::Good, Money(0)), Credit::Exhausted);
        assert_eq!(rule.judge(Credit::Exhausted, Money(49)), Credit::Exhausted);
        assert_eq!(rule.judge(Credit::Exhausted, Money(50)), Credit::Low);
        assert_eq!(rule.judge(Credit::Low, Money(1)), Credit::Low);
        assert_eq!(rule.judge(Credit::Low, Money(101)), Credit::Good);
    }
}
