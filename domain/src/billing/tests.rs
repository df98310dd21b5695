use super::*;
use crate::Watts;
use proptest::prelude::*;

const LIMIT: Guard = guard(50_000);

const fn guard(limit: i64) -> Guard {
    Guard { limit: Watts(limit), import_rollover: None, export_rollover: None }
}

fn reading(at: i64, import: i64, export: Option<i64>) -> Reading {
    let mut r = Reading::empty("home-1".parse().unwrap(), Timestamp(at));
    r.import = Some(WattHours(import));
    r.export = export.map(WattHours);
    r
}

fn started(import: i64, export: Option<i64>) -> MeterBook {
    match bill(None, &reading(0, import, export), &LIMIT) {
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
    assert_eq!(bill(Some(&book), &silent, &LIMIT), Billed::Nothing);
    match bill(Some(&book), &reading(120_000, 103, None), &LIMIT) {
        Billed::Advanced(_, flow) => assert_eq!(flow.import, WattHours(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_register_that_falls_holds_the_meter_until_a_person_looks() {
    let book = started(100, None);
    let Billed::Held(book, doubt) = bill(Some(&book), &reading(60_000, 5, None), &LIMIT) else { panic!("not held") };
    assert!(matches!(doubt, Doubt::Backward { .. }));
    assert_eq!(book.import, WattHours(100));
    assert_eq!(bill(Some(&book), &reading(120_000, 101, None), &LIMIT), Billed::Nothing);
}

#[test]
fn hours_of_energy_under_an_old_clock_are_billed_once_the_clock_is_set() {
    let book = started(1000, None);
    // Off for three hours, started with the clock of before: 9 kWh within ten seconds.
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(10_000, 10_000, None), &guard(15_000)) else {
        panic!("not doubted")
    };
    let Billed::Advanced(book, flow) = bill(Some(&book), &reading(3 * 3_600_000, 10_010, None), &guard(15_000)) else {
        panic!("not billed")
    };
    assert_eq!(flow.import, WattHours(9_010));
    assert_eq!(book.doubted_since, None);
}

#[test]
fn one_crazy_reading_is_forgotten_and_a_lasting_jump_is_held() {
    let book = started(1000, None);
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(10_000, 53_700_000, None), &LIMIT) else {
        panic!("not doubted")
    };
    let Billed::Advanced(sane, _) = bill(Some(&book), &reading(20_000, 1001, None), &LIMIT) else {
        panic!("a sane reading was not billed")
    };
    assert_eq!((sane.import, sane.doubted_since), (WattHours(1001), None));
    let Billed::Doubted(book, _) = bill(Some(&book), &reading(800_000, 53_700_001, None), &LIMIT) else {
        panic!("held too early")
    };
    let later = bill(Some(&book), &reading(910_000, 53_700_002, None), &LIMIT);
    assert!(matches!(later, Billed::Held(_, Doubt::Jump { .. })), "{later:?}");
}

#[test]
fn a_gap_of_more_than_a_year_is_for_a_person_to_judge() {
    let book = started(1000, None);
    let at = i64::try_from(LONGEST.as_millis()).unwrap() + 1;
    let Billed::Doubted(book, doubt) = bill(Some(&book), &reading(at, 1001, None), &LIMIT) else { panic!() };
    assert!(matches!(doubt, Doubt::Long { .. }) && doubt.to_string().starts_with("nothing was read from 1970"));
    assert!(matches!(bill(Some(&book), &reading(at + 900_000, 1001, None), &LIMIT), Billed::Held(..)));
}

#[test]
fn a_clock_set_back_an_hour_holds_nobodys_meter() {
    let book = MeterBook { at: Timestamp(3_600_000), ..started(1000, None) };
    let billed = bill(Some(&book), &reading(0, 1400, None), &guard(15_000));
    assert!(matches!(billed, Billed::Advanced(..)), "{billed:?}");
}

#[test]
fn an_export_register_that_was_silent_for_hours_is_paid_when_it_speaks_again() {
    let mut book = started(100, Some(500));
    for hour in 1..=5 {
        let Billed::Advanced(next, _) = bill(Some(&book), &reading(hour * 3_600_000, 100, None), &guard(10_000)) else {
            panic!("hour {hour}")
        };
        book = next;
    }
    let billed = bill(Some(&book), &reading(5 * 3_600_000 + 10_000, 100, Some(30_500)), &guard(10_000));
    let Billed::Advanced(_, flow) = billed else { panic!("{billed:?}") };
    assert_eq!(flow.export, WattHours(30_000));
}

#[test]
fn an_export_register_that_appears_later_is_not_paid_for_its_past() {
    let book = started(100, None);
    match bill(Some(&book), &reading(60_000, 100, Some(900_000)), &LIMIT) {
        Billed::Advanced(book, flow) => {
            assert_eq!((flow.import, flow.export), (WattHours::ZERO, WattHours::ZERO));
            assert_eq!(book.export, Some(WattHours(900_000)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_register_that_rolls_over_is_billed_on_and_the_book_remembers_what_it_had_counted() {
    let guard = Guard { import_rollover: Some(WattHours(10_000_000)), ..LIMIT };
    let book = started(9_999_900, Some(7));
    let Billed::Advanced(book, flow) = bill(Some(&book), &reading(600_000, 50, Some(7)), &guard) else {
        panic!("not billed")
    };
    assert_eq!(flow.import, WattHours(150));
    assert_eq!((book.import, book.rolled), (WattHours(50), WattHours(10_000_000)));
    // Without that knowledge it is a register that fell.
    assert!(matches!(bill(Some(&book), &reading(660_000, 10, None), &LIMIT), Billed::Held(..)));
}

/// A reading 10 s after the one before by the clock that nobody sets, whatever the wall clock says.
fn after_ten_seconds(book: &MeterBook, at: i64, import: i64) -> Reading {
    let mut r = reading(at, import, None);
    r.up = book.up.map(|up| Uptime { ms: up.ms + 10_000, ..up });
    r
}

#[test]
fn ten_seconds_over_which_the_clock_is_set_are_billed_as_ten_seconds() {
    const HOUR: i64 = 3_600_000;
    let mut first = reading(12 * HOUR, 1000, None);
    first.up = Some(Uptime { boot: 1, ms: 5_000 });
    let Billed::Started(book) = bill(None, &first, &LIMIT) else { panic!() };
    for stepped in [-48, -1, 1, 9] {
        let now = (12 + stepped) * HOUR + 10_000;
        let Billed::Advanced(_, flow) = bill(Some(&book), &after_ten_seconds(&book, now, 1100), &LIMIT) else {
            panic!("not billed")
        };
        assert_eq!((flow.from.0, flow.to.0), (now - 10_000, now));
    }
    // Nor does an hour on the wall clock make an hour's energy believable that came in ten seconds.
    let crazy = after_ten_seconds(&book, 13 * HOUR, 1000 + 40_000);
    assert!(matches!(bill(Some(&book), &crazy, &LIMIT), Billed::Doubted(..)));
}

proptest! {
    /// Whatever is done to the wall clock: no interval runs backwards or is longer than the time that passed, and every
    /// watt-hour is billed once.
    #[test]
    fn a_clock_that_is_set_makes_no_interval_negative_and_bills_nothing_twice(
        steps in prop::collection::vec(
            (1_i64..900, 0_i64..10, prop_oneof![4 => Just(0_i64), 1 => -200_000_i64..200_000], any::<bool>(), 0_u8..20),
            1..60,
        ),
    ) {
        let (mut up, mut wall, mut import, mut boot) = (0_i64, 1_000_000_000_i64, 1000_i64, 0_u32);
        let mut book: Option<MeterBook> = None;
        let mut billed = 0;
        for (seconds, used, set, has_uptime, dice) in steps {
            // Now and then the machine starts anew, and begins to count again.
            let restarted = dice == 0;
            if restarted { boot += 1; up = 0; }
            up += seconds * 1000;
            wall += (seconds + set) * 1000;
            import += used;
            let mut r = reading(wall, import, None);
            r.up = has_uptime.then_some(Uptime { boot, ms: up });
            let known = r.up.zip(book.as_ref().and_then(|b| b.up)).and_then(|(now, then)| now.since(then));
            match bill(book.as_ref(), &r, &LIMIT) {
                Billed::Started(b) => { book = Some(b); import = 1000 + used; billed = used; }
                Billed::Advanced(b, flow) => {
                    prop_assert!(flow.from <= flow.to || b.at == flow.to, "{:?}", flow);
                    let length = (flow.to.0 - flow.from.0).max(0);
                    billed += flow.import.0;
                    if let Some(known) = known {
                        prop_assert!(length <= i64::try_from((known + SAME).as_millis()).unwrap(), "{:?}", flow);
                    }
                    book = Some(b);
                }
                other => prop_assert!(false, "{:?}", other),
            }
            prop_assert_eq!(billed, import - 1000);
        }
    }

    /// However the readings of a day are thinned out, the energy billed is the same, to the watt-hour.
    #[test]
    fn a_lost_sample_is_a_coarser_interval_never_lost_energy(
        steps in prop::collection::vec((1_i64..4000, 0_i64..10, 0_i64..10, any::<bool>()), 1..60),
    ) {
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
            let (mut imported, mut exported) = (WattHours::ZERO, WattHours::ZERO);
            for r in &list {
                match bill(book.as_ref(), r, &LIMIT) {
                    Billed::Started(b) => book = Some(b),
                    Billed::Advanced(b, flow) => {
                        prop_assert_eq!(Some(flow.import_from), book.as_ref().map(|b| b.import));
                        prop_assert_eq!(Some(flow.from), book.as_ref().map(|b| b.at));
                        imported += flow.import;
                        exported += flow.export;
                    book = Some(b);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(imported, WattHours(import - 1000));
            prop_assert_eq!(exported, WattHours(export - 500));
        }
    }
}
