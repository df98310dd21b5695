//! From a contract and a balance to the supply that follows.

use super::{Calendar, Emergency, Mode, Terms};
use crate::{Credit, Money, Reason, Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a customer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// As much as the connection carries.
    Full,
    /// No more power than this.
    Limited(Watts),
    /// Nothing.
    Off,
}

impl Supply {
    /// Whether the contact is to be closed.
    #[must_use]
    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

impl fmt::Display for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full power"),
            Self::Limited(power) => write!(f, "at most {power}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// What is known about an account at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What is in the account; negative is debt.
    pub balance: Money,
    /// Whether anything was ever paid in.
    pub paid_in: bool,
    /// The stage it was in.
    pub credit: Credit,
    /// How far it had come with its emergency credit, the customer's own act included.
    pub emergency: Emergency,
    /// Energy used since the allowance began anew; `None` if nobody knows.
    pub used_today: Option<WattHours>,
    /// The time, if the clock can be trusted. Without it nobody is disconnected for a reason that depends on the time.
    pub now: Option<Timestamp>,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What the customer may have.
    pub supply: Supply,
    /// Why.
    pub reason: Reason,
    /// The stage to show.
    pub credit: Credit,
    /// How far the account has come with its emergency credit.
    pub emergency: Emergency,
    /// When friendly hours end, while they alone keep the customer connected.
    pub friendly_until: Option<Timestamp>,
}

impl Terms {
    /// The standing that follows. Whoever acts on it records [`Standing::credit`] and [`Standing::emergency`] first and
    /// says them back the next time: exhaustion and emergency credit have a memory.
    #[must_use]
    pub fn judge(&self, s: &Situation, calendar: &Calendar) -> Standing {
        let full = |reason| Standing {
            supply: Supply::Full,
            reason,
            credit: Credit::Good,
            emergency: Emergency::None,
            friendly_until: None,
        };
        if self.mode == Mode::Prepaid && !s.paid_in {
            return full(if self.protected { Reason::Protected } else { Reason::CreditGood });
        }
        let left = self.left(s.balance);
        let mut emergency = self.emergency(left, s.emergency);
        let grace = match (self.emergency, emergency) {
            (Some(terms), Emergency::Accepted) => terms.amount.0,
            _ => 0,
        };
        let waits = s.credit == Credit::Exhausted && emergency != Emergency::Accepted && left < self.rule.restore_at;
        let exhausted = left.0 <= grace.saturating_neg() || waits;
        if exhausted && emergency == Emergency::Accepted {
            emergency = Emergency::Spent;
        }
        // Friendly hours keep who is connected; they connect nobody.
        let friendly = exhausted && s.credit != Credit::Exhausted && self.is_friendly(s.now, calendar);
        let credit = match (exhausted, emergency) {
            (true, _) if friendly => Credit::Friendly,
            (true, _) => Credit::Exhausted,
            (false, Emergency::Accepted) => Credit::Emergency,
            (false, Emergency::Offered) => Credit::EmergencyOffered,
            (false, _) if left <= self.rule.low_at => Credit::Low,
            (false, _) => Credit::Good,
        };
        let friendly_until = match (friendly, s.now) {
            (true, Some(now)) => self.friendly.ends(calendar, now),
            _ => None,
        };
        let (supply, reason) = self.supply(s, left, credit);
        Standing { supply, reason, credit, emergency, friendly_until }
    }

    fn emergency(&self, left: Money, before: Emergency) -> Emergency {
        match self.emergency {
            None => Emergency::None,
            Some(terms) if left > terms.at => Emergency::None,
            Some(terms) if before == Emergency::None || before == Emergency::Offered => {
                if terms.automatic {
                    Emergency::Accepted
                } else {
                    Emergency::Offered
                }
            }
            Some(_) => before,
        }
    }

    fn is_friendly(&self, now: Option<Timestamp>, calendar: &Calendar) -> bool {
        // Without a clock that can be trusted, any hour may be a friendly one.
        !self.friendly.is_empty() && now.is_none_or(|now| self.friendly.holds(calendar, now))
    }

    fn supply(&self, s: &Situation, left: Money, credit: Credit) -> (Supply, Reason) {
        if self.protected {
            return (Supply::Full, Reason::Protected);
        }
        if credit == Credit::Exhausted {
            let postpaid = matches!(self.mode, Mode::Postpaid { .. });
            return (Supply::Off, if postpaid { Reason::LimitOwed } else { Reason::CreditExhausted });
        }
        let used_up = |energy: WattHours| s.now.is_some() && s.used_today.is_some_and(|used| used >= energy);
        if self.allowance.is_some_and(|a| used_up(a.energy)) {
            return (Supply::Off, Reason::AllowanceUsed);
        }
        let low = self.limit.filter(|limit| left <= limit.below).map(|limit| limit.power);
        let emergency = self.emergency.filter(|_| credit == Credit::Emergency).and_then(|e| e.power);
        let reason = match credit {
            Credit::Friendly => Reason::FriendlyHours,
            Credit::Emergency => Reason::EmergencyCredit,
            _ if low.is_some() => Reason::CreditLow,
            _ => Reason::CreditGood,
        };
        match low.into_iter().chain(emergency).min() {
            Some(power) => (Supply::Limited(power), reason),
            None => (Supply::Full, reason),
        }
    }
}
