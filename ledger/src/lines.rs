//! Lines of bills: growing while they are open, fixed once a batch has taken them.

use crate::money::{enter, number_of};
use crate::read::{convert, named};
use crate::{Ledger, LedgerError};
use domain::{AccountId, Debit, Entry, Kind, Line, Money, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// A line as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledLine {
    /// The line.
    #[serde(flatten)]
    pub line: Line,
    /// The intent of the batch that took it; none while it may still grow.
    pub batch: Option<i64>,
}

fn kind(r: &Row<'_>, i: usize) -> rusqlite::Result<Kind> {
    let number: u8 = r.get(i)?;
    let known = Kind::ALL.into_iter().find(|kind| kind.number() == number);
    known.ok_or_else(|| convert(i, crate::read::BadText(format!("{number} is no kind of line"))))
}

/// Where lines of one key meet: the energy and the money add up, the borders widen, the newest rounding counts.
const MERGE: &str = "ON CONFLICT DO UPDATE SET from_at = min(from_at, excluded.from_at),
     to_at = max(to_at, excluded.to_at), import_from = min(import_from, excluded.import_from),
     export_from = min(export_from, excluded.export_from), import = import + excluded.import,
     free = free + excluded.free, export = export + excluded.export, energy = energy + excluded.energy,
     network = network + excluded.network, demand = demand + excluded.demand, daily = daily + excluded.daily,
     tax = tax + excluded.tax, credit = credit + excluded.credit, carry = excluded.carry";

/// Records a line, and enters it into the account's books and registers.
pub(crate) fn bill(db: &Connection, account: &AccountId, line: &Line) -> Result<(), LedgerError> {
    let number = number_of(db, account)?;
    let meter: i64 = match &line.meter {
        None => 0,
        Some(meter) => {
            db.prepare_cached("SELECT id FROM meters WHERE name = ?")?.query_row([meter.as_str()], |r| r.get(0))?
        }
    };
    let d = &line.debit;
    db.prepare_cached(&format!(
        "INSERT INTO lines VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
         {MERGE}"
    ))?
    .execute(params![
        number,
        line.interval.0,
        meter,
        line.kind.number(),
        line.tariff,
        line.from.0,
        line.to.0,
        line.import_from.0,
        line.export_from.0,
        line.import.0,
        line.free.0,
        line.export.0,
        d.energy.0,
        d.network.0,
        d.demand.0,
        d.daily.0,
        d.tax.0,
        line.credit.0,
        line.carry
    ])?;
    let mut moved = TariffRegisters::default();
    moved.add(line);
    let entry = Entry::line(line).ok_or_else(|| LedgerError::Refused("amount out of range".into()))?;
    enter(db, number, &entry)?;
    db.prepare_cached(
        "UPDATE accounts SET off_peak = off_peak + ?, peak = peak + ?, feed_in = feed_in + ? WHERE number = ?",
    )?
    .execute(params![moved.off_peak.0, moved.peak.0, moved.feed_in.0, number])?;
    Ok(())
}

/// Fixes the open lines of an account in a batch.
pub(crate) fn take(db: &Connection, account: u32, intent: i64) -> Result<(), LedgerError> {
    db.prepare_cached("UPDATE lines SET batch = ? WHERE account = ? AND batch = 0")?
        .execute(params![intent, account])?;
    Ok(())
}

/// Opens the lines of a refused batch again.
pub(crate) fn give_back(db: &Connection, account: u32, intent: i64) -> Result<(), LedgerError> {
    db.prepare_cached(&format!(
        "INSERT INTO lines SELECT account, 0, interval, meter, kind, tariff, from_at, to_at, import_from, export_from,
             import, free, export, energy, network, demand, daily, tax, credit, carry
         FROM lines WHERE account = ?1 AND batch = ?2 {MERGE}"
    ))?
    .execute(params![account, intent])?;
    db.prepare_cached("DELETE FROM lines WHERE account = ? AND batch = ?")?.execute(params![account, intent])?;
    Ok(())
}

