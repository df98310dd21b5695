//! Pooled prosumers as one provider: what the pool earned in an interval is shared among those who fed it, by what their
//! meters counted, exact to the minor unit.

use crate::{AccountId, Kind, Line, Money, Permille, Schedule, Timestamp, WattHours};
use std::collections::{BTreeMap, BTreeSet};

/// What one account did in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it was charged for energy.
    pub sales: Money,
    /// Energy from the grid.
    pub import: WattHours,
    /// Energy to the grid.
    pub export: WattHours,
}

/// The intervals that are not shared out yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    closed_until: Timestamp,
    open: BTreeMap<(Timestamp, AccountId), Part>,
    touched: BTreeSet<(Timestamp, AccountId)>,
}

impl Pool {
    /// A pool that goes on from here: everything before `closed_until` is shared out.
    #[must_use]
    pub fn new(closed_until: Timestamp, open: BTreeMap<(Timestamp, AccountId), Part>) -> Self {
        Self { closed_until, open, touched: BTreeSet::new() }
    }

    /// Counts a line. Energy of an interval that is shared out already counts to the first that is not.
    pub fn add(&mut self, account: &AccountId, line: &Line) {
        if line.meter.is_none() {
            return;
        }
        let key = (line.interval.max(self.closed_until), account.clone());
        let part = self.open.entry(key.clone()).or_default();
        if line.kind == Kind::Withheld {
            // What is not paid for earns nothing in the pool either. Where feed-in is worth nothing anyway nothing is
            // withheld, and the pool counts it all.
            part.export += line.import_from - line.export_from;
        }
        part.sales = part.sales.checked_add(line.debit.energy).unwrap_or(part.sales);
        part.import += line.import;
        part.export += line.export;
        self.touched.insert(key);
    }

    /// Up to when everything is shared out.
    #[must_use]
    pub fn closed_until(&self) -> Timestamp {
        self.closed_until
    }

    /// Whether anything is there to share out before `until`.
    #[must_use]
    pub fn has_before(&self, until: Timestamp) -> bool {
        self.open.keys().next().is_some_and(|(interval, _)| *interval < until)
    }

    /// All parts that are not shared out.
    #[must_use]
    pub fn open(&self) -> &BTreeMap<(Timestamp, AccountId), Part> {
        &self.open
    }

    /// Shares out all intervals before `until`: a line for everybody who earned something.
    pub fn close(&mut self, until: Timestamp, schedule: &Schedule) -> Vec<(AccountId, Line)> {
        let mut lines = Vec::new();
        while let Some((interval, _)) = self.open.keys().next().filter(|(interval, _)| *interval < until).cloned() {
            let mut parts = BTreeMap::new();
            while let Some(entry) = self.open.first_entry().filter(|e| e.key().0 == interval) {
                let ((_, account), part) = entry.remove_entry();
                parts.insert(account, part);
            }
            let tariff = schedule.at(interval);
            let fed = parts.iter().map(|(account, part)| (account.clone(), part.export)).collect();
            for (account, credit) in share(proceeds(parts.values(), tariff.pool_share), &fed) {
                if credit > Money::ZERO {
                    let to = Timestamp(interval.0.saturating_add(tariff.interval_ms()));
                    lines.push((account, Line::pool_share(interval, to, tariff.version, credit)));
                }
            }
        }
        self.closed_until = self.closed_until.max(until);
        self.touched.retain(|(interval, _)| *interval >= until);
        lines
    }

    /// The parts that changed since the pool was made and are not shared out.
    pub fn touched(&self) -> impl Iterator<Item = (&Timestamp, &AccountId, Part)> {
        self.touched.iter().filter_map(|key| Some((&key.0, &key.1, *self.open.get(key)?)))
    }
}

/// What the pool earned: this share of what the street was charged for the energy that its own roofs gave it, which is at
/// most what they gave and at most what was taken; the rest came over the feeder. Rounded down.
fn proceeds<'a>(parts: impl Iterator<Item = &'a Part>, share: Permille) -> Money {
    let (mut sales, mut import, mut export) = (0_i128, 0_i128, 0_i128);
    for part in parts {
        sales += i128::from(part.sales.0);
        import += i128::from(part.import.0);
        export += i128::from(part.export.0);
    }
    if import <= 0 || sales <= 0 {
        return Money::ZERO;
    }
    let earned = sales * import.min(export.max(0)) / import * i128::from(share.get()) / 1000;
    Money(i64::try_from(earned).unwrap_or(0))
}

/// Shares an amount by contribution, by largest remainder: everybody gets the whole units of the exact share, and the
/// units that are left go to those who lost most by rounding down; of equals, to the first by name.
#[must_use]
pub fn share(amount: Money, contributions: &BTreeMap<AccountId, WattHours>) -> BTreeMap<AccountId, Money> {
    let given = |energy: &WattHours| i128::from(energy.0.max(0));
    let whole: i128 = contributions.values().map(given).sum();
    if whole == 0 || amount <= Money::ZERO {
        return BTreeMap::new();
    }
    let mut shares = Vec::with_capacity(contributions.len());
    let mut left = i128::from(amount.0);
    for (account, energy) in contributions {
        let exact = i128::from(amount.0) * given(energy);
        let (units, remainder) = (exact / whole, exact % whole);
        left -= units;
        shares.push((account.clone(), units, remainder));
    }
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| shares[*b].2.cmp(&shares[*a].2).then_with(|| shares[*a].0.cmp(&shares[*b].0)));
    // Fewer units are left than there are shares with a remainder.
    for index in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        shares[index].1 += 1;
    }
    shares.into_iter().map(|(account, units, _)| (account, Money(i64::try_from(units).unwrap_or(0)))).collect()
}

