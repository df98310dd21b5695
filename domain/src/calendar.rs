//! Local time: ranges of the day, and the zone that says which day and minute an instant belongs to.

use crate::{TariffProblem, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A range of minutes of the local day, `start` included, `end` not. It may run over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayRange {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

const DAY_MINUTES: u16 = 24 * 60;

impl DayRange {
    /// From a minute of the local day to another, which may be 1440; `None` if that is empty or no time of day.
    #[must_use]
    pub fn new(start: u16, end: u16) -> Option<Self> {
        let whole = start < DAY_MINUTES && end <= DAY_MINUTES && start != end % DAY_MINUTES;
        whole.then_some(Self { start, end })
    }

    pub(crate) fn contains(self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

impl FromStr for DayRange {
    type Err = TariffProblem;
    fn from_str(text: &str) -> Result<Self, TariffProblem> {
        let minute = |s: &str| {
            let (h, m) = s.trim().split_once(':')?;
            let digits =
                |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok());
            let (h, m) = (digits(h)??, digits(m)??);
            (m < 60 && (h < 24 || (h == 24 && m == 0))).then_some(h * 60 + m)
        };
        let bad = || TariffProblem::Hours(text.chars().take(40).collect());
        let (start, end) = text.split_once('-').ok_or_else(bad)?;
        let (start, end) = (minute(start).ok_or_else(bad)?, minute(end).ok_or_else(bad)?);
        let range = Self { start: start % DAY_MINUTES, end };
        if start % DAY_MINUTES == end % DAY_MINUTES { Err(TariffProblem::Empty(range)) } else { Ok(range) }
    }
}

impl TryFrom<String> for DayRange {
    type Error = TariffProblem;
    fn try_from(text: String) -> Result<Self, TariffProblem> {
        text.parse()
    }
}

impl From<DayRange> for String {
    fn from(range: DayRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.start / 60, self.start % 60, self.end / 60, self.end % 60)
    }
}

/// Where an instant lies in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Months since the year 0.
    pub month: i32,
    /// Minutes since local midnight by the wall clock.
    pub minute: u16,
}

/// A time zone by its IANA name. The rules are compiled in, so that a bare system knows them too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone {
    name: String,
    zone: jiff::tz::TimeZone,
}

impl TimeZone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC }
    }

    /// When its clocks change.
    pub(crate) fn rules(&self) -> &jiff::tz::TimeZone {
        &self.zone
    }

    /// The local day and minute of an instant.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Local {
        // Outside jiff's range of years there is no local time; the one in UTC is as good as any.
        let Ok(instant) = jiff::Timestamp::from_second(at.0.div_euclid(1000)) else {
            let minutes = at.0.div_euclid(60_000);
            let day = i32::try_from(minutes.div_euclid(i64::from(DAY_MINUTES))).unwrap_or(i32::MAX);
            let minute = u16::try_from(minutes.rem_euclid(i64::from(DAY_MINUTES))).unwrap_or(0);
            return Local { day, month: day / 30, minute };
        };
        let local = self.zone.to_datetime(instant);
        let hours = u16::try_from(local.hour()).unwrap_or(0);
        let day = jiff::civil::date(1970, 1, 1).until(local.date()).map_or(0, |span| span.get_days());
        let month = i32::from(local.year()) * 12 + i32::from(local.month()) - 1;
        Local { day, month, minute: hours * 60 + u16::try_from(local.minute()).unwrap_or(0) }
    }

    /// Local time minus UTC at an instant, in minutes.
    #[must_use]
    pub fn offset(&self, at: Timestamp) -> i32 {
        jiff::Timestamp::from_second(at.0.div_euclid(1000)).map_or(0, |at| self.zone.to_offset(at).seconds() / 60)
    }

    /// When the local day of so many days since 1970-01-01 begins; `None` beyond the calendar.
    #[must_use]
    pub fn day_begins(&self, day: i32) -> Option<Timestamp> {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
        let begins = self.zone.to_zoned(date.at(0, 0, 0, 0)).ok()?;
        Some(Timestamp(begins.timestamp().as_millisecond()))
    }

    /// Local date and time as `2026-03-01 16:50`, for people.
    #[must_use]
    pub fn day_and_time(&self, at: Timestamp) -> String {
        match jiff::Timestamp::from_second(at.0.div_euclid(1000)) {
            Ok(instant) => self.zone.to_datetime(instant).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => at.to_string(),
        }
    }

    /// When a local date begins, such as `2026-03-01`; or the instant of an RFC 3339 text.
    pub fn instant(&self, text: &str) -> Result<Timestamp, String> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp(instant.as_millisecond()));
        }
        let bad = || format!("{text:?} is no date: write 2026-03-01, or an instant such as 2026-03-01T12:00:00Z");
        let date: jiff::civil::Date = text.parse().map_err(|_| bad())?;
        let begins = self.zone.to_zoned(date.at(0, 0, 0, 0)).map_err(|_| bad())?;
        Ok(Timestamp(begins.timestamp().as_millisecond()))
    }

    /// Local wall-clock time as `HH:MM`, for people.
    #[must_use]
    pub fn hh_mm(&self, at: Timestamp) -> String {
        let minute = self.local(at).minute;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }
}

impl TryFrom<String> for TimeZone {
    type Error = TariffProblem;
    fn try_from(name: String) -> Result<Self, TariffProblem> {
        match jiff::tz::TimeZone::get(&name) {
            Ok(zone) => Ok(Self { name, zone }),
            Err(_) => Err(TariffProblem::Zone(name)),
        }
    }
}

impl From<TimeZone> for String {
    fn from(zone: TimeZone) -> Self {
        zone.name
    }
}
