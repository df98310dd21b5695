//! What energy costs: one version of the tariff, with its price ranges, its other charges, and its customer classes.

use crate::{ClassId, DayRange, Money, Permille, PowerPrice, Price, TimeZone, Timestamp, WattHours};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
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
    /// Borders of intervals would fall differently every day.
    #[error("an interval of {0} s does not divide a day: use 1m, 5m, 15m, 30m or 1h")]
    Interval(u32),
    /// Two blocks begin at the same energy, or they are not in order.
    #[error("the block above {0} must begin above the one before it")]
    BlockOrder(WattHours),
    /// A block that pays the customer for taking energy.
    #[error("the block above {0} makes a watt-hour cheaper than nothing")]
    BlockPrice(WattHours),
}

/// Over which time blocks and allowances count before they begin again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// The local day.
    Day,
    /// The local calendar month.
    #[default]
    Month,
}

/// Above so much energy in a period, every watt-hour costs more (or less) than its range says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where it begins, in energy taken since the period began.
    pub above: WattHours,
    /// Minor units a watt-hour on top of the price of the range, up to the next block. It replaces the surcharge of the
    /// block before.
    pub surcharge: i32,
}

/// What a class of customers pays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Price of imported energy in the cheaper hours.
    pub off_peak: Price,
    /// Price of imported energy in the dearer hours.
    pub peak: Price,
    /// What a prosumer is paid for exported energy.
    pub feed_in: Price,
    /// What the network operator gets of every imported watt-hour, on top of the price.
    pub network: Price,
    /// Tax on everything that is charged, in millionths.
    pub tax_ppm: u32,
    /// Fixed charge of every local day.
    pub daily: Money,
    /// Of the highest mean power of an interval in a local month, charged as it rises.
    pub demand: PowerPrice,
    /// Energy of every local day that costs nothing.
    pub lifeline: WattHours,
    /// In ascending order.
    pub blocks: Vec<Block>,
    /// When the blocks begin again.
    pub block_period: Period,
}

impl Rates {
    /// The price of imported energy in a range, before blocks.
    #[must_use]
    pub fn price(&self, range: Range) -> Price {
        match range {
            Range::OffPeak => self.off_peak,
            Range::Peak => self.peak,
        }
    }

    /// What `energy` costs in `range` when `taken` came before it in this period of blocks; `None` if that is no amount.
    #[must_use]
    pub fn energy(&self, range: Range, taken: WattHours, energy: WattHours) -> Option<Money> {
        let mut due = self.price(range).of(energy)?;
        let (from, to) = (taken.0, taken.0.checked_add(energy.0)?);
        for (i, block) in self.blocks.iter().enumerate() {
            let end = self.blocks.get(i + 1).map_or(i64::MAX, |next| next.above.0);
            let within = to.min(end).saturating_sub(from.max(block.above.0)).max(0);
            due = due.checked_add(Money(i64::from(block.surcharge).checked_mul(within)?))?;
        }
        Some(due)
    }

    /// All that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<TariffProblem> {
        let mut found = Vec::new();
        let cheapest = i64::from(self.off_peak.0.min(self.peak.0));
        for (i, block) in self.blocks.iter().enumerate() {
            if i > 0 && self.blocks[i - 1].above >= block.above {
                found.push(TariffProblem::BlockOrder(block.above));
            }
            if cheapest + i64::from(block.surcharge) < 0 {
                found.push(TariffProblem::BlockPrice(block.above));
            }
        }
        found
    }
}

/// One version of the tariff. A version never changes; another price is another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// Counts from 1.
    pub version: u32,
    /// The interval border from which it holds.
    pub since: Timestamp,
    /// Length of a billing interval in seconds; it divides a day.
    pub interval_s: u32,
    /// The dearer hours of every day.
    pub peak_hours: Vec<DayRange>,
    /// Where the site is, as far as clocks go.
    pub zone: TimeZone,
    /// The share of what the street pays for energy from its own roofs that goes to those roofs, beside the feed-in
    /// price.
    #[serde(default = "none")]
    pub pool_share: Permille,
    /// What customers of no class pay.
    pub rates: Rates,
    /// What customers of a class pay.
    pub classes: BTreeMap<ClassId, Rates>,
}

fn none() -> Permille {
    Permille::NONE
}

const DAY_S: u32 = 24 * 60 * 60;

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
        if self.interval_s == 0 || !DAY_S.is_multiple_of(self.interval_s) {
            found.push(TariffProblem::Interval(self.interval_s));
        }
        found.extend(self.rates.problems());
        found.extend(self.classes.values().flat_map(Rates::problems));
        found
    }

    /// What a customer of this class pays. A class that this version does not know pays what those without a class do.
    #[must_use]
    pub fn rates(&self, class: Option<&ClassId>) -> &Rates {
        class.and_then(|class| self.classes.get(class)).unwrap_or(&self.rates)
    }

    /// The range that holds at an instant.
    #[must_use]
    pub fn range_at(&self, at: Timestamp) -> Range {
        self.range_of(self.zone.local(at).minute)
    }

    pub(crate) fn range_of(&self, minute: u16) -> Range {
        if self.peak_hours.iter().any(|r| r.contains(minute)) { Range::Peak } else { Range::OffPeak }
    }

    pub(crate) fn interval_ms(&self) -> i64 {
        i64::from(self.interval_s.max(1)) * 1000
    }

    /// The start of the interval in which an instant lies.
    #[must_use]
    pub fn interval_of(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.div_euclid(self.interval_ms()).saturating_mul(self.interval_ms()))
    }

    /// The same but for `version` and `since`: nothing would change for anybody.
    #[must_use]
    pub fn same_terms(&self, other: &Self) -> bool {
        Self { version: other.version, since: other.since, ..self.clone() } == *other
    }

    /// The same but for `version`, `since` and the dearer hours, which follow from forecasts.
    #[must_use]
    pub fn same_prices(&self, other: &Self) -> bool {
        Self { peak_hours: other.peak_hours.clone(), ..self.clone() }.same_terms(other)
    }

    /// The first border of intervals at or after `at` that is one in `other` as well.
    #[must_use]
    pub fn common_border(&self, other: &Self, at: Timestamp) -> Timestamp {
        let (ours, theirs) = (self.interval_ms(), other.interval_ms());
        let mut border = self.interval_of(Timestamp(at.0.saturating_add(ours - 1)));
        // Both divide a day, so there is one within a day.
        while border.0.rem_euclid(theirs) != 0 && border.0 < at.0.saturating_add(i64::from(DAY_S) * 1000) {
            border = Timestamp(border.0 + ours);
        }
        border
    }
}

#[cfg(test)]
mod tests;
