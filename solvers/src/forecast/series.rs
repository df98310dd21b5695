//! A load at even steps of the local day, from rows with gaps.
//!
//! Everything is counted in local wall time, in which a day always has the same slots: the hour that a spring night
//! skips is filled like a gap, the hour that an autumn night repeats is the mean of both.

use domain::Timestamp;
use thiserror::Error;

const MINUTE: i64 = 60_000;
const DAY_MINUTES: i64 = 1440;
/// Of each step a day is made.
const STEPS: [i64; 3] = [15, 30, 60];

/// One value as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When its interval begins.
    pub at: Timestamp,
    /// Local time minus UTC, in minutes.
    pub offset: i32,
    /// `None` if nothing was recorded.
    pub value: Option<f64>,
}

/// Why rows are no series.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoSeries {
    /// Less than two days.
    #[error("{0} values are too few: a forecast needs two days at least")]
    Short(usize),
    /// The distance that most rows have is none that can be worked with.
    #[error("most rows are {0} minutes apart: steps of 1 to 60 minutes that divide 15, 30 or 60 can be read")]
    Step(i64),
    /// Rows far apart would be mostly gaps.
    #[error("{given} values over {slots} intervals: more than half of the time is missing")]
    Sparse {
        /// Values.
        given: usize,
        /// Intervals between the first and the last.
        slots: usize,
    },
}

/// Values of equal steps without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Minutes since 1970 in local time at which the first slot begins.
    pub first: i64,
    /// Minutes of a slot: 15, 30 or 60.
    pub step: i64,
    /// Local time minus UTC at the end, in minutes.
    pub offset: i32,
    /// A value for every slot.
    pub values: Vec<f64>,
    /// Which of them were recorded. What was filled in is never learned from as an answer, nor scored.
    pub real: Vec<bool>,
}

impl Series {
    /// Puts rows, in order of time, on an even grid. The step is the one that most rows have; below 15 minutes it becomes
    /// 15. A slot is the mean of its rows. Gaps of up to two hours are bridged by a straight line, longer ones by the
    /// mean of the same slot a week before and after, else a day before and after, else of all days.
    ///
    /// # Errors
    /// See [`NoSeries`].
    pub fn from_rows(rows: &[Row]) -> Result<Self, NoSeries> {
        let local = |row: &Row| row.at.0.div_euclid(MINUTE) + i64::from(row.offset);
        let mut apart: Vec<i64> = rows.windows(2).map(|w| (w[1].at.0 - w[0].at.0).div_euclid(MINUTE)).collect();
        apart.sort_unstable();
        let most = apart.chunk_by(|a, b| a == b).max_by_key(|run| (run.len(), -run[0])).map_or(0, |run| run[0]);
        // Seconds apart is a minute at most.
        let most = if most == 0 && rows.len() > 1 { 1 } else { most };
        let step = STEPS.into_iter().find(|s| most > 0 && s % most == 0).ok_or(NoSeries::Step(most))?;
        let (Some(head), Some(tail)) = (rows.first(), rows.last()) else { return Err(NoSeries::Short(0)) };
        let lowest = rows.iter().map(local).min().unwrap_or(0);
        let highest = rows.iter().map(local).max().unwrap_or(0);
        let first = lowest.div_euclid(step) * step;
        let slots = usize::try_from((highest - first).div_euclid(step) + 1).unwrap_or(usize::MAX);
        let per_day = usize::try_from(DAY_MINUTES / step).unwrap_or(24);
        if rows.len() < 2 * per_day.min(48) || head.at == tail.at {
            return Err(NoSeries::Short(rows.len()));
        }
        let per_slot = usize::try_from(step / most).unwrap_or(1);
        if slots / 2 > rows.len() / per_slot.max(1) + per_day {
            return Err(NoSeries::Sparse { given: rows.len(), slots });
        }
        let (mut sums, mut counts) = (vec![0.0; slots], vec![0_u32; slots]);
        for row in rows {
            let Some(value) = row.value.filter(|v| v.is_finite()) else { continue };
            let slot = usize::try_from((local(row) - first).div_euclid(step)).unwrap_or(0);
            sums[slot] += value;
            counts[slot] += 1;
        }
        let real: Vec<bool> = counts.iter().map(|c| *c > 0).collect();
        let given = real.iter().filter(|r| **r).count();
        if given < 2 * per_day {
            return Err(NoSeries::Short(given));
        }
        if given < slots / 2 {
            return Err(NoSeries::Sparse { given, slots });
        }
        let values = sums.iter().zip(&counts).map(|(s, c)| if *c > 0 { s / f64::from(*c) } else { 0.0 }).collect();
        let mut series = Self { first, step, offset: tail.offset, values, real };
        series.fill();
        Ok(series)
    }

