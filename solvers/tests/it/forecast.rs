//! What a forecast promises, on loads whose law is known.

use domain::{LoadTable, Timestamp};
use solvers::forecast::{NoForecast, NoSeries, Outcome, Row, Series, Settings, bytes, forecast};

const HOUR: i64 = 3_600_000;
/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: i64 = 1_767_571_200_000;

/// A load with a daily and a weekly course, noise, and a level that wanders.
fn street(days: usize, seed: u64) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut level = 0.0;
    (0..days * 24)
        .map(|t| {
            let (hour, day) = ((t % 24) as f64, t / 24 % 7);
            level = 0.98 * level + 12.0 * (rng.f64() - 0.5);
            let evening = 900.0 * (-(hour - 19.0) * (hour - 19.0) / 8.0).exp();
            let weekend = if day >= 5 { 250.0 } else { 0.0 };
            (600.0 + evening + weekend + level + 60.0 * (rng.f64() - 0.5)).round()
        })
        .collect()
}

fn rows(values: &[f64]) -> Vec<Row> {
    let row = |(i, v): (usize, &f64)| Row { at: Timestamp(MONDAY + i as i64 * HOUR), offset: 0, value: Some(*v) };
    values.iter().enumerate().map(row).collect()
}

fn series(values: &[f64]) -> Series {
    Series::from_rows(&rows(values)).unwrap()
}

fn quick(horizon: usize, until: Option<usize>) -> Settings {
    let mut settings = Settings::new(horizon, 1);
    (settings.members, settings.training.epochs, settings.training.hidden) = (1, 3, 8);
    settings.train_until = until.map(|h| Timestamp(MONDAY + h as i64 * HOUR));
    settings
}

fn mase(outcome: &Outcome, model: &str) -> f64 {
    outcome.scores.iter().find(|s| s.model == model).unwrap().test.unwrap().mase.unwrap()
}

#[test]
fn what_repeats_is_forecast_better_than_by_yesterday_or_last_week() {
    let outcome = forecast(&series(&street(150, 1)), &quick(24, Some(120 * 24))).unwrap();
    let naive = mase(&outcome, "naive_day").min(mase(&outcome, "naive_week"));
    for (model, share) in [("ridge", 0.8), ("gru", 0.8), ("blend", 0.85)] {
        assert!(mase(&outcome, model) < share * naive, "{model}: {:?}", outcome.scores);
    }
    assert_eq!(outcome.origins.1, 30);
    let coverage = outcome.scores.iter().find(|s| s.model == outcome.chosen).unwrap().test.unwrap().coverage.unwrap();
    assert!((0.7..0.9).contains(&coverage), "{coverage}");
}

#[test]
fn the_same_data_and_seed_give_the_same_bytes_and_another_seed_another_model() {
    let series = series(&street(60, 2));
    let run = |seed| forecast(&series, &Settings { seed, ..quick(24, None) }).unwrap();
    let (one, same, other) = (run(1), run(1), run(2));
    assert_eq!(bytes(&one.ahead), bytes(&same.ahead));
    assert_eq!(one.model.as_ref().unwrap().bytes(), same.model.unwrap().bytes());
    assert_ne!(one.model.unwrap().bytes(), other.model.unwrap().bytes());
}

