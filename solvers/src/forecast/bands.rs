//! Quantiles around a forecast, from what it missed before.
//!
//! Split conformal over a rolling window: the misses of the last 60 days at that time of day (an hour around), in units of
//! how much the model missed by lately, so that a band widens when the weather turns. The level of each quantile follows
//! what came true (adaptive conformal inference, Gibbs and Candès, 2021): below one that too few values fell under, it is
//! raised, day by day.

use super::series::{Series, count_f64};
use super::{Day, QUANTILES};

/// Days from which quantiles are made.
const WINDOW: usize = 60;
/// After so many days a miss counts half in what is usual lately.
const HALF: f64 = 14.0;
/// How much of a day's surplus the level is moved by.
const STEP: f64 = 0.05;
/// Levels stay between that and one minus that.
const EDGE: f64 = 0.002;
/// Before so many days there is no band to score.
const LEAST: usize = 3;
/// The quantiles that are scored: those of 80 %.
const SCORED: (usize, usize) = (1, 5);

type Quantiles = [f64; QUANTILES.len()];

/// The bands of one model over days in a row.
pub(super) struct Bands {
    /// For every day the interval of every slot ahead; empty before there is one.
    days: Vec<Vec<(f64, f64)>>,
}

/// What is carried from day to day.
struct State {
    levels: Quantiles,
    /// How much the model misses by, lately.
    usual: Option<f64>,
    /// Every day's origin, and its misses in units of what was usual then; `None` where nothing was recorded.
    misses: Vec<(usize, Vec<Option<f64>>)>,
}

impl State {
    fn new() -> Self {
        Self { levels: QUANTILES, usual: None, misses: Vec::new() }
    }

    /// The quantiles of every slot of a forecast from a slot on: from what is known there.
    fn around(&self, series: &Series, origin: usize, said: &[f64], horizon: usize, positive: bool) -> Vec<Quantiles> {
        let near = series.day() / 24;
        let window = &self.misses[self.misses.len().saturating_sub(WINDOW)..];
        let unit = self.usual.unwrap_or(0.0);
        (0..said.len().min(horizon))
            .map(|i| {
                let slots = i.saturating_sub(near)..=i + near;
                let mut found = Vec::new();
                for (from, misses) in window {
                    let past = slots.clone().filter(|s| from + s < origin);
                    found.extend(past.filter_map(|s| misses.get(s).copied().flatten()));
                }
                found.sort_unstable_by(f64::total_cmp);
                let mut all = self.levels.map(|p| said[i] + unit * quantile(&found, p));
                if positive {
                    all.iter_mut().for_each(|q| *q = q.max(0.0));
                }
                // Levels move each for itself: they must not cross.
                all.sort_unstable_by(f64::total_cmp);
                all
            })
            .collect()
    }

    /// Takes in how a day came out.
    fn learn(&mut self, series: &Series, day: &Day, said: &[f64], bands: &[Quantiles]) {
        let known = |i: usize| {
            let slot = day.origin + i;
            series.real.get(slot).is_some_and(|real| *real).then(|| series.values[slot])
        };
        let (mut sum, mut n, mut below) = (0.0, 0, [0_usize; QUANTILES.len()]);
        for (i, y) in said.iter().enumerate().take(series.day()) {
            let Some(truth) = known(i) else { continue };
            (sum, n) = (sum + (truth - y).abs(), n + 1);
            if let Some(quantiles) = bands.get(i) {
                below.iter_mut().zip(quantiles).for_each(|(b, q)| *b += usize::from(truth <= *q));
            }
        }
        let unit = self.usual.filter(|u| *u > 0.0).unwrap_or(if n > 0 { sum / count_f64(n) } else { 1.0 });
        let scaled = |i: usize| known(i).map(|v| if unit > 0.0 { (v - said[i]) / unit } else { 0.0 });
        self.misses.push((day.origin, (0..said.len()).map(scaled).collect()));
        if n == 0 {
            return;
        }
        if self.misses.len() > LEAST {
            for ((level, wanted), below) in self.levels.iter_mut().zip(QUANTILES).zip(below) {
                let off = wanted - count_f64(below) / count_f64(n);
                *level = (*level + STEP * off).clamp(EDGE, 1.0 - EDGE);
            }
        }
        let fade = libm::exp2(-1.0 / HALF);
        let miss = sum / count_f64(n);
        self.usual = Some(self.usual.map_or(miss, |u| fade * u + (1.0 - fade) * miss));
    }
}

impl Bands {
    /// The bands of all days, each from the days before it.
    pub fn over(series: &Series, days: &[Day], model: usize, horizon: usize, positive: bool) -> Self {
        let mut state = State::new();
        let mut found = Vec::with_capacity(days.len());
        for day in days {
            let Some(said) = &day.said[model] else {
                found.push(Vec::new());
                continue;
            };
            let known = state.misses.len() >= LEAST;
            // Levels are learnt from whole days, as `at` learns them, however short what is asked for is.
            let slots = horizon.max(series.day());
            let bands = if known { state.around(series, day.origin, said, slots, positive) } else { Vec::new() };
            state.learn(series, day, said, &bands);
            found.push(bands.iter().take(horizon).map(|q| (q[SCORED.0], q[SCORED.1])).collect());
        }
        Self { days: found }
    }

    /// The quantiles of a forecast at a slot, from all these days.
    pub fn at(
        series: &Series,
        days: &[Day],
        model: usize,
        said: &[f64],
        origin: usize,
        horizon: usize,
        positive: bool,
    ) -> Vec<Quantiles> {
        let mut state = State::new();
        for day in days {
            let Some(past) = &day.said[model] else { continue };
            let known = state.misses.len() >= LEAST;
            let bands = if known { state.around(series, day.origin, past, series.day(), positive) } else { Vec::new() };
            state.learn(series, day, past, &bands);
        }
        state.around(series, origin, said, horizon, positive)
    }

    /// The interval of 80 % that a day had for a slot ahead.
    pub fn interval(&self, day: usize, ahead: usize) -> Option<(f64, f64)> {
        self.days[day].get(ahead).copied()
    }
}

/// A quantile of sorted misses as split conformal prediction takes it, on the safe side of the middle on both sides: the
/// `⌈(n + 1)·p⌉`-th from below, or as many from above.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let n = sorted.len();
    let wanted = (count_f64(n + 1) * share.max(1.0 - share)).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between one and n")]
    let rank = wanted.clamp(1.0, count_f64(n.max(1))) as usize;
    let at = if share >= 0.5 { rank.checked_sub(1) } else { n.checked_sub(rank) };
    at.and_then(|at| sorted.get(at)).copied().unwrap_or(0.0)
}
