//! What a load will be, worked out so that everybody who has the readings comes to the same bytes.
//!
//! Five models speak beside each other: the same time yesterday, the same time a week ago, a robust regression on lags
//! and calendar, a recurrent unit on what the regression leaves, and a blend of them by what each was worth lately. Each is scored on days that it did not learn from,
//! one forecast a day from a rolling origin; the best there is chosen, and what they were worth is told with it.
//!
//! Nothing depends on the machine: see [`gru`]. [`Model::bytes`] and [`bytes`] are what is hashed.

mod features;
pub mod gru;
mod linear;
mod models;
mod rng;
mod score;
mod series;

pub use gru::Training;
pub use models::Model;
pub use score::Score;
pub use series::{NoSeries, Row, Series};

use domain::Timestamp;
use models::Said;
use score::{Tally, conformal, naive_error};
use thiserror::Error;

/// The models, in the order in which they are told: of equally good ones the first is chosen.
pub const MODELS: [&str; 5] = ["naive_day", "naive_week", "ridge", "gru", "blend"];
/// The shares of which quantiles are told.
pub const QUANTILES: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
/// The most days that models are scored on after training.
const MOST_TEST_DAYS: usize = 120;
/// After so many days of a rolling origin the models learn again.
const RELEARN_DAYS: usize = 60;
/// Days by which the blend weighs.
const BLEND_DAYS: usize = 14;
/// Days from which intervals are made.
const INTERVAL_DAYS: usize = 60;
/// The most days that are kept of a series: two years to learn from, and lags.
const MOST_DAYS: usize = 800;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many slots ahead.
    pub horizon: usize,
    /// Nothing from there on is learned from; the end of the series if left out.
    pub train_until: Option<Timestamp>,
    /// Of all that is random.
    pub seed: u64,
    /// How many units are trained; what they say is averaged.
    pub members: usize,
    /// How each is trained.
    pub training: Training,
}

impl Settings {
    /// The usual settings for so many slots ahead.
    #[must_use]
    pub fn new(horizon: usize, seed: u64) -> Self {
        let training = Training { hidden: 16, epochs: 16, batch: 8, rate: 0.004, patience: 4 };
        Self { horizon, train_until: None, seed, members: 2, training }
    }
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoForecast {
    /// Less than two days before training ends.
    #[error("{0} values to learn from are too few: two days are the least")]
    Short(usize),
    /// A horizon that nobody can see to.
    #[error("a horizon of {0} slots: between one slot and 14 days can be forecast")]
    Horizon(usize),
}

/// One slot to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// When it begins.
    pub at: Timestamp,
    /// The forecast.
    pub value: f64,
    /// At [`QUANTILES`]; they never fall.
    pub quantiles: [f64; QUANTILES.len()],
}

/// Scores of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Which.
    pub model: &'static str,
    /// On the last days before training ended, by models that had not seen them.
    pub validation: Score,
    /// On the days after training ended, if the series has any.
    pub test: Option<Score>,
}

/// A forecast and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Of every model that could be fitted.
    pub scores: Vec<Scores>,
    /// The one with the least error on validation.
    pub chosen: &'static str,
    /// The slots after training ended, by the chosen model.
    pub ahead: Vec<Ahead>,
    /// What was learned; `None` if the series is too short for more than the naive models.
    pub model: Option<Model>,
    /// The first instant that was learned from, and the first after.
    pub data: (Timestamp, Timestamp),
    /// Origins of the validation, and of the test.
    pub origins: (usize, usize),
}

/// A forecast's values as bytes: 64 bits each, big-endian.
#[must_use]
pub fn bytes(ahead: &[Ahead]) -> Vec<u8> {
    ahead.iter().flat_map(|a| a.value.to_bits().to_be_bytes()).collect()
}

/// What was said from one origin, by every model.
struct Day {
    origin: usize,
    said: Vec<Vec<f64>>,
}

/// Forecasts from a rolling origin, a day apart.
struct Rolling<'a> {
    series: &'a Series,
    settings: &'a Settings,
    ahead: usize,
    days: Vec<Day>,
}

