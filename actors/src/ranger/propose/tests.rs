use super::*;
use domain::{Column, LoadRow, Unit};
use ledger::{Grid, Group};
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;

fn zone(name: &str) -> TimeZone {
    TimeZone::try_from(name.to_owned()).unwrap()
}

fn plan() -> ForecastPlan {
    ForecastPlan {
        homes: Group { name: "load".into(), meters: Vec::new() },
        grid: Grid { interval: Duration::from_secs(3600), meters: BTreeMap::new() },
        at_minute: 18 * 60,
        least_days: 14,
        notice: Duration::from_secs(4 * 3600),
        min_run: Duration::from_secs(2 * 3600),
        max_switches: 4,
        hysteresis: 100,
        seed: 1,
    }
}

/// The same in quarters of hours, of a quarter of the energy each.
fn in_quarters(hours: &LoadTable) -> LoadTable {
    let quarters = |row: &LoadRow| {
        let load = row.loads[0].map(|v| v / 4.0);
        let (from, offset) = (row.at.0, row.offset);
        (0..4).map(move |q| LoadRow { at: Timestamp(from + q * HOUR / 4), offset, loads: vec![load] })
    };
    LoadTable { columns: hours.columns.clone(), rows: hours.rows.iter().flat_map(quarters).collect() }
}

/// So many hours of a street that draws 4 kW from 17:00 to 21:00 local time and 1 kW otherwise, give or take.
fn street(zone: &TimeZone, from: Timestamp, hours: i64) -> LoadTable {
    let row = |h: i64| {
        let at = Timestamp(from.0 + h * HOUR);
        let minute = zone.local(at).minute;
        let load = if (17 * 60..21 * 60).contains(&minute) { 4000 } else { 1000 };
        LoadRow { at, offset: zone.offset(at), loads: vec![Some(f64::from(load) + (h * 7 % 50) as f64)] }
    };
    LoadTable {
        columns: vec![Column { name: "load_wh".into(), unit: Unit::WattHours }],
        rows: (0..hours).map(row).collect(),
    }
}

fn local(zone: &TimeZone, text: &str) -> Timestamp {
    zone.instant(text).unwrap()
}

fn hours(ranges: &[DayRange]) -> Vec<String> {
    ranges.iter().map(ToString::to_string).collect()
}

#[test]
fn the_evening_is_dear_and_everybody_who_has_the_history_says_so_to_the_bit() {
    let madrid = zone("Europe/Madrid");
    let from = local(&madrid, "2026-02-02");
    let history = street(&madrid, from, 20 * 24 + 18);
    let day = madrid.local(from).day + 21;
    let first = propose(&plan(), &madrid, &history, day, None).unwrap();
    assert_eq!(hours(&first.peak_hours), ["17:00-21:00"]);
    assert_eq!((first.from, first.values.len()), (local(&madrid, "2026-02-23"), 24));
    assert!((3900..4200).contains(&first.values[18]) && (900..1200).contains(&first.values[3]), "{:?}", first.values);
    assert!(first.values.iter().zip(&first.band).all(|(v, b)| b.0 <= *v && *v <= b.1), "{first:?}");
    assert_eq!(first, propose(&plan(), &madrid, &history, day, None).unwrap());
    // One reading that differs is another forecast, and shows.
    let mut tampered = history.clone();
    tampered.rows[19 * 24 + 18].loads[0] = Some(9000.0);
    let other = propose(&plan(), &madrid, &tampered, day, None).unwrap();
    assert_ne!((&other.forecast, &other.model), (&first.forecast, &first.model));
}

#[test]
fn the_days_on_which_clocks_change_have_the_hours_that_they_have() {
    let madrid = zone("Europe/Madrid");
    for (start, day, slots) in [("2026-03-08", "2026-03-29", 23), ("2026-10-04", "2026-10-25", 25)] {
        let (from, begins) = (local(&madrid, start), local(&madrid, day));
        let history = street(&madrid, from, (begins.0 - from.0) / HOUR - 6);
        let found = propose(&plan(), &madrid, &history, madrid.local(begins).day, None).unwrap();
        assert_eq!((found.values.len(), hours(&found.peak_hours)), (slots, vec!["17:00-21:00".to_owned()]), "{day}");
    }
}

