//! From energy that flowed to what a customer owes: the lines of a bill.
//!
//! Every amount is exact but the tax, whose fraction of a minor unit is carried to the next line; so the sum of a bill
//! depends neither on how often a meter was read nor on how lines are cut, and nothing is ever rounded twice.

use crate::schedule::{Classes, Schedule, Span, apportion};
use crate::{MeterId, Money, Price, Range, Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};

/// Energy that one meter counted in a stretch of time, not yet priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Start.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Import register at the start.
    pub import_from: WattHours,
    /// Export register at the start, zero for a meter without one.
    pub export_from: WattHours,
    /// Energy from the grid.
    pub import: WattHours,
    /// Energy to the grid.
    pub export: WattHours,
}

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Energy in the cheaper hours.
    OffPeak,
    /// Energy in the dearer hours.
    Peak,
    /// The fixed charge of a day.
    Daily,
    /// A share of what the pool earned in an interval.
    PoolShare,
    /// What is not paid of an interval's feed-in, because it was beyond the dispatch. [`Line::import_from`] is the energy
    /// that was dispatched, [`Line::export_from`] what the meter counted, [`Line::credit`] negative.
    Withheld,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::OffPeak, Self::Peak, Self::Daily, Self::PoolShare, Self::Withheld];

    /// Its number, in the ledger and under the roots on the chain.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::OffPeak => 0,
            Self::Peak => 1,
            Self::Daily => 2,
            Self::PoolShare => 3,
            Self::Withheld => 4,
        }
    }
}

impl From<Range> for Kind {
    fn from(range: Range) -> Self {
        match range {
            Range::OffPeak => Self::OffPeak,
            Range::Peak => Self::Peak,
        }
    }
}

/// What a line charges, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debit {
    /// For energy.
    pub energy: Money,
    /// For the network operator.
    pub network: Money,
    /// For a new highest demand of the month.
    pub demand: Money,
    /// Fixed.
    pub daily: Money,
    /// Tax on all of these.
    pub tax: Money,
}

impl Debit {
    /// All of it; `None` past what an amount can be.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        self.taxable()?.checked_add(self.tax)
    }

    fn taxable(&self) -> Option<Money> {
        self.energy.checked_add(self.network)?.checked_add(self.demand)?.checked_add(self.daily)
    }
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub kind: Kind,
    /// Whose registers; none for a line without energy.
    pub meter: Option<MeterId>,
    /// Start of the interval in which it begins.
    pub interval: Timestamp,
    /// The version of the tariff.
    pub tariff: u32,
    /// Start.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Import register at the start (interpolated where readings were split at a border); see [`Kind::Withheld`].
    pub import_from: WattHours,
    /// Export register at the start.
    pub export_from: WattHours,
    /// Energy from the grid.
    pub import: WattHours,
    /// Of that, what cost nothing under the day's allowance.
    pub free: WattHours,
    /// Energy to the grid.
    pub export: WattHours,
    /// What the customer owes.
    pub debit: Debit,
    /// What the customer is paid; negative where pay is withheld.
    pub credit: Money,
    /// Rounding: the fraction of a minor unit of tax, in millionths, that was carried on after this line.
    pub carry: u32,
}

/// Cumulative billed energy of one account since it was opened, by price range. These are what is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TariffRegisters {
    /// Imported in the cheaper hours.
    pub off_peak: WattHours,
    /// Imported in the dearer hours.
    pub peak: WattHours,
    /// Exported at any hour.
    pub feed_in: WattHours,
}

impl TariffRegisters {
    /// Adds one line.
    pub fn add(&mut self, line: &Line) {
        match line.kind {
            Kind::OffPeak => self.off_peak += line.import,
            Kind::Peak => self.peak += line.import,
            Kind::Daily | Kind::PoolShare | Kind::Withheld => {}
        }
        self.feed_in += line.export;
    }

    /// All energy counted, in either direction.
    #[must_use]
    pub fn total(&self) -> WattHours {
        self.off_peak + self.peak + self.feed_in
    }

