//! What goes when it is old, what stays, and that the auditor proves as much afterwards as before.

use super::*;
use crate::story::Story;
use domain::Money;
use ledger::{Keep, LedgerError, Tidied};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: i64 = 60_000;

fn minutes(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n * 60))
}

fn tidy(ledger: &Ledger, now: i64, keep: Keep) -> Tidied {
    ledger.tidy(Timestamp(now), &keep, |_| LIMIT).unwrap()
}

fn sound(ledger: &Ledger) -> ledger::Report {
    let report = ledger.verify(|_| LIMIT).unwrap();
    assert_eq!(report.findings, []);
    report
}

/// An hour of readings of three homes, billed, and settled if asked for.
fn an_hour(dir: &std::path::Path, settled: bool) -> Ledger {
    let ledger = open(dir);
    for number in 1..=3_u32 {
        let account = format!("home-{}", number - 1).parse().unwrap();
        write(&ledger, Write::Fact(Fact::AccountOpened { account, number }));
    }
    for minute in 0..60 {
        write(&ledger, Write::Readings((0..3).map(|h| reading(h, minute * MINUTE, minute * 7)).collect()));
    }
    write(&ledger, price(&ledger));
    if settled {
        settle(&ledger, 1);
    }
    ledger
}

fn settle(ledger: &Ledger, number: u64) {
    write(ledger, batch(number));
    let intent = ledger.open_intents().unwrap().remove(0).id;
    let facts = vec![Fact::Settled { batch: number, accounts: 3, transaction: "0x1".into(), gas: 1 }];
    write(ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 3)), problem: None, facts });
}

#[test]
fn readings_go_when_they_are_old_billed_and_settled_and_the_auditor_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    let before = ledger.accounts().unwrap();
    let keep = Keep { readings: minutes(20), lines: None };
    assert_eq!(tidy(&ledger, 60 * MINUTE, keep), Tidied { readings: 120, lines: 0, more: false });
    let left = ledger.readings_after(Seq(0), 1_000).unwrap();
    assert_eq!((left.len(), left[0].1.at), (60, Timestamp(40 * MINUTE)));
    let report = sound(&ledger);
    assert_eq!((report.gone, report.readings), (120, 60));
    assert_eq!(ledger.accounts().unwrap(), before);
    assert_eq!(ledger.totals().unwrap().readings, 180, "those that went are counted still");
    assert_eq!(tidy(&ledger, 60 * MINUTE, keep), Tidied::default(), "nothing is left to do");
}

#[test]
fn what_is_not_settled_is_kept_however_old_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), false);
    let keep = Keep { readings: minutes(1), lines: minutes(1) };
    assert_eq!(tidy(&ledger, 600 * MINUTE, keep), Tidied::default());
    // Not while the batch is on its way either.
    write(&ledger, batch(1));
    assert_eq!(tidy(&ledger, 600 * MINUTE, keep), Tidied::default());
    // Nor what a batch had no room for.
    let intent = ledger.open_intents().unwrap().remove(0).id;
    write(&ledger, Write::Conclude { intent, mined: None, problem: Some("no".into()), facts: vec![] });
    write(&ledger, Write::MakeBatch { sequence: 1, most: 1, tariff_version: 1, prices: PRICES });
    let intent = ledger.open_intents().unwrap().remove(0).id;
    let facts = vec![Fact::Settled { batch: 1, accounts: 1, transaction: "0x1".into(), gas: 1 }];
    write(&ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 3)), problem: None, facts });
    assert_eq!(tidy(&ledger, 600 * MINUTE, keep).readings, 0);
    settle(&ledger, 2);
    assert_eq!(tidy(&ledger, 600 * MINUTE, keep).readings, 180);
    sound(&ledger);
}

