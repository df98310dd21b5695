//! What a watt-hour costs in each range, so that the day's cost is recovered.

use domain::{Money, Price, WattHours};
use thiserror::Error;

/// Why there are no prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoPrice {
    /// Nothing to share the cost over.
    #[error("no range has both energy and weight: there is nobody to recover {0} from")]
    NoEnergy(Money),
    /// Below zero, or as many energies as weights it is not.
    #[error("costs and energies are zero or more, and every range has one energy and one weight")]
    Shape,
    /// More than a price can state.
    #[error("a watt-hour would cost more than {} minor units", u32::MAX)]
    TooDear,
}

/// Prices in the proportion of the weights (such as 100 off peak and 180 at peak) that recover the cost if the energy
/// is as forecast: `ceil(cost · w / Σ wᵢ·eᵢ)`. Rounded up, they recover at least the cost, and less than one minor unit
/// a watt-hour more.
///
/// # Errors
/// See [`NoPrice`].
pub fn prices(cost: Money, energy: &[WattHours], weights: &[u32]) -> Result<Vec<Price>, NoPrice> {
    let parts =
        energy.iter().map(|e| u128::try_from(e.0)).collect::<Result<Vec<_>, _>>().map_err(|_| NoPrice::Shape)?;
    let due = u128::try_from(cost.0).map_err(|_| NoPrice::Shape)?;
    if parts.len() != weights.len() {
        return Err(NoPrice::Shape);
    }
    // Below 2^63 · 2^32 each, and there are no 2^32 ranges.
    let total: u128 = parts.iter().zip(weights).map(|(e, w)| e * u128::from(*w)).sum();
    if total == 0 {
        return Err(NoPrice::NoEnergy(cost));
    }
    let price = |w: &u32| u32::try_from((due * u128::from(*w)).div_ceil(total)).map(Price);
    weights.iter().map(price).collect::<Result<_, _>>().map_err(|_| NoPrice::TooDear)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn peak_costs_what_its_weight_says() {
        let energy = [WattHours(16_000), WattHours(8_000)];
        let found = prices(Money(3_200_000), &energy, &[100, 200]).unwrap();
        assert_eq!(found, [Price(100), Price(200)]);
        assert_eq!(prices(Money(1), &energy, &[1, 2]).unwrap(), [Price(1), Price(1)]);
        assert_eq!(prices(Money(0), &energy, &[1, 2]).unwrap(), [Price(0), Price(0)]);
    }

    #[test]
    fn what_cannot_be_recovered_is_said() {
        assert_eq!(prices(Money(5), &[WattHours(0)], &[1]), Err(NoPrice::NoEnergy(Money(5))));
        assert_eq!(prices(Money(5), &[WattHours(5)], &[0]), Err(NoPrice::NoEnergy(Money(5))));
        assert_eq!(prices(Money(5), &[WattHours(-1)], &[1]), Err(NoPrice::Shape));
        assert_eq!(prices(Money(-5), &[WattHours(1)], &[1]), Err(NoPrice::Shape));
        assert_eq!(prices(Money(5), &[WattHours(1)], &[1, 2]), Err(NoPrice::Shape));
        assert_eq!(prices(Money(1 << 40), &[WattHours(1)], &[1]), Err(NoPrice::TooDear));
    }

    proptest! {
        #[test]
        fn the_cost_is_recovered_and_at_most_a_unit_a_watt_hour_more(
            cost in 0..1_i64 << 40,
            ranges in prop::collection::vec((0..10_000_000_i64, 1..1000_u32), 1..5),
        ) {
            let (energy, weights): (Vec<_>, Vec<_>) = ranges.into_iter().map(|(e, w)| (WattHours(e), w)).unzip();
            let all: i64 = energy.iter().map(|e| e.0).sum();
            if let Ok(found) = prices(Money(cost), &energy, &weights) {
                let paid: i64 = found.iter().zip(&energy).map(|(p, e)| p.of(*e).unwrap().0).sum();
                prop_assert!(cost <= paid && paid <= cost + all, "{cost} {paid}");
            }
        }
    }
}
