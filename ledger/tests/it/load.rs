//! Energy by interval: conserved to the watt-hour, and absent rather than guessed.

use crate::{LIMIT, open, reading, write};
use domain::{Guard, MeterId, Reading, Timestamp, Uptime, WattHours};
use ledger::{Grid, Ledger, LedgerError, Load, Row, Write};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: i64 = 60_000;
const QUARTER: i64 = 15 * MINUTE;

fn meter(home: usize) -> MeterId {
    format!("home-{home}").parse().unwrap()
}

fn grid(homes: usize, guard: Guard, gap: i64) -> Grid {
    let gap = Duration::from_millis(gap as u64);
    Grid {
        interval: Duration::from_millis(QUARTER as u64),
        meters: (0..homes).map(|i| (meter(i), (guard, gap))).collect(),
    }
}

fn rows(ledger: &Ledger, to: i64, grid: Grid) -> Vec<Row> {
    ledger.loads(Timestamp(0), Timestamp(to), grid).unwrap().collect::<Result<_, _>>().unwrap()
}

/// For the test of hostile rows: reads the first hour.
pub fn ask(ledger: &Ledger) -> Result<(), LedgerError> {
    let end = Timestamp(4 * QUARTER);
    ledger.loads(Timestamp(0), end, grid(3, LIMIT, QUARTER))?.try_for_each(|row| row.map(drop))
}

fn imports(rows: &[Row], home: usize) -> Vec<Option<i64>> {
    rows.iter().map(|r| r.meters.get(&meter(home)).map(|l| l.import.0)).collect()
}

#[test]
fn a_register_at_a_border_lies_between_the_readings_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    // 100 Wh in the ten minutes around the first border, of which a quarter before it.
    write(
        &ledger,
        Write::Readings(vec![
            reading(0, 0, 1000),
            reading(0, QUARTER - 150_000, 1300),
            reading(0, QUARTER + 450_000, 1400),
            reading(0, 2 * QUARTER, 1500),
        ]),
    );
    let rows = rows(&ledger, 4 * QUARTER, grid(1, LIMIT, QUARTER));
    assert_eq!(imports(&rows, 0), [Some(325), Some(175), None, None]);
    assert_eq!(rows[1].from, Timestamp(QUARTER));
    assert_eq!(rows[0].meters[&meter(0)], Load { import: WattHours(325), export: None });
}

#[test]
fn a_ledger_without_readings_has_intervals_without_meters() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let found = rows(&ledger, 3 * QUARTER, grid(3, LIMIT, QUARTER));
    assert!(found.len() == 3 && found.iter().all(|row| row.meters.is_empty()), "{found:?}");
}

#[test]
fn what_no_reading_stands_for_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    // Silent from 10 to 40 minutes, and nobody else's readings stand in for it.
    let times = [0, 10, 40, 45, 60, 75];
    let mut sent: Vec<Reading> = times.iter().map(|m| reading(0, m * MINUTE, *m)).collect();
    sent.extend((0..90).map(|m| reading(2, m * MINUTE, m)));
    sent.sort_by_key(|r| r.at);
    write(&ledger, Write::Readings(sent));
    let found = rows(&ledger, 5 * QUARTER, grid(2, LIMIT, 20 * MINUTE));
    assert_eq!(imports(&found, 0), [None, None, None, Some(15), Some(15)]);
    // A meter that may be quiet for so long is known all the time.
    let found = rows(&ledger, 5 * QUARTER, grid(2, LIMIT, 30 * MINUTE));
    assert_eq!(imports(&found, 0), [Some(15); 5]);
}

#[test]
fn a_register_that_fell_or_leapt_is_no_energy_and_one_that_began_again_is() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let values = [999_000, 999_600, 200, 800, 700_000, 700_100];
    write(&ledger, Write::Readings((0..).zip(values).map(|(i, v)| reading(0, i * QUARTER, v)).collect()));
    let found = rows(&ledger, 5 * QUARTER, grid(1, LIMIT, QUARTER));
    assert_eq!(imports(&found, 0), [Some(600), None, Some(600), None, Some(100)]);
    let rolls = Guard { import_rollover: Some(WattHours(1_000_000)), ..LIMIT };
    let found = rows(&ledger, 5 * QUARTER, grid(1, rolls, QUARTER));
    assert_eq!(imports(&found, 0), [Some(600), Some(600), Some(600), None, Some(100)]);
}

