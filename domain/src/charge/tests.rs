use super::*;
use crate::{Block, ClassId, Period, Permille, PowerPrice, Price, Rates, Tariff, TimeZone};
use proptest::prelude::*;
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;

fn schedule(rates: Rates) -> Schedule {
    Schedule::new(Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates,
        classes: BTreeMap::new(),
    })
}

fn flat() -> Rates {
    Rates { off_peak: Price(200), peak: Price(400), feed_in: Price(80), ..Rates::default() }
}

/// A flow that begins where the clock stands.
fn flow(from: i64, to: i64, import: i64) -> Flow {
    Flow {
        from: Timestamp(from),
        to: Timestamp(to),
        import_from: WattHours(0),
        export_from: WattHours(0),
        import: WattHours(import),
        export: WattHours(0),
    }
}

fn charge(usage: &mut Usage, schedule: &Schedule, flow: Flow) -> Vec<Line> {
    usage.charge(&"home-1".parse().unwrap(), &flow, schedule, &Classes::default()).unwrap()
}

fn sum(lines: &[Line], part: impl Fn(&Line) -> Money) -> i64 {
    lines.iter().map(|l| part(l).0).sum()
}

#[test]
fn energy_over_a_border_between_prices_is_priced_on_both_sides() {
    let lines = charge(&mut Usage::default(), &schedule(flat()), flow(16 * HOUR + 2_700_000, 17 * HOUR + 900_000, 30));
    let priced: Vec<_> = lines.iter().map(|l| (l.kind, l.import.0, l.debit.energy.0, l.import_from.0)).collect();
    assert_eq!(priced, [(Kind::OffPeak, 15, 3_000, 0), (Kind::Peak, 15, 6_000, 15)]);
}

#[test]
fn the_first_energy_of_a_day_is_free_and_the_network_charges_what_is_not() {
    let rates = Rates { lifeline: WattHours(100), network: Price(50), ..flat() };
    let (mut usage, s) = (Usage::default(), schedule(rates));
    let mut lines = charge(&mut usage, &s, flow(0, 600_000, 70));
    lines.extend(charge(&mut usage, &s, flow(600_000, 1_200_000, 60)));
    assert_eq!((sum(&lines, |l| l.debit.energy), sum(&lines, |l| l.debit.network)), (30 * 200, 30 * 50));
    assert_eq!(lines.iter().map(|l| l.free.0).sum::<i64>(), 100);
    let next_day = charge(&mut usage, &s, flow(24 * HOUR, 24 * HOUR + 60_000, 60));
    assert_eq!(sum(&next_day, |l| l.debit.energy), 0);
}

#[test]
fn every_local_day_is_charged_once_however_many_meters_speak() {
    let rates = Rates { daily: Money(1_000), tax_ppm: 190_000, ..flat() };
    let (mut usage, s) = (Usage::default(), schedule(rates));
    let mut lines = charge(&mut usage, &s, flow(0, 50 * HOUR, 0));
    lines.extend(charge(&mut usage, &s, flow(20 * HOUR, 50 * HOUR, 0)));
    let days: Vec<_> = lines.iter().map(|l| (l.kind, l.from.0 / HOUR, l.debit.daily.0, l.debit.tax.0)).collect();
    assert_eq!(days, [(Kind::Daily, 0, 1_000, 190), (Kind::Daily, 24, 1_000, 190), (Kind::Daily, 48, 1_000, 190)]);
}