/// FNV-1a.
fn fold(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn on_every_machine_a_real_home_gives_these_bytes() {
    // Two months of a French home: UCI, "Individual household electric power consumption", CC BY 4.0, hourly means.
    let table = LoadTable::parse(include_str!("../data/home.csv")).unwrap();
    let rows: Vec<Row> = table.rows.iter().map(|r| Row { at: r.at, offset: r.offset, value: r.loads[0] }).collect();
    let outcome = forecast(&Series::from_rows(&rows).unwrap(), &Settings::new(24, 1)).unwrap();
    let model = outcome.model.unwrap();
    assert!(model.size() > 3000, "no unit was worth having: then this does not see whether it is the same");
    let found = (outcome.chosen, fold(&model.bytes()), fold(&bytes(&outcome.ahead)));
    assert_eq!(found, ("blend", 0x1003_d2b7_c5ac_a12a, 0xffbf_30c4_e265_057b), "{found:x?}");
}

#[test]
fn nothing_after_the_end_of_training_is_looked_at() {
    let mut values = street(60, 3);
    let before = forecast(&series(&values), &quick(24, Some(50 * 24))).unwrap();
    values[50 * 24..].iter_mut().for_each(|v| *v = 9.0 * *v + 7.0);
    let after = forecast(&series(&values), &quick(24, Some(50 * 24))).unwrap();
    assert_eq!((before.ahead, before.model, before.chosen), (after.ahead, after.model, after.chosen));
}

#[test]
fn flat_short_and_negative_loads_are_forecast_too() {
    let flat = forecast(&series(&[500.0; 24 * 40]), &quick(24, None)).unwrap();
    assert!(flat.ahead.iter().all(|a| (a.value - 500.0).abs() < 1e-6), "{:?}", flat.ahead);
    assert!(flat.scores.iter().all(|s| s.validation.mase.is_none()));
    let short = forecast(&series(&street(3, 1)), &quick(24, None)).unwrap();
    assert!(
        short.model.is_none() && short.scores.iter().all(|s| ["naive_day", "naive_week", "blend"].contains(&s.model))
    );
    let fed_in: Vec<f64> = street(40, 4).iter().map(|v| v - 900.0).collect();
    let outcome = forecast(&series(&fed_in), &quick(48, None)).unwrap();
    assert!(outcome.ahead.len() == 48 && outcome.ahead.iter().any(|a| a.value < 0.0));
    let zero = forecast(&series(&[0.0; 24 * 10]), &quick(24, None)).unwrap();
    let score = zero.scores[0].validation;
    assert_eq!((score.mape, score.zeros), (None, score.n));
}

#[test]
fn two_weeks_are_enough_for_a_forecast_with_a_band() {
    let outcome = forecast(&series(&street(34, 9)), &quick(24, Some(14 * 24))).unwrap();
    assert!(outcome.model.is_none());
    let of = |model: &str| outcome.scores.iter().find(|s| s.model == model).unwrap().test.unwrap();
    let naive = of("naive_day").mae.min(of("naive_week").mae);
    assert!(of("blend").mae < 1.05 * naive, "{:?}", outcome.scores);
    assert!((0.65..0.95).contains(&of("blend").coverage.unwrap()), "{:?}", of("blend"));
}

#[test]
fn a_load_that_was_never_below_zero_is_not_forecast_to_be() {
    // Half of the hours are zero, the others leap.
    let mut rng = fastrand::Rng::with_seed(6);
    let values: Vec<f64> = (0..24 * 60).map(|t| if t % 24 < 12 { 0.0 } else { f64::from(rng.u16(..900)) }).collect();
    let outcome = forecast(&series(&values), &quick(48, None)).unwrap();
    for a in &outcome.ahead {
        assert!(a.value >= 0.0 && a.quantiles.iter().all(|q| *q >= 0.0), "{a:?}");
    }
}

#[test]
fn a_band_follows_a_load_that_becomes_wilder() {
    // From day 80 on the noise is three times as wide.
    let mut rng = fastrand::Rng::with_seed(8);
    let noise = |t: usize| if t < 80 * 24 { 60.0 } else { 180.0 };
    let load = |t: usize| 600.0 + 300.0 * ((t % 24) as f64 / 24.0 * std::f64::consts::TAU).sin();
    let values: Vec<f64> = (0..24 * 140).map(|t| load(t) + noise(t) * (rng.f64() - 0.5)).collect();
    let outcome = forecast(&series(&values), &quick(24, Some(80 * 24))).unwrap();
    for s in &outcome.scores {
        let coverage = s.test.unwrap().coverage.unwrap();
        assert!((0.72..0.88).contains(&coverage), "{}: {coverage}", s.model);
    }
}

#[test]
fn energies_of_shorter_intervals_add_up_and_seconds_are_read() {
    let row = |i: i64, apart: i64| Row { at: Timestamp(MONDAY + i * apart), offset: 0, value: Some(100.0) };
    let fives: Vec<Row> = (0..12 * 24 * 3).map(|i| row(i, 300_000)).collect();
    let (power, energy) = (Series::from_rows(&fives).unwrap(), Series::from_energies(&fives).unwrap());
    assert_eq!((power.step, power.values[7], energy.values[7]), (15, 100.0, 300.0));
    let seconds: Vec<Row> = (0..4 * 60 * 24 * 3).map(|i| row(i, 15_000)).collect();
    let energy = Series::from_energies(&seconds).unwrap();
    assert_eq!((energy.step, energy.values[7]), (15, 6000.0));
}

#[test]
fn quantiles_never_fall_and_the_horizon_is_as_long_as_asked() {
    for horizon in [1, 7, 24, 100] {
        let outcome = forecast(&series(&street(45, 5)), &quick(horizon, None)).unwrap();
        assert_eq!(outcome.ahead.len(), horizon);
        for (i, a) in outcome.ahead.iter().enumerate() {
            assert_eq!(a.at, Timestamp(MONDAY + (45 * 24 + i as i64) * HOUR));
            assert!(a.quantiles.windows(2).all(|w| w[0] <= w[1]), "{a:?}");
        }
    }
    assert_eq!(forecast(&series(&street(3, 1)), &quick(0, None)), Err(NoForecast::Horizon(0)));
    assert_eq!(forecast(&series(&street(3, 1)), &quick(24, Some(30))), Err(NoForecast::Short(30)));
}

#[test]
fn gaps_are_filled_by_their_rules() {
    let mut rows = rows(&(0..24 * 21).map(|t| f64::from(t % 24) + 100.0 * f64::from(t / 24)).collect::<Vec<_>>());
    // One hour, and a day in the middle.
    rows[30].value = None;
    rows.drain(24 * 10..24 * 11);
    let series = Series::from_rows(&rows).unwrap();
    assert_eq!(series.values.len(), 24 * 21);
    assert!((series.values[30] - (series.values[29] + series.values[31]) / 2.0).abs() < 1e-9);
    // Between the same hour a week before and after: days 3 and 17.
    for hour in 0..24 {
        assert!((series.values[240 + hour] - (hour as f64 + 1000.0)).abs() < 1e-9);
    }
    assert_eq!(series.real.iter().filter(|r| !**r).count(), 25);
}

#[test]
fn a_local_day_has_the_same_slots_when_clocks_change() {
    // Central European days around 2026-03-29 (23 hours) and 2026-10-25 (25 hours): the load follows the wall clock.
    for (spring, change) in [(true, 1_774_746_000_000_i64), (false, 1_792_890_000_000)] {
        let row = |h: i64| {
            let at = change + h * HOUR;
            let offset = if (h < 0) == spring { 60 } else { 120 };
            let wall = (at / 60_000 + i64::from(offset)).rem_euclid(1440) / 60;
            Row { at: Timestamp(at), offset, value: Some(wall as f64) }
        };
        let rows: Vec<Row> = (-24 * 5..24 * 5).map(row).collect();
        let series = Series::from_rows(&rows).unwrap();
        for (i, v) in series.values.iter().enumerate() {
            let wall = series.minute(i).rem_euclid(1440) / 60;
            assert!((v - wall as f64).abs() < 1e-9, "{spring} {i}: {v} at {wall}");
        }
    }
}

#[test]
fn rows_that_are_no_series_are_refused() {
    assert_eq!(Series::from_rows(&[]), Err(NoSeries::Step(0)));
    assert_eq!(Series::from_rows(&rows(&[1.0; 30])), Err(NoSeries::Short(30)));
    let apart: Vec<Row> =
        (0..100).map(|i| Row { at: Timestamp(MONDAY + i * 7 * HOUR), offset: 0, value: Some(1.0) }).collect();
    assert_eq!(Series::from_rows(&apart), Err(NoSeries::Step(420)));
    let minutes: Vec<Row> =
        (0..1440 * 3).map(|i| Row { at: Timestamp(MONDAY + i * 60_000), offset: 0, value: Some(i as f64) }).collect();
    let quarter = Series::from_rows(&minutes).unwrap();
    assert_eq!((quarter.step, quarter.values.len(), quarter.values[1]), (15, 96 * 3, 22.0));
}
