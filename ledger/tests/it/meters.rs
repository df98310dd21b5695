//! Meters change their device and their customer, and nothing is lost or billed twice by it.

use super::*;
use domain::{AccountId, MeterId, Registers, Replacement};
use ledger::LedgerError;
use proptest::prelude::*;

fn name(i: usize) -> MeterId {
    format!("home-{i}").parse().unwrap()
}

fn account(i: usize) -> AccountId {
    format!("home-{i}").parse().unwrap()
}

fn guards() -> BTreeMap<MeterId, Guard> {
    (0..3).map(|i| (name(i), LIMIT)).collect()
}

fn registers(import: i64, export: Option<i64>) -> Registers {
    Registers { import: WattHours(import), export: export.map(WattHours) }
}

fn change(i: usize, at: i64, last: Registers, first: Registers) -> Replacement {
    Replacement { meter: name(i), at: Timestamp(at), up: None, last, first }
}

fn replace(ledger: &Ledger, change: &Replacement) -> Result<Fact, LedgerError> {
    ledger.replace_meter(change.at, &guards(), change, "ada")
}

fn billed(ledger: &Ledger, i: usize) -> i64 {
    ledger.accounts().unwrap()[i].registers.total().0
}

#[test]
fn a_replaced_meter_is_billed_to_the_last_watt_hour_of_the_old_device_and_from_the_first_of_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1_000), reading(0, 60_000, 1_010)]));
    replace(&ledger, &change(0, 120_000, registers(1_025, None), registers(7, None))).unwrap();
    assert_eq!(billed(&ledger, 0), 25, "what was recorded before is billed first");
    write(&ledger, Write::Readings(vec![reading(0, 180_000, 12)]));
    write(&ledger, price(&ledger));
    assert_eq!(billed(&ledger, 0), 30);
    let again = change(0, 200_000, registers(1_025, None), registers(7, None));
    assert!(ledger.replaced(&again).unwrap().is_some());
    let refused = replace(&ledger, &again);
    assert!(matches!(refused, Err(LedgerError::Refused(ref why)) if why.contains("just so")), "{refused:?}");
    assert_eq!(billed(&ledger, 0), 30, "a replacement that is said again bills nothing again");
    assert_eq!(ledger.meters().unwrap()[0].metered, WattHours(30));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_meter_that_is_held_because_it_was_swapped_is_billed_on_once_it_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1_000), reading(0, 60_000, 3), reading(0, 90_000, 4)]));
    write(&ledger, price(&ledger));
    assert!(ledger.meters().unwrap()[0].book.as_ref().unwrap().held.is_some());
    replace(&ledger, &change(0, 100_000, registers(1_020, None), registers(0, None))).unwrap();
    write(&ledger, Write::Readings(vec![reading(0, 120_000, 6)]));
    write(&ledger, price(&ledger));
    assert_eq!(billed(&ledger, 0), 26);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn registers_that_no_device_can_have_shown_replace_nothing_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let unread = replace(&ledger, &change(1, 0, registers(5, None), registers(0, None)));
    assert!(matches!(unread, Err(LedgerError::Refused(ref why)) if why.contains("nothing was read")), "{unread:?}");
    write(&ledger, Write::Readings(vec![reading(0, 60_000, 1_000)]));
    write(&ledger, price(&ledger));
    let before = ledger.meters().unwrap();
    for (at, last, why) in [
        (120_000, 999, "the register fell"),
        (120_000, 9_000_000, "the register rose"),
        (59_999, 1_000, "say a later time"),
    ] {
        let refused = replace(&ledger, &change(0, at, registers(last, None), registers(0, None)));
        assert!(matches!(refused, Err(LedgerError::Refused(ref said)) if said.contains(why)), "{refused:?}");
    }
    assert_eq!(ledger.meters().unwrap(), before);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_new_device_may_count_exports_that_the_old_one_did_not_and_the_other_way_round() {
    for (old, new) in [(Some(500), None), (None, Some(900)), (Some(500), Some(3))] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let say = |at, import, export: Option<i64>| {
            let r = domain::Reading { export: export.map(WattHours), ..reading(0, at, import) };
            write(&ledger, Write::Readings(vec![r]));
            write(&ledger, price(&ledger));
        };
        say(0, 0, old);
        say(60_000, 10, old.map(|e| e + 4));
        replace(&ledger, &change(0, 90_000, registers(11, old.map(|e| e + 6)), registers(0, new))).unwrap();
        say(120_000, 2, new.map(|e| e + 3));
        say(180_000, 3, new.map(|e| e + 5));
        let exported = old.map_or(0, |_| 6) + new.map_or(0, |_| 5);
        assert_eq!(billed(&ledger, 0), 14 + exported, "{old:?} {new:?}");
        assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, [], "{old:?} {new:?}");
    }
}

