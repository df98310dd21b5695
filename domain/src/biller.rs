//! The whole rule of billing for a street: readings in the order of the journal go in, lines of bills come out. The
//! Pricer runs it on what is new, the auditor on everything from the start.

use crate::dispatch::{Caps, Injected};
use crate::register::Doubt;
use crate::{
    AccountId, Billed, Classes, Flow, Guard, Line, MeterBook, MeterId, Money, Pool, Reading, Replacement, Schedule,
    Seq, Stamp, Timestamp, Usage, WattHours, Watts, billing,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use thiserror::Error;

/// A meter, as billing sees it.
#[derive(Clone, Debug, Default)]
pub struct Metered {
    /// Who pays for it; none for a feeder meter.
    pub account: Option<AccountId>,
    /// How far it is billed; none before its first reading.
    pub book: Option<MeterBook>,
    /// What its registers are judged by; without it, everything is believed that does not go backwards.
    pub guard: Option<Guard>,
}

/// An account, as billing sees it.
#[derive(Clone, Debug, Default)]
pub struct Customer {
    /// What it has used.
    pub usage: Usage,
    /// The classes it belonged to.
    pub classes: Classes,
}

/// What one reading came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing to bill.
    Nothing,
    /// Billing of the meter began.
    Started,
    /// Time moved on. The lines are the account's, if the meter has one.
    Advanced(Vec<Line>),
    /// Not believed yet; `true` for the first such reading.
    Doubted(Doubt, bool),
    /// The meter is held until a person has looked.
    Held(Doubt),
}

/// What the last registers of a device that was taken out came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    /// What is billed for them, to the meter's account if it has one.
    pub lines: Vec<Line>,
    /// How far the old device was billed.
    pub closed: MeterBook,
}

/// Why a meter was not replaced. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotReplaced {
    /// There is no device to replace yet.
    #[error("nothing was read from it yet, so there is nothing to replace")]
    Unread,
    /// It was read after the time at which it is said to have been taken out.
    #[error("it was billed until {0} already: say a later time")]
    Early(Timestamp),
    /// The old device cannot have counted that.
    #[error("its last registers cannot be believed: {0}")]
    Doubted(Doubt),
    /// The amount cannot be represented.
    #[error("what its last registers cost is out of range")]
    OutOfRange,
}

/// Bills the readings of a street.
#[derive(Clone, Debug)]
pub struct Biller {
    schedule: Schedule,
    meters: BTreeMap<MeterId, Metered>,
    customers: BTreeMap<AccountId, Customer>,
    pool: Pool,
    caps: Caps,
    /// Caps recorded up to here count.
    heard: Seq,
    injected: BTreeMap<MeterId, Injected>,
    newest: Timestamp,
    touched_meters: BTreeSet<MeterId>,
    touched_customers: BTreeSet<AccountId>,
}

/// How long an interval waits for a silent meter before it is shared out without it.
const POOL_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
const BELIEVED: Guard = Guard { limit: Watts(i64::MAX), import_rollover: None, export_rollover: None };

impl Biller {
    /// A biller that goes on from here.
    #[must_use]
    pub fn new(
        schedule: Schedule,
        meters: BTreeMap<MeterId, Metered>,
        customers: BTreeMap<AccountId, Customer>,
        pool: Pool,
    ) -> Self {
        let newest = meters.values().filter_map(|m| Some(m.book.as_ref()?.at)).max().unwrap_or_default();
        Self {
            schedule,
            meters,
            customers,
            pool,
            caps: Caps::default(),
            heard: Seq(i64::MAX),
            injected: BTreeMap::new(),
            newest,
            touched_meters: BTreeSet::new(),
            touched_customers: BTreeSet::new(),
        }
    }

    /// The same with what inverters were dispatched, and what their meters have fed in of open intervals.
    #[must_use]
    pub fn dispatched(self, caps: Caps, injected: BTreeMap<MeterId, Injected>) -> Self {
        Self { caps, injected, ..self }
    }

    /// Goes on to this place in the journal: only what was recorded before it is known to what is billed next.
    pub fn reached(&mut self, seq: Seq) {
        self.heard = seq;
    }

    /// What meters under a dispatch have fed in of intervals that are not over for them.
    #[must_use]
    pub fn injected(&self) -> &BTreeMap<MeterId, Injected> {
        &self.injected
    }

