//! A fit that a minority of odd intervals cannot bend.
//!
//! Iteratively reweighted: Huber's weights find the way, since they have one answer only; Tukey's bisquare gives the
//! last word, since it lets intervals that plainly belong to something else go altogether (Maronna, Martin and Yohai,
//! *Robust Statistics*, chapters 4 and 5). The noise is estimated by the median absolute deviation, apart for quiet
//! and for busy intervals, because meters that are not read at one instant differ by more when much flows.

use crate::ridge::{Posterior, Prior, solve};
use nalgebra::{DMatrix, DVector};

/// 95 % efficient at the normal distribution.
const HUBER: f64 = 1.345;
const BISQUARE: f64 = 4.685;
/// From the median absolute deviation to the standard deviation of a normal distribution.
const MAD: f64 = 1.4826;
/// Fewer intervals than this say too little about their own noise to be judged apart.
const PER_BIN: usize = 200;
const MOST_BINS: usize = 6;
/// How many neighbouring intervals may share an error.
const LAGS: usize = 8;
/// Residuals that hang together by more than this are no noise.
const MOST_INFLATION: f64 = 4.0;

/// Rows with what is needed to judge their noise.
#[derive(Debug)]
pub(super) struct Rows {
    pub x: DMatrix<f64>,
    pub y: DVector<f64>,
    /// How much flows, for sorting intervals into quiet and busy ones.
    pub activity: Vec<f64>,
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
    let mut effective = 0.0;
    let plan = match last {
        Tail::Huber => [(Tail::Huber, 5), (Tail::Bisquare, 0)],
        Tail::Bisquare => [(Tail::Huber, 4), (Tail::Bisquare, 6)],
    };
    let (mut found, mut weights) = (None, Vec::new());
    for (tail, rounds) in plan {
        for _ in 0..rounds {
            let noise = noise(rows, &residuals, effective);
            weights = residuals.iter().zip(&noise).map(|(r, s)| weight(tail, r / s) / (s * s)).collect::<Vec<f64>>();
            let posterior = constrained(rows, &weights, prior)?;
            effective = posterior.effective;
            residuals = self::residuals(rows, &posterior.mean);
            found = Some(posterior);
        }
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

/// The noise of each interval. What the fit has swallowed of it is given back by way of the degrees of freedom.
fn noise(rows: &Rows, residuals: &[f64], effective: f64) -> Vec<f64> {
    let n = residuals.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| rows.activity[*a].total_cmp(&rows.activity[*b]));
    let bins = (n / PER_BIN).clamp(1, MOST_BINS);
    let freedom = (count(n) / (count(n) - effective).max(count(n) / 4.0)).sqrt();
    let mut noise = vec![rows.floor; n];
    for bin in order.chunks(n.div_ceil(bins).max(1)) {
        let of = || bin.iter().map(|i| residuals[*i]);
        let centre = median(of());
        let deviation = MAD * median(of().map(|r| (r - centre).abs())) * freedom;
        for i in bin {
            noise[*i] = deviation.max(rows.floor);
        }
    }
    noise
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

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    if values.is_empty() {
        return 0.0;
    }
    let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
    let at = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    if odd {
        return at;
    }
    f64::midpoint(at, values.iter().take(middle).copied().fold(f64::NEG_INFINITY, f64::max))
}

/// A number of things, to reckon with: far below 2^53.
pub(super) fn count(n: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let n = n as f64;
    n
}
