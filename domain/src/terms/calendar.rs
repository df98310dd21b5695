//! Local time: which day it is where the customers live, and when the next one begins.

use crate::{TimeZone, Timestamp};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::AmbiguousOffset;

/// The calendar of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar(jiff::tz::TimeZone);

impl Calendar {
    /// The calendar of a zone.
    #[must_use]
    pub fn new(zone: &TimeZone) -> Self {
        Self(zone.rules().clone())
    }

    /// The newest instant, not after `at`, at which a local day began that is counted from this minute of the day on.
    /// `None` outside the years that have a calendar. A day on which clocks change is an hour shorter or longer, but
    /// there is exactly one beginning each day.
    #[must_use]
    pub fn day_start(&self, at: Timestamp, minute: u16) -> Option<Timestamp> {
        let today = self.local(at)?.date();
        let begins = |date: Date| self.instants(date.to_datetime(clock_face(minute))).map(|[first, _]| first);
        [Some(today), today.yesterday().ok()].into_iter().flatten().filter_map(begins).find(|start| *start <= at)
    }

    pub(super) fn local(&self, at: Timestamp) -> Option<DateTime> {
        Some(self.0.to_datetime(stamp(at)?))
    }

    /// When clocks show this: twice in the hour that comes twice. For what they skip, the same time by the old offset.
    pub(super) fn instants(&self, shown: DateTime) -> Option<[Timestamp; 2]> {
        let ambiguous = self.0.to_ambiguous_timestamp(shown);
        let (first, last) = match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => (ambiguous.compatible().ok()?, ambiguous.compatible().ok()?),
            _ => (ambiguous.earlier().ok()?, ambiguous.later().ok()?),
        };
        Some([first, last].map(|t| Timestamp(t.as_millisecond())))
    }

    /// When clocks change next.
    pub(super) fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.0.following(stamp(at)?).next().map(|t| Timestamp(t.timestamp().as_millisecond()))
    }

    /// If the hour of `at` comes a second time: what clocks show when it begins again.
    pub(super) fn comes_again_from(&self, at: Timestamp) -> Option<DateTime> {
        let now = stamp(at)?;
        match self.0.to_ambiguous_timestamp(self.0.to_datetime(now)).offset() {
            AmbiguousOffset::Fold { before, .. } if self.0.to_offset(now) == before => {
                self.local(self.next_change(at)?)
            }
            _ => None,
        }
    }
}

/// A minute of the day as clocks show it.
pub(super) fn clock_face(minute: u16) -> Time {
    let part = |n: u16| i8::try_from(n).unwrap_or(0);
    Time::new(part(minute / 60 % 24), part(minute % 60), 0, 0).unwrap_or(Time::midnight())
}

fn stamp(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(&TimeZone::try_from(zone.to_owned()).unwrap())
    }

    /// 2026-03-28T23:00:00Z is midnight in Madrid; the clocks go forward at 01:00Z.
    const MIDNIGHT: Timestamp = Timestamp(1_774_738_800_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_day_on_which_clocks_go_forward_lasts_23_hours_and_the_other_25() {
        let madrid = calendar("Europe/Madrid");
        assert_eq!(madrid.day_start(MIDNIGHT, 0), Some(MIDNIGHT));
        assert_eq!(madrid.day_start(MIDNIGHT + HOUR * 22, 0), Some(MIDNIGHT));
        assert_eq!(madrid.day_start(MIDNIGHT + HOUR * 23, 0), Some(MIDNIGHT + HOUR * 23));
        // 2026-10-24T22:00:00Z
        let autumn = Timestamp(1_792_879_200_000);
        assert_eq!(madrid.day_start(autumn + HOUR * 24, 0), Some(autumn));
        assert_eq!(madrid.day_start(autumn + HOUR * 25, 0), Some(autumn + HOUR * 25));
    }

    #[test]
    fn a_day_that_is_counted_from_six_belongs_to_yesterday_until_then() {
        let utc = calendar("UTC");
        let six = Timestamp(0) + HOUR * 30;
        assert_eq!(utc.day_start(six, 360), Some(six));
        assert_eq!(utc.day_start(six - HOUR, 360), Some(six - HOUR * 24));
    }

    proptest! {
        #[test]
        fn a_day_has_one_beginning_and_lasts_about_a_day(
            zone in prop::sample::select(vec!["Europe/Madrid", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
            at in 1_700_000_000_000_i64..1_900_000_000_000,
            minute in 0_u16..1440,
        ) {
            let calendar = calendar(zone);
            let start = calendar.day_start(Timestamp(at), minute).unwrap();
            prop_assert!(start <= Timestamp(at));
            prop_assert!(Timestamp(at).since(start) < HOUR * 26);
            prop_assert_eq!(calendar.day_start(start, minute), Some(start));
            prop_assert!(calendar.day_start(start - Duration::from_millis(1), minute).unwrap() < start);
        }
    }
}
