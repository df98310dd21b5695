//! How long the credit lasts.

use crate::Money;
use std::time::Duration;

/// Less history than this says nothing about a day.
const LEAST_HISTORY: Duration = Duration::from_secs(24 * 3600);
/// Beyond this a forecast is no information.
const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long `left` lasts if energy is used as of late, when `spent` went in `history`. Rounded down to a millisecond.
///
/// `None` where there is no basis: less than a day of history, nothing spent, or an end that is ten years away.
#[must_use]
pub fn lasts(left: Money, spent: Money, history: Duration) -> Option<Duration> {
    if history < LEAST_HISTORY || spent <= Money::ZERO {
        return None;
    }
    let history = i128::try_from(history.as_millis()).ok()?;
    let ms = i128::from(left.0.max(0)).checked_mul(history)? / i128::from(spent.0);
    u64::try_from(ms).ok().map(Duration::from_millis).filter(|lasts| *lasts <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_week_that_cost_seven_leaves_three_days_for_three() {
        assert_eq!(lasts(Money(3), Money(7), DAY * 7), Some(DAY * 3));
        assert_eq!(lasts(Money(-5), Money(7), DAY * 7), Some(Duration::ZERO));
    }

    #[test]
    fn without_a_basis_there_is_no_forecast() {
        assert_eq!(lasts(Money(3), Money(7), DAY / 2), None);
        assert_eq!(lasts(Money(3), Money(0), DAY * 7), None);
        assert_eq!(lasts(Money(3), Money(-7), DAY * 7), None);
        assert_eq!(lasts(Money(i64::MAX), Money(1), DAY * 7), None);
    }

    proptest! {
        #[test]
        fn more_credit_lasts_no_shorter(left in 0_i64..1 << 40, more in 0_i64..1 << 40, spent in 1_i64..1 << 40, days in 1_u32..30) {
            let history = DAY * days;
            if let (Some(short), Some(long)) =
                (lasts(Money(left), Money(spent), history), lasts(Money(left + more), Money(spent), history))
            {
                prop_assert!(long >= short);
            }
        }
    }
}