    /// Bills the next reading.
    pub fn bill(&mut self, reading: &Reading) -> Step {
        let metered = self.meters.entry(reading.meter.clone()).or_default();
        let guard = metered.guard.unwrap_or(BELIEVED);
        let (book, step) = match billing::bill(metered.book.as_ref(), reading, &guard) {
            Billed::Nothing => return Step::Nothing,
            Billed::Started(book) => (book, Step::Started),
            Billed::Doubted(book, doubt) => {
                let first = book.doubted_since == Some(reading.at);
                (book, Step::Doubted(doubt, first))
            }
            Billed::Held(book, doubt) => (book, Step::Held(doubt)),
            Billed::Advanced(book, flow) => {
                let lines = match &metered.account {
                    None => Vec::new(),
                    Some(account) => {
                        let customer = self.customers.entry(account.clone()).or_default();
                        let charged = customer.usage.charge(&reading.meter, &flow, &self.schedule, &customer.classes);
                        // What cannot be represented is not billed: the book stays, and its energy waits.
                        let Some(mut lines) = charged else { return Step::Nothing };
                        let held = Dispatch { caps: &self.caps, heard: self.heard, schedule: &self.schedule };
                        lines.extend(held.judge(&reading.meter, &flow, &lines, &mut self.injected));
                        self.touched_customers.insert(account.clone());
                        if self.schedule.pools() {
                            lines.iter().for_each(|line| self.pool.add(account, line));
                        }
                        lines
                    }
                };
                (book, Step::Advanced(lines))
            }
        };
        self.newest = self.newest.max(book.at);
        metered.book = Some(book);
        self.touched_meters.insert(reading.meter.clone());
        step
    }

    /// Replays what a person did to a held meter: takes `reading` as its new start.
    pub fn release(&mut self, meter: &MeterId, reading: &Reading) {
        if let Some(book) = self.meters.get_mut(meter).and_then(|m| m.book.as_mut()) {
            (book.held, book.doubted_since) = (None, None);
            (book.at, book.up, book.import) = (reading.at, reading.up, reading.import.unwrap_or(book.import));
            if reading.export.is_some() {
                (book.export, book.export_at) = (reading.export, Some(reading.at));
            }
        }
    }

    /// Replays that a meter was held for a reason that is not in its readings.
    pub fn hold(&mut self, meter: &MeterId, doubt: Doubt) {
        if let Some(book) = self.meters.get_mut(meter).and_then(|m| m.book.as_mut()) {
            book.held = Some(doubt);
        }
    }

    /// Replays that a meter that was held for its place is there again.
    pub fn found_again(&mut self, meter: &MeterId, newest: &Reading) {
        if let Some(book) = self.meters.get_mut(meter).and_then(|m| m.book.as_mut()) {
            book.found_again(newest);
        }
    }

    /// Another device in the place of a meter. The last registers of the old one are billed like a reading, even if the
    /// meter is held: a person read them. Those of the new one are the new start.
    ///
    /// # Errors
    /// Says why it cannot be so; the meter stays as it was.
    pub fn replace(&mut self, change: &Replacement) -> Result<Replaced, NotReplaced> {
        let before = self.book_of(&change.meter).cloned().ok_or(NotReplaced::Unread)?;
        if change.at < before.at {
            return Err(NotReplaced::Early(before.at));
        }
        let mut last = Reading::empty(change.meter.clone(), Stamp { at: change.at, up: change.up });
        (last.import, last.export) = (Some(change.last.import), change.last.export);
        self.put(MeterBook { held: None, doubted_since: None, ..before.clone() });
        let refused = match self.bill(&last) {
            Step::Advanced(lines) => {
                let closed = self.book_of(&change.meter).cloned().ok_or(NotReplaced::Unread)?;
                let (first, at) = (change.first, change.at);
                let exported = closed.export.zip(first.export).map(|(last, first)| last - first);
                self.put(MeterBook {
                    import: first.import,
                    export: first.export,
                    export_at: first.export.map(|_| at),
                    rolled: closed.rolled + (closed.import - first.import) + exported.unwrap_or_default(),
                    ..closed.clone()
                });
                return Ok(Replaced { lines, closed });
            }
            Step::Doubted(doubt, _) | Step::Held(doubt) => NotReplaced::Doubted(doubt),
            Step::Nothing | Step::Started => NotReplaced::OutOfRange,
        };
        self.put(before);
        Err(refused)
    }

    /// From here on somebody else pays for a meter.
    pub fn reassign(&mut self, meter: &MeterId, to: &AccountId) {
        self.meters.entry(meter.clone()).or_default().account = Some(to.clone());
        self.injected.remove(meter);
    }