#[test]
fn a_day_that_a_wrong_clock_began_does_not_last_for_ever() {
    let rates = Rates { daily: Money(1_000), ..flat() };
    let (mut usage, s) = (Usage::default(), schedule(rates));
    charge(&mut usage, &s, flow(10 * 365 * 24 * HOUR, 10 * 365 * 24 * HOUR + 10_000, 1));
    let lines = charge(&mut usage, &s, flow(48 * HOUR, 48 * HOUR + 10_000, 1));
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn demand_is_charged_as_the_highest_interval_of_the_month_rises() {
    let rates = Rates { demand: PowerPrice(7), ..flat() };
    let (mut usage, s) = (Usage::default(), schedule(rates));
    let due = |usage: &mut Usage, from: i64, energy| {
        sum(&charge(usage, &s, flow(from * 900_000, from * 900_000 + 900_000, energy)), |l| l.debit.demand)
    };
    assert_eq!(due(&mut usage, 0, 250), 1_000 * 7);
    assert_eq!(due(&mut usage, 1, 200), 0);
    assert_eq!(due(&mut usage, 2, 300), 200 * 7);
    // The next month begins anew.
    assert_eq!(due(&mut usage, 31 * 96, 10), 40 * 7);
}

#[test]
fn a_class_pays_its_own_rates_from_the_border_at_which_it_begins() {
    let shop: ClassId = "shop".parse().unwrap();
    let mut tariff = schedule(flat()).newest().clone();
    tariff.classes.insert(shop.clone(), Rates { off_peak: Price(1), ..flat() });
    let s = Schedule::new(tariff);
    let classes = Classes(vec![(Timestamp(900_000), Some(shop))]);
    let meter = "home-1".parse().unwrap();
    let lines = Usage::default().charge(&meter, &flow(0, 1_800_000, 20), &s, &classes).unwrap();
    assert_eq!(lines.iter().map(|l| l.debit.energy.0).collect::<Vec<_>>(), [2_000, 10]);
}

#[test]
fn an_amount_that_cannot_be_represented_counts_nothing() {
    let dear = Rates { off_peak: Price(u32::MAX), ..flat() };
    let mut usage = Usage::default();
    let before = usage;
    let priced = usage.charge(&"home-1".parse().unwrap(), &flow(0, 1, 1 << 40), &schedule(dear), &Classes::default());
    assert_eq!((priced, usage), (None, before));
}

fn rates() -> impl Strategy<Value = Rates> {
    (0_u32..1_000, 0_u32..400_000, 0_i64..500, 0_u32..50, 0_i64..300, any::<bool>()).prop_map(
        |(network, tax_ppm, daily, demand, lifeline, by_day)| Rates {
            network: Price(network),
            tax_ppm,
            daily: Money(daily),
            demand: PowerPrice(demand),
            lifeline: WattHours(lifeline),
            blocks: vec![
                Block { above: WattHours(500), surcharge: 100 },
                Block { above: WattHours(2_000), surcharge: -150 },
            ],
            block_period: if by_day { Period::Day } else { Period::Month },
            ..flat()
        },
    )
}

proptest! {
    /// Whatever a tariff charges: read often or seldom within the same intervals, every part of the bill is the same.
    #[test]
    fn how_often_a_meter_is_read_within_an_interval_changes_no_part_of_the_bill(
        rates in rates(),
        uses in prop::collection::vec((0_i64..40, 0_i64..40, 0_i64..40), 1..300),
    ) {
        let s = schedule(rates);
        let (mut often, mut seldom) = (Usage::default(), Usage::default());
        let (mut fine, mut coarse) = (Vec::new(), Vec::new());
        for (i, (a, b, c)) in uses.iter().enumerate() {
            let from = i64::try_from(i).unwrap() * 900_000;
            for (part, energy) in [(0, *a), (1, *b), (2, *c)] {
                fine.extend(charge(&mut often, &s, flow(from + part * 300_000, from + (part + 1) * 300_000, energy)));
            }
            coarse.extend(charge(&mut seldom, &s, flow(from, from + 900_000, a + b + c)));
        }
        prop_assert_eq!(often, seldom);
        let parts: [fn(&Line) -> Money; 5] =
            [|l| l.debit.energy, |l| l.debit.network, |l| l.debit.demand, |l| l.debit.daily, |l| l.debit.tax];
        for part in parts {
            prop_assert_eq!(sum(&fine, part), sum(&coarse, part));
        }
        prop_assert_eq!(sum(&fine, |l| Money(l.import.0)), sum(&coarse, |l| Money(l.import.0)));
    }

    /// The tax of a whole bill is the tax on its sum, rounded down once.
    #[test]
    fn tax_is_rounded_once_over_all_lines(rates in rates(), uses in prop::collection::vec(0_i64..200, 1..200)) {
        let (mut usage, ppm) = (Usage::default(), i64::from(rates.tax_ppm));
        let s = schedule(rates);
        let mut lines = Vec::new();
        for (i, energy) in uses.iter().enumerate() {
            let from = i64::try_from(i).unwrap() * 600_000;
            lines.extend(charge(&mut usage, &s, flow(from, from + 600_000, *energy)));
        }
        let taxable = sum(&lines, |l| l.debit.energy)
            + sum(&lines, |l| l.debit.network)
            + sum(&lines, |l| l.debit.demand)
            + sum(&lines, |l| l.debit.daily);
        let tax = sum(&lines, |l| l.debit.tax);
        prop_assert_eq!(taxable * ppm, tax * 1_000_000 + i64::from(usage.carry));
        let total: i64 = lines.iter().map(|l| l.debit.total().unwrap().0).sum();
        prop_assert_eq!(total, taxable + tax);
    }

    /// What the contract prices and what is charged beside it is together what the ledger says, to the unit.
    #[test]
    fn charges_make_up_for_any_prices_that_a_contract_may_have(
        prices in prop::array::uniform3(0_u32..1_000_000),
        steps in prop::collection::vec(prop::array::uniform4(0_i64..100_000), 1..20),
    ) {
        let [off_peak, peak, feed_in] = prices.map(Price);
        let prices = RegisterPrices { off_peak, peak, feed_in };
        let (mut registers, mut net, mut there) = (TariffRegisters::default(), 0_i64, 0_i64);
        for [a, b, c, moved] in steps {
            let next = TariffRegisters {
                off_peak: registers.off_peak + WattHours(a),
                peak: registers.peak + WattHours(b),
                feed_in: registers.feed_in + WattHours(c),
            };
            let charge = prices.charge(&registers, &next, Money(net), Money(net - moved)).unwrap();
            net -= moved;
            there += feed_in.of(WattHours(c)).unwrap().0
                - off_peak.of(WattHours(a)).unwrap().0
                - peak.of(WattHours(b)).unwrap().0
                - charge.0;
            registers = next;
            prop_assert_eq!(there, net);
        }
    }
}
