//! The load of a neighbourhood by interval, and what stands for what is missing.

use crate::{LIMIT, open, reading, write};
use domain::{LoadTable, MeterId, Reading, TimeZone, Timestamp};
use ledger::{Grid, Group, Ledger, Write};
use std::time::Duration;

const HOUR: i64 = 3_600_000;

fn meter(home: usize) -> MeterId {
    format!("home-{home}").parse().unwrap()
}

fn all(ledger: &Ledger, homes: usize, hours: i64, groups: &[Group]) -> LoadTable {
    let grid = Grid {
        interval: Duration::from_millis(HOUR as u64),
        meters: (0..homes).map(|i| (meter(i), (LIMIT, Duration::from_millis(HOUR as u64)))).collect(),
    };
    let zone = TimeZone::try_from("Europe/Madrid".to_owned()).unwrap();
    ledger.history(Timestamp(0), Timestamp(hours * HOUR), grid, groups, &zone).unwrap()
}

/// Meter `home` counts `100 · (home + 1)` Wh an hour, except in the hours that it misses, and from an hour on.
fn street(homes: usize, hours: i64, from: impl Fn(usize) -> i64, silent: impl Fn(usize, i64) -> bool) -> Vec<Reading> {
    let mut all = Vec::new();
    for hour in 0..=hours {
        for home in (0..homes).filter(|h| hour >= from(*h) && !silent(*h, hour)) {
            all.push(reading(home, hour * HOUR, 1000 + hour * 100 * (home as i64 + 1)));
        }
    }
    all
}

fn group(name: &str, meters: impl IntoIterator<Item = usize>) -> Group {
    Group { name: name.into(), meters: meters.into_iter().map(meter).collect() }
}

#[test]
fn homes_add_up_and_a_part_of_them_is_a_column_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(street(3, 30, |_| 0, |_, _| false)));
    let found = all(&ledger, 3, 30, &[group("load", 0..3), group("home-1", [1])]);
    assert_eq!(found.columns[0].name, "load_wh");
    assert!(found.rows.len() == 30 && found.rows.iter().all(|r| r.loads == [Some(600.0), Some(200.0)]), "{found}");
    // 1970-01-01 in Madrid.
    assert_eq!(found.to_string().lines().nth(1).unwrap(), "1970-01-01T01:00:00+01:00,600,200");
    assert_eq!(LoadTable::parse(&found.to_string()).unwrap(), found);
}

#[test]
fn a_home_that_joins_later_was_nothing_before_and_makes_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(street(3, 10, |h| if h == 2 { 4 } else { 0 }, |_, _| false)));
    let loads: Vec<_> = all(&ledger, 3, 10, &[group("load", 0..3)]).rows.iter().map(|r| r.loads[0]).collect();
    assert_eq!(loads, [[Some(300.0); 4].to_vec(), [Some(600.0); 6].to_vec()].concat());
}

#[test]
fn one_absent_meter_of_ten_counts_with_its_mean_of_that_time_and_two_make_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    ledger.enrol(&crate::street(10)).unwrap();
    // Home 9 is silent at hours 30 and 31, home 8 at 31 too: an hour beside a missing reading is unknown.
    write(
        &ledger,
        Write::Readings(street(10, 48, |_| 0, |h, t| (h == 9 && (30..32).contains(&t)) || (h == 8 && t == 31))),
    );
    let found = all(&ledger, 10, 48, &[group("load", 0..10), group("home-9", [9])]);
    let loads: Vec<_> = found.rows.iter().map(|r| (r.loads[0], r.loads[1])).collect();
    assert_eq!(loads[28], (Some(5500.0), Some(1000.0)));
    assert_eq!(loads[29], (Some(5500.0), None), "one of ten, and all of one");
    assert_eq!(loads[30], (None, None), "two of ten");
    assert_eq!(loads[32], (Some(5500.0), Some(1000.0)));
}
