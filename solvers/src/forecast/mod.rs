//! What a load will be, worked out so that everybody who has the readings comes to the same bytes.
//!
//! Five models speak beside each other: the same time yesterday, the same time a week ago, a robust regression on lags
//! and calendar, a recurrent unit on what the regression leaves, and a blend of them by what each was worth lately. Each is
//! scored on days that it did not learn from, one forecast a day from a rolling origin; the blend is chosen unless another was
//! better there by more than chance, and what they were worth is told with it.
//!
//! Nothing depends on the machine: see [`gru`]. [`Model::bytes`] and [`bytes`] are what is hashed.

mod bands;
mod blend;
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

use bands::Bands;
use domain::Timestamp;
use score::{Tally, naive_error};
use thiserror::Error;

/// The models, in the order in which they are told.
pub const MODELS: [&str; 5] = ["naive_day", "naive_week", "ridge", "gru", "blend"];
/// The shares of which quantiles are told.
pub const QUANTILES: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
/// The most days that models are scored on after training.
const MOST_TEST_DAYS: usize = 120;
/// After so many days of a rolling origin the models learn again.
const RELEARN_DAYS: usize = 60;
/// The place of the blend among [`MODELS`].
const BLEND: usize = 4;
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
        let training = Training { hidden: 16, epochs: 24, batch: 8, rate: 0.01, decay: 0.1, patience: 5 };
        Self { horizon, train_until: None, seed, members: 3, training }
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
    /// The blend, unless the best on validation was better there by more than a standard error.
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

/// What was said from one origin, by every model that had something to say; in the order of [`MODELS`].
type Said = [Option<Vec<f64>>; MODELS.len()];

/// A day that was forecast.
struct Day {
    origin: usize,
    said: Said,
    /// The mean of the last seven days, then.
    usual: Vec<f64>,
}