    /// Register by register, adds `other`.
    pub fn add_registers(&mut self, other: &Self) {
        self.off_peak += other.off_peak;
        self.peak += other.peak;
        self.feed_in += other.feed_in;
    }

    /// Register by register, what is left without `other`.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        Self {
            off_peak: self.off_peak - other.off_peak,
            peak: self.peak - other.peak,
            feed_in: self.feed_in - other.feed_in,
        }
    }
}

/// Prices of the tariff registers, as a contract has them. It prices what registers moved by itself; what a tariff
/// charges beyond that comes to it as a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterPrices {
    /// Of energy in the cheaper hours.
    pub off_peak: Price,
    /// Of energy in the dearer hours.
    pub peak: Price,
    /// Of exported energy.
    pub feed_in: Price,
}

impl RegisterPrices {
    /// What an account owes beyond these prices when its registers moved from `before` to `after`, and the part of its
    /// balance that is settled from `net_before` to `net_after`. `None` if that is no amount.
    #[must_use]
    pub fn charge(
        &self,
        before: &TariffRegisters,
        after: &TariffRegisters,
        net_before: Money,
        net_after: Money,
    ) -> Option<Money> {
        let off_peak = self.off_peak.of(after.off_peak - before.off_peak)?;
        let peak = self.peak.of(after.peak - before.peak)?;
        let feed_in = self.feed_in.of(after.feed_in - before.feed_in)?;
        let by_contract = i128::from(feed_in.0) - i128::from(off_peak.0) - i128::from(peak.0);
        let due = i128::from(net_after.0) - i128::from(net_before.0);
        i64::try_from(by_contract - due).ok().map(Money)
    }
}

/// What an account has used of whatever a tariff counts over a day, a month or an interval. It goes forward with the
/// account's flows, in the order in which they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The local day that is counted, from 1970-01-01; none before the first flow.
    pub day: Option<i32>,
    /// Energy from the grid on that day.
    pub day_import: WattHours,
    /// Of that, what was free.
    pub day_free: WattHours,
    /// The local month that is counted, from the year 0.
    pub month: i32,
    /// Energy from the grid in that month.
    pub month_import: WattHours,
    /// The month's highest mean power of an interval.
    pub month_demand: Watts,
    /// The interval that is counted.
    pub interval: Timestamp,
    /// Energy from the grid in that interval.
    pub interval_import: WattHours,
    /// Fraction of a minor unit of tax, in millionths.
    pub carry: u32,
}

/// A day that lies this far back is not late: the clock was wrong when the later one was counted. A meter cannot be so
/// late, because billing holds it.
const WRONG_CLOCK_DAYS: i32 = 401;
const MILLION: i128 = 1_000_000;

impl Usage {
    /// Prices what flowed through one of the account's meters, and counts it. `None`, and nothing counted, if an amount
    /// cannot be represented.
    ///
    /// Energy that comes late, from a meter that was silent, is priced by the hours in which it flowed; where a tariff
    /// counts by day, month or interval, it counts to the present ones.
    pub fn charge(
        &mut self,
        meter: &MeterId,
        flow: &Flow,
        schedule: &Schedule,
        classes: &Classes,
    ) -> Option<Vec<Line>> {
        let spans = schedule.cut(flow.from, flow.to);
        let shares = apportion(flow.import, &spans).into_iter().zip(apportion(flow.export, &spans));
        let (mut import_from, mut export_from) = (flow.import_from, flow.export_from);
        let mut lines = Vec::with_capacity(spans.len());
        let mut next = *self;
        for (span, (import, export)) in spans.iter().zip(shares) {
            if let Some(line) = next.turn(span, schedule, classes)? {
                lines.push(line);
            }
            if import != WattHours::ZERO || export != WattHours::ZERO {
                let mut line = Line {
                    kind: span.range.into(),
                    meter: Some(meter.clone()),
                    import_from,
                    export_from,
                    import,
                    export,
                    ..Line::empty(span)
                };
                next.price(&mut line, span, schedule, classes)?;
                lines.push(line);
            }
            import_from += import;
            export_from += export;
        }
        *self = next;
        Some(lines)
    }

