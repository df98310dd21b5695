//! Exact one-dimensional k-means in integers.
//!
//! In one dimension the best clusters are runs of the sorted values (Fisher, 1958), so dynamic programming over their
//! borders finds the optimum (Wang and Song, "Ckmeans.1d.dp", 2011). Least squares within clusters is the same as the
//! greatest sum of `s²/n` over them; it is compared as exact fractions, so nothing depends on how a machine rounds.
//!
//! Rules, the same in `TimeOfUse.sol`:
//! - labels rise with the load; equal values have equal labels;
//! - of equally good borders the lowest wins, the highest border first;
//! - a centroid is the mean rounded to the nearest integer, halves up;
//! - fewer distinct values than clusters asked for give as many clusters as there are distinct values.

use super::Label;
use super::wide::Wide;
use thiserror::Error;

/// The most values: quarter hours of a day.
pub const MAX_VALUES: usize = 96;
/// The most clusters.
pub const MAX_CLUSTERS: usize = 8;

/// Why there are no clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadValues {
    /// None, or more than a day of quarter hours.
    #[error("{0} values: clusters are made of 1 to {MAX_VALUES}")]
    Count(usize),
    /// No such number of clusters.
    #[error("{0} clusters: ask for 1 to {MAX_CLUSTERS}, and for no more than there are values")]
    Clusters(usize),
}

/// What k-means says of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// Of every value, in the order in which they came.
    pub labels: Vec<Label>,
    /// Of every cluster, rounded; they rise.
    pub centroids: Vec<i32>,
    /// The least value of every cluster but the first.
    pub borders: Vec<i32>,
}

impl Clusters {
    /// The sum of squared distances of the values from the exact means of their clusters, as the nearest `f64`s add up.
    #[must_use]
    pub fn inertia(&self, values: &[i32]) -> f64 {
        (0..self.centroids.len())
            .map(|cluster| {
                let of = |(v, l): (&i32, &Label)| (usize::from(*l) == cluster).then_some(i128::from(*v));
                let own: Vec<i128> = values.iter().zip(&self.labels).filter_map(of).collect();
                let (n, sum) = (own.iter().map(|_| 1).sum::<i128>(), own.iter().sum::<i128>());
                // n·Σx² − (Σx)² is exact; one division rounds.
                let scaled = n * own.iter().map(|v| v * v).sum::<i128>() - sum * sum;
                as_f64(scaled) / as_f64(n.max(1))
            })
            .sum()
    }
}

#[allow(clippy::cast_precision_loss, reason = "rounded once, to the nearest")]
fn as_f64(value: i128) -> f64 {
    value as f64
}

/// The best `k` clusters of the values.
///
/// # Errors
/// See [`BadValues`].
pub fn kmeans(values: &[i32], k: usize) -> Result<Clusters, BadValues> {
    let n = values.len();
    if n == 0 || n > MAX_VALUES {
        return Err(BadValues::Count(n));
    }
    if k == 0 || k > MAX_CLUSTERS.min(n) {
        return Err(BadValues::Clusters(k));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let distinct = 1 + sorted.windows(2).filter(|w| w[0] < w[1]).count();
    let k = k.min(distinct);
    // Above the least value, so that sums are small and never negative. The best clusters do not move with it.
    let above: Vec<u64> = sorted.iter().map(|v| i64::from(*v).abs_diff(i64::from(sorted[0]))).collect();
    let mut sums = vec![0];
    for v in &above {
        sums.push(sums[sums.len() - 1] + v);
    }
    let gain = |from: usize, to: usize| Wide::square_over(sums[to] - sums[from], (to - from) as u64);
    // best[to]: the greatest sum over the first `to` values in so many clusters; from[c][to]: where its last begins.
    let mut best: Vec<Wide> = (0..=n).map(|to| if to == 0 { Wide::default() } else { gain(0, to) }).collect();
    let mut begins = vec![vec![0; n + 1]];
    for c in 1..k {
        let (mut next, mut first) = (vec![Wide::default(); n + 1], vec![0; n + 1]);
        for to in c + 1..=n {
            #[expect(clippy::needless_range_loop, reason = "where a cluster begins is a number that is kept")]
            for from in c..to {
                let sum = best[from].plus(gain(from, to));
                if from == c || sum > next[to] {
                    (next[to], first[to]) = (sum, from);
                }
            }
        }
        best = next;
        begins.push(first);
    }
    let mut cuts = vec![n];
    for first in begins.iter().rev() {
        cuts.push(first[cuts[cuts.len() - 1]]);
    }
    cuts.reverse();
    let centroids = cuts.windows(2).map(|w| rounded_mean(&sorted[w[0]..w[1]])).collect();
    let borders: Vec<i32> = cuts[1..cuts.len() - 1].iter().map(|at| sorted[*at]).collect();
    let label = |v: &i32| borders.iter().map(|b| Label::from(v >= b)).sum();
    Ok(Clusters { labels: values.iter().map(label).collect(), centroids, borders })
}

/// The mean, rounded to the nearest integer, halves up.
fn rounded_mean(values: &[i32]) -> i32 {
    let (n, sum) = values.iter().fold((0_i64, 0_i64), |(n, sum), v| (n + 1, sum + i64::from(*v)));
    // A mean of i32 is one.
    i32::try_from((2 * sum + n).div_euclid(2 * n)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