const COLUMNS: &str = "SELECT l.batch, m.name, l.interval, l.kind, l.tariff, l.from_at, l.to_at, l.import_from,
     l.export_from, l.import, l.free, l.export, l.energy, l.network, l.demand, l.daily, l.tax, l.credit, l.carry
     FROM lines l LEFT JOIN meters m ON m.id = l.meter";

/// The lines that grow, and those that batches took: each is found by its own key.
const OPEN: &str = "l.batch = 0";
const TAKEN: &str = "l.batch > 0";

fn known(db: &Connection, account: &AccountId) -> Result<Option<u32>, LedgerError> {
    let mut rows = db.prepare_cached("SELECT number FROM accounts WHERE name = ?")?;
    Ok(rows.query_row([account.as_str()], |r| r.get(0)).optional()?)
}

fn line(r: &Row<'_>) -> rusqlite::Result<BilledLine> {
    let batch: i64 = r.get(0)?;
    let meter = if r.get_ref(1)? == rusqlite::types::ValueRef::Null { None } else { Some(named(r, 1)?) };
    let energy = |i| r.get(i).map(WattHours);
    let money = |i| r.get(i).map(Money);
    let line = Line {
        meter,
        interval: Timestamp(r.get(2)?),
        kind: kind(r, 3)?,
        tariff: r.get(4)?,
        from: Timestamp(r.get(5)?),
        to: Timestamp(r.get(6)?),
        import_from: energy(7)?,
        export_from: energy(8)?,
        import: energy(9)?,
        free: energy(10)?,
        export: energy(11)?,
        debit: Debit {
            energy: money(12)?,
            network: money(13)?,
            demand: money(14)?,
            daily: money(15)?,
            tax: money(16)?,
        },
        credit: money(17)?,
        carry: r.get(18)?,
    };
    Ok(BilledLine { line, batch: (batch != 0).then_some(batch) })
}

impl Ledger {
    /// The newest `limit` lines of an account's bill, newest first.
    pub fn newest_lines(&self, account: &AccountId, limit: u32) -> Result<Vec<BilledLine>, LedgerError> {
        let db = self.reader();
        let Some(number) = known(&db, account)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for which in [OPEN, TAKEN] {
            let mut rows = db.prepare_cached(&format!(
                "{COLUMNS} WHERE l.account = ? AND {which} ORDER BY l.from_at DESC, l.kind DESC, l.batch DESC LIMIT ?"
            ))?;
            for row in rows.query_map(params![number, limit], line)? {
                found.push(row?);
            }
        }
        found.sort_by_key(|l| {
            std::cmp::Reverse((l.line.from, l.line.kind.number(), l.batch.is_none(), l.batch.unwrap_or_default()))
        });
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The lines of an account that begin in `from..to`, oldest first.
    pub fn lines(&self, account: &AccountId, from: Timestamp, to: Timestamp) -> Result<Vec<BilledLine>, LedgerError> {
        let db = self.reader();
        let Some(number) = known(&db, account)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for which in [TAKEN, OPEN] {
            let mut rows = db.prepare_cached(&format!(
                "{COLUMNS} WHERE l.account = ? AND {which} AND l.from_at >= ? AND l.from_at < ?
                 ORDER BY l.from_at, l.batch, l.meter, l.kind, l.tariff"
            ))?;
            for row in rows.query_map(params![number, from.0, to.0], line)? {
                found.push(row?);
            }
        }
        // Stable: of lines that begin together, those in batches come first.
        found.sort_by_key(|l| l.line.from);
        Ok(found)
    }

    /// The lines that a batch took, each with the number of its account, in the order in which its root commits to them.
    pub fn lines_of(&self, intent: i64, accounts: &[u32]) -> Result<Vec<(u32, Line)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!(
            "{COLUMNS} WHERE l.account = ? AND l.batch = ? ORDER BY l.interval, l.meter, l.kind, l.tariff"
        ))?;
        let mut found = Vec::new();
        for account in accounts {
            for row in rows.query_map(params![account, intent], line)? {
                found.push((*account, row?.line));
            }
        }
        Ok(found)
    }
}
