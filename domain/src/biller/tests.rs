use super::*;
use crate::dispatch::Cap;
use crate::{Kind, Permille, Price, Rates, Tariff, TimeZone};

const QUARTER: i64 = 900_000;

fn tariff() -> Tariff {
    Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates: Rates { feed_in: Price(80), ..Rates::default() },
        classes: Default::default(),
    }
}

fn biller(caps: &[(i64, Cap)]) -> Biller {
    let mut all = Caps::default();
    caps.iter().for_each(|(seq, cap)| all.push(Seq(*seq), cap.clone()));
    let metered = Metered { account: Some("home-1".parse().unwrap()), ..Metered::default() };
    let meters = BTreeMap::from([("home-1".parse().unwrap(), metered)]);
    let customers = BTreeMap::from([("home-1".parse().unwrap(), Customer::default())]);
    Biller::new(Schedule::new(tariff()), meters, customers, Pool::default()).dispatched(all, BTreeMap::new())
}

/// 2000 W in the given quarter hours.
fn cap(from: i64, to: i64) -> Cap {
    Cap {
        meter: "home-1".parse().unwrap(),
        since: Timestamp(from * QUARTER),
        until: Timestamp(to * QUARTER),
        most: Some(Watts(2000)),
        rated: Watts(6000),
        tolerance: Permille::new(50).unwrap(),
        slack: WattHours(1),
    }
}

fn bill(biller: &mut Biller, seq: i64, at: i64, export: i64) -> Vec<Line> {
    let mut reading = Reading::empty("home-1".parse().unwrap(), Timestamp(at));
    (reading.import, reading.export) = (Some(WattHours(0)), Some(WattHours(export)));
    biller.reached(Seq(seq));
    match biller.bill(&reading) {
        Step::Advanced(lines) => lines,
        _ => Vec::new(),
    }
}

fn withheld(lines: &[Line]) -> Vec<(i64, i64, i64, i64)> {
    let held = lines.iter().filter(|l| l.kind == Kind::Withheld);
    held.map(|l| (l.interval.0 / QUARTER, l.import_from.0, l.export_from.0, l.credit.0)).collect()
}

#[test]
fn feed_in_beyond_the_dispatch_is_counted_and_not_paid() {
    let mut b = biller(&[(1, cap(1, 2))]);
    assert_eq!(bill(&mut b, 2, QUARTER, 0), []);
    let half = bill(&mut b, 3, QUARTER * 3 / 2, 600);
    assert_eq!((half[0].export, half[0].credit, half.len()), (WattHours(600), Money(48_000), 1), "nobody knows yet");
    let whole = bill(&mut b, 4, QUARTER * 2, 1200);
    assert_eq!(withheld(&whole), [(1, 500, 1200, -700 * 80)]);
    assert_eq!(bill(&mut b, 5, QUARTER * 3, 2400).len(), 1, "the next quarter hour is nobody's to limit");
    assert!(b.injected().is_empty());
}

#[test]
fn who_follows_is_paid_and_so_is_who_could_not_have_heard() {
    let mut b = biller(&[(1, cap(1, 2)), (5, cap(2, 3))]);
    drop(bill(&mut b, 2, QUARTER, 0));
    assert_eq!(withheld(&bill(&mut b, 3, QUARTER * 2, 525)), []);
    assert_eq!(withheld(&bill(&mut b, 4, QUARTER * 3, 2000)), [], "the cap was recorded after this reading");
}

#[test]
fn energy_of_hours_of_silence_is_held_against_nobody() {
    let mut b = biller(&[(1, cap(1, 2)), (2, cap(5, 6))]);
    drop(bill(&mut b, 3, QUARTER, 0));
    assert_eq!(withheld(&bill(&mut b, 4, QUARTER * 5, 5000)), []);
    assert_eq!(withheld(&bill(&mut b, 5, QUARTER * 6, 6000)), [(5, 500, 1000, -500 * 80)]);
}
