//! Friendly hours: the hours, days and dates on which nobody is disconnected for want of credit.

use super::Calendar;
use super::calendar::clock_face;
use crate::{DayRange, Timestamp};
use jiff::civil::DateTime;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How far ahead the end of friendly hours is looked for, in days. Later than that, there is none worth naming.
const HORIZON_DAYS: u32 = 40;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

const WEEK: [(Weekday, &str); 7] = [
    (Weekday::Mon, "mon"),
    (Weekday::Tue, "tue"),
    (Weekday::Wed, "wed"),
    (Weekday::Thu, "thu"),
    (Weekday::Fri, "fri"),
    (Weekday::Sat, "sat"),
    (Weekday::Sun, "sun"),
];

impl FromStr for Weekday {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = WEEK.iter().find(|(_, name)| *name == text).map(|(day, _)| *day);
        found.ok_or_else(|| format!("{text:?} is no day: say mon, tue, wed, thu, fri, sat or sun"))
    }
}

/// A date, of one year or of every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holiday {
    year: Option<i16>,
    month: i8,
    day: i8,
}

impl FromStr for Holiday {
    type Err = String;
    /// `2026-04-03`, or `12-25` for every year.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no date: say 2026-04-03, or 12-25 for every year");
        let digits = |s: &str, n: usize| (s.len() == n && s.bytes().all(|b| b.is_ascii_digit())).then_some(());
        let parts: Vec<&str> = text.split('-').collect();
        let (year, month, day) = match parts.as_slice() {
            [year, month, day] => {
                digits(year, 4).ok_or_else(wrong)?;
                (Some(year.parse::<i16>().map_err(|_| wrong())?), *month, *day)
            }
            [month, day] => (None, *month, *day),
            _ => return Err(wrong()),
        };
        digits(month, 2).and(digits(day, 2)).ok_or_else(wrong)?;
        let (month, day) = (month.parse().map_err(|_| wrong())?, day.parse().map_err(|_| wrong())?);
        // 29 February is a date of every year that has it.
        jiff::civil::Date::new(year.unwrap_or(2000), month, day).map_err(|_| wrong())?;
        Ok(Self { year, month, day })
    }
}

impl fmt::Display for Holiday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(year) = self.year {
            write!(f, "{year:04}-")?;
        }
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

/// When nobody is disconnected for want of credit. What is used meanwhile becomes debt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Friendly {
    /// Hours of every day, such as 18:00-11:00.
    pub hours: Vec<DayRange>,
    /// Whole days of the week.
    pub days: BTreeSet<Weekday>,
    /// Whole dates.
    pub dates: BTreeSet<Holiday>,
}