    /// Begins new days, months and intervals; a new day has its fixed charge.
    fn turn(&mut self, span: &Span, schedule: &Schedule, classes: &Classes) -> Option<Option<Line>> {
        if span.interval > self.interval {
            (self.interval, self.interval_import) = (span.interval, WattHours::ZERO);
        }
        let later = self.day.is_none_or(|day| span.day > day || span.day < day.saturating_sub(WRONG_CLOCK_DAYS));
        if !later {
            return Some(None);
        }
        (self.day, self.day_import, self.day_free) = (Some(span.day), WattHours::ZERO, WattHours::ZERO);
        if span.month != self.month {
            (self.month, self.month_import, self.month_demand) = (span.month, WattHours::ZERO, Watts(0));
        }
        (self.interval, self.interval_import) = (span.interval, WattHours::ZERO);
        let rates = classes.rates(schedule, span);
        if rates.daily == Money::ZERO {
            return Some(None);
        }
        let mut line = Line { kind: Kind::Daily, to: span.from, ..Line::empty(span) };
        line.debit.daily = rates.daily;
        self.tax(&mut line, rates.tax_ppm)?;
        Some(Some(line))
    }

    fn price(&mut self, line: &mut Line, span: &Span, schedule: &Schedule, classes: &Classes) -> Option<()> {
        let rates = classes.rates(schedule, span);
        line.free = line.import.min(rates.lifeline - self.day_free.min(rates.lifeline));
        let paid = line.import - line.free;
        let taken = match rates.block_period {
            crate::Period::Day => self.day_import,
            crate::Period::Month => self.month_import,
        };
        line.debit.energy = rates.energy(span.range, taken + line.free, paid)?;
        line.debit.network = rates.network.of(paid)?;
        line.credit = rates.feed_in.of(line.export)?;
        self.day_import += line.import;
        self.day_free += line.free;
        self.month_import += line.import;
        if span.interval == self.interval {
            self.interval_import += line.import;
            let interval_ms = schedule.version(span.version, span.from).interval_ms();
            let mean = i128::from(self.interval_import.0) * 3_600_000 / i128::from(interval_ms);
            let mean = Watts(i64::try_from(mean).ok()?);
            if mean > self.month_demand {
                line.debit.demand = rates.demand.of(mean - self.month_demand)?;
                self.month_demand = mean;
            }
        }
        self.tax(line, rates.tax_ppm)
    }

    fn tax(&mut self, line: &mut Line, ppm: u32) -> Option<()> {
        let due = i128::from(line.debit.taxable()?.0) * i128::from(ppm) + i128::from(self.carry);
        line.debit.tax = Money(i64::try_from(due.div_euclid(MILLION)).ok()?);
        self.carry = u32::try_from(due.rem_euclid(MILLION)).ok()?;
        line.carry = self.carry;
        line.debit.total()?;
        Some(())
    }
}

impl Line {
    /// Pay that is withheld.
    pub(crate) fn withheld(
        meter: &MeterId,
        (from, to, tariff): (Timestamp, Timestamp, u32),
        (dispatched, metered): (WattHours, WattHours),
        amount: Money,
    ) -> Self {
        Self {
            kind: Kind::Withheld,
            meter: Some(meter.clone()),
            interval: from,
            tariff,
            from,
            to,
            import_from: dispatched,
            export_from: metered,
            import: WattHours::ZERO,
            free: WattHours::ZERO,
            export: WattHours::ZERO,
            debit: Debit::default(),
            credit: Money(-amount.0),
            carry: 0,
        }
    }

    fn empty(span: &Span) -> Self {
        Self {
            kind: span.range.into(),
            meter: None,
            interval: span.interval,
            tariff: span.version,
            from: span.from,
            to: span.to,
            import_from: WattHours::ZERO,
            export_from: WattHours::ZERO,
            import: WattHours::ZERO,
            free: WattHours::ZERO,
            export: WattHours::ZERO,
            debit: Debit::default(),
            credit: Money::ZERO,
            carry: 0,
        }
    }
}

#[cfg(test)]
mod tests;