#[test]
fn an_interval_in_which_the_clock_was_set_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let at = |minute: i64, up: i64, boot: u32| {
        let mut r = reading(0, minute * MINUTE, minute);
        r.up = Some(Uptime { boot, ms: up * MINUTE });
        r
    };
    let mut sent: Vec<Reading> = (0..40).map(|m| at(m, m, 1)).collect();
    // Five minutes forward at 40, and another start of the machine at 75.
    sent.extend((45..75).map(|m| at(m, m - 5, 1)));
    sent.extend((75..120).map(|m| at(m, m - 74, 2)));
    write(&ledger, Write::Readings(sent));
    let found = rows(&ledger, 7 * QUARTER, grid(1, LIMIT, 20 * MINUTE));
    assert_eq!(imports(&found, 0), [Some(15), Some(15), None, Some(15), None, Some(15), Some(15)]);
}

/// Readings of one meter: minutes apart, and what is counted meanwhile.
fn steps() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    proptest::collection::vec((1..1_800_000_i64, 0..4000_i64, 0..900_i64), 2..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn intervals_in_a_row_add_up_to_the_difference_of_the_registers(
        homes in proptest::collection::vec(steps(), 1..3),
        late in 0..20_000_i64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let mut sent = Vec::new();
        let mut ends = Vec::new();
        for (home, steps) in homes.iter().enumerate() {
            // The first reading lies on a border, so that its register is the border's.
            let (mut at, mut import, mut export) = (0, 500, 70);
            for (step, by, out) in std::iter::once(&(0, 0, 0)).chain(steps) {
                (at, import, export) = (at + step, import + by, export + out);
                let mut r = reading(home, at, import);
                r.export = Some(WattHours(export));
                sent.push(r);
            }
            ends.push((at, import, export));
        }
        // Recorded a little out of order, as buses that share a journal do.
        sent.sort_by_key(|r| r.at.0 + if r.meter == meter(1) { late } else { 0 });
        write(&ledger, Write::Readings(sent));

        let end = ends.iter().map(|e| e.0).max().unwrap_or(0) + QUARTER;
        let guard = Guard { limit: domain::Watts(1_000_000_000), ..LIMIT };
        let found = rows(&ledger, end, grid(homes.len(), guard, 31 * MINUTE));
        prop_assert_eq!(found.len() as i64, end / QUARTER);
        for (home, (at, import, export)) in ends.iter().enumerate() {
            let known: Vec<&Load> = found.iter().filter_map(|r| r.meters.get(&meter(home))).collect();
            // Every interval that lies wholly before the last reading is there, and none after it.
            prop_assert_eq!(known.len() as i64, at / QUARTER);
            prop_assert!(known.iter().all(|l| l.import.0 >= 0 && l.export.unwrap().0 >= 0));
            let sum = known.iter().fold((0, 0), |s, l| (s.0 + l.import.0, s.1 + l.export.unwrap().0));
            // Up to the last border, which lies in the last step: no more than that is missing.
            let last = homes[home].last().unwrap();
            prop_assert!(sum.0 <= import - 500 && sum.1 <= export - 70, "{:?}", sum);
            if at % QUARTER == 0 {
                prop_assert_eq!(sum, (import - 500, export - 70));
            }
            let crossed = homes[home].iter().rev().scan(*at, |t, s| { *t -= s.0; Some((*t, *s)) })
                .take_while(|(t, s)| t + s.0 > at / QUARTER * QUARTER).fold((0, 0), |c, (_, s)| (c.0 + s.1, c.1 + s.2));
            prop_assert!(import - 500 - sum.0 <= crossed.0 && export - 70 - sum.1 <= crossed.1, "{:?} {:?}", sum, last);
        }
    }

    #[test]
    fn a_range_in_pieces_is_the_same_as_in_one(cut in 0..20_i64, steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let (mut at, mut import) = (0, 0);
        let sent = steps.iter().map(|(step, by, _)| { at += step; import += by; reading(0, at, import) }).collect();
        write(&ledger, Write::Readings(sent));
        let all = rows(&ledger, 20 * QUARTER, grid(1, LIMIT, 31 * MINUTE));
        let mut pieces = rows(&ledger, cut * QUARTER, grid(1, LIMIT, 31 * MINUTE));
        let rest = ledger.loads(Timestamp(cut * QUARTER), Timestamp(20 * QUARTER), grid(1, LIMIT, 31 * MINUTE)).unwrap();
        pieces.extend(rest.map(Result::unwrap));
        prop_assert_eq!(all, pieces);
    }
}
