//! What inverters may feed in: the plan that says so, the caps that they were told and heard, and what a cap means for
//! the energy that a meter counted.

mod round;

pub use round::{Judgement, RoundEvent, RoundState};

use crate::{InverterId, MeterId, Money, Permille, Seq, Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plan for a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// From when it holds.
    pub from: Timestamp,
    /// Until when it holds without another.
    pub until: Timestamp,
    /// What it is worth.
    pub basis: Basis,
    /// What the inverters may do.
    pub setpoints: Vec<Setpoint>,
    /// What one more kilowatt-hour costs, by bus of the network.
    pub prices: Vec<BusPrice>,
    /// What holds the inverters back.
    pub binding: Vec<Bound>,
}

/// Where a plan comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Basis {
    /// Nothing has to be held back: the network carries all inverters at their rated power.
    Free,
    /// The optimal power flow, with a proof of how good it is.
    Optimal {
        /// What an hour costs.
        cost: Money,
        /// No dispatch costs less, rounded down; none if none was proved in time.
        bound: Option<Money>,
    },
    /// Limits that are safe whatever happens, because no optimum was found.
    Safe {
        /// Why.
        why: String,
    },
}

/// What an inverter may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setpoint {
    /// Which.
    pub inverter: InverterId,
    /// The most active power, of its rated power; none is no limit.
    pub limit: Option<Permille>,
    /// The same as power.
    pub most: Watts,
}

/// A locational price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusPrice {
    /// The bus of the network.
    pub bus: String,
    /// Of one more kilowatt-hour there, rounded to the nearest unit.
    pub price: Money,
}

/// A limit at which the dispatch stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "limit", rename_all = "snake_case")]
pub enum Bound {
    /// What the source takes or gives.
    Source,
    /// The rating of a line.
    Line {
        /// One end.
        from: String,
        /// The other.
        to: String,
    },
    /// The highest voltage.
    HighVoltage {
        /// Where.
        bus: String,
    },
    /// The lowest voltage.
    LowVoltage {
        /// Where.
        bus: String,
    },
}

impl Basis {
    /// By how much an hour may cost more than the best there is, where that was proved.
    #[must_use]
    pub fn gap(&self) -> Option<Money> {
        match self {
            Self::Optimal { cost, bound: Some(bound) } => cost.checked_sub(*bound),
            _ => None,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source => f.write_str("what the feeder takes"),
            Self::Line { from, to } => write!(f, "the line from {from} to {to}"),
            Self::HighVoltage { bus } => write!(f, "the highest voltage at {bus}"),
            Self::LowVoltage { bus } => write!(f, "the lowest voltage at {bus}"),
        }
    }
}

/// Why an inverter is bound by no limit any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Release {
    /// A plan that lets it make what it can.
    Planned,
    /// The plan ran out, and no other came: the inverter's own timer ends the limit.
    RanOut,
    /// The gateway was not there to repeat the limit.
    Restarted,
    /// It cannot be reached, so it may have gone back by itself.
    Unreachable {
        /// What went wrong.
        problem: String,
    },
}

/// How much a meter may count as fed in and paid for, from an instant on. A newer cap takes the place of an older one
/// from its own beginning on, also where the older one would have lasted longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// Which meter.
    pub meter: MeterId,
    /// From when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The most power; none: what the inverter can make.
    pub most: Option<Watts>,
    /// What the inverter can make.
    pub rated: Watts,
    /// How far the energy of an interval may be above the dispatch and count as following it.
    pub tolerance: Permille,
    /// The least that such a difference may be: what the meter's register resolves.
    pub slack: WattHours,
}

/// What was dispatched to a meter in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The energy that it was allowed, rounded up.
    pub energy: WattHours,
    /// Up to here it counts as followed.
    pub band: WattHours,
}

/// All caps, in the order of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps(BTreeMap<MeterId, Vec<(Seq, Cap)>>);

const HOUR_MS: i128 = 3_600_000;

impl Caps {
    /// Adds a cap that was recorded after all that are there.
    pub fn push(&mut self, seq: Seq, cap: Cap) {
        self.0.entry(cap.meter.clone()).or_default().push((seq, cap));
    }

    /// What a meter was allowed between two instants, by what was recorded up to `upto`; none if nothing limited it.
    #[must_use]
    pub fn allowed(&self, meter: &MeterId, upto: Seq, from: Timestamp, to: Timestamp) -> Option<Dispatched> {
        let known = self.0.get(meter)?;
        let caps: Vec<&Cap> = known.iter().filter(|(seq, _)| *seq <= upto).map(|(_, cap)| cap).collect();
        let within = |at: &Timestamp| (from..to).contains(at);
        let mut borders: Vec<Timestamp> = caps.iter().flat_map(|c| [c.since, c.until]).filter(within).collect();
        borders.extend([from, to]);
        borders.sort_unstable();
        let (mut sum, mut tolerance, mut slack) = (0_i128, Permille::NONE, WattHours::ZERO);
        let mut limited = false;
        for piece in borders.windows(2).filter(|p| p[0] < p[1]) {
            let at = piece[0];
            let newest = caps.iter().rev().find(|c| c.since <= at);
            let holds = newest.filter(|c| at < c.until).and_then(|c| Some((*c, c.most?)));
            let power = match holds {
                Some((cap, most)) => {
                    limited = true;
                    (tolerance, slack) = (tolerance.max(cap.tolerance), slack.max(cap.slack));
                    most
                }
                // Before its first cap it could make what it can.
                None => newest.or(caps.first()).map_or(Watts(0), |c| c.rated),
            };
            sum += i128::from(power.0.max(0)) * i128::from(piece[1].0 - piece[0].0);
        }
        let energy = WattHours(i64::try_from(ceil(sum, HOUR_MS)).ok()?);
        let more = ceil(i128::from(energy.0) * i128::from(tolerance.get()), 1000).max(i128::from(slack.0));
        let band = energy + WattHours(i64::try_from(more).ok()?);
        limited.then_some(Dispatched { energy, band })
    }
}

