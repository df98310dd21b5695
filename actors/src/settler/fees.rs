//! What is offered for gas: as much as the chain suggests, at least an eighth more than before where a transaction is to
//! be replaced, and never more than the ceiling.

use contracts::tx::Fees;
use std::time::Duration;
use thiserror::Error;

/// How much a unit of gas may cost, and how long a transaction may lie before more is offered for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// The most wei per gas that is ever offered, base fee included.
    pub ceiling: u128,
    /// How long a transaction may be in no block, while others are put into blocks, before more is offered.
    pub patience: Duration,
}

/// A fee is never raised beyond this many times what the chain suggests: a node that calls everything underpriced is not
/// to empty the account.
const MOST_FEE: u128 = 10;

/// Why nothing is offered. Settlement can wait: registers are cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum TooDear {
    #[error("the chain wants {} gwei per gas, and [chain] max_fee_gwei allows {}", gwei(*wanted), gwei(*ceiling))]
    Ceiling { wanted: u128, ceiling: u128 },
    #[error("the node wants more than {MOST_FEE} times the fee that it suggests ({suggested} wei per gas)")]
    Endless { suggested: u128 },
}

/// Wei as gwei, rounded up.
fn gwei(wei: u128) -> u128 {
    wei.div_ceil(1_000_000_000)
}

/// What a first transaction offers. `base_fee` is that of the head; `None` on a chain that has none.
///
/// Above the ceiling it offers the ceiling, as long as that pays the present base fee and the tip: `suggested` has room
/// for the base fee to double.
pub(super) fn first(suggested: Fees, base_fee: Option<u128>, ceiling: u128) -> Result<Fees, TooDear> {
    let needed = base_fee.map_or(suggested.max_fee, |base| base.saturating_add(suggested.max_priority));
    if needed > ceiling {
        return Err(TooDear::Ceiling { wanted: needed, ceiling });
    }
    let max_fee = suggested.max_fee.min(ceiling);
    Ok(Fees { max_fee, max_priority: suggested.max_priority.min(max_fee) })
}

/// What a transaction offers that is to replace another: both fees at least an eighth above `before`, since nodes ask for
/// a tenth and round; more if the chain suggests more, never less.
///
/// On a chain where gas costs nothing nobody outbids anybody, and the same is offered again.
pub(super) fn raised(suggested: Fees, before: Fees, ceiling: u128) -> Result<Fees, TooDear> {
    if suggested.max_fee == 0 && before.max_fee == 0 {
        return Ok(before);
    }
    let up = |fee: u128| fee.saturating_add(fee.div_ceil(8).max(1));
    let (fee, tip) = (up(before.max_fee), up(before.max_priority));
    if fee.max(tip) > ceiling {
        return Err(TooDear::Ceiling { wanted: fee.max(tip), ceiling });
    }
    if fee > suggested.max_fee.saturating_mul(MOST_FEE) {
        return Err(TooDear::Endless { suggested: suggested.max_fee });
    }
    let max_priority = suggested.max_priority.max(tip).min(ceiling);
    let max_fee = suggested.max_fee.max(fee).min(ceiling).max(max_priority);
    Ok(Fees { max_fee, max_priority })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fees() -> impl Strategy<Value = Fees> {
        (0..1_u128 << 70, 0..1_u128 << 70).prop_map(|(a, b)| Fees { max_fee: a.max(b), max_priority: a.min(b) })
    }

    proptest! {
        #[test]
        fn a_replacement_is_one_that_every_node_takes_and_that_stays_below_the_ceiling(
            suggested in fees(), before in fees(), ceiling in 0..1_u128 << 72,
        ) {
            if let Ok(next) = raised(suggested, before, ceiling) {
                // Geth's rule: a tenth more on both, compared without rounding.
                prop_assert!(next.max_fee * 10 >= before.max_fee * 11 && next.max_priority * 10 >= before.max_priority * 11);
                prop_assert!(next.max_fee * 8 >= before.max_fee * 9 && next.max_priority * 8 >= before.max_priority * 9);
                prop_assert!(next.max_priority <= next.max_fee);
                prop_assert!(next.max_fee <= ceiling || (suggested.max_fee, before.max_fee) == (0, 0));
            }
        }

        #[test]
        fn a_first_offer_pays_the_base_fee_and_never_more_than_the_ceiling(
            base in 0..1_u128 << 60, tip in 0..1_u128 << 60, ceiling in 0..1_u128 << 62,
        ) {
            let suggested = Fees { max_fee: base * 2 + tip, max_priority: tip };
            match first(suggested, Some(base), ceiling) {
                Ok(offer) => {
                    prop_assert!(offer.max_fee <= ceiling && offer.max_fee >= base + tip);
                    prop_assert_eq!(offer.max_priority, tip);
                }
                Err(_) => prop_assert!(base + tip > ceiling),
            }
        }

        #[test]
        fn raising_ends(suggested in fees(), ceiling in 1..1_u128 << 80) {
            let mut offer = Fees { max_fee: suggested.max_fee.min(ceiling), max_priority: 0 };
            let raises = (0..1_000).take_while(|_| raised(suggested, offer, ceiling).map(|next| offer = next).is_ok()).count();
            prop_assert!(raises < 1_000 || suggested.max_fee == 0, "{raises} raises to {offer:?}");
        }
    }

    #[test]
    fn where_gas_is_free_nothing_is_offered() {
        let free = Fees::default();
        assert_eq!(first(free, Some(0), 5), Ok(free));
        assert_eq!(first(free, None, 5), Ok(free));
        assert_eq!(raised(free, free, 5), Ok(free));
    }

    #[test]
    fn a_ceiling_below_the_base_fee_waits_and_says_why() {
        let dear = Fees { max_fee: 205_000_000_000, max_priority: 5_000_000_000 };
        let error = first(dear, Some(100_000_000_000), 50_000_000_000).unwrap_err().to_string();
        assert_eq!(error, "the chain wants 105 gwei per gas, and [chain] max_fee_gwei allows 50");
        assert_eq!(first(dear, Some(100_000_000_000), 110_000_000_000).map(|f| f.max_fee), Ok(110_000_000_000));
    }
}
