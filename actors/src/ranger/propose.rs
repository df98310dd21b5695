//! Which ranges tomorrow has: decided from a load history alone, so that everybody who has it decides the same.

use super::ForecastPlan;
use contracts::{keccak256, tou};
use domain::{DayRange, LoadTable, TimeZone, Timestamp};
use ledger::DayAhead;
use solvers::forecast::{Ahead, Model, Row, Series, Settings, forecast};
use solvers::tou::{MAX_VALUES, Rails, kmeans};
use std::time::Duration;
use thiserror::Error;

const DAY_MINUTES: i64 = 1440;
/// Dearer and cheaper: what the tariff and the contract's registers know.
const RANGES: u8 = 2;
/// A quarter of the last day may be unknown, not more: else the forecast does not know what happens now.
const STALE: usize = 4;
/// The quantiles of [`solvers::forecast::QUANTILES`] between which four of five are expected.
const BAND: (usize, usize) = (1, 5);

/// Why a day has no ranges of its own.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoRanges {
    /// Nothing is wrong: the history is young.
    #[error("{have} of {need} days of history: the ranges stay as they are until then")]
    Young {
        /// Whole days' worth of known intervals.
        have: usize,
        /// As configured.
        need: usize,
    },
    /// The last day is mostly unknown.
    #[error("only {known} of the last {of} intervals are known: are meters silent?")]
    Stale {
        /// Intervals with a value.
        known: usize,
        /// Intervals of a day.
        of: usize,
    },
    /// The mathematics says no.
    #[error("{0}")]
    Unforeseen(String),
}

fn unforeseen(error: impl std::fmt::Display) -> NoRanges {
    NoRanges::Unforeseen(error.to_string())
}

/// The ranges of a local day (counted from 1970-01-01), from a history that ends before it. `yesterday` are the ranges of
/// the day before, which noise does not change.
pub(super) fn propose(
    plan: &ForecastPlan,
    zone: &TimeZone,
    history: &LoadTable,
    day: i32,
    yesterday: Option<&[u8]>,
) -> Result<DayAhead, NoRanges> {
    let step = i64::try_from(plan.grid.interval.as_secs() / 60).map_err(unforeseen)?;
    let a_day = usize::try_from(DAY_MINUTES / step).map_err(unforeseen)?;
    let known = history.rows.iter().filter(|r| r.loads[0].is_some()).count();
    let need = usize::try_from(plan.least_days).unwrap_or(usize::MAX);
    if known / a_day < need {
        return Err(NoRanges::Young { have: known / a_day, need });
    }
    let last = &history.rows[history.rows.len().saturating_sub(a_day)..];
    let known = last.iter().filter(|r| r.loads[0].is_some()).count();
    if known < last.len() - last.len() / STALE {
        return Err(NoRanges::Stale { known, of: last.len() });
    }
    let rows: Vec<Row> = history.rows.iter().map(|r| Row { at: r.at, offset: r.offset, value: r.loads[0] }).collect();
    let series = Series::from_rows(&rows).map_err(unforeseen)?;
    // In local wall time, where the series counts: from its end to the end of the day.
    let (ends, begins) = (series.minute(series.values.len()), i64::from(day) * DAY_MINUTES);
    let skipped = usize::try_from((begins - ends) / step).map_err(unforeseen)?;
    let outcome = forecast(&series, &Settings::new(skipped + a_day, plan.seed)).map_err(unforeseen)?;
    let ahead = &outcome.ahead[skipped..];

    // The slots that the day really has: 23 hours' worth in spring, 25 in autumn. A contract takes 96 at most: the 100
    // quarters of the autumn day go in halves of hours.
    let day_begins = |day| zone.day_begins(day).ok_or_else(|| unforeseen("the day is beyond the calendar"));
    let (from, until) = (day_begins(day)?, day_begins(day + 1)?);
    let slots = until.since(from).as_secs() / 60 / step.unsigned_abs();
    let parts = usize::try_from(slots).map_err(unforeseen)?.div_ceil(MAX_VALUES);
    let minutes = step.unsigned_abs() * u64::try_from(parts).map_err(unforeseen)?;
    let slot = Duration::from_secs(minutes * 60);
    let times: Vec<Timestamp> =
        std::iter::successors(Some(from), |t| Some(*t + slot)).take_while(|t| *t < until).collect();
    let minute = |t: &Timestamp| zone.local(*t).minute;
    let slot_minutes = u16::try_from(minutes).map_err(unforeseen)?;
    let (mut values, mut band) = (Vec::new(), Vec::new());
    for t in &times {
        let at = usize::try_from(i64::from(minute(t)) / step).map_err(unforeseen)?;
        let a = ahead.get(at..at + parts).ok_or_else(|| unforeseen("the forecast is shorter than the day"))?;
        // Energies of the parts add up; over the slot they are a mean power.
        let watts = |of: fn(&Ahead) -> f64| whole(a.iter().map(of).sum::<f64>() * 60.0 / f64::from(slot_minutes));
        values.push(watts(|a| a.value));
        band.push((watts(|a| a.quantiles[BAND.0]), watts(|a| a.quantiles[BAND.1])));
    }
    let clusters = kmeans(&values, RANGES.into()).map_err(unforeseen)?;
    let rails = Rails {
        min_run: usize::try_from(plan.min_run.as_secs() / slot.as_secs().max(1)).map_err(unforeseen)?.max(1),
        max_switches: plan.max_switches,
        hysteresis: plan.hysteresis,
    };
    let labels = rails.apply(&values, &clusters, yesterday).map_err(unforeseen)?;
    let minutes: Vec<u16> = times.iter().map(minute).collect();
    let model = outcome.model.as_ref().map(Model::bytes).unwrap_or_default();
    Ok(DayAhead {
        from,
        slot_minutes,
        peak_hours: peak_hours(&minutes, &labels, slot_minutes),
        forecast: tou::forecast_hash(&values).to_string(),
        values,
        band,
        clusters: clusters.labels,
        labels,
        data: outcome.data,
        chosen: outcome.chosen.to_owned(),
        model: keccak256(model).to_string(),
    })
}

/// Rounded to the nearest, halves away from zero; beyond what a contract can take, the utmost.
fn whole(watts: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
    let whole = watts.round() as i32;
    whole
}

/// The runs of the upper range as hours of the day.
fn peak_hours(minutes: &[u16], labels: &[u8], step: u16) -> Vec<DayRange> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    let mut open = false;
    for (minute, label) in minutes.iter().zip(labels) {
        let end = minute + step;
        match (label, found.last_mut()) {
            (0, _) => open = false,
            // The hour that autumn repeats has its hour already.
            (_, Some(run)) if open => run.1 = run.1.max(end),
            (_, Some(run)) if *minute < run.1 => open = true,
            _ => {
                found.push((*minute, end));
                open = true;
            }
        }
    }
    let halves = |(start, end): (u16, u16)| match DayRange::new(start, end) {
        Some(range) => vec![range],
        // A whole day is no range of a day, but two halves are.
        None => [(0, 720), (720, 1440)].into_iter().filter_map(|(a, b)| DayRange::new(a, b)).collect(),
    };
    found.into_iter().flat_map(halves).collect()
}

#[cfg(test)]
mod tests;
