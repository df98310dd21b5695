//! Meters that are held for where they are: what they import is owed all the same, what they export is not paid for.

use super::*;
use domain::place::{Place, Proof, Track, Verdict};
use domain::register::Doubt;
use domain::{MeterId, Timestamp};
use ledger::LedgerError;
use proptest::prelude::*;
use std::time::Duration;

fn name() -> MeterId {
    "home-0".parse().unwrap()
}

fn guards() -> BTreeMap<MeterId, Guard> {
    BTreeMap::from([(name(), LIMIT)])
}

fn proof(epoch: i64, verdict: Verdict, counts: bool) -> Proof {
    Proof {
        epoch,
        verdict,
        claim: Place::default(),
        found: None,
        covariance: None,
        reach: 18_000,
        anchors: vec![("house-1".into(), 25)],
        dropped: Vec::new(),
        counts,
    }
}

fn located(ledger: &Ledger, proof: Proof) -> Result<ledger::Outcome, LedgerError> {
    ledger.commit(Timestamp(0), &[Write::Fact(Fact::Located { meter: name(), proof })]).unwrap().remove(0)
}

fn registers(ledger: &Ledger) -> (i64, i64) {
    let r = ledger.accounts().unwrap()[0].registers;
    ((r.off_peak + r.peak).0, r.feed_in.0)
}

#[test]
fn while_a_meter_is_held_nothing_is_billed_and_once_it_is_back_its_import_is_owed_and_its_export_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![exporting(0, 0, 1_000, 500), exporting(0, 60_000, 1_010, 507)]));
    // What is recorded and waits is billed first: it was counted before.
    ledger.hold_for_place(Timestamp(61_000), &guards(), &name(), (5, 8)).unwrap();
    assert_eq!(registers(&ledger), (10, 7));
    let held = |ledger: &Ledger| ledger.meters().unwrap()[0].book.clone().unwrap().held;
    assert_eq!(held(&ledger), Some(Doubt::Elsewhere { failed: 5, of: 8 }));
    for minute in 2..60 {
        write(&ledger, Write::Readings(vec![exporting(0, minute * 60_000, 1_000 + minute * 10, 500 + minute * 7)]));
        write(&ledger, price(&ledger));
    }
    assert_eq!(registers(&ledger), (10, 7), "held");
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    let again = ledger.hold_for_place(Timestamp(0), &guards(), &name(), (6, 8));
    assert!(matches!(again, Err(LedgerError::Refused(ref why)) if why.contains("held already")), "{again:?}");

    ledger.found_at_its_place(Timestamp(59 * 60_000), &guards(), &name()).unwrap();
    assert_eq!(held(&ledger), None);
    assert_eq!(ledger.meters().unwrap()[0].unbilled, WattHours(406), "58 minutes of export");
    write(&ledger, Write::Readings(vec![exporting(0, 60 * 60_000, 1_600, 920)]));
    write(&ledger, price(&ledger));
    assert_eq!(registers(&ledger), (600, 14));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    let twice = ledger.found_at_its_place(Timestamp(0), &guards(), &name());
    assert!(matches!(twice, Err(LedgerError::Refused(ref why)) if why.contains("not held")), "{twice:?}");
}

