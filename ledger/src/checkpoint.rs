//! What the auditor had billed up to a reading, kept so that it can go on from there when that reading is gone.
//!
//! It is the auditor's own state, made by billing the readings again, and no copy of the books: a mistake in the books
//! that nobody found before the readings went is still found afterwards.

use crate::read::{named, uptime};
use crate::{Finding, LedgerError, dispatch};
use domain::dispatch::Injected;
use domain::{
    AccountId, Biller, Book, Books, MeterBook, MeterId, Money, Part, Pool, Reading, Seq, TariffRegisters, Timestamp,
    Usage, WattHours,
};
use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The auditor's state after all readings up to and including `upto`, and all that was done before the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) upto: Seq,
    pub(crate) meters: BTreeMap<MeterId, MeterBook>,
    /// Each meter's newest reading with an import register: its time and registers.
    pub(crate) newest: BTreeMap<MeterId, Reading>,
    pub(crate) accounts: BTreeMap<AccountId, Audited>,
    pub(crate) pool_until: Timestamp,
    pub(crate) pool: BTreeMap<(Timestamp, AccountId), Part>,
    pub(crate) injected: BTreeMap<MeterId, Injected>,
}

/// What readings and the pool came to for an account. Payments are not in it: their facts are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Audited {
    pub(crate) registers: TariffRegisters,
    /// Books that hold something.
    pub(crate) books: BTreeMap<Book, Money>,
    pub(crate) usage: Usage,
}

impl Audited {
    pub(crate) fn new(registers: TariffRegisters, books: &Books, usage: Usage) -> Self {
        let held = Book::ALL.into_iter().map(|book| (book, books.get(book)));
        Self { registers, books: held.filter(|(_, money)| *money != Money::ZERO).collect(), usage }
    }

    /// The books again. `None` if they do not add up to nothing.
    pub(crate) fn books(&self) -> Option<Books> {
        Books::new(Book::ALL.map(|book| self.books.get(&book).copied().unwrap_or(Money::ZERO)))
    }
}

/// How many readings the checkpoint stands for, and what the bill lines that are gone added up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) upto: Seq,
    pub(crate) readings: i64,
    pub(crate) debits: Money,
    pub(crate) credits: Money,
    pub(crate) energy: WattHours,
}

pub(crate) fn gone(db: &Connection) -> Result<Gone, LedgerError> {
    Ok(db.query_row("SELECT upto, gone, debits, credits, energy FROM checkpoint", [], |r| {
        Ok(Gone {
            upto: Seq(r.get(0)?),
            readings: r.get(1)?,
            debits: Money(r.get(2)?),
            credits: Money(r.get(3)?),
            energy: WattHours(r.get(4)?),
        })
    })?)
}