impl Friendly {
    /// Whether no hour is friendly.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.days.is_empty() && self.dates.is_empty()
    }

    /// Whether `at` is in friendly hours.
    ///
    /// In autumn an hour comes twice. Friendly hours that hold at its second beginning are not interrupted before it:
    /// nobody is disconnected for an hour in the middle of a friendly night.
    #[must_use]
    pub fn holds(&self, calendar: &Calendar, at: Timestamp) -> bool {
        // Where no calendar reaches, nobody can say that the hours are over.
        let Some(local) = calendar.local(at) else { return true };
        self.shown(local) || calendar.comes_again_from(at).is_some_and(|again| self.shown(again))
    }

    /// When the friendly hours that hold at `at` are over; `None` if that is more than forty days away.
    #[must_use]
    pub fn ends(&self, calendar: &Calendar, at: Timestamp) -> Option<Timestamp> {
        let mut borders: Vec<Timestamp> = calendar.next_change(at).into_iter().collect();
        let minutes = self.borders();
        let mut date = calendar.local(at)?.date();
        for _ in 0..HORIZON_DAYS {
            let shown = minutes.iter().map(|minute| date.to_datetime(clock_face(*minute)));
            borders.extend(shown.filter_map(|shown| calendar.instants(shown)).flatten());
            borders.sort_unstable();
            let end = borders.iter().find(|border| **border > at && !self.holds(calendar, **border));
            // A change of clocks that lies beyond this day must not be taken for its end.
            let tomorrow = date.tomorrow().ok()?;
            let reached = calendar.instants(tomorrow.to_datetime(clock_face(0)))?;
            if let Some(end) = end.filter(|end| **end <= reached[0]) {
                return Some(*end);
            }
            borders.retain(|border| *border > reached[0]);
            date = tomorrow;
        }
        None
    }

    fn shown(&self, local: DateTime) -> bool {
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let weekday = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let year = |y: Option<i16>| y.is_none_or(|y| y == local.year());
        self.hours.iter().any(|range| range.contains(minute))
            || WEEK.get(weekday).is_some_and(|(day, _)| self.days.contains(day))
            || self.dates.iter().any(|d| year(d.year) && d.month == local.month() && d.day == local.day())
    }

    /// Minutes of the day at which something may begin or end.
    fn borders(&self) -> Vec<u16> {
        let inside = |minute: u16| self.hours.iter().map(|r| r.contains(minute)).collect::<Vec<_>>();
        (0..1440_u16).filter(|m| *m == 0 || inside(*m) != inside(m - 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeZone;
    use proptest::prelude::*;
    use std::time::Duration;

    const MINUTE: i64 = 60_000;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(&TimeZone::try_from(zone.to_owned()).unwrap())
    }

    fn friendly(hours: &[&str], days: &[&str], dates: &[&str]) -> Friendly {
        Friendly {
            hours: hours.iter().map(|h| h.parse().unwrap()).collect(),
            days: days.iter().map(|d| d.parse().unwrap()).collect(),
            dates: dates.iter().map(|d| d.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_friendly_friday_evening_lasts_over_the_weekend_and_the_holiday_to_tuesday_morning() {
        let terms = friendly(&["18:00-11:00"], &["sat", "sun"], &["2026-04-06"]);
        let utc = calendar("UTC");
        // Friday 2026-04-03T19:00:00Z; Easter Monday is the 6th.
        let friday = Timestamp(1_775_242_800_000);
        assert!(terms.holds(&utc, friday) && !terms.holds(&utc, friday - Duration::from_secs(2 * 3600)));
        // Tuesday 2026-04-07T11:00:00Z
        assert_eq!(terms.ends(&utc, friday), Some(Timestamp(1_775_559_600_000)));
    }

    #[test]
    fn the_hour_that_comes_twice_disconnects_nobody_in_its_middle() {
        let terms = friendly(&["22:00-02:30"], &[], &[]);
        let madrid = calendar("Europe/Madrid");
        // 2026-10-25: 02:45 summer time is 00:45Z, and 02:30 comes again at 01:30Z.
        let once = Timestamp(1_792_889_100_000);
        assert!(terms.holds(&madrid, once));
        assert_eq!(terms.ends(&madrid, once), Some(Timestamp(1_792_891_800_000)));
    }

    #[test]
    fn hours_that_never_end_have_no_end() {
        let always = friendly(&[], &["mon", "tue", "wed", "thu", "fri", "sat", "sun"], &[]);
        assert_eq!(always.ends(&calendar("UTC"), Timestamp(1_775_242_800_000)), None);
    }

    #[test]
    fn a_date_that_no_year_has_is_refused() {
        for bad in ["2026-02-29", "13-01", "1-1", "2026/01/01", "", "02-30", "26-01-01", "a-b"] {
            assert!(bad.parse::<Holiday>().is_err(), "{bad}");
        }
        assert_eq!("02-29".parse::<Holiday>().unwrap().to_string(), "02-29");
        assert_eq!("2026-04-03".parse::<Holiday>().unwrap().to_string(), "2026-04-03");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_end_is_the_first_minute_that_is_not_friendly(
            zone in prop::sample::select(vec!["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe"]),
            // Half of the moments lie in the week around the change of clocks in Madrid.
            day in prop_oneof![20_500_i64..20_900, 20_538_i64..20_545, 20_748_i64..20_755],
            minute in 0_i64..1440,
            hours in prop::sample::select(vec!["18:00-11:00", "22:00-02:30", "02:15-02:30", "01:30-02:00"]),
            saturday in any::<bool>(),
        ) {
            let terms = friendly(&[hours], if saturday { &["sat"] } else { &[] }, &["2026-03-29"]);
            let calendar = calendar(zone);
            let at = Timestamp((day * 1440 + minute) * MINUTE);
            prop_assume!(terms.holds(&calendar, at));
            let walked = (1..4 * 1440).map(|n| Timestamp(at.0 + n * MINUTE)).find(|t| !terms.holds(&calendar, *t));
            prop_assert_eq!(terms.ends(&calendar, at), walked);
        }
    }
}
