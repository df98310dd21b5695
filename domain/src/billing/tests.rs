use super::*;
use crate::{Price, TimeZone};
use proptest::prelude::*;

const LIMIT: Watts = Watts(50_000);

fn tariff() -> Tariff {
    Tariff {
        version: 1,
        off_peak: Price(200_000),
        peak: Price(400_000),
        feed_in: Price(80_000),
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
    }
}

fn reading(at: i64, import: i64, export: Option<i64>) -> Reading {
    let mut r = Reading::empty("home-1".parse().unwrap(), Timestamp(at));
    r.import = Some(WattHours(import));
    r.export = export.map(WattHours);
    r
}

fn started(import: i64, export: Option<i64>) -> MeterBook {
    match bill(None, &reading(0, import, export), &tariff(), LIMIT) {
        Billed::Started(book) => book,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_reading_starts_the_count_and_costs_nothing() {
    assert_eq!(started(123_456, None).import, WattHours(123_456));
}

#[test]
fn a_reading_without_its_register_bills_nothing_and_the_next_one_covers_it() {
    let book = started(100, None);
    let mut silent = reading(60_000, 0, None);
    silent.import = None;
    assert_eq!(bill(Some(&book), &silent, &tariff(), LIMIT), Billed::Nothing);
    match bill(Some(&book), &reading(120_000, 103, None), &tariff(), LIMIT) {
        Billed::Advanced(_, pieces) => assert_eq!(pieces[0].debit, Money(600_000)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_register_that_falls_holds_the_meter_until_a_person_looks() {
    let book = started(100, None);
    let Billed::Held(book, doubt) = bill(Some(&book), &reading(60_000, 5, None), &tariff(), LIMIT) else {
        panic!("not held")
    };
    assert!(matches!(doubt, Doubt::Backward { .. }));
    assert_eq!(book.import, WattHours(100));
    assert_eq!(bill(Some(&book), &reading(120_000, 101, None), &tariff(), LIMIT), Billed::Nothing);
}

#[test]
fn hours_of_energy_under_an_old_clock_are_billed_once_the_clock_is_set() {
    let book = started(1000, None);
    // Off for three hours, started with the clock of before: 9 kWh within ten seconds.
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(10_000, 10_000, None), &tariff(), Watts(15_000)) else {
        panic!("not doubted")
    };
    let Billed::Advanced(book, pieces) =
        bill(Some(&book), &reading(3 * 3_600_000, 10_010, None), &tariff(), Watts(15_000))
    else {
        panic!("not billed")
    };
    assert_eq!(pieces.iter().map(|p| p.import).sum::<WattHours>(), WattHours(9_010));
    assert_eq!(book.doubted_since, None);
}

#[test]
fn one_crazy_reading_is_forgotten_and_a_lasting_jump_is_held() {
    let book = started(1000, None);
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(10_000, 53_700_000, None), &tariff(), LIMIT) else {
        panic!("not doubted")
    };
    let Billed::Advanced(sane, _) = bill(Some(&book), &reading(20_000, 1001, None), &tariff(), LIMIT) else {
        panic!("a sane reading was not billed")
    };
    assert_eq!((sane.import, sane.doubted_since), (WattHours(1001), None));
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(800_000, 53_700_001, None), &tariff(), LIMIT) else {
        panic!("held too early")
    };
    let later = bill(Some(&book), &reading(910_000, 53_700_002, None), &tariff(), LIMIT);
    assert!(matches!(later, Billed::Held(_, Doubt::Jump { .. })), "{later:?}");
}

#[test]
fn a_clock_set_back_an_hour_holds_nobodys_meter() {
    let book = MeterBook { at: Timestamp(3_600_000), ..started(1000, None) };
    let billed = bill(Some(&book), &reading(0, 1400, None), &tariff(), Watts(15_000));
    assert!(matches!(billed, Billed::Advanced(..)), "{billed:?}");
}

#[test]
fn an_export_register_that_was_silent_for_hours_is_paid_when_it_speaks_again() {
    let mut book = started(100, Some(500));
    for hour in 1..=5 {
        let Billed::Advanced(next, _) =
            bill(Some(&book), &reading(hour * 3_600_000, 100, None), &tariff(), Watts(10_000))
        else {
            panic!("hour {hour}")
        };
        book = next;
    }
    let billed = bill(Some(&book), &reading(5 * 3_600_000 + 10_000, 100, Some(30_500)), &tariff(), Watts(10_000));
    let Billed::Advanced(_, pieces) = billed else { panic!("{billed:?}") };
    assert_eq!(pieces.iter().map(|p| p.export).sum::<WattHours>(), WattHours(30_000));
}

#[test]
fn an_export_register_that_appears_later_is_not_paid_for_its_past() {
    let book = started(100, None);
    match bill(Some(&book), &reading(60_000, 100, Some(900_000)), &tariff(), LIMIT) {
        Billed::Advanced(book, pieces) => {
            assert_eq!(pieces, []);
            assert_eq!(book.export, Some(WattHours(900_000)));
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// However the readings of a day are thinned out, the energy billed is the same, to the watt-hour.
    #[test]
    fn a_lost_sample_is_a_coarser_interval_never_lost_energy(
        steps in prop::collection::vec((1_i64..4000, 0_i64..10, 0_i64..10, any::<bool>()), 1..60),
    ) {
        let t = tariff();
        let (mut at, mut import, mut export) = (0, 1000, 500);
        let mut readings = vec![reading(at, import, Some(export))];
        let mut kept = readings.clone();
        for (seconds, used, fed, keep) in steps {
            at += seconds * 1000;
            import += used;
            export += fed;
            readings.push(reading(at, import, Some(export)));
            if keep { kept.push(reading(at, import, Some(export))); }
        }
        kept.push(readings[readings.len() - 1].clone());
        for list in [readings, kept] {
            let mut book: Option<MeterBook> = None;
            let mut sum = TariffRegisters::default();
            let (mut debit, mut credit) = (0, 0);
            for r in &list {
                match bill(book.as_ref(), r, &t, LIMIT) {
                    Billed::Started(b) => book = Some(b),
                    Billed::Advanced(b, pieces) => {
                        let mut cursor = book.as_ref().map(|b| b.import).unwrap();
                        for p in &pieces {
                            prop_assert_eq!(p.import_from, cursor);
                            cursor += p.import;
                            sum.add(p);
                            debit += p.debit.0;
                            credit += p.credit.0;
                        }
                        book = Some(b);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(sum.off_peak + sum.peak, WattHours(import - 1000));
            prop_assert_eq!(sum.feed_in, WattHours(export - 500));
            prop_assert_eq!(debit, sum.off_peak.0 * 200_000 + sum.peak.0 * 400_000);
            prop_assert_eq!(credit, sum.feed_in.0 * 80_000);
        }
    }
}