#[test]
fn in_quarters_of_hours_the_longest_day_is_announced_in_halves_because_a_contract_takes_96_values() {
    let madrid = zone("Europe/Madrid");
    let quarters = ForecastPlan {
        grid: Grid { interval: Duration::from_secs(900), meters: BTreeMap::new() },
        least_days: 5,
        ..plan()
    };
    let days = [
        ("2026-03-20", "2026-03-29", 15, 92),
        ("2026-10-14", "2026-10-24", 15, 96),
        ("2026-10-16", "2026-10-25", 30, 50),
    ];
    for (start, day, minutes, slots) in days {
        let (from, begins) = (local(&madrid, start), local(&madrid, day));
        let history = in_quarters(&street(&madrid, from, (begins.0 - from.0) / HOUR - 6));
        let found = propose(&quarters, &madrid, &history, madrid.local(begins).day, None).unwrap();
        assert_eq!((found.slot_minutes, found.values.len(), found.labels.len()), (minutes, slots, slots), "{day}");
        assert_eq!(hours(&found.peak_hours), ["17:00-21:00"], "{day}");
        // What the contract holds begins and ends with the day, and its values are powers whatever a slot's length.
        let ends = begins.0 + i64::from(minutes) * 60_000 * i64::try_from(slots).unwrap();
        assert_eq!(Timestamp(ends), madrid.day_begins(madrid.local(begins).day + 1).unwrap(), "{day}");
        let (most, least) = (found.values.iter().max().unwrap(), found.values.iter().min().unwrap());
        assert!((3900..4200).contains(most) && (900..1200).contains(least), "{day}: {least} to {most}");
    }
}

#[test]
fn a_young_history_and_silent_meters_leave_the_ranges_as_they_are() {
    let utc = TimeZone::utc();
    let from = local(&utc, "2026-02-02");
    let day = utc.local(from).day + 14;
    let young = propose(&plan(), &utc, &street(&utc, from, 13 * 24 + 18), day, None);
    assert_eq!(young, Err(NoRanges::Young { have: 13, need: 14 }));
    let mut silent = street(&utc, from, 16 * 24);
    silent.rows[15 * 24 + 2..].iter_mut().for_each(|r| r.loads[0] = None);
    assert_eq!(propose(&plan(), &utc, &silent, day + 2, None), Err(NoRanges::Stale { known: 2, of: 24 }));
    let nothing = LoadTable { columns: Vec::new(), rows: Vec::new() };
    assert_eq!(propose(&plan(), &utc, &nothing, day, None), Err(NoRanges::Young { have: 0, need: 14 }));
}

#[test]
fn a_day_that_is_dear_all_over_or_twice_the_same_hour_has_hours_that_can_be_written() {
    let day: Vec<u16> = (0..24).map(|h| h * 60).collect();
    assert_eq!(hours(&peak_hours(&day, &[1; 24], 60)), ["00:00-12:00", "12:00-24:00"]);
    assert_eq!(hours(&peak_hours(&day, &[0; 24], 60)), [""; 0]);
    // 02:00 comes twice; dear in the first only.
    let minutes = [0, 60, 120, 120, 180];
    assert_eq!(hours(&peak_hours(&minutes, &[0, 0, 1, 0, 0], 60)), ["02:00-03:00"]);
    assert_eq!(hours(&peak_hours(&minutes, &[0, 0, 1, 1, 1], 60)), ["02:00-04:00"]);
    assert_eq!(hours(&peak_hours(&minutes, &[0, 0, 1, 0, 1], 60)), ["02:00-03:00", "03:00-04:00"]);
    assert_eq!(hours(&peak_hours(&[1380], &[1], 60)), ["23:00-24:00"]);
}
