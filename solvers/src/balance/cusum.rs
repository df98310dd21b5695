//! What comes and goes: a cumulative sum over the residuals (Page 1954).
//!
//! `S ← max(0, S + r/σ − ½)`; an episode is found where `S` passes `h`, begins where `S` last was zero, and ends where
//! the sum was highest before it had fallen by `h` again. Half a standard deviation is the slack that finds a shift of
//! one standard deviation soonest. A single wild interval counts for four deviations at most.
//!
//! From noise alone `S` passes `h` once in `(e^b − b − 1)/2/k²` intervals with `b = 2k(h + 1.166)` (Siegmund, *Sequential
//! Analysis*, 1985), which gives the `h` for the rate of false findings that is allowed.

use super::model::Model;
use super::robust::{count, median};
use super::{DAY, Settings, half, sure};
use domain::Timestamp;
use domain::feeder::{Cause, Estimate, Irregularity};

const SLACK: f64 = 0.5;
const MOST: f64 = 4.0;
/// An episode that ends so few intervals before something steady begins is the beginning of that.
const NEAR: usize = 8;

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

/// The stretch of an episode that stands out by half of what most of it does.
fn trim(residuals: &[f64], episode: Episode) -> Episode {
    let rows = || residuals.iter().enumerate().skip(episode.first).take(episode.last + 1 - episode.first);
    let least = median(rows().map(|(_, r)| *r)) / 2.0;
    let (mut sum, mut first, mut top) = (0.0, episode.first, 0.0);
    let mut best = episode;
    for (row, r) in rows() {
        sum += r - least;
        if sum > top {
            (top, best) = (sum, Episode { first, last: row, ..episode });
        } else if sum < 0.0 {
            (sum, first) = (0.0, row + 1);
        }
    }
    best
}

/// What is left of each interval, in order: by the newest fit where there is one.
#[derive(Debug)]
pub(super) struct Rest {
    pub residuals: Vec<f64>,
    pub noise: Vec<f64>,
    pub inflation: f64,
    /// Where the newest fit begins, if it has found something: what leads up to that is its beginning.
    pub steady: Option<usize>,
}

/// All episodes as one thing that comes and goes, and when that began which the newest fit calls steady.
pub(super) fn found(model: &Model<'_>, rest: &Rest, settings: &Settings) -> (Option<Irregularity>, Option<Timestamp>) {
    let day = DAY.as_secs_f64() / model.interval.as_secs_f64();
    let spread = rest.inflation.sqrt();
    let standard = rest.residuals.iter().zip(&rest.noise).map(|(r, s)| r / (s * spread));
    let mut episodes = episodes(standard, height(day / half(settings)));
    for episode in &mut episodes {
        *episode = trim(&rest.residuals, *episode);
    }
    let from = |row: usize| model.starts.get(row).copied().unwrap_or_default();
    let leads_up = |e: &Episode| rest.steady.is_some_and(|row| e.first < row && e.last + NEAR >= row);
    let began = episodes.iter().find(|e| leads_up(e)).map(|e| from(e.first));
    episodes.retain(|e| !leads_up(e));
    (at_times(model, rest, &episodes, from), began)
}

fn at_times(
    model: &Model<'_>,
    rest: &Rest,
    episodes: &[Episode],
    from: impl Fn(usize) -> Timestamp,
) -> Option<Irregularity> {
    let first = episodes.first()?;
    let (mut energy, mut variance, mut length) = (0.0, 0.0, 0.0);
    for e in episodes {
        let rows = rest.residuals.iter().zip(&rest.noise).skip(e.first).take(e.last + 1 - e.first);
        for (r, s) in rows {
            energy += r;
            variance += s * s;
            length += 1.0;
        }
    }
    let (mean, deviation) = (energy / length, (variance * rest.inflation).sqrt() / length);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_alone_passes_the_height_about_as_often_as_siegmund_says() {
        let seed = 11;
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let normal = || (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
        let noise: Vec<f64> = std::iter::repeat_with(normal).take(2_000_000).collect();
        // Once in 20,000; after each, the sum has to fall again.
        let found = episodes(noise.into_iter(), height(20_000.0)).len();
        assert!((60..=140).contains(&found), "{found} of 100");
    }

    #[test]
    fn an_episode_has_its_beginning_and_its_end() {
        let mut u = vec![0.0; 300];
        u.iter_mut().skip(100).take(20).for_each(|v| *v = 9.0);
        u.iter_mut().skip(200).take(50).for_each(|v| *v = 2.0);
        let found = episodes(u.iter().copied(), 8.0);
        let ends: Vec<_> = found.iter().map(|e| (e.first, e.last)).collect();
        assert_eq!(ends, [(100, 119), (200, 249)]);
        // A last one that has not ended.
        assert_eq!(episodes(u.iter().copied().take(230), 8.0).last().map(|e| e.last), Some(229));
    }

    #[test]
    fn one_wild_interval_is_no_episode() {
        assert_eq!(episodes([0.0, 1e9, 0.0, 0.0, 1e9, 0.0].into_iter(), 8.0), []);
    }
}