    fn put(&mut self, book: MeterBook) {
        let meter = book.meter.clone();
        self.meters.entry(meter).or_default().book = Some(book);
    }

    /// Up to which border every interval can be shared out: all customers' meters have passed it, but for those that are
    /// held or were silent for a day. `None` if nothing waits before it.
    #[must_use]
    pub fn pool_due(&self) -> Option<Timestamp> {
        let late = self.newest - POOL_PATIENCE;
        let books = self.meters.values().filter(|m| m.account.is_some()).filter_map(|m| m.book.as_ref());
        let passed = books.filter(|b| b.held.is_none() && b.at >= late).map(|b| b.at).min()?;
        let until = self.schedule.at(passed).interval_of(passed);
        self.pool.has_before(until).then_some(until)
    }

    /// Shares out all intervals before `until`.
    pub fn close_pool(&mut self, until: Timestamp) -> Vec<(AccountId, Line)> {
        self.pool.close(until, &self.schedule)
    }

    /// The intervals that are not shared out yet.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Who pays for a meter.
    #[must_use]
    pub fn account_of(&self, meter: &MeterId) -> Option<&AccountId> {
        self.meters.get(meter)?.account.as_ref()
    }

    /// How far a meter is billed.
    #[must_use]
    pub fn book_of(&self, meter: &MeterId) -> Option<&MeterBook> {
        self.meters.get(meter)?.book.as_ref()
    }

    /// The books that changed.
    pub fn books(&self) -> impl Iterator<Item = &MeterBook> {
        self.touched_meters.iter().filter_map(|id| self.meters.get(id)?.book.as_ref())
    }

    /// All books, changed or not.
    pub fn all_books(&self) -> impl Iterator<Item = &MeterBook> {
        self.meters.values().filter_map(|m| m.book.as_ref())
    }

    /// What was used, of the accounts for which it changed.
    pub fn usages(&self) -> impl Iterator<Item = (&AccountId, Usage)> {
        self.touched_customers.iter().filter_map(|id| Some((id, self.customers.get(id)?.usage)))
    }
}

/// Compares what a meter fed in with what it was dispatched.
struct Dispatch<'a> {
    caps: &'a Caps,
    heard: Seq,
    schedule: &'a Schedule,
}

impl Dispatch<'_> {
    /// Counts what flowed, and gives the lines for the intervals that are over with it.
    fn judge(
        &self,
        meter: &MeterId,
        flow: &Flow,
        lines: &[Line],
        injected: &mut BTreeMap<MeterId, Injected>,
    ) -> Vec<Line> {
        let mut held = Vec::new();
        let length = |interval| self.schedule.at(interval).interval_ms();
        for line in lines.iter().filter(|l| l.meter.is_some() && l.export > WattHours::ZERO) {
            let until = Timestamp(line.interval.0.saturating_add(length(line.interval)));
            if self.caps.allowed(meter, self.heard, line.interval, until).is_none() {
                continue;
            }
            held.extend(self.close(meter, line.interval, injected));
            let so_far = injected.entry(meter.clone()).or_default();
            if so_far.interval != line.interval {
                *so_far = Injected { interval: line.interval, ..Injected::default() };
            }
            so_far.export += line.export;
            so_far.credit = so_far.credit.checked_add(line.credit).unwrap_or(so_far.credit);
            so_far.coarse |= flow.to.0.saturating_sub(flow.from.0) > length(line.interval).saturating_mul(2);
        }
        held.extend(self.close(meter, flow.to, injected));
        held
    }

    /// Judges the interval that is counted, if it is over at this instant.
    fn close(&self, meter: &MeterId, at: Timestamp, injected: &mut BTreeMap<MeterId, Injected>) -> Option<Line> {
        let fed = *injected.get(meter)?;
        let tariff = self.schedule.at(fed.interval);
        let until = Timestamp(fed.interval.0.saturating_add(tariff.interval_ms()));
        if until > at {
            return None;
        }
        injected.remove(meter);
        let dispatched = self.caps.allowed(meter, self.heard, fed.interval, until)?;
        let amount = fed.withheld(dispatched);
        let energies = (dispatched.energy, fed.export);
        (amount > Money::ZERO).then(|| Line::withheld(meter, (fed.interval, until, tariff.version), energies, amount))
    }
}

#[cfg(test)]
mod tests;
