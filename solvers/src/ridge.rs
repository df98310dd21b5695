//! Weighted least squares toward a prior: the mean and covariance of a normal posterior.
//!
//! With rows `x`, observations `y` of variance `1/w` and independent normal priors of mean `m` and precision `l`, the
//! posterior precision is `XᵀWX + diag(l)` and its mean solves `(XᵀWX + diag(l)) θ = XᵀWy + l·m` (Hoerl and Kennard's
//! ridge, read as Bayes). Every precision is positive, so collinear columns, empty ones and too few rows leave the
//! prior standing instead of a singular matrix.

use nalgebra::{DMatrix, DVector};

/// What is believed of a coefficient before any row is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prior {
    pub mean: f64,
    pub precision: f64,
}

impl Prior {
    pub fn around(mean: f64, deviation: f64) -> Self {
        Self { mean, precision: 1.0 / (deviation * deviation) }
    }
}

/// What is believed afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    pub mean: DVector<f64>,
    pub covariance: DMatrix<f64>,
    /// How many coefficients the rows have settled: between none and all of them.
    pub effective: f64,
}

/// `None` if a number is not finite.
pub(crate) fn solve(x: &DMatrix<f64>, y: &DVector<f64>, weights: &[f64], prior: &[Prior]) -> Option<Posterior> {
    let roots = DVector::from_iterator(weights.len(), weights.iter().map(|w| w.sqrt()));
    let mut scaled = x.clone();
    for mut column in scaled.column_iter_mut() {
        column.component_mul_assign(&roots);
    }
    let transposed = scaled.transpose();
    let mut precision = &transposed * &scaled;
    let mut right = &transposed * y.component_mul(&roots);
    for (i, p) in prior.iter().enumerate() {
        precision[(i, i)] += p.precision;
        right[i] += p.precision * p.mean;
    }
    if !precision.iter().chain(right.iter()).all(|v| v.is_finite()) {
        return None;
    }
    let factor = precision.cholesky()?;
    let (mean, covariance) = (factor.solve(&right), factor.inverse());
    let kept: f64 = prior.iter().enumerate().map(|(i, p)| p.precision * covariance[(i, i)]).sum();
    let finite = mean.iter().all(|v| v.is_finite());
    let effective = prior.iter().fold(-kept, |sum, _| sum + 1.0);
    finite.then_some(Posterior { mean, covariance, effective })
}

#[cfg(test)]
mod tests;