impl Line {
    fn pool_share(interval: Timestamp, to: Timestamp, tariff: u32, credit: Money) -> Self {
        Self {
            kind: Kind::PoolShare,
            meter: None,
            interval,
            tariff,
            from: interval,
            to,
            import_from: WattHours::ZERO,
            export_from: WattHours::ZERO,
            import: WattHours::ZERO,
            free: WattHours::ZERO,
            export: WattHours::ZERO,
            debit: crate::Debit::default(),
            credit,
            carry: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(i: usize) -> AccountId {
        format!("home-{i:03}").parse().unwrap()
    }

    fn shared(amount: i64, energy: &[i64]) -> Vec<i64> {
        let fed = energy.iter().enumerate().map(|(i, e)| (name(i), WattHours(*e))).collect();
        share(Money(amount), &fed).values().map(|m| m.0).collect()
    }

    #[test]
    fn the_units_that_are_left_go_to_those_who_lost_most() {
        assert_eq!(shared(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(shared(100, &[2, 1]), [67, 33]);
        assert_eq!(shared(1, &[1, 2, 3]), [0, 0, 1]);
        assert_eq!(shared(100, &[0, 5]), [0, 100]);
        assert_eq!(shared(100, &[0, 0]), [] as [i64; 0]);
    }

    #[test]
    fn the_pool_earns_what_its_roofs_gave_the_street_and_no_more() {
        let part =
            |sales, import, export| Part { sales: Money(sales), import: WattHours(import), export: WattHours(export) };
        let all = Permille::FULL;
        let half = Permille::new(500).unwrap();
        // Half of what was taken came from the roofs.
        assert_eq!(proceeds([part(1_000, 100, 0), part(0, 0, 50)].iter(), all), Money(500));
        assert_eq!(proceeds([part(1_000, 100, 0), part(0, 0, 50)].iter(), half), Money(250));
        // More than was taken: what is over was not sold here.
        assert_eq!(proceeds([part(1_000, 100, 0), part(0, 0, 500)].iter(), all), Money(1_000));
        assert_eq!(proceeds([part(0, 0, 500)].iter(), all), Money::ZERO);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_amount_and_are_within_a_unit_of_exact(
            amount in 1_i64..1_000_000_000_000,
            energy in prop::collection::vec(0_i64..1_000_000, 1..40),
        ) {
            let whole: i64 = energy.iter().sum();
            prop_assume!(whole > 0);
            let got = shared(amount, &energy);
            prop_assert_eq!(got.iter().sum::<i64>(), amount);
            for (e, g) in energy.iter().zip(&got) {
                let (exact, g) = (i128::from(amount) * i128::from(*e), i128::from(*g) * i128::from(whole));
                prop_assert!((exact - g).abs() < i128::from(whole));
            }
        }

        /// In whatever order lines come, and however an account's energy is spread over them.
        #[test]
        fn the_order_of_lines_changes_nobodys_share(
            lines in prop::collection::vec((0_usize..5, 0_i64..4, 0_i64..1_000, 0_i64..1_000), 1..60),
            seed in any::<u64>(),
        ) {
            let line = |(_, interval, import, export): &(usize, i64, i64, i64)| Line {
                meter: Some("m".parse().unwrap()),
                kind: Kind::Peak,
                import: WattHours(*import),
                export: WattHours(*export),
                debit: crate::Debit { energy: Money(import * 321), ..crate::Debit::default() },
                ..Line::pool_share(Timestamp(interval * 900_000), Timestamp(0), 1, Money::ZERO)
            };
            let tariff = crate::Tariff {
                version: 1,
                since: Timestamp(0),
                interval_s: 900,
                peak_hours: Vec::new(),
                zone: crate::TimeZone::utc(),
                pool_share: Permille::new(777).unwrap(),
                rates: crate::Rates::default(),
                classes: BTreeMap::new(),
            };
            let schedule = Schedule::new(tariff);
            let close = |lines: &[(usize, i64, i64, i64)]| {
                let mut pool = Pool::default();
                lines.iter().for_each(|l| pool.add(&name(l.0), &line(l)));
                pool.close(Timestamp(i64::MAX), &schedule)
            };
            let mut mixed = lines.clone();
            let mut state = seed | 1;
            for i in (1..mixed.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                mixed.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
            }
            let shares = close(&lines);
            prop_assert_eq!(&shares, &close(&mixed));
            let sales: i64 = lines.iter().map(|l| l.2 * 321).sum();
            prop_assert!(shares.iter().map(|(_, l)| l.credit.0).sum::<i64>() <= sales);
        }
    }
}
