//! The two-range time-of-use tariff: which price holds when, in the local time of the site.

use crate::{Price, Timestamp, WattHours};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// The price range that an instant lies in. The numbers are those of the tariff registers on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// The cheaper hours.
    OffPeak,
    /// The dearer hours.
    Peak,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OffPeak => "off-peak",
            Self::Peak => "peak",
        })
    }
}

/// What is wrong with a tariff as written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TariffProblem {
    /// Not `HH:MM-HH:MM`.
    #[error("{0:?} is no range of hours: write it as \"17:00-22:00\"")]
    Hours(String),
    /// Start and end are the same minute.
    #[error("the range {0} is empty: its start and end are the same minute")]
    Empty(DayRange),
    /// Two ranges share a minute.
    #[error("the ranges {0} and {1} overlap")]
    Overlap(DayRange, DayRange),
    /// No such zone.
    #[error("{0:?} is no time zone: use an IANA name such as \"Europe/Madrid\" or \"UTC\"")]
    Zone(String),
}

/// A range of minutes of the local day, `start` included, `end` not. It may run over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayRange {
    start: u16,
    end: u16,
}

const DAY_MINUTES: u16 = 24 * 60;

impl DayRange {
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

    fn minute_of_day(&self, at: Timestamp) -> u16 {
        // Outside jiff's range of years there is no local time; the minute in UTC is as good as any.
        let minutes = match jiff::Timestamp::from_second(at.0.div_euclid(1000)) {
            Ok(t) => {
                let local = self.zone.to_datetime(t);
                i64::from(local.hour()) * 60 + i64::from(local.minute())
            }
            Err(_) => at.0.div_euclid(60_000).rem_euclid(i64::from(DAY_MINUTES)),
        };
        u16::try_from(minutes).unwrap_or(0)
    }

    /// Local wall-clock time as `HH:MM`, for people.
    #[must_use]
    pub fn hh_mm(&self, at: Timestamp) -> String {
        let minute = self.minute_of_day(at);
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

/// One version of the tariff. A version never changes; another price is another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// Counts from 1, as on the chain.
    pub version: u32,
    /// Price of imported energy in the cheaper hours.
    pub off_peak: Price,
    /// Price of imported energy in the dearer hours.
    pub peak: Price,
    /// What a prosumer is paid for exported energy.
    pub feed_in: Price,
    /// The dearer hours of every day.
    pub peak_hours: Vec<DayRange>,
    /// Where the site is, as far as clocks go.
    pub zone: TimeZone,
}

/// A stretch of time within one price range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its range.
    pub range: Range,
    /// Start, included.
    pub from: Timestamp,
    /// End, not included.
    pub to: Timestamp,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Tariff {
    /// All that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<TariffProblem> {
        let mut found = Vec::new();
        for (i, a) in self.peak_hours.iter().enumerate() {
            for b in &self.peak_hours[i + 1..] {
                if a.contains(b.start) || b.contains(a.start) {
                    found.push(TariffProblem::Overlap(*a, *b));
                }
            }
        }
        found
    }

    /// The range that holds at an instant.
    #[must_use]
    pub fn range_at(&self, at: Timestamp) -> Range {
        let minute = self.zone.minute_of_day(at);
        if self.peak_hours.iter().any(|r| r.contains(minute)) { Range::Peak } else { Range::OffPeak }
    }

    /// The price of imported energy in a range.
    #[must_use]
    pub fn price(&self, range: Range) -> Price {
        match range {
            Range::OffPeak => self.off_peak,
            Range::Peak => self.peak,
        }
    }

    /// Cuts `from..to` at every border between ranges. Never empty; the spans cover the time without gap or overlap.
    ///
    /// Walks minute by minute instead of computing borders, because that stays right on the days when clocks change:
    /// every zone offset in use is a whole number of minutes. A week costs about 10,000 steps, well under 10 ms.
    #[must_use]
    pub fn split(&self, from: Timestamp, to: Timestamp) -> Vec<Span> {
        if to <= from {
            return vec![Span { range: self.range_at(to), from: to, to }];
        }
        let mut spans = Vec::with_capacity(1);
        let mut open = Span { range: self.range_at(from), from, to: from };
        let mut at = from.floor_to(MINUTE) + MINUTE;
        while at < to {
            let range = self.range_at(at);
            if range != open.range {
                spans.push(Span { to: at, ..open });
                open = Span { range, from: at, to: at };
            }
            at = at + MINUTE;
        }
        spans.push(Span { to, ..open });
        spans
    }
}

/// Shares energy among spans by their length. The shares add up to `energy` exactly: each is the difference of two
/// running totals, each rounded down to a watt-hour.
#[must_use]
pub fn apportion(energy: WattHours, spans: &[Span]) -> Vec<WattHours> {
    let length = |s: &Span| i128::from(s.to.0.saturating_sub(s.from.0).max(0));
    let whole: i128 = spans.iter().map(length).sum();
    if whole == 0 {
        // No time passed: all of it belongs to the last span.
        let last = spans.len().saturating_sub(1);
        return (0..spans.len()).map(|i| if i == last { energy } else { WattHours::ZERO }).collect();
    }
    let (mut passed, mut given) = (0_i128, WattHours::ZERO);
    spans
        .iter()
        .map(|span| {
            passed += length(span);
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