#[test]
fn lines_of_old_batches_go_and_their_sums_stay() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    for minute in 60..90 {
        write(&ledger, Write::Readings((0..3).map(|h| reading(h, minute * MINUTE, minute * 7)).collect()));
    }
    write(&ledger, price(&ledger));
    // The first batch was made at 0 by the clock of these tests.
    let keep = Keep { readings: None, lines: minutes(60) };
    let gone = tidy(&ledger, 90 * MINUTE, keep);
    assert_eq!((gone.readings, gone.lines, gone.more), (0, 12, true), "four intervals of three homes");
    assert_eq!(tidy(&ledger, 90 * MINUTE, keep), Tidied::default());
    let account = "home-0".parse().unwrap();
    assert!(ledger.newest_lines(&account, 100).unwrap().iter().all(|line| line.batch.is_none()));
    sound(&ledger);
}

#[test]
fn a_mistake_in_the_books_from_before_is_found_after_the_readings_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    let db = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    db.execute("UPDATE accounts SET off_peak = off_peak - 5, settled_off_peak = off_peak - 5 WHERE number = 2", [])
        .unwrap();
    assert!(!ledger.verify(|_| LIMIT).unwrap().findings.is_empty());
    assert_eq!(tidy(&ledger, 600 * MINUTE, Keep { readings: minutes(1), lines: None }).readings, 180);
    let found = ledger.verify(|_| LIMIT).unwrap().findings;
    assert!(found.iter().any(|f| f.check == "energy billed once" && f.found.contains("home-1")), "{found:?}");
}

#[test]
fn a_reading_that_is_gone_without_the_checkpoint_knowing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    tidy(&ledger, 60 * MINUTE, Keep { readings: minutes(20), lines: None });
    let db = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    db.execute("DELETE FROM readings WHERE seq = (SELECT min(seq) FROM readings)", []).unwrap();
    let found = ledger.verify(|_| LIMIT).unwrap().findings;
    assert_eq!(found.iter().map(|f| f.check).collect::<Vec<_>>(), ["journal sequence"]);
}

#[test]
fn a_held_meter_is_released_on_its_last_reading_though_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    write(&ledger, Write::Readings(vec![reading(0, 60 * MINUTE, 3)]));
    write(&ledger, price(&ledger));
    assert!(ledger.meters().unwrap()[0].book.as_ref().unwrap().held.is_some());
    let gone = tidy(&ledger, 600 * MINUTE, Keep { readings: minutes(1), lines: None });
    assert_eq!(gone.readings, 181);
    let meter: MeterId = "home-0".parse().unwrap();
    write(&ledger, Write::Fact(Fact::MeterReleased { meter, upto: Seq(0), by: "somebody".into() }));
    assert_eq!(ledger.meters().unwrap()[0].book.as_ref().unwrap().import, WattHours(3));
    write(&ledger, Write::Readings(vec![reading(0, 601 * MINUTE, 50)]));
    write(&ledger, price(&ledger));
    let account = ledger.accounts().unwrap().remove(0);
    assert_eq!(account.registers.off_peak, WattHours(59 * 7 + 47));
    assert_eq!(account.balance, Money(-(59 * 7 + 47) * 200_000));
    sound(&ledger);
    assert_eq!(
        tidy(&ledger, 1_200 * MINUTE, Keep { readings: minutes(1), lines: None }).readings,
        0,
        "not settled yet"
    );
}

#[test]
fn a_reading_from_a_clock_that_was_ahead_goes_with_its_neighbours_and_never_takes_younger_ones_along() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let at = [1, 2, 90_000, 3, 50, 4, 55];
    write(&ledger, Write::Readings(at.iter().map(|m| reading(0, m * MINUTE, 0)).collect()));
    write(&ledger, price(&ledger));
    assert_eq!(tidy(&ledger, 60 * MINUTE, Keep { readings: minutes(20), lines: None }).readings, 4);
    let left = ledger.readings_after(Seq(0), 10).unwrap();
    assert_eq!(left.iter().map(|(_, r)| r.at.0 / MINUTE).collect::<Vec<_>>(), [50, 4, 55]);
    // A clock that stands in the past calls nothing old.
    assert_eq!(tidy(&ledger, MINUTE, Keep { readings: minutes(20), lines: None }), Tidied::default());
    sound(&ledger);
}

