//! From clusters to ranges that a person can remember: few switches, none for a moment, and none because of noise.
//!
//! Of all days with at most so many switches and runs of at least so many slots, the one is taken whose labels lie
//! nearest to the values: the least sum of squared distances from the centroids, plus a penalty for every slot that
//! lies in another range than yesterday. Found exactly by dynamic programming over runs, in integers.

use super::{Clusters, Label, MAX_VALUES};
use thiserror::Error;

/// The rails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rails {
    /// Slots that a range lasts at least.
    pub min_run: usize,
    /// Switches from one range to another within a day, at most.
    pub max_switches: usize,
    /// How far beyond the middle between two centroids a slot has to lie to leave the range that it had yesterday, in
    /// thousandths of the way from the middle to the other centroid (of the narrowest gap). 0 forgets yesterday.
    pub hysteresis: u32,
}

/// Why there is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRails {
    /// A run longer than the day, or of nothing.
    #[error("a range of at least {min_run} slots in a day of {slots}: it must be between 1 and {slots}")]
    Run {
        /// As asked.
        min_run: usize,
        /// In the day.
        slots: usize,
    },
    /// The parts belong to different days.
    #[error("{values} values, {labels} labels: both are one day, of 1 to {MAX_VALUES} slots")]
    Lengths {
        /// Of the forecast.
        values: usize,
        /// Of the clusters, or of yesterday.
        labels: usize,
    },
}

/// How often the range changes from one slot to the next.
#[must_use]
pub fn switches(labels: &[Label]) -> usize {
    labels.windows(2).filter(|w| w[0] != w[1]).count()
}

/// The best run so far: its cost, where it begins, and the label before it.
type Step = Option<(u128, usize, Label)>;

impl Rails {
    /// The ranges of the day, from the forecast and its clusters. Yesterday's ranges count if the day had as many slots.
    /// Of equally good days the one with fewer switches is taken, then the one whose last run begins later.
    ///
    /// # Errors
    /// See [`BadRails`].
    pub fn apply(
        &self,
        values: &[i32],
        clusters: &Clusters,
        yesterday: Option<&[Label]>,
    ) -> Result<Vec<Label>, BadRails> {
        let (n, k) = (values.len(), clusters.centroids.len());
        if n != clusters.labels.len() || n == 0 || n > MAX_VALUES {
            return Err(BadRails::Lengths { values: n, labels: clusters.labels.len() });
        }
        if self.min_run == 0 || self.min_run > n {
            return Err(BadRails::Run { min_run: self.min_run, slots: n });
        }
        let yesterday = yesterday.filter(|labels| labels.len() == n);
        let cost = self.costs(values, &clusters.centroids, yesterday);
        let labels: Vec<Label> = (0..k).filter_map(|l| Label::try_from(l).ok()).collect();
        // reached[s][to][l]: the first `to` slots in s + 1 runs, the last of which has label l.
        let mut reached: Vec<Vec<Vec<Step>>> = Vec::new();
        for s in 0..=self.max_switches.min(n - 1) {
            let mut layer = vec![vec![None; k]; n + 1];
            for to in self.min_run..=n {
                for l in &labels {
                    let last = usize::from(*l);
                    let run = |from: usize| cost[last][to] - cost[last][from];
                    let mut best: Step = None;
                    if s == 0 {
                        best = Some((run(0), 0, *l));
                    } else {
                        #[expect(clippy::needless_range_loop, reason = "where a run begins is a number that is kept")]
                        for from in self.min_run..=to - self.min_run {
                            for before in labels.iter().filter(|b| *b != l) {
                                let Some((paid, _, _)) = reached[s - 1][from][usize::from(*before)] else { continue };
                                if best.is_none_or(|(b, _, _)| paid + run(from) <= b) {
                                    best = Some((paid + run(from), from, *before));
                                }
                            }
                        }
                    }
                    layer[to][last] = best;
                }
            }
            reached.push(layer);
        }
        let ends = (0..reached.len()).flat_map(|s| labels.iter().map(move |l| (s, *l)));
        let costs = ends.filter_map(|(s, l)| reached[s][n][usize::from(l)].map(|(c, _, _)| (c, s, l)));
        let mut day = vec![0; n];
        let (mut to, Some((_, mut s, mut l))) = (n, costs.min()) else { return Ok(day) };
        while let Some((_, from, before)) = reached[s][to][usize::from(l)] {
            day[from..to].fill(l);
            if s == 0 {
                break;
            }
            (to, s, l) = (from, s - 1, before);
        }
        Ok(day)
    }

    /// For every label, what the first so many slots would cost under it.
    fn costs(&self, values: &[i32], centroids: &[i32], yesterday: Option<&[Label]>) -> Vec<Vec<u128>> {
        let distance = |a: i32, b: i32| u128::from(a.abs_diff(b));
        let gap = centroids.windows(2).map(|w| distance(w[0], w[1])).min().unwrap_or(0);
        // A value that lies d beyond the middle of a gap g is nearer to the other centroid by 2·d·g in squares. Half of
        // the gap beyond the middle is the other centroid: d = hysteresis‰ of g/2.
        let penalty = gap * gap * u128::from(self.hysteresis) / 1000;
        (0..centroids.len())
            .map(|label| {
                let mut sums = vec![0];
                for (slot, v) in values.iter().enumerate() {
                    let away = distance(*v, centroids[label]);
                    let other = yesterday.is_some_and(|y| usize::from(y[slot]) != label);
                    sums.push(sums[slot] + away * away + if other { penalty } else { 0 });
                }
                sums
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
