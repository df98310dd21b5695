//! How a top-up is shared between a debt and the credit.

use crate::{Money, Permille};

/// What becomes of a top-up. The two parts are the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Pays back debt.
    pub to_debt: Money,
    /// Buys energy.
    pub to_credit: Money,
}

/// Shares `amount` between `debt` (a loan for the appliance, the connection, an old bill) and the credit: `share` of it,
/// rounded down in favour of the credit, but at least `least`, and never more than is owed or was paid in. What is
/// not above zero is shared with nobody.
#[must_use]
pub fn split_topup(amount: Money, debt: Money, share: Permille, least: Money) -> Split {
    let part = i128::from(amount.0) * i128::from(share.get()) / 1000;
    // A share of an i64 fits one.
    let part = i64::try_from(part).unwrap_or(i64::MAX).max(least.0);
    let to_debt = Money(part.min(amount.0).min(debt.0).max(0));
    Split { to_debt, to_credit: Money(amount.0.saturating_sub(to_debt.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fifth_of_each_top_up_pays_the_loan_until_it_is_paid() {
        let fifth = Permille::new(200).unwrap();
        let split = |amount, debt| split_topup(Money(amount), Money(debt), fifth, Money(10));
        assert_eq!(split(1000, 5000), Split { to_debt: Money(200), to_credit: Money(800) });
        assert_eq!(split(1000, 150), Split { to_debt: Money(150), to_credit: Money(850) });
        assert_eq!(split(1000, 0), Split { to_debt: Money(0), to_credit: Money(1000) });
        // At least the agreed least, and never more than was paid in.
        assert_eq!(split(20, 5000), Split { to_debt: Money(10), to_credit: Money(10) });
        assert_eq!(split(5, 5000), Split { to_debt: Money(5), to_credit: Money(0) });
    }

    proptest! {
        #[test]
        fn no_minor_unit_is_lost_and_nobody_pays_more_than_is_owed(
            amount in any::<i64>(), debt in any::<i64>(), share in 0_u16..=1000, least in 0_i64..1_000_000,
        ) {
            let split = split_topup(Money(amount), Money(debt), Permille::new(share).unwrap(), Money(least));
            prop_assert_eq!(split.to_debt.checked_add(split.to_credit), Some(Money(amount)));
            prop_assert!(split.to_debt >= Money::ZERO && split.to_debt.0 <= debt.max(0));
            prop_assert!(split.to_debt.0 <= amount.max(0));
        }

        #[test]
        fn who_pays_in_more_gets_no_less_credit_and_owes_no_more(
            amount in 0_i64..1 << 60, more in 0_i64..1 << 60, debt in 0_i64..1 << 60, share in 0_u16..=1000,
            least in 0_i64..1_000_000,
        ) {
            let share = Permille::new(share).unwrap();
            let little = split_topup(Money(amount), Money(debt), share, Money(least));
            let much = split_topup(Money(amount + more), Money(debt), share, Money(least));
            prop_assert!(much.to_credit >= little.to_credit && much.to_debt >= little.to_debt);
        }
    }
}