    /// The same from rows whose values are energies of their intervals: a slot is their sum, those that are missing
    /// taken for the mean of the others.
    ///
    /// # Errors
    /// See [`NoSeries`].
    pub fn from_energies(rows: &[Row]) -> Result<Self, NoSeries> {
        let mut series = Self::from_rows(rows)?;
        let mut apart: Vec<i64> = rows.windows(2).map(|w| w[1].at.0 - w[0].at.0).collect();
        apart.sort_unstable();
        // The distance that most rows have, in milliseconds.
        let most = apart.chunk_by(|a, b| a == b).max_by_key(|run| (run.len(), -run[0])).map_or(0, |run| run[0]);
        let parts = usize::try_from(series.step * MINUTE / most.max(1)).unwrap_or(1).max(1);
        series.values.iter_mut().for_each(|v| *v *= count_f64(parts));
        Ok(series)
    }

    /// Slots in a day.
    #[must_use]
    pub fn day(&self) -> usize {
        usize::try_from(DAY_MINUTES / self.step).unwrap_or(24)
    }

    /// Minutes since 1970 in local time at which a slot begins.
    #[must_use]
    pub fn minute(&self, slot: usize) -> i64 {
        self.first + self.step * i64::try_from(slot).unwrap_or(0)
    }

    /// The instant at which a slot begins, by the offset that the end of the series has.
    #[must_use]
    pub fn instant(&self, slot: usize) -> Timestamp {
        Timestamp((self.minute(slot) - i64::from(self.offset)) * MINUTE)
    }

    /// The first slot that does not begin before an instant.
    #[must_use]
    pub fn slot_at(&self, at: Timestamp) -> usize {
        let local = at.0.div_euclid(MINUTE) + i64::from(self.offset);
        let slot = (local - self.first + self.step - 1).div_euclid(self.step);
        usize::try_from(slot).unwrap_or(0).min(self.values.len())
    }

    /// The same series without its first slots.
    #[must_use]
    pub fn last(&self, slots: usize) -> Self {
        let cut = self.values.len().saturating_sub(slots);
        let (values, real) = (self.values[cut..].to_vec(), self.real[cut..].to_vec());
        Self { first: self.minute(cut), values, real, ..*self }
    }

    fn fill(&mut self) {
        let (n, day) = (self.values.len(), self.day());
        let bridged = usize::try_from(120 / self.step).unwrap_or(2);
        let known = self.real.clone();
        let (mut of_slot, mut counts) = (vec![0.0; day], vec![0_u32; day]);
        let (mut all, mut count) = (0.0, 0_u32);
        for (i, v) in self.values.iter().enumerate().filter(|(i, _)| known[*i]) {
            of_slot[i % day] += v;
            counts[i % day] += 1;
            all += v;
            count += 1;
        }
        let mut from = 0;
        while from < n {
            if known[from] {
                from += 1;
                continue;
            }
            let to = (from..n).find(|i| known[*i]).unwrap_or(n);
            for i in from..to {
                let straight = to - from <= bridged && from > 0 && to < n;
                let beside = |apart: usize| {
                    let near = [i.checked_sub(apart), Some(i + apart)];
                    let found: Vec<f64> =
                        near.into_iter().flatten().filter(|j| *j < n && known[*j]).map(|j| self.values[j]).collect();
                    if found.is_empty() { None } else { Some(found.iter().sum::<f64>() / count_f64(found.len())) }
                };
                self.values[i] = if straight {
                    let share = count_f64(i + 1 - from) / count_f64(to - from + 1);
                    self.values[from - 1] * (1.0 - share) + self.values[to] * share
                } else if let Some(value) = beside(7 * day).or_else(|| beside(day)) {
                    value
                } else if counts[i % day] > 0 {
                    of_slot[i % day] / f64::from(counts[i % day])
                } else {
                    all / f64::from(count.max(1))
                };
            }
            from = to;
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn count_f64(count: usize) -> f64 {
    count as f64
}
