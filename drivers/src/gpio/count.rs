//! From edges to pulses, and from pulses to watt-hours: decisions only, no waiting and no I/O.
//!
//! A pulse is counted when its active level begins. Where the kernel debounces, it numbers what is left, so that edges
//! which fell out of its queue before anybody took them are counted by the numbers alone: each of them was a pulse.
//! Where we debounce, the numbers are those of raw edges. What was lost then may have been bounces; it is counted as
//! lost, and as no energy.

use super::lines::Filter;
use super::spec::PulsesPerKwh;
use std::time::Duration;

/// A change of a line, as the chip tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Nanoseconds on the chip's own clock, which nobody sets.
    pub at: u64,
    /// The level that begins is the active one.
    pub active: bool,
    /// Its number among the edges of this line since the line was opened, from 1, with wrap-around.
    pub number: u32,
}

/// What an edge turned out to mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Pulses that began, up to `at`.
    pub pulses: u64,
    /// When the last of them did.
    pub at: u64,
    /// Edges that were lost, and of which nobody knows what they were.
    pub lost: u64,
}

/// Makes pulses of the edges of one line, from when it was opened.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    filter: Filter,
    /// The number of the edge before.
    number: u32,
    /// The level that has lasted long enough.
    settled: bool,
    /// The level that has not, and since when.
    candidate: Option<(bool, u64)>,
}

impl Counter {
    /// A line that is opened while its level is `active`. A pulse that has begun by then is not counted: whoever held
    /// the line before may have done so.
    pub fn new(filter: Filter, active: bool) -> Self {
        Self { filter, number: 0, settled: active, candidate: None }
    }

    /// The next edge that could be taken.
    pub fn edge(&mut self, edge: Edge) -> Found {
        let steps = edge.number.wrapping_sub(self.number);
        if steps == 0 || steps > u32::MAX / 2 {
            // Told twice, or out of order: a fault of the chip. Nothing is counted twice for it.
            return Found { at: edge.at, ..Found::default() };
        }
        self.number = edge.number;
        let missed = u64::from(steps - 1);
        match self.filter {
            // Only beginnings are asked for. Something else would be a fault of the chip.
            Filter::Kernel => Found { pulses: missed + u64::from(edge.active), at: edge.at, lost: 0 },
            Filter::Ours(least) => {
                // After a gap nobody knows how long the level before lasted, so it settles nothing.
                let found = if missed > 0 { Found::default() } else { self.settle(edge.at, least) };
                self.candidate = Some((edge.active, edge.at));
                Found { lost: missed, ..found }
            }
        }
    }

    /// Nothing has happened until `now`: what began long enough ago is settled.
    pub fn quiet(&mut self, now: u64) -> Found {
        match self.filter {
            Filter::Kernel => Found::default(),
            Filter::Ours(least) => self.settle(now, least),
        }
    }

    fn settle(&mut self, now: u64, least: Duration) -> Found {
        let Some((level, since)) = self.candidate else { return Found::default() };
        let least = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        if now.saturating_sub(since) < least {
            return Found::default();
        }
        self.candidate = None;
        let began = level && !self.settled;
        self.settled = level;
        Found { pulses: u64::from(began), at: since, lost: 0 }
    }
}

/// What a meter has counted so far, exactly: whole watt-hours, and what is left of a further one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register {
    /// Whole watt-hours.
    pub wh: u64,
    /// So many parts of a further watt-hour, of which `constant` make one; fewer than `constant`.
    pub part: u32,
    /// The meter constant by which the parts are meant.
    pub constant: PulsesPerKwh,
    /// The start that was last taken over from the configuration, in watt-hours.
    pub start: u64,
    /// Pulses that were ever counted.
    pub pulses: u64,
    /// Edges that were ever lost.
    pub lost: u64,
}

/// The configuration wants the register put right to less than it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backwards {
    pub wanted: u64,
    pub shows: u64,
}

impl Register {
    /// A register that begins at `start`.
    pub fn new(constant: PulsesPerKwh, start: u64) -> Self {
        Self { wh: start, part: 0, constant, start, pulses: 0, lost: 0 }
    }

    /// The same register under what the configuration says now. It never falls: a new constant counts from here on and
    /// a part of a watt-hour is rounded down to it; a new start is taken over once, if it is not below.
    pub fn under(mut self, constant: PulsesPerKwh, start: u64) -> Result<Self, Backwards> {
        if constant != self.constant {
            let part = u64::from(self.part) * u64::from(constant.get()) / u64::from(self.constant.get());
            // Less than the new constant, because it was less than the old one.
            self.part = u32::try_from(part).unwrap_or(0);
            self.constant = constant;
        }
        if start != self.start {
            if start < self.wh {
                return Err(Backwards { wanted: start, shows: self.wh });
            }
            if start > self.wh {
                (self.wh, self.part) = (start, 0);
            }
            self.start = start;
        }
        Ok(self)
    }

    /// Some pulses later.
    #[must_use]
    pub fn plus(self, pulses: u64, lost: u64) -> Self {
        // A pulse is 1000 / constant watt-hours.
        let parts = u128::from(self.part) + u128::from(pulses) * 1000;
        let constant = u128::from(self.constant.get());
        let wh = u64::try_from(parts / constant).unwrap_or(u64::MAX);
        Self {
            wh: self.wh.saturating_add(wh),
            part: u32::try_from(parts % constant).unwrap_or(0),
            pulses: self.pulses.saturating_add(pulses),
            lost: self.lost.saturating_add(lost),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