/// Forecasts from a rolling origin, a day apart.
struct Rolling<'a> {
    series: &'a Series,
    settings: &'a Settings,
    ahead: usize,
    /// Whether the load was never below zero: then it is never forecast to be.
    positive: bool,
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
            let (said, usual) = self.say(model.as_ref(), origin);
            self.days.push(Day { origin, said, usual });
        }
    }

    /// What all models say at a slot, and what is usual there.
    fn say(&self, model: Option<&Model>, origin: usize) -> (Said, Vec<f64>) {
        let models::Said { day, week, usual, ridge, gru } = Model::say(model, self.series, origin, self.ahead);
        let (ridge, gru) = match model {
            Some(_) => (Some(ridge), Some(gru)),
            None => (None, None),
        };
        let mut said = [Some(day), Some(week), ridge, gru, None];
        said[BLEND] = Some(blend::blend(self.series, &self.days, &said, &usual, origin));
        if self.positive {
            said.iter_mut().flatten().flatten().for_each(|y| *y = y.max(0.0));
        }
        (said, usual)
    }

    /// Whether one model was better than another on some days by more than a standard error of the daily differences: what
    /// is nearer together a draw of other days could turn (the rule of Breiman, Friedman, Olshen and Stone, 1984).
    fn clearly_better(&self, days: std::ops::Range<usize>, model: usize, other: usize, to: usize) -> bool {
        let mut apart = Vec::with_capacity(days.len());
        for d in &self.days[days] {
            let (Some(said), Some(others)) = (&d.said[model], &d.said[other]) else { continue };
            let (mut sum, mut n) = (0.0, 0);
            for (i, (y, o)) in said.iter().zip(others).enumerate().take(self.settings.horizon) {
                let slot = d.origin + i;
                if slot < to && self.series.real[slot] {
                    let truth = self.series.values[slot];
                    sum += (truth - o).abs() - (truth - y).abs();
                    n += 1;
                }
            }
            if n > 0 {
                apart.push(sum / series::count_f64(n));
            }
        }
        let n = series::count_f64(apart.len());
        let mean = apart.iter().sum::<f64>() / n.max(1.0);
        let squares = apart.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>();
        apart.len() > 1 && mean > 0.0 && mean * mean > squares / (n - 1.0) / n
    }

    /// Scores of a model over some days, with the intervals that it had on each.
    fn score(&self, days: std::ops::Range<usize>, model: usize, bands: &Bands, to: usize, naive: f64) -> Score {
        let mut tally = Tally::default();
        for n in days {
            let d = &self.days[n];
            let Some(said) = &d.said[model] else { continue };
            for (ahead, y) in said.iter().enumerate().take(self.settings.horizon) {
                let slot = d.origin + ahead;
                if slot < to && self.series.real[slot] {
                    tally.add(self.series.values[slot], *y, bands.interval(n, ahead));
                }
            }
        }
        tally.score(naive)
    }
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
    let positive = kept.values[..cut].iter().all(|v| *v >= 0.0);
    let mut rolling = Rolling { series: &kept, settings, ahead, positive, days: Vec::new() };

    let whole_days = cut / day;
    let check = (whole_days / 4).clamp(1, 60);
    let from = cut - check * day;
    rolling.roll(from, cut, rolling.learn(from));
    let (before, model) = (rolling.days.len(), rolling.learn(cut));
    let (said, _) = rolling.say(model.as_ref(), cut);
    rolling.roll(cut, to, model.clone());
    let naive = naive_error(&kept.values[..cut], &kept.real[..cut], day);
    // Models that spoke on all days of the validation, and speak now.
    let spoke = |model: usize| said[model].is_some() && rolling.days[..before].iter().all(|d| d.said[model].is_some());
    let known: Vec<usize> = (0..MODELS.len()).filter(|m| spoke(*m)).collect();
    let bands: Vec<Bands> =
        known.iter().map(|m| Bands::over(&kept, &rolling.days, *m, settings.horizon, positive)).collect();
    let all = rolling.days.len();
    let scores: Vec<Scores> = known
        .iter()
        .zip(&bands)
        .map(|(m, bands)| Scores {
            model: MODELS[*m],
            validation: rolling.score(0..before, *m, bands, cut, naive),
            test: (before < all).then(|| rolling.score(before..all, *m, bands, to, naive)),
        })
        .collect();
    let mut best = 0;
    for (i, s) in scores.iter().enumerate() {
        if s.validation.mae < scores[best].validation.mae {
            best = i;
        }
    }
    let mut chosen = known[best];
    // The blend follows when habits or weather change: another is chosen only where more than chance speaks for it.
    if known.contains(&BLEND) && !rolling.clearly_better(0..before, chosen, BLEND, cut) {
        chosen = BLEND;
    }
    let said = said[chosen].as_deref().unwrap_or_default();
    let quantiles = Bands::at(&kept, &rolling.days[..before], chosen, said, cut, settings.horizon, positive);
    let ahead = said.iter().zip(quantiles).take(settings.horizon).enumerate();
    let ahead = ahead.map(|(i, (y, quantiles))| Ahead { at: kept.instant(cut + i), value: *y, quantiles }).collect();
    let data = (kept.instant(0), kept.instant(cut));
    Ok(Outcome { scores, chosen: MODELS[chosen], ahead, model, data, origins: (before, all - before) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a model that says these levels, one a day, is clearly better than one that says the others; the load is zero.
    fn clearly(levels: &[f64], others: &[f64]) -> bool {
        let slots = 24 * levels.len();
        let series = Series { first: 0, step: 60, offset: 0, values: vec![0.0; slots], real: vec![true; slots] };
        let says = |n: usize| [Some(vec![levels[n]; 24]), Some(vec![others[n]; 24]), None, None, None];
        let day = |n: usize| Day { origin: 24 * n, said: says(n), usual: vec![0.0; 24] };
        let settings = Settings::new(24, 1);
        let days = (0..levels.len()).map(day).collect();
        let rolling = Rolling { series: &series, settings: &settings, ahead: 24, positive: false, days };
        rolling.clearly_better(0..levels.len(), 0, 1, slots)
    }

    #[test]
    fn what_a_draw_of_other_days_could_turn_is_not_clearly_better() {
        // Better on the average by 0.5 either way: on all days alike, or by one day of ten.
        assert!(clearly(&[1.0; 10], &[1.4, 1.6, 1.4, 1.6, 1.4, 1.6, 1.4, 1.6, 1.4, 1.6]));
        assert!(!clearly(&[1.0; 10], &[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 10.5]));
        assert!(!clearly(&[1.6; 10], &[1.0; 10]));
        assert!(!clearly(&[1.0; 10], &[1.0; 10]));
        assert!(!clearly(&[1.0], &[9.0]));
    }
}
