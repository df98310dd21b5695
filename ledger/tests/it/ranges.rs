//! Ranges by forecast: announced once, from their day on, with the prices that are the newest word.

use crate::{open, tariff};
use domain::{DayRange, Fact, Seq, Tariff, Timestamp};
use ledger::{DayAhead, Ledger, LedgerError};

/// 2026-03-02T00:00:00Z
const MIDNIGHT: i64 = 1_772_409_600_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn at(hours: i64) -> Timestamp {
    Timestamp(MIDNIGHT + hours * HOUR)
}

fn day(from: Timestamp, peak: &str) -> DayAhead {
    let hour = |at: usize| i32::from(peak.starts_with(&format!("{at:02}"))) * 1000 + 500;
    DayAhead {
        from,
        slot_minutes: 60,
        values: (0..24).map(hour).collect(),
        band: vec![(400, 1600); 24],
        clusters: vec![0; 24],
        labels: vec![0; 24],
        peak_hours: vec![peak.parse().unwrap()],
        data: (at(-400), at(0)),
        chosen: "blend".into(),
        model: "0x01".into(),
        forecast: "0x02".into(),
    }
}

fn peaks(tariff: &Tariff) -> Vec<String> {
    tariff.peak_hours.iter().map(DayRange::to_string).collect()
}

fn announced(ledger: &Ledger) -> Vec<(Timestamp, u32)> {
    let facts = ledger.facts_after(Seq(0), 1000).unwrap();
    let of = |(_, _, fact)| {
        if let Fact::RangesAnnounced { from, version, .. } = fact { Some((from, version)) } else { None }
    };
    facts.into_iter().filter_map(of).collect()
}

#[test]
fn a_day_has_its_ranges_from_its_beginning_and_no_other_comes_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let said = ledger.announce_ranges(at(18), &day(at(24), "07:00-09:00"), "the forecast").unwrap();
    let schedule = ledger.schedule().unwrap().unwrap();
    assert_eq!(peaks(schedule.at(at(23))), ["17:00-22:00"]);
    assert_eq!(peaks(schedule.at(at(24))), ["07:00-09:00"]);
    assert_eq!(schedule.at(at(24)).rates, tariff().rates);
    // Said again, by whoever forecast something else meanwhile, it is what was said first.
    let again = ledger.announce_ranges(at(19), &day(at(24), "11:00-13:00"), "the forecast").unwrap();
    assert_eq!((&again, &ledger.ranged().unwrap()), (&said, &vec![said.clone()]));
    assert_eq!(announced(&ledger), [(at(24), 2)]);
    // A reopened ledger knows it.
    drop(ledger);
    assert_eq!(open(dir.path()).ranged().unwrap(), [said]);
}

#[test]
fn the_same_hours_as_before_are_no_new_version_but_a_day_that_was_announced() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let said = ledger.announce_ranges(at(18), &day(at(24), "17:00-22:00"), "the forecast").unwrap();
    assert_eq!((said.version, announced(&ledger)), (1, vec![(at(24), 1)]));
}

#[test]
fn nothing_is_announced_backwards_nor_before_prices_that_an_operator_announced() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let refused = |now, from| match ledger.announce_ranges(now, &day(from, "07:00-09:00"), "the forecast") {
        Err(LedgerError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(at(25), at(24)).contains("cannot change backwards"));
    let mut dearer = tariff();
    dearer.rates.peak.0 *= 2;
    ledger.adopt_tariff(at(18), &dearer, Some(at(72)), "ada").unwrap();
    assert!(refused(at(18), at(24)).contains("other prices were announced"));
    assert_eq!((announced(&ledger), ledger.ranged().unwrap()), (vec![], vec![]));
    // From then on they are the newest word, and ranges follow with them.
    let said = ledger.announce_ranges(at(90), &day(at(96), "07:00-09:00"), "the forecast").unwrap();
    let schedule = ledger.schedule().unwrap().unwrap();
    assert_eq!((said.version, schedule.at(at(96)).rates.peak), (3, dearer.rates.peak));
}

#[test]
fn only_the_newest_days_are_kept_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    for n in 0..6 {
        let from = Timestamp(MIDNIGHT + (n + 1) * DAY);
        ledger
            .announce_ranges(
                Timestamp(from.0 - 6 * HOUR),
                &day(from, ["07:00-09:00", "08:00-10:00"][n as usize % 2]),
                "x",
            )
            .unwrap();
    }
    assert_eq!((ledger.ranged().unwrap().len(), announced(&ledger).len()), (3, 6));
}