#[test]
fn what_a_meter_counted_before_it_moved_is_the_old_customers_and_what_comes_is_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 60_000, 10)]));
    let moved = ledger.move_meter(Timestamp(70_000), &guards(), &name(0), &account(2), "ada").unwrap();
    let Fact::MeterMoved { from, registers, .. } = moved else { panic!("{moved:?}") };
    assert_eq!((from, registers), (Some(account(0)), Some(self::registers(10, None))));
    write(&ledger, Write::Readings(vec![reading(0, 120_000, 13)]));
    write(&ledger, price(&ledger));
    assert_eq!((billed(&ledger, 0), billed(&ledger, 2)), (10, 3));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);

    let again = ledger.move_meter(Timestamp(0), &guards(), &name(0), &account(2), "ada");
    assert!(matches!(again, Err(LedgerError::Refused(ref why)) if why.contains("already")), "{again:?}");
    assert_eq!(ledger.moved(&name(0), &account(2)).unwrap().map(|(at, _)| at), Some(Timestamp(70_000)));
    assert_eq!(ledger.moved(&name(0), &account(1)).unwrap(), None);
    // A configuration that nobody has changed yet is behind; one that names a third customer contradicts.
    assert_eq!(ledger.enrol(&street(3)).unwrap(), [(name(0), account(2))]);
    let mut other = street(3);
    other.meters[0].1 = Some(account(1));
    let refused = ledger.enrol(&other).unwrap_err().to_string();
    assert!(refused.contains("meter move home-0 home-1") && refused.contains("account home-2"), "{refused}");
    let mut agreed = street(3);
    agreed.meters[0].1 = Some(account(2));
    assert_eq!(ledger.enrol(&agreed).unwrap(), []);
}

#[test]
fn a_feeder_meter_that_becomes_a_customers_is_billed_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let feeder: MeterId = "feeder".parse().unwrap();
    ledger.enrol(&Enrolment { accounts: vec![], meters: vec![(feeder.clone(), None)] }).unwrap();
    let read = |at, import| {
        let r = domain::Reading { meter: feeder.clone(), ..exporting(0, at, import, 5) };
        write(&ledger, Write::Readings(vec![r]));
        write(&ledger, price(&ledger));
    };
    read(0, 0);
    read(60_000, 100);
    ledger.move_meter(Timestamp(70_000), &guards(), &feeder, &account(1), "ada").unwrap();
    read(120_000, 107);
    assert_eq!(billed(&ledger, 1), 7);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

/// What may happen to three meters, whose owners change.
#[derive(Clone, Debug)]
enum Event {
    Read(usize, i64, i64, i64),
    Fall(usize),
    Release(usize),
    Replace(usize, i64, i64, bool),
    Move(usize, usize),
    Price,
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0_usize..3;
    prop_oneof![
        8 => (who.clone(), 1_i64..2_000, 0_i64..200, 0_i64..90).prop_map(|(w, s, e, f)| Event::Read(w, s, e, f)),
        1 => who.clone().prop_map(Event::Fall),
        1 => who.clone().prop_map(Event::Release),
        2 => (who.clone(), 0_i64..50, 0_i64..100_000, any::<bool>()).prop_map(|(w, e, n, x)| Event::Replace(w, e, n, x)),
        2 => (who.clone(), who).prop_map(|(w, to)| Event::Move(w, to)),
        3 => Just(Event::Price),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Whatever is read, swapped, released and moved, in whatever order: what meters counted is what customers were
    /// billed, each the part of its time, and a second billing finds the same.
    #[test]
    fn energy_and_money_are_conserved_whatever_becomes_of_the_meters(events in prop::collection::vec(event(), 1..80)) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let (mut at, mut shown, mut exported) = (0_i64, [0_i64; 3], [0_i64; 3]);
        let (mut owner, mut due, mut read, mut held) = ([0, 1, 2], [0_i64; 3], [false; 3], [false; 3]);
        for event in events {
            match event {
                Event::Read(w, seconds, energy, fed) => {
                    at += seconds * 1000;
                    shown[w] += energy;
                    exported[w] += fed;
                    // Nothing is billed while it is held; the first reading is a start.
                    if read[w] && !held[w] { due[owner[w]] += energy + fed; }
                    read[w] = true;
                    write(&ledger, Write::Readings(vec![exporting(w, at, shown[w], exported[w])]));
                }
                Event::Fall(w) if read[w] && !held[w] && shown[w] > 0 => {
                    at += 1000;
                    (held[w], shown[w]) = (true, 0);
                    write(&ledger, Write::Readings(vec![exporting(w, at, 0, exported[w])]));
                }
                Event::Release(w) if held[w] => {
                    write(&ledger, price(&ledger));
                    write(&ledger, Write::Fact(Fact::MeterReleased { meter: name(w), upto: Seq(0), by: "ada".into() }));
                    held[w] = false;
                }
                Event::Replace(w, energy, first, exports) if read[w] && !held[w] => {
                    at += 1000;
                    let last = registers(shown[w] + energy, Some(exported[w] + 2));
                    replace(&ledger, &change(w, at, last, registers(first, exports.then_some(first / 2)))).unwrap();
                    due[owner[w]] += energy + 2;
                    shown[w] = first;
                    // An export register that comes later starts where it is first seen.
                    exported[w] = first / 2;
                    if !exports {
                        at += 1000;
                        write(&ledger, Write::Readings(vec![exporting(w, at, shown[w], exported[w])]));
                    }
                }
                Event::Move(w, to) if to != owner[w] && !held[w] => {
                    ledger.move_meter(Timestamp(at), &guards(), &name(w), &account(to), "ada").unwrap();
                    owner[w] = to;
                }
                Event::Price => {
                    write(&ledger, price(&ledger));
                }
                _ => {}
            }
        }
        write(&ledger, price(&ledger));
        for (i, due) in due.iter().enumerate() {
            prop_assert_eq!(billed(&ledger, i), *due, "home-{}", i);
        }
        prop_assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    }
}