impl Checkpoint {
    /// The one that is kept; before any, the state before the first reading.
    pub(crate) fn load(db: &Connection) -> Result<Self, LedgerError> {
        let (upto, pool_until) =
            db.query_row("SELECT upto, pool_until FROM checkpoint", [], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let meter = "SELECT m.name, k.body FROM audited_meters k JOIN meters m ON m.id = k.meter";
        let account = "SELECT a.name, k.body FROM audited_accounts k JOIN accounts a ON a.number = k.account";
        let mut rows = db.prepare(
            "SELECT m.name, r.at, r.import, r.export, r.boot, r.up FROM last_readings r JOIN meters m ON m.id = r.meter",
        )?;
        let newest = rows.query_map([], |r| {
            let mut reading = Reading::empty(named(r, 0)?, Timestamp(r.get(1)?));
            reading.import = Some(WattHours(r.get(2)?));
            reading.export = r.get::<_, Option<i64>>(3)?.map(WattHours);
            reading.up = uptime(r, 4)?;
            Ok((reading.meter.clone(), reading))
        })?;
        let mut parts = db.prepare(
            "SELECT p.interval, a.name, p.sales, p.import, p.export
             FROM audited_pool p JOIN accounts a ON a.number = p.account",
        )?;
        let pool = parts.query_map([], |r| {
            let part = Part { sales: Money(r.get(2)?), import: WattHours(r.get(3)?), export: WattHours(r.get(4)?) };
            Ok(((Timestamp(r.get(0)?), named(r, 1)?), part))
        })?;
        Ok(Self {
            upto: Seq(upto),
            meters: bodies(db, meter)?,
            newest: newest.collect::<rusqlite::Result<_>>()?,
            accounts: bodies(db, account)?,
            pool_until: Timestamp(pool_until),
            pool: pool.collect::<rusqlite::Result<_>>()?,
            injected: dispatch::injected(db, dispatch::Table::Audited)?,
        })
    }

    /// The pool, to go on from.
    pub(crate) fn pool(&self) -> Pool {
        Pool::new(self.pool_until, self.pool.clone())
    }

    /// What a biller stands at.
    pub(crate) fn of(
        upto: Seq,
        biller: &Biller,
        newest: BTreeMap<MeterId, Reading>,
        accounts: BTreeMap<AccountId, Audited>,
    ) -> Self {
        Self {
            upto,
            meters: biller.all_books().map(|book| (book.meter.clone(), book.clone())).collect(),
            newest,
            accounts,
            pool_until: biller.pool().closed_until(),
            pool: biller.pool().open().clone(),
            injected: biller.injected().clone(),
        }
    }

    /// Puts this in the place of `old`; writes only what differs.
    pub(crate) fn replace(&self, old: &Self, db: &Connection) -> Result<(), LedgerError> {
        db.execute("UPDATE checkpoint SET upto = ?, pool_until = ?", params![self.upto.0, self.pool_until.0])?;
        let meters = "INSERT INTO audited_meters SELECT id, ?2 FROM meters WHERE name = ?1
             ON CONFLICT DO UPDATE SET body = excluded.body";
        for (meter, book) in self.meters.iter().filter(|(id, book)| old.meters.get(id) != Some(book)) {
            db.prepare_cached(meters)?.execute([meter.as_str(), &text(book)?])?;
        }
        let accounts = "INSERT INTO audited_accounts SELECT number, ?2 FROM accounts WHERE name = ?1
             ON CONFLICT DO UPDATE SET body = excluded.body";
        for (account, audited) in self.accounts.iter().filter(|(id, now)| old.accounts.get(id) != Some(now)) {
            db.prepare_cached(accounts)?.execute([account.as_str(), &text(audited)?])?;
        }
        let mut newest = db.prepare_cached(
            "INSERT OR REPLACE INTO last_readings SELECT id, ?2, ?3, ?4, ?5, ?6 FROM meters WHERE name = ?1",
        )?;
        for (meter, r) in self.newest.iter().filter(|(id, r)| old.newest.get(id) != Some(r)) {
            newest.execute(params![
                meter.as_str(),
                r.at.0,
                r.up.map(|up| up.boot),
                r.up.map(|up| up.ms),
                r.import.map(|v| v.0),
                r.export.map(|v| v.0)
            ])?;
        }
        let mut closed = db.prepare_cached(
            "DELETE FROM audited_pool WHERE interval = ? AND account = (SELECT number FROM accounts WHERE name = ?)",
        )?;
        for (interval, account) in old.pool.keys().filter(|key| !self.pool.contains_key(key)) {
            closed.execute(params![interval.0, account.as_str()])?;
        }
        let mut open = db.prepare_cached(
            "INSERT OR REPLACE INTO audited_pool SELECT ?1, number, ?3, ?4, ?5 FROM accounts WHERE name = ?2",
        )?;
        for ((interval, account), p) in self.pool.iter().filter(|(key, part)| old.pool.get(key) != Some(part)) {
            open.execute(params![interval.0, account.as_str(), p.sales.0, p.import.0, p.export.0])?;
        }
        dispatch::save(db, dispatch::Table::Audited, &self.injected)
    }
}

/// Whether every number that was given out is a record's, or stands for a reading that is gone.
pub(crate) fn sequence(db: &Connection) -> Result<Option<Finding>, LedgerError> {
    let gone = gone(db)?;
    let (recorded, distinct, last, left): (i64, i64, i64, i64) = db.query_row(
        "SELECT count(*), count(DISTINCT seq), (SELECT last FROM sequence),
             (SELECT count(*) FROM readings WHERE seq <= ?)
         FROM (SELECT seq FROM readings UNION ALL SELECT seq FROM facts)",
        [gone.upto.0],
        |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
    )?;
    let due = last.saturating_sub(gone.readings);
    let found = if recorded != due || distinct != due {
        let let_go = if gone.readings == 0 { String::new() } else { format!(", {} were let go", gone.readings) };
        format!("{recorded} records with {distinct} numbers, but {last} were given out{let_go}")
    } else if left != 0 {
        format!("{left} readings are left before {}, up to which all were let go", gone.upto)
    } else {
        return Ok(None);
    };
    Ok(Some(Finding { check: "journal sequence", found }))
}

fn text(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|e| LedgerError::unreadable("a checkpoint", e))
}

fn bodies<K, V>(db: &Connection, query: &str) -> Result<BTreeMap<K, V>, LedgerError>
where
    K: std::str::FromStr<Err = domain::BadId> + Ord,
    V: DeserializeOwned,
{
    let mut rows = db.prepare(query)?;
    let found: Vec<(K, String)> =
        rows.query_map([], |r| Ok((named(r, 0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let parse = |(key, body): (K, String)| {
        let value = serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("the auditor's checkpoint", e))?;
        Ok((key, value))
    };
    found.into_iter().map(parse).collect()
}
