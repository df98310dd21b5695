//! What comes and goes: a cumulative sum over the residuals (Page 1954).
//!
//! `S ← max(0, S + r/σ − ½)`; an episode is found where `S` passes `h`, begins where `S` last was zero, and ends where
//! the sum was highest before it had fallen by `h` again. Half a standard deviation is the slack that finds a shift of
//! one standard deviation soonest. A single wild interval counts for four deviations at most.
//!
//! From noise alone `S` passes `h` once in `(e^b − b − 1)/2/k²` intervals with `b = 2k(h + 1.166)` (Siegmund, *Sequential
//! Analysis*, 1985), which gives the `h` for the rate of false findings that is allowed.

use super::model::Model;
use super::robust::{Fit, count};
use super::{DAY, Settings, half, sure};
use domain::Timestamp;
use domain::feeder::{Cause, Estimate, Irregularity};

const SLACK: f64 = 0.5;
const MOST: f64 = 4.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Episode {
    pub first: usize,
    pub last: usize,
    pub height: f64,
}

/// How many intervals pass on the mean until noise alone reaches this height.
pub(super) fn run_length(height: f64) -> f64 {
    let b = 2.0 * SLACK * (height + 1.166);
    (b.exp() - b - 1.0) / (2.0 * SLACK * SLACK)
}

pub(super) fn height(run: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 100.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if run_length(middle) < run { low = middle } else { high = middle }
    }
    high
}

pub(super) fn episodes(residuals: impl Iterator<Item = f64>, height: f64) -> Vec<Episode> {
    let u: Vec<f64> = residuals.map(|r| r.min(MOST) - SLACK).collect();
    let mut found = Vec::new();
    let (mut sum, mut first, mut from) = (0.0, 0, 0);
    while let Some(step) = u.get(from) {
        sum += step;
        if sum <= 0.0 {
            (sum, first) = (0.0, from + 1);
        } else if sum > height {
            let (mut top, mut last) = (sum, from);
            for (at, step) in u.iter().enumerate().skip(from + 1) {
                sum += step;
                if sum > top {
                    (top, last) = (sum, at);
                } else if sum < top - height {
                    break;
                }
            }
            found.push(Episode { first, last, height: top });
            (sum, first, from) = (0.0, last + 1, last);
        }
        from += 1;
    }
    found
}

/// All episodes as one thing that comes and goes; without those that reach into `steady`, which is told otherwise.
pub(super) fn found(
    model: &Model<'_>,
    fit: &Fit,
    settings: &Settings,
    steady: Option<Timestamp>,
) -> Option<Irregularity> {
    let day = DAY.as_secs_f64() / model.interval.as_secs_f64();
    let spread = fit.inflation.sqrt();
    let standard = fit.residuals.iter().zip(&fit.noise).map(|(r, s)| r / (s * spread));
    let mut episodes = episodes(standard, height(day / half(settings)));
    let from = |row: usize| model.starts.get(row).copied().unwrap_or_default();
    episodes.retain(|e| steady.is_none_or(|steady| from(e.last) < steady || from(e.first) >= steady));
    let first = episodes.first()?;
    let (mut energy, mut variance, mut length) = (0.0, 0.0, 0.0);
    for e in &episodes {
        let rows = fit.residuals.iter().zip(&fit.noise).skip(e.first).take(e.last + 1 - e.first);
        for (r, s) in rows {
            energy += r;
            variance += s * s;
            length += 1.0;
        }
    }
    let (mean, deviation) = (energy / length, (variance * fit.inflation).sqrt() / length);
    let highest = episodes.iter().map(|e| e.height).fold(0.0, f64::max);
    Some(Irregularity {
        cause: Cause::TakeOffAtTimes,
        meter: None,
        power: Estimate {
            best: model.watts(mean),
            low: model.watts(mean - 1.96 * deviation),
            high: model.watts(mean + 1.96 * deviation),
        },
        per_day: model.per_day(energy / count(model.len())),
        counts: None,
        confidence: sure(count(model.len()) / run_length(highest)),
        since: from(first.first),
    })
}