#[test]
fn a_meter_is_found_again_only_by_a_reading_that_says_what_it_exported() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![exporting(0, 0, 1_000, 500), exporting(0, 60_000, 1_010, 507)]));
    ledger.hold_for_place(Timestamp(61_000), &guards(), &name(), (5, 8)).unwrap();
    write(&ledger, Write::Readings(vec![exporting(0, 120_000, 1_020, 514), reading(0, 180_000, 1_030)]));
    let refused = ledger.found_at_its_place(Timestamp(181_000), &guards(), &name());
    assert!(matches!(refused, Err(LedgerError::Refused(ref why)) if why.contains("exported")), "{refused:?}");
    write(&ledger, Write::Readings(vec![exporting(0, 240_000, 1_040, 521)]));
    ledger.found_at_its_place(Timestamp(241_000), &guards(), &name()).unwrap();
    write(&ledger, Write::Readings(vec![exporting(0, 300_000, 1_050, 528)]));
    write(&ledger, price(&ledger));
    assert_eq!(registers(&ledger), (50, 14));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_meter_that_is_held_for_its_registers_is_not_freed_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1_000), reading(0, 60_000, 3)]));
    write(&ledger, price(&ledger));
    let refused = ledger.found_at_its_place(Timestamp(0), &guards(), &name());
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    assert!(ledger.meters().unwrap()[0].book.as_ref().unwrap().held.is_some());
}

#[test]
fn an_epoch_is_judged_once_and_a_person_who_releases_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1_000)]));
    for (epoch, verdict, counts) in [
        (7, Verdict::Elsewhere, true),
        (8, Verdict::Here, true),
        (9, Verdict::Unclear, false),
        (10, Verdict::Unclear, true),
    ] {
        located(&ledger, proof(epoch, verdict, counts)).unwrap();
    }
    let again = located(&ledger, proof(10, Verdict::Here, true));
    assert!(matches!(again, Err(LedgerError::Refused(ref why)) if why.contains("judged already")), "{again:?}");
    // Nor is one before it, by a clock that was set back.
    let before = located(&ledger, proof(6, Verdict::Here, true));
    assert!(matches!(before, Err(LedgerError::Refused(_))), "{before:?}");
    let placed = ledger.places().unwrap()[&name()].clone();
    assert_eq!((placed.track, placed.held), (Track { failed: 0b101, judged: 3 }, false));
    assert_eq!(placed.proof, Some(proof(10, Verdict::Unclear, true)));
    ledger.hold_for_place(Timestamp(0), &guards(), &name(), (2, 3)).unwrap();
    assert!(ledger.places().unwrap()[&name()].held);
    write(&ledger, Write::Fact(Fact::MeterReleased { meter: name(), upto: Seq(0), by: "ada".into() }));
    let placed = ledger.places().unwrap()[&name()].clone();
    assert_eq!((placed.track, placed.held), (Track::default(), false));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whenever_a_meter_is_held_and_found_again_its_import_is_billed_once(
        steps in proptest::collection::vec((0..200_i64, 0..200_i64, 0..6_u8), 1..40),
        keep in 5..60_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let (mut at, mut import, mut export, mut held, mut gone, mut since) = (0, 0, 0, false, 0, 0);
        write(&ledger, Write::Readings(vec![exporting(0, at, import, export)]));
        for (imports, exports, act) in steps {
            (at, import, export) = (at + 60_000, import + imports, export + exports);
            write(&ledger, Write::Readings(vec![exporting(0, at, import, export)]));
            match (act, held) {
                (0, false) => {
                    ledger.hold_for_place(Timestamp(at), &guards(), &name(), (1, 1)).unwrap();
                    (held, since) = (true, export);
                }
                (1, true) => {
                    ledger.found_at_its_place(Timestamp(at), &guards(), &name()).unwrap();
                    (held, gone) = (false, gone + export - since);
                }
                (2, _) => drop(write(&ledger, price(&ledger))),
                (3, _) => {
                    let keep = ledger::Keep { readings: Some(Duration::from_secs(keep * 60)), lines: None };
                    ledger.tidy(Timestamp(at), &keep, |_| LIMIT).unwrap();
                }
                _ => {}
            }
        }
        if held {
            ledger.found_at_its_place(Timestamp(at), &guards(), &name()).unwrap();
            gone += export - since;
        }
        write(&ledger, Write::Readings(vec![exporting(0, at + 60_000, import, export)]));
        write(&ledger, price(&ledger));
        prop_assert_eq!(registers(&ledger), (import, export - gone));
        prop_assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    }
}
