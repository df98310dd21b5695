//! Money as whole minor units. What a minor unit is worth is said once, by [`Currency`].

use crate::{WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in minor units of the site's currency. Negative is debt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Sum, or `None` past ±9.2e18 minor units.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, or `None` past ±9.2e18 minor units.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// What one watt-hour costs, in whole minor units: a debit is then exact, whatever the interval, and the order or
/// size of settlements cannot change a sum. With 9 decimals a price can be set to a millionth of a cent a kWh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u32);

impl Price {
    /// Price × energy, exact; `None` past ±9.2e18 minor units.
    #[must_use]
    pub fn of(self, energy: WattHours) -> Option<Money> {
        i64::from(self.0).checked_mul(energy.0).map(Money)
    }
}

/// What a watt of demand costs in a month, in whole minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PowerPrice(pub u32);

impl PowerPrice {
    /// Price × power, exact; `None` past ±9.2e18 minor units.
    #[must_use]
    pub fn of(self, power: Watts) -> Option<Money> {
        i64::from(self.0).checked_mul(power.0).map(Money)
    }
}

/// A currency: its code and how many decimals a minor unit has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    /// ISO 4217 code, e.g. `EUR`.
    pub code: String,
    /// Decimals of the minor unit: 9 means that 1 EUR is 1,000,000,000 minor units. 3 to 9.
    pub decimals: u8,
}

impl Currency {
    /// Minor units in one unit of the currency.
    #[must_use]
    pub fn scale(&self) -> i64 {
        10_i64.pow(u32::from(self.decimals.min(18)))
    }

    /// Reads a decimal amount such as `12.50` or `-0.3042`. More decimals than the currency has are an error, not a
    /// rounding.
    pub fn parse(&self, text: &str) -> Result<Money, String> {
        let bad =
            || format!("{text:?} is no amount: write digits, at most one '.', at most {} decimals", self.decimals);
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let decimals = usize::from(self.decimals);
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > decimals {
            return Err(bad());
        }
        let units = format!("{whole}{fraction:0<decimals$}").parse::<i64>().map_err(|_| bad())?;
        Ok(Money(if negative { -units } else { units }))
    }

    /// The amount for people: at least two decimals, no trailing zeros beyond them, then the code.
    #[must_use]
    pub fn show(&self, amount: Money) -> String {
        format!("{} {}", self.plain(amount), self.code)
    }

    /// The amount as a decimal number without the code, as [`Self::parse`] reads it.
    #[must_use]
    pub fn plain(&self, amount: Money) -> String {
        let scale = u128::from(self.scale().unsigned_abs());
        let units = u128::from(amount.0.unsigned_abs());
        let fraction = format!("{:0width$}", units % scale, width = usize::from(self.decimals));
        let fraction = format!("{:0<2}", fraction.trim_end_matches('0'));
        format!("{}{}.{fraction}", if amount.0 < 0 { "-" } else { "" }, units / scale)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor units", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_amount_with_too_many_decimals_is_refused_not_rounded() {
        let eur = Currency { code: "EUR".into(), decimals: 3 };
        assert_eq!(eur.parse("1.234"), Ok(Money(1234)));
        assert!(eur.parse("1.2345").is_err());
        for bad in ["", ".5", "1..2", "1,5", "--1", "1e3", "99999999999999999999"] {
            assert!(eur.parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn amounts_are_shown_with_at_least_two_decimals() {
        let eur = Currency { code: "EUR".into(), decimals: 9 };
        assert_eq!(eur.show(Money(1_500_000_000)), "1.50 EUR");
        assert_eq!(eur.show(Money(-304_200)), "-0.0003042 EUR");
        assert_eq!(eur.show(Money(0)), "0.00 EUR");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_amount(units in any::<i64>(), decimals in 3_u8..=9) {
            prop_assume!(units != i64::MIN);
            let currency = Currency { code: "EUR".into(), decimals };
            prop_assert_eq!(currency.parse(&currency.plain(Money(units))), Ok(Money(units)));
        }
    }
}
