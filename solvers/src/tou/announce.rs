//! Ranges hold from a border that was announced before it came, and nothing that holds is changed afterwards.

use super::Label;
use domain::Timestamp;
use std::time::Duration;
use thiserror::Error;

/// The ranges of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// When the first slot begins.
    pub from: Timestamp,
    /// How long a slot lasts.
    pub slot: Duration,
    /// Of the slots, in order.
    pub labels: Vec<Label>,
}

impl Announced {
    /// The first instant after the last slot.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.from + self.slot * u32::try_from(self.labels.len()).unwrap_or(u32::MAX)
    }

    fn label(&self, at: Timestamp) -> Option<Label> {
        if at < self.from || self.slot.is_zero() {
            return None;
        }
        let slot = at.since(self.from).as_millis() / self.slot.as_millis().max(1);
        self.labels.get(usize::try_from(slot).ok()?).copied()
    }
}

/// Why a day was not announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAnnounced {
    /// Too late: customers have to know before.
    #[error("ranges from {from} have to be announced by {by}")]
    Late {
        /// When they would begin.
        from: Timestamp,
        /// Until when that could be said.
        by: Timestamp,
    },
    /// Time already has its ranges.
    #[error("ranges from {from} are refused: those until {until} are announced already")]
    Taken {
        /// When they would begin.
        from: Timestamp,
        /// Until when others hold.
        until: Timestamp,
    },
    /// Slots of no length, or no slots.
    #[error("a day without slots")]
    Empty,
}

/// The days that were announced, in order and without overlap.
#[derive(Clone, Debug)]
pub struct Calendar {
    notice: Duration,
    days: Vec<Announced>,
}

impl Calendar {
    /// An empty calendar whose days are announced so long before they begin.
    #[must_use]
    pub fn new(notice: Duration) -> Self {
        Self { notice, days: Vec::new() }
    }

    /// Announces a day.
    ///
    /// # Errors
    /// See [`NotAnnounced`]; the calendar is then as it was.
    pub fn announce(&mut self, now: Timestamp, day: Announced) -> Result<(), NotAnnounced> {
        if day.slot.as_millis() == 0 || day.labels.is_empty() {
            return Err(NotAnnounced::Empty);
        }
        let by = day.from - self.notice;
        if now > by {
            return Err(NotAnnounced::Late { from: day.from, by });
        }
        if let Some(until) = self.days.last().map(Announced::until).filter(|until| *until > day.from) {
            return Err(NotAnnounced::Taken { from: day.from, until });
        }
        self.days.push(day);
        Ok(())
    }

    /// The range of an instant; `None` where nothing was announced.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<Label> {
        self.days.iter().rev().find_map(|day| day.label(at))
    }

    /// Forgets days that ended before an instant.
    pub fn forget(&mut self, before: Timestamp) {
        self.days.retain(|day| day.until() >= before);
    }

    /// The days, in order.
    #[must_use]
    pub fn days(&self) -> &[Announced] {
        &self.days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOON: Timestamp = Timestamp(1_772_452_800_000);

    fn day(from: Timestamp, labels: &[Label]) -> Announced {
        Announced { from, slot: HOUR, labels: labels.to_vec() }
    }

    #[test]
    fn ranges_hold_from_their_border_and_to_their_end() {
        let mut calendar = Calendar::new(HOUR * 2);
        calendar.announce(NOON, day(NOON + HOUR * 2, &[0, 1])).unwrap();
        let at = |ms: u64| calendar.at(NOON + Duration::from_millis(ms));
        assert_eq!(at(7_199_999), None);
        assert_eq!(at(7_200_000), Some(0));
        assert_eq!(at(10_799_999), Some(0));
        assert_eq!(at(10_800_000), Some(1));
        assert_eq!(at(14_400_000), None);
    }

    #[test]
    fn what_comes_too_late_or_over_another_day_is_refused_and_changes_nothing() {
        let mut calendar = Calendar::new(HOUR * 2);
        calendar.announce(NOON, day(NOON + HOUR * 2, &[0, 1])).unwrap();
        let before = calendar.days().to_vec();
        let late = NotAnnounced::Late { from: NOON + HOUR * 4, by: NOON + HOUR * 2 };
        let after = NOON + HOUR * 2 + Duration::from_millis(1);
        assert_eq!(calendar.announce(after, day(NOON + HOUR * 4, &[1])), Err(late));
        let taken = NotAnnounced::Taken { from: NOON + HOUR * 3, until: NOON + HOUR * 4 };
        assert_eq!(calendar.announce(NOON, day(NOON + HOUR * 3, &[1])), Err(taken));
        assert_eq!(calendar.announce(NOON, day(NOON + HOUR * 9, &[])), Err(NotAnnounced::Empty));
        assert_eq!(calendar.days(), before);
        calendar.announce(NOON, day(NOON + HOUR * 4, &[1])).unwrap();
        assert_eq!(calendar.at(NOON + HOUR * 4), Some(1));
        calendar.forget(NOON + HOUR * 5);
        assert_eq!(calendar.days().len(), 1);
    }
}
