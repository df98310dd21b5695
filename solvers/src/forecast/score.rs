//! How good forecasts were.

use super::series::count_f64;

/// Scores of one model over many forecasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean absolute percentage error: `100/n · Σ |y − ŷ| / |y|` over the values that are not zero, where it has no
    /// meaning; `None` if all are.
    pub mape: Option<f64>,
    /// Mean absolute scaled error (Hyndman and Koehler, 2006): the mean absolute error, in units of that of saying
    /// yesterday's value within the data that was learned from. `None` if that was without error.
    pub mase: Option<f64>,
    /// Mean absolute error, in the units of the series.
    pub mae: f64,
    /// The share of values within the interval of 80 %, of those that had one.
    pub coverage: Option<f64>,
    /// Values that were compared.
    pub n: usize,
    /// Of them, those that are zero and not in `mape`.
    pub zeros: usize,
}

/// Sums of a score under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    error: f64,
    share: f64,
    within: usize,
    judged: usize,
    n: usize,
    zeros: usize,
}

impl Tally {
    pub fn add(&mut self, truth: f64, said: f64, interval: Option<(f64, f64)>) {
        let miss = (truth - said).abs();
        self.error += miss;
        self.n += 1;
        if truth == 0.0 {
            self.zeros += 1;
        } else {
            self.share += miss / truth.abs();
        }
        if let Some((low, high)) = interval {
            self.judged += 1;
            self.within += usize::from(low <= truth && truth <= high);
        }
    }

    pub fn score(&self, naive: f64) -> Score {
        let n = count_f64(self.n.max(1));
        let mae = self.error / n;
        let counted = self.n - self.zeros;
        Score {
            mape: (counted > 0).then(|| 100.0 * self.share / count_f64(counted)),
            mase: (naive > 0.0 && self.n > 0).then(|| mae / naive),
            mae,
            coverage: (self.judged > 0).then(|| count_f64(self.within) / count_f64(self.judged)),
            n: self.n,
            zeros: self.zeros,
        }
    }
}

/// The mean absolute difference from the value a day before, over real slots.
pub(super) fn naive_error(values: &[f64], real: &[bool], day: usize) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for i in day..values.len() {
        if real[i] && real[i - day] {
            sum += (values[i] - values[i - day]).abs();
            n += 1;
        }
    }
    if n == 0 { 0.0 } else { sum / count_f64(n) }
}
