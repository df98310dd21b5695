//! Which version of the tariff and which customer class hold when, and how a stretch of time is cut at every border that
//! matters to a bill.

use crate::{ClassId, Permille, Range, Rates, Tariff, Timestamp, WattHours};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A stretch of time within one interval, one price range, one version of the tariff and one local day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its range.
    pub range: Range,
    /// Start, included.
    pub from: Timestamp,
    /// End, not included.
    pub to: Timestamp,
    /// Start of the interval in which it lies.
    pub interval: Timestamp,
    /// The local day in which it lies, counted from 1970-01-01.
    pub day: i32,
    /// The local month, counted from the year 0.
    pub month: i32,
    /// The version of the tariff that holds.
    pub version: u32,
}

/// All versions of the tariff, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    first: Tariff,
    later: Vec<Tariff>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Schedule {
    /// A schedule of one version, which holds for all time before the next.
    #[must_use]
    pub fn new(first: Tariff) -> Self {
        Self { first, later: Vec::new() }
    }

    /// Adds a version that holds from its `since` on. A version that would begin before the one before it is left out:
    /// prices never change backwards.
    pub fn push(&mut self, tariff: Tariff) {
        if tariff.since > self.newest().since {
            self.later.push(tariff);
        }
    }

    /// The version that was added last; it may not hold yet.
    #[must_use]
    pub fn newest(&self) -> &Tariff {
        self.later.last().unwrap_or(&self.first)
    }

    /// The version that holds at an instant.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> &Tariff {
        self.later.iter().rev().find(|t| t.since <= at).unwrap_or(&self.first)
    }

    /// A version by its number; the one that holds at `at` if there is no such version.
    #[must_use]
    pub fn version(&self, version: u32, at: Timestamp) -> &Tariff {
        self.versions().find(|t| t.version == version).unwrap_or_else(|| self.at(at))
    }

    /// Whether any version shares earnings among prosumers.
    #[must_use]
    pub fn pools(&self) -> bool {
        self.versions().any(|t| t.pool_share != Permille::NONE)
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = &Tariff> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// Cuts `from..to` at every border between intervals, price ranges, versions and local days. Never empty; the spans
    /// cover the time without gap or overlap.
    ///
    /// Walks minute by minute instead of computing borders, because that stays right on the days when clocks change:
    /// every zone offset in use is a whole number of minutes. A week costs about 10,000 steps, a few milliseconds.
    #[must_use]
    pub fn cut(&self, from: Timestamp, to: Timestamp) -> Vec<Span> {
        if to <= from {
            return vec![Span { from: to, to, ..self.span_at(to) }];
        }
        let mut spans = Vec::with_capacity(1);
        let mut open = self.span_at(from);
        let mut next = self.step(from);
        while next < to {
            let here = self.span_at(next);
            if !here.continues(&open) {
                spans.push(Span { to: next, ..open });
                open = here;
            }
            next = self.step(next);
        }
        spans.push(Span { to, ..open });
        spans
    }

    /// The next instant at which anything can change: a whole minute, or the border of a shorter interval.
    fn step(&self, at: Timestamp) -> Timestamp {
        let tariff = self.at(at);
        let minute = at.floor_to(MINUTE) + MINUTE;
        minute.min(Timestamp(tariff.interval_of(at).0.saturating_add(tariff.interval_ms())))
    }

    fn span_at(&self, at: Timestamp) -> Span {
        let tariff = self.at(at);
        let local = tariff.zone.local(at);
        Span {
            range: tariff.range_of(local.minute),
            from: at,
            to: at,
            interval: tariff.interval_of(at),
            day: local.day,
            month: local.month,
            version: tariff.version,
        }
    }
}

impl Span {
    fn continues(&self, before: &Self) -> bool {
        Self { from: before.from, to: before.to, ..*self } == *before
    }

    fn length(&self) -> i128 {
        i128::from(self.to.0.saturating_sub(self.from.0).max(0))
    }
}

/// Which class a customer belonged to, oldest first; before the first entry, to none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub Vec<(Timestamp, Option<ClassId>)>);

impl Classes {
    /// The class at an instant.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<&ClassId> {
        self.0.iter().rev().find(|(since, _)| *since <= at).and_then(|(_, class)| class.as_ref())
    }

    /// The rates that this customer pays in a span.
    #[must_use]
    pub fn rates<'a>(&self, schedule: &'a Schedule, span: &Span) -> &'a Rates {
        schedule.version(span.version, span.from).rates(self.at(span.from))
    }
}

/// Shares energy among spans by their length. The shares add up to `energy` exactly: each is the difference of two
/// running totals, each rounded down to a watt-hour.
#[must_use]
pub fn apportion(energy: WattHours, spans: &[Span]) -> Vec<WattHours> {
    let whole: i128 = spans.iter().map(Span::length).sum();
    if whole == 0 {
        // No time passed: all of it belongs to the last span.
        let last = spans.len().saturating_sub(1);
        return (0..spans.len()).map(|i| if i == last { energy } else { WattHours::ZERO }).collect();
    }
    let (mut passed, mut given) = (0_i128, WattHours::ZERO);
    spans
        .iter()
        .map(|span| {
            passed += span.length();
            let due = (i128::from(energy.0) * passed).div_euclid(whole);
            let due = WattHours(i64::try_from(due).unwrap_or(energy.0));
            let share = due - given;
            given = due;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests;