#[test]
fn two_that_tidy_at_once_do_not_undo_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = an_hour(dir.path(), true);
    let keep = Keep { readings: minutes(20), lines: None };
    let done: Vec<_> = std::thread::scope(|scope| {
        let run = || scope.spawn(|| ledger.tidy(Timestamp(60 * MINUTE), &keep, |_| LIMIT));
        let both = [run(), run()];
        both.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let gone: u64 = done.iter().flatten().map(|t| t.readings).sum();
    assert_eq!(gone, 120);
    assert!(done.iter().all(|d| matches!(d, Ok(_) | Err(LedgerError::Refused(_)))), "{done:?}");
    sound(&ledger);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever happens and whenever readings go, the auditor finds nothing; and it had something to do.
    #[test]
    fn the_auditor_agrees_at_any_moment_of_any_life(seed in any::<u64>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut story = Story::begin(dir.path(), seed);
        (0..).take_while(|step| story.prologue(*step)).for_each(drop);
        for _ in 0..20 {
            for _ in 0..15 {
                story.go_on();
            }
            let report = story.ledger.as_ref().unwrap().verify(|_| LIMIT).unwrap();
            prop_assert_eq!(report.findings, []);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Meters change hands and devices while old readings go: who paid at the checkpoint is found from what came after.
    #[test]
    fn meters_that_change_hands_and_devices_are_audited_from_any_checkpoint(
        events in prop::collection::vec((0_u8..10, 0_usize..3, 0_usize..3, 1_i64..30, 0_i64..50), 10..120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        for number in 1..=3_u32 {
            let account = format!("home-{}", number - 1).parse().unwrap();
            write(&ledger, Write::Fact(Fact::AccountOpened { account, number }));
        }
        let guards: BTreeMap<MeterId, Guard> = (0..3).map(|i| (format!("home-{i}").parse().unwrap(), LIMIT)).collect();
        let (mut at, mut import, mut batches, mut gone) = (0_i64, [1_000_i64; 3], 0_u64, 0_u64);
        for (what, home, other, minutes_on, energy) in events {
            let meter: MeterId = format!("home-{home}").parse().unwrap();
            match what {
                0..=4 => {
                    at += minutes_on * MINUTE;
                    import[home] += energy;
                    write(&ledger, Write::Readings(vec![reading(home, at, import[home])]));
                }
                5 => {
                    let to = format!("home-{other}").parse().unwrap();
                    // To whom it belongs already, and before it was ever read, it cannot go.
                    let _ = ledger.move_meter(Timestamp(at), &guards, &meter, &to, "ada");
                }
                6 => {
                    let registers = |wh| domain::Registers { import: WattHours(wh), export: None };
                    let (last, first) = (registers(import[home] + energy), registers(energy));
                    let change = domain::Replacement { meter, at: Timestamp(at + MINUTE), up: None, last, first };
                    if ledger.replace_meter(Timestamp(at + MINUTE), &guards, &change, "ada").is_ok() {
                        at += MINUTE;
                        import[home] = energy;
                    }
                }
                7 => {
                    write(&ledger, price(&ledger));
                    if let Outcome::Batch(Some(_)) = write(&ledger, batch(batches + 1)) {
                        batches += 1;
                        let intent = ledger.open_intents().unwrap().remove(0).id;
                        let facts =
                            vec![Fact::Settled { batch: batches, accounts: 3, transaction: "0x1".into(), gas: 1 }];
                        let mined = Some(("0x1".into(), 3));
                        write(&ledger, Write::Conclude { intent, mined, problem: None, facts });
                    }
                }
                _ => {
                    let keep = Keep { readings: minutes(u64::try_from(minutes_on).unwrap()), lines: None };
                    gone += ledger.tidy(Timestamp(at), &keep, |_| LIMIT).unwrap().readings;
                }
            }
            let report = ledger.verify(|_| LIMIT).unwrap();
            prop_assert_eq!(report.findings, []);
            prop_assert_eq!(report.gone, gone);
        }
    }
}
