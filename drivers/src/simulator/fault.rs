//! What is wrong with a simulated street, for whoever wants to see it found.

use domain::feeder::Counted;
use domain::{Timestamp, Watts};

/// What is wrong at one meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Power that is taken from the line before this meter, and that no home's meter counts.
    pub takes: Watts,
    /// What the meter counts of what flows: 667 misses a phase of three, 333 has a current transformer reversed.
    pub counts: Counted,
    /// Since when.
    pub since: Timestamp,
}

impl Default for Fault {
    /// Nothing is wrong.
    fn default() -> Self {
        Self { takes: Watts(0), counts: Counted(1000), since: Timestamp(0) }
    }
}

impl Fault {
    /// What is taken at an instant.
    pub(super) fn taken(&self, at: i64) -> i64 {
        if at < self.since.0 { 0 } else { self.takes.0.max(0) }
    }

    /// What the meter makes of a quantity that flows at an instant.
    pub(super) fn count(&self, at: i64, flows: i64) -> i64 {
        let share = if at < self.since.0 { 1000 } else { i128::from(self.counts.0) };
        i64::try_from(i128::from(flows) * share / 1000).unwrap_or(i64::MAX)
    }
}