impl Rolling<'_> {
    fn learn(&self, until: usize) -> Option<Model> {
        let s = self.settings;
        Model::learn(self.series, until, self.ahead, &s.training, s.members, s.seed)
    }

    /// Forecasts from every day between two slots, each with what was known then.
    fn roll(&mut self, from: usize, to: usize, mut model: Option<Model>) {
        let day = self.series.day();
        for (n, origin) in (from..to).step_by(day).enumerate() {
            if n > 0 && n % RELEARN_DAYS == 0 && to - origin > RELEARN_DAYS * day / 2 {
                model = self.learn(origin);
            }
            let said = self.say(model.as_ref(), origin);
            self.days.push(Day { origin, said });
        }
    }

    /// What all models say at a slot.
    fn say(&self, model: Option<&Model>, origin: usize) -> Vec<Vec<f64>> {
        let Said { day, week, ridge, gru } = Model::say(model, self.series, origin, self.ahead);
        let mut said = if model.is_some() { vec![day, week, ridge, gru] } else { vec![day, week] };
        if model.is_some() {
            said.push(self.blend(&said, origin));
        }
        said
    }

    /// The mean of what was said, weighted by the third power of one over the error on the last days. The regression is in
    /// it through the unit.
    fn blend(&self, said: &[Vec<f64>], origin: usize) -> Vec<f64> {
        let newest = self.days.len().saturating_sub(BLEND_DAYS);
        let error = |model: usize| {
            let (mut sum, mut n) = (0.0, 0);
            for d in &self.days[newest..] {
                let Some(said) = d.said.get(model) else { continue };
                for (i, y) in
                    said.iter().enumerate().filter(|(i, _)| d.origin + i < origin && self.series.real[d.origin + i])
                {
                    sum += (self.series.values[d.origin + i] - y).abs();
                    n += 1;
                }
            }
            if n == 0 { 1.0 } else { sum / series::count_f64(n) }
        };
        let models = [0, 1, 3];
        let errors = models.map(error);
        let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
        let weights = errors.map(|e| {
            // Without error on all these days, a model is believed alone.
            let worse = if e <= least { 1.0 } else { least / e };
            worse * worse * worse
        });
        let all: f64 = weights.iter().sum();
        let of = |i: usize| models.iter().zip(weights).map(|(m, w)| w * said[*m][i]).sum::<f64>() / all;
        (0..said[0].len()).map(of).collect()
    }

    /// By how much a model missed so many slots ahead, on the days before a slot but one, near that time of day; in order.
    fn misses(&self, model: usize, ahead: usize, before: usize, but: Option<usize>) -> Vec<f64> {
        let near = self.series.day() / 24;
        let slots = ahead.saturating_sub(near)..=(ahead + near).min(self.settings.horizon - 1);
        let until = self.days.partition_point(|d| d.origin < before);
        let from = until.saturating_sub(INTERVAL_DAYS);
        let mut found = Vec::new();
        for (_, d) in self.days[..until].iter().enumerate().skip(from).filter(|(n, _)| Some(*n) != but) {
            let Some(said) = d.said.get(model) else { continue };
            for i in slots.clone() {
                let slot = d.origin + i;
                if slot < before && self.series.real[slot] {
                    found.push(self.series.values[slot] - said[i]);
                }
            }
        }
        found.sort_unstable_by(f64::total_cmp);
        found
    }

    /// Scores of a model on some days. Intervals on the days before `cut` come from the other days before it, those of a
    /// later day from the days before that.
    fn score(&self, days: std::ops::Range<usize>, model: usize, cut: usize, to: usize, naive: f64) -> Score {
        let mut tally = Tally::default();
        let intervals = self.days.iter().filter(|d| d.origin < cut).count() > 2;
        for n in days {
            let d = &self.days[n];
            for ahead in 0..self.settings.horizon {
                let slot = d.origin + ahead;
                let Some(said) = d.said.get(model).map(|s| s[ahead]) else { continue };
                if slot >= to || !self.series.real[slot] {
                    continue;
                }
                let misses = if d.origin < cut {
                    self.misses(model, ahead, cut, Some(n))
                } else {
                    self.misses(model, ahead, d.origin, None)
                };
                let interval = (said + quantile(&misses, 0.1), said + quantile(&misses, 0.9));
                tally.add(self.series.values[slot], said, intervals.then_some(interval));
            }
        }
        tally.score(naive, intervals)
    }
}

/// A quantile of sorted misses, on the safe side of the middle on both sides.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    if share >= 0.5 {
        return conformal(sorted, share);
    }
    let turned: Vec<f64> = sorted.iter().rev().map(|m| -m).collect();
    -conformal(&turned, 1.0 - share)
}

/// Learns, scores, chooses and forecasts.
///
/// # Errors
/// See [`NoForecast`].
pub fn forecast(series: &Series, settings: &Settings) -> Result<Outcome, NoForecast> {
    let day = series.day();
    if settings.horizon == 0 || settings.horizon > 14 * day {
        return Err(NoForecast::Horizon(settings.horizon));
    }
    let cut = settings.train_until.map_or(series.values.len(), |at| series.slot_at(at));
    if cut < 2 * day {
        return Err(NoForecast::Short(cut));
    }
    // Bounded: years that lie too far back say nothing, and what comes long after is not scored.
    let end = series.values.len().min(cut + MOST_TEST_DAYS * day);
    let mut kept = series.clone();
    kept.values.truncate(end);
    kept.real.truncate(end);
    let kept = kept.last(MOST_DAYS * day + end - cut);
    let cut = cut - (end - kept.values.len());
    let to = end.min(kept.values.len());
    let ahead = settings.horizon.div_ceil(day) * day;
    let mut rolling = Rolling { series: &kept, settings, ahead, days: Vec::new() };

    let whole_days = cut / day;
    let check = (whole_days / 4).clamp(1, 60);
    let from = cut - check * day;
    rolling.roll(from, cut, rolling.learn(from));
    let (before, model) = (rolling.days.len(), rolling.learn(cut));
    let said = rolling.say(model.as_ref(), cut);
    rolling.roll(cut, to, model.clone());
    let naive = naive_error(&kept.values[..cut], &kept.real[..cut], day);
    // Models that spoke on all days of the validation, and speak now.
    let known = rolling.days[..before].iter().map(|d| d.said.len()).min().unwrap_or(2).min(said.len());
    let all = rolling.days.len();
    let scores: Vec<Scores> = (0..known)
        .map(|i| Scores {
            model: MODELS[i],
            validation: rolling.score(0..before, i, cut, cut, naive),
            test: (before < all).then(|| rolling.score(before..all, i, cut, to, naive)),
        })
        .collect();
    let mut best = 0;
    for (i, s) in scores.iter().enumerate() {
        if s.validation.mae < scores[best].validation.mae {
            best = i;
        }
    }
    let said = &said[best];
    let ahead = (0..settings.horizon)
        .map(|i| {
            let misses = rolling.misses(best, i, cut, None);
            let quantiles = QUANTILES.map(|p| said[i] + quantile(&misses, p));
            Ahead { at: kept.instant(cut + i), value: said[i], quantiles }
        })
        .collect();
    let data = (kept.instant(0), kept.instant(cut));
    Ok(Outcome { scores, chosen: MODELS[best], ahead, model, data, origins: (before, all - before) })
}