/// Of what is not negative.
fn ceil(a: i128, b: i128) -> i128 {
    (a + b - 1).div_euclid(b)
}

/// What a meter fed in, of what it is dispatched in an interval that is not over for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// Start of the interval.
    pub interval: Timestamp,
    /// Energy.
    pub export: WattHours,
    /// What was paid for it.
    pub credit: Money,
    /// Whether some of it came in a reading so late that nobody knows in which interval it flowed.
    pub coarse: bool,
}

impl Injected {
    /// What is not paid, given what was dispatched: all beyond it, in proportion, rounded in the customer's favour; nothing
    /// within the band.
    #[must_use]
    pub fn withheld(&self, dispatched: Dispatched) -> Money {
        let beyond = self.export - dispatched.energy;
        if self.coarse || self.export <= dispatched.band || self.credit <= Money::ZERO || beyond.0 <= 0 {
            return Money::ZERO;
        }
        let share = i128::from(self.credit.0) * i128::from(beyond.0) / i128::from(self.export.0);
        Money(i64::try_from(share).unwrap_or(self.credit.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000;

    fn cap(since: i64, until: i64, most: Option<i64>) -> Cap {
        Cap {
            meter: "roof".parse().unwrap(),
            since: Timestamp(since),
            until: Timestamp(until),
            most: most.map(Watts),
            rated: Watts(5000),
            tolerance: Permille::new(50).unwrap(),
            slack: WattHours(1),
        }
    }

    fn allowed(caps: &[Cap], upto: i64, from: i64, to: i64) -> Option<(i64, i64)> {
        let mut all = Caps::default();
        (1..).zip(caps).for_each(|(seq, cap)| all.push(Seq(seq), cap.clone()));
        let found = all.allowed(&"roof".parse().unwrap(), Seq(upto), Timestamp(from), Timestamp(to));
        found.map(|d| (d.energy.0, d.band.0))
    }

    #[test]
    fn a_cap_counts_from_when_it_was_heard_and_before_that_the_roof_could_make_what_it_can() {
        let told = [cap(HOUR / 2, 2 * HOUR, Some(1000))];
        assert_eq!(allowed(&told, 9, 0, HOUR), Some((3000, 3150)));
        assert_eq!(allowed(&told, 9, HOUR, 2 * HOUR), Some((1000, 1050)));
        assert_eq!(allowed(&told, 9, 2 * HOUR, 3 * HOUR), None, "it ran out");
        assert_eq!(allowed(&told, 0, HOUR, 2 * HOUR), None, "nobody had heard of it");
    }

    #[test]
    fn a_newer_cap_takes_the_place_of_an_older_one_and_a_release_frees_it() {
        let told = [cap(0, 4 * HOUR, Some(1000)), cap(HOUR, 2 * HOUR, Some(2000)), cap(3 * HOUR, 4 * HOUR, None)];
        let hour = |h: i64| allowed(&told, 9, h * HOUR, (h + 1) * HOUR);
        assert_eq!([hour(0), hour(1), hour(2), hour(3)], [Some((1000, 1050)), Some((2000, 2100)), None, None]);
    }

    #[test]
    fn within_the_band_all_is_paid_and_beyond_it_the_deviation_is_not() {
        let dispatched = Dispatched { energy: WattHours(100), band: WattHours(105) };
        let fed = |export, coarse| Injected {
            export: WattHours(export),
            credit: Money(export * 7),
            coarse,
            ..Injected::default()
        };
        assert_eq!(fed(105, false).withheld(dispatched), Money(0));
        assert_eq!(fed(106, false).withheld(dispatched), Money(42));
        assert_eq!(fed(300, true).withheld(dispatched), Money(0), "nobody knows when it flowed");
    }

    proptest! {
        #[test]
        fn nobody_is_paid_less_than_for_the_dispatch_nor_less_than_nothing(export in 0..100_000_i64, price in 0..1_000_000_i64, energy in 0..100_000_i64) {
            let fed = Injected { export: WattHours(export), credit: Money(export * price), ..Injected::default() };
            let kept = fed.credit.0 - fed.withheld(Dispatched { energy: WattHours(energy), band: WattHours(energy) }).0;
            prop_assert_eq!(kept, export.min(energy) * price);
        }

        #[test]
        fn what_is_allowed_in_two_halves_is_what_is_allowed_in_one_piece(
            caps in proptest::collection::vec((0..100_i64, 1..100_i64, proptest::option::of(0..5000_i64)), 1..6), cut in 1..99_i64,
        ) {
            let caps: Vec<Cap> = caps.iter().map(|(since, lasts, most)| cap(since * 60_000, (since + lasts) * 60_000, *most)).collect();
            let whole = allowed(&caps, 9, 0, 100 * 60_000);
            let halves = [allowed(&caps, 9, 0, cut * 60_000), allowed(&caps, 9, cut * 60_000, 100 * 60_000)];
            prop_assert_eq!(whole.is_some(), halves.iter().any(Option::is_some));
            if let (Some(whole), [Some(a), Some(b)]) = (whole, halves) {
                prop_assert!((0..=1).contains(&(a.0 + b.0 - whole.0)), "rounded up twice at most");
            }
        }
    }
}
