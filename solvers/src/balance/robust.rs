//! A fit that a minority of odd intervals cannot bend.
//!
//! Iteratively reweighted: Huber's weights find the way, since they have one answer only; Tukey's bisquare gives the
//! last word, since it lets intervals that plainly belong to something else go altogether (Maronna, Martin and Yohai,
//! *Robust Statistics*, chapters 4 and 5). The noise is estimated by the median absolute deviation; it grows with
//! what flows, because meters are not read at one instant.

use crate::ridge::{Posterior, Prior, solve};
use nalgebra::{DMatrix, DVector};
use std::f64::consts::SQRT_2;

/// 95 % efficient at the normal distribution.
const HUBER: f64 = 1.345;
const BISQUARE: f64 = 4.685;
/// From the median absolute deviation to the standard deviation of a normal distribution.
const MAD: f64 = 1.4826;
/// A minority is less than the rest of this.
const BULK: f64 = 0.6;
/// Of the middle noise, the least that the fit believes.
const LEVEL: f64 = 0.75;
/// How many neighbouring intervals may share an error.
const LAGS: usize = 8;
/// Residuals that hang together by more than this are no noise.
const MOST_INFLATION: f64 = 4.0;

/// Rows with what is needed to judge their noise.
#[derive(Debug)]
pub(super) struct Rows {
    pub x: DMatrix<f64>,
    pub y: DVector<f64>,
    /// The root of the sum of squares of all powers: what readings at different moments are off by, but for a factor.
    pub swing: Vec<f64>,
    /// The hour of the day.
    pub hours: Vec<u32>,
    /// Noise that is always there: registers count in steps.
    pub floor: f64,
    /// Coefficients that cannot be negative.
    pub positive: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Fit {
    pub posterior: Posterior,
    /// Variance of each coefficient as the rows show it, at least what the model says: where a home draws much its own
    /// reading is the noise, and such rows have the most to say about it (the sandwich of Huber 1967 and White 1980).
    pub variance: Vec<f64>,
    pub residuals: Vec<f64>,
    /// Standard deviation of each residual.
    pub noise: Vec<f64>,
    /// By how much variances of means are larger than they were if residuals were independent.
    pub inflation: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tail {
    Huber,
    Bisquare,
}

pub(super) fn fit(rows: &Rows, prior: &[Prior], last: Tail) -> Option<Fit> {
    let mean = DVector::from_iterator(prior.len(), prior.iter().map(|p| p.mean));
    let mut residuals = residuals(rows, &mean);
    // Where the bulk lies, before anything is fitted: a large take-off must not look like noise.
    let centre = median(residuals.iter().copied());
    for r in &mut residuals {
        *r -= centre;
    }
    let found = reweigh(rows, prior, residuals, (Tail::Huber, 5))?;
    match last {
        Tail::Huber => Some(found),
        Tail::Bisquare => reweigh(rows, prior, found.residuals, (Tail::Bisquare, 6)),
    }
}

/// A fit that begins from some hours of the day only, whichever leave the least of the bulk unexplained. Who takes much
/// for several hours a day bends the other fit, whose way has one end only.
pub(super) fn fit_by_hours(rows: &Rows, prior: &[Prior]) -> Option<Fit> {
    let mut best: Option<(f64, Vec<f64>)> = None;
    for from in (0..24).step_by(3) {
        let inside = |hour: &u32| (hour + 24 - from) % 24 < 12;
        let mut weights: Vec<f64> = rows.hours.iter().map(|h| f64::from(u8::from(inside(h)))).collect();
        let mut left = rows.y.iter().copied().collect::<Vec<f64>>();
        // Concentration: fit what was explained best so far, and look again (Rousseeuw and Van Driessen 1999).
        for _ in 0..3 {
            let precision = rows.floor.max(MAD * median(left.iter().map(|r| r.abs()))).powi(2);
            weights.iter_mut().for_each(|w| *w /= precision);
            left = residuals(rows, &constrained(rows, &weights, prior)?.mean);
            let bulk = quantile(left.iter().map(|r| r.abs()), BULK);
            weights = left.iter().map(|r| f64::from(u8::from(r.abs() <= bulk))).collect();
        }
        let unexplained = quantile(left.iter().map(|r| r.abs()), BULK);
        if best.as_ref().is_none_or(|(least, _)| unexplained < *least) {
            best = Some((unexplained, left));
        }
    }
    reweigh(rows, prior, best?.1, (Tail::Bisquare, 8))
}

impl Fit {
    /// What the bulk of the intervals leaves unexplained at most.
    pub fn bulk(&self) -> f64 {
        quantile(self.residuals.iter().map(|r| r.abs()), BULK)
    }
}

fn reweigh(rows: &Rows, prior: &[Prior], mut residuals: Vec<f64>, (tail, rounds): (Tail, usize)) -> Option<Fit> {
    let (mut found, mut weights, mut effective) = (None, Vec::new(), 0.0);
    for _ in 0..rounds {
        let noise = levelled(&noise(rows, &residuals, effective));
        weights = residuals.iter().zip(&noise).map(|(r, s)| weight(tail, r / s) / (s * s)).collect::<Vec<f64>>();
        let posterior = constrained(rows, &weights, prior)?;
        effective = posterior.effective;
        residuals = self::residuals(rows, &posterior.mean);
        found = Some(posterior);
    }
    let noise = noise(rows, &residuals, effective);
    let inflation = inflation(&residuals, &noise);
    let posterior = found?;
    let variance = sandwich(rows, &posterior, &residuals, &weights, prior);
    Some(Fit { posterior, variance, residuals, noise, inflation })
}

fn weight(tail: Tail, u: f64) -> f64 {
    match tail {
        Tail::Huber => (HUBER / u.abs().max(HUBER)).min(1.0),
        Tail::Bisquare => {
            let inside = 1.0 - (u / BISQUARE).powi(2);
            if inside > 0.0 { inside * inside } else { 0.0 }
        }
    }
}

fn sandwich(rows: &Rows, posterior: &Posterior, residuals: &[f64], weights: &[f64], prior: &[Prior]) -> Vec<f64> {
    let covariance = &posterior.covariance;
    let pull = DVector::from_iterator(weights.len(), residuals.iter().zip(weights).map(|(r, w)| r * w));
    let spread = &rows.x * covariance;
    let columns = spread.column_iter().zip(covariance.column_iter()).enumerate();
    columns
        .map(|(i, (column, own))| {
            let rows: f64 = column.iter().zip(pull.iter()).map(|(g, pull)| (g * pull).powi(2)).sum();
            let priors: f64 = own.iter().zip(prior).map(|(c, p)| p.precision * c * c).sum();
            (rows + priors).max(covariance[(i, i)])
        })
        .collect()
}

/// A loss that came out negative is none: it is held at zero, and the rest is fitted without it.
fn constrained(rows: &Rows, weights: &[f64], prior: &[Prior]) -> Option<Posterior> {
    let mut held = prior.to_vec();
    loop {
        let posterior = solve(&rows.x, &rows.y, weights, &held)?;
        let negative =
            |i: &&usize| posterior.mean[**i] < -1e-9 && held[**i].mean >= 0.0 && held[**i].precision < PINNED;
        match rows.positive.iter().find(negative) {
            Some(i) => held[*i] = Prior { mean: 0.0, precision: PINNED },
            None => return Some(posterior),
        }
    }
}

const PINNED: f64 = 1e12;

fn residuals(rows: &Rows, mean: &DVector<f64>) -> Vec<f64> {
    (&rows.y - &rows.x * mean).iter().copied().collect()
}

/// The noise of each interval: `σ² = k²(a² + b²q²)`, with `q` what a meter that is read at another moment than its
/// neighbours is off by. How `a` and `b` compare is told by the differences from one interval to the next, since who
/// takes a steady power for hours is in few of them; `k` by the whole. What the fit has swallowed of the noise is given
/// back by way of the degrees of freedom.
fn noise(rows: &Rows, residuals: &[f64], effective: f64) -> Vec<f64> {
    let n = residuals.len();
    let middle = median(rows.swing.iter().copied());
    let pairs = || {
        let next = residuals.iter().zip(&rows.swing).skip(1);
        residuals.iter().zip(&rows.swing).zip(next).map(|((r, q), (s, p))| (r - s, q.hypot(*p) / SQRT_2))
    };
    let busy = pairs().filter(|(_, q)| *q > middle).map(|(d, q)| (d / q).abs());
    let b = MAD / SQRT_2 * median(busy);
    let quiet = || pairs().filter(|(_, q)| *q <= middle);
    let a = (MAD / SQRT_2 * median(quiet().map(|(d, _)| d.abs()))).powi(2);
    let a = (a - (b * median(quiet().map(|(_, q)| q))).powi(2)).max(rows.floor.powi(2));
    let shape: Vec<f64> = rows.swing.iter().map(|q| (a + (b * q).powi(2)).sqrt()).collect();

    let standard = || residuals.iter().zip(&shape).map(|(r, s)| r / s);
    let centre = median(standard());
    let freedom = (count(n) / (count(n) - effective).max(count(n) / 4.0)).sqrt();
    let scale = MAD * median(standard().map(|u| (u - centre).abs())) * freedom;
    shape.into_iter().map(|s| (scale * s).max(rows.floor)).collect()
}

/// What the fit takes for the noise. Quiet hours are quiet because little flows, not because they are right: if they
/// weighed much more, who steals at night only would bend the fit.
fn levelled(noise: &[f64]) -> Vec<f64> {
    let least = LEVEL * median(noise.iter().copied());
    noise.iter().map(|s| s.max(least)).collect()
}

/// The inflation of the variance of a mean by residuals that hang together: Bartlett's weights over the first lags
/// (Newey and West 1987). Intervals that the fit let go count as nothing.
fn inflation(residuals: &[f64], noise: &[f64]) -> f64 {
    let u: Vec<f64> =
        residuals.iter().zip(noise).map(|(r, s)| if (r / s).abs() < BISQUARE { r / s } else { 0.0 }).collect();
    let energy: f64 = u.iter().map(|v| v * v).sum();
    if energy <= 0.0 {
        return 1.0;
    }
    let sum: f64 = (1..=LAGS)
        .map(|lag| {
            let product: f64 = u.iter().zip(u.iter().skip(lag)).map(|(a, b)| a * b).sum();
            (1.0 - count(lag) / count(LAGS + 1)) * product / energy
        })
        .sum();
    (1.0 + 2.0 * sum).clamp(1.0, MOST_INFLATION)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of the values do not exceed; zero if there are none.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let place = ((count(values.len()) * share) as usize).min(values.len().saturating_sub(1));
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(place, f64::total_cmp).1 }
}

/// A number of things, to reckon with: far below 2^53.
pub(crate) fn count(n: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let n = n as f64;
    n
}
