//! The versions of the tariff, the classes of customers, and the biller that follows from them.

use crate::commit::{POOL, cursor, record_fact};
use crate::read::{accounts, meters, named};
use crate::{Ledger, LedgerError, dispatch};
use domain::{
    AccountId, Biller, ClassId, Classes, Customer, Fact, Guard, MeterId, Metered, Money, Part, Pool, Schedule, Tariff,
    Timestamp, WattHours,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// The setting that keeps which tariff the configuration said when a start last adopted it, with the number of the
/// version that was the newest then.
const CONFIGURED: &str = "configured_tariff";

impl Ledger {
    /// All versions of the tariff; `None` before the first.
    pub fn schedule(&self) -> Result<Option<Schedule>, LedgerError> {
        schedule(&self.reader())
    }

    /// The classes that an account belonged to.
    pub fn classes(&self, account: &AccountId) -> Result<Classes, LedgerError> {
        Ok(classes(&self.reader())?.remove(account).unwrap_or_default())
    }

    /// Makes `wanted` the tariff from the next border of intervals on, if it differs from the newest version; before any
    /// version, from the beginning. `from` may name a later border. The answer is the version that says what `wanted`
    /// says.
    ///
    /// Nothing that was billed changes: a version begins after everything that was read.
    pub fn adopt_tariff(
        &self,
        now: Timestamp,
        wanted: &Tariff,
        from: Option<Timestamp>,
        who: &str,
    ) -> Result<Tariff, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let adopted = adopt(&tx, now, wanted, from, who)?;
        tx.commit()?;
        Ok(adopted)
    }

    /// What [`Self::adopt_tariff`] would make of it now. Nothing changes.
    pub fn preview_tariff(
        &self,
        now: Timestamp,
        wanted: &Tariff,
        from: Option<Timestamp>,
    ) -> Result<Tariff, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Dropped, it is rolled back.
        adopt(&tx, now, wanted, from, "")
    }

    /// What a start does with the tariff of the configuration. The last word counts: it is adopted if the configuration
    /// was changed since a start last adopted it, and not if it only says again what was said before something else was
    /// announced. The answer is the newest version, whatever it says.
    pub fn adopt_configured(&self, now: Timestamp, wanted: &Tariff, who: &str) -> Result<Tariff, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let kept: Option<String> =
            tx.query_row("SELECT value FROM meta WHERE key = ?", [CONFIGURED], |r| r.get(0)).optional()?;
        // What another program wrote there and this one cannot read is no reason not to start.
        let said: Option<Tariff> = kept.and_then(|text| serde_json::from_str(&text).ok());
        if let (Some(said), Some(schedule)) = (&said, schedule(&tx)?) {
            // Announced from the configuration's own text, it was said then and not now.
            let mut since = schedule.versions().filter(|v| v.version > said.version);
            if said.same_terms(wanted) || since.any(|v| v.same_terms(wanted)) {
                return Ok(schedule.newest().clone());
            }
        }
        let adopted = adopt(&tx, now, wanted, None, who)?;
        let said = Tariff { version: adopted.version, ..wanted.clone() };
        let said = serde_json::to_string(&said).map_err(|e| LedgerError::unreadable("the tariff", e))?;
        tx.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            params![CONFIGURED, said],
        )?;
        tx.commit()?;
        Ok(adopted)
    }

    /// Puts accounts into their classes, from the next border of intervals on where that changes anything.
    pub fn adopt_classes(
        &self,
        now: Timestamp,
        wanted: &[(AccountId, Option<ClassId>)],
        who: &str,
    ) -> Result<(), LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let Some(schedule) = schedule(&tx)? else { return Ok(()) };
        let newest = schedule.newest();
        let known = classes(&tx)?;
        for (account, class) in wanted {
            let history = known.get(account);
            let last = history.and_then(|h| h.0.last());
            if last.is_none_or(|(_, old)| old.is_none()) && class.is_none() || last.is_some_and(|(_, old)| old == class)
            {
                continue;
            }
            // Its lines may be gone; what it has used is not.
            let billed: i64 =
                tx.query_row("SELECT usage IS NOT NULL FROM accounts WHERE name = ?", [account.as_str()], |r| {
                    r.get(0)
                })?;
            let since = match (last, billed) {
                // Nothing was billed yet: it always belonged there.
                (None, 0) => Timestamp(0),
                _ => border(&tx, now, newest, newest)?,
            };
            tx.execute(
                "INSERT INTO classes SELECT number, ?, ? FROM accounts WHERE name = ?
                 ON CONFLICT DO UPDATE SET class = excluded.class",
                params![since.0, class.as_ref().map(ClassId::as_str), account.as_str()],
            )?;
            let fact =
                Fact::ClassChanged { account: account.clone(), class: class.clone(), since, who: who.to_owned() };
            record_fact(&tx, now, &fact)?;
        }
        Ok(tx.commit()?)
    }

    /// The biller that goes on from where the Pricer stands; `None` before the first tariff. `guards` are what the
    /// registers of meters are judged by.
    pub fn biller(&self, guards: &BTreeMap<MeterId, Guard>) -> Result<Option<Biller>, LedgerError> {
        let mut db = self.reader();
        let tx = db.transaction()?;
        let Some(schedule) = schedule(&tx)? else { return Ok(None) };
        let metered = meters(&tx)?.into_iter().map(|m| {
            let guard = guards.get(&m.name).copied();
            (m.name, Metered { account: m.account, book: m.book, guard })
        });
        let metered = metered.collect();
        let mut classes = classes(&tx)?;
        let customers = accounts(&tx)?.into_iter().map(|a| {
            let classes = classes.remove(&a.name).unwrap_or_default();
            (a.name, Customer { usage: a.usage, classes })
        });
        let (customers, pool) = (customers.collect(), pool(&tx)?);
        let biller = Biller::new(schedule, metered, customers, pool);
        Ok(Some(biller.dispatched(dispatch::caps(&tx)?, dispatch::injected(&tx, dispatch::Table::Billed)?)))
    }
}

fn pool(db: &Connection) -> Result<Pool, LedgerError> {
    let mut rows = db.prepare_cached(
        "SELECT p.interval, a.name, p.sales, p.import, p.export FROM pool p JOIN accounts a ON a.number = p.account",
    )?;
    let part = |r: &Row<'_>| {
        let part = Part { sales: Money(r.get(2)?), import: WattHours(r.get(3)?), export: WattHours(r.get(4)?) };
        Ok(((Timestamp(r.get(0)?), named(r, 1)?), part))
    };
    let open = rows.query_map([], part)?.collect::<rusqlite::Result<_>>()?;
    Ok(Pool::new(Timestamp(cursor(db, POOL)?), open))
}

pub(crate) fn schedule(db: &Connection) -> Result<Option<Schedule>, LedgerError> {
    let mut rows = db.prepare_cached("SELECT version, body FROM tariffs ORDER BY version")?;
    let found: Vec<(i64, String)> =
        rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut schedule: Option<Schedule> = None;
    for (version, body) in found {
        let tariff: Tariff = serde_json::from_str(&body)
            .map_err(|e| LedgerError::unreadable(format!("version {version} of the tariff"), e))?;
        if !tariff.problems().is_empty() {
            let problems: Vec<String> = tariff.problems().iter().map(ToString::to_string).collect();
            return Err(LedgerError::unreadable(format!("version {version} of the tariff"), problems.join("; ")));
        }
        match &mut schedule {
            None => schedule = Some(Schedule::new(tariff)),
            Some(schedule) => schedule.push(tariff),
        }
    }
    Ok(schedule)
}

pub(crate) fn classes(db: &Connection) -> Result<BTreeMap<AccountId, Classes>, LedgerError> {
    let mut rows = db.prepare_cached(
        "SELECT a.name, c.since, c.class FROM classes c JOIN accounts a ON a.number = c.account ORDER BY c.since",
    )?;
    let found: Vec<(String, i64, Option<String>)> =
        rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut known: BTreeMap<AccountId, Classes> = BTreeMap::new();
    for (account, since, class) in found {
        let account = account.parse().map_err(|e| LedgerError::unreadable("the name of an account", e))?;
        let class =
            class.map(|c| c.parse()).transpose().map_err(|e| LedgerError::unreadable("the name of a class", e))?;
        known.entry(account).or_default().0.push((Timestamp(since), class));
    }
    Ok(known)
}

/// The first border of intervals after everything that was read or announced.
fn border(db: &Connection, now: Timestamp, old: &Tariff, new: &Tariff) -> Result<Timestamp, LedgerError> {
    let read: Option<i64> = db.query_row("SELECT max(at) FROM meters", [], |r| r.get(0)).optional()?.flatten();
    let after = now.0.max(read.unwrap_or(0)).max(old.since.0).saturating_add(1);
    Ok(old.common_border(new, Timestamp(after)))
}

pub(crate) fn adopt(
    db: &Connection,
    now: Timestamp,
    wanted: &Tariff,
    from: Option<Timestamp>,
    who: &str,
) -> Result<Tariff, LedgerError> {
    let Some(schedule) = schedule(db)? else {
        let first = Tariff { version: 1, since: Timestamp(0), ..wanted.clone() };
        store(db, &first)?;
        return Ok(first);
    };
    let newest = schedule.newest();
    if newest.same_terms(wanted) {
        return Ok(newest.clone());
    }
    let earliest = border(db, now, newest, wanted)?;
    let since = match from {
        None => earliest,
        Some(from) if from < earliest => {
            return Err(LedgerError::Refused(format!(
                "prices cannot change backwards: {from} is before {earliest}, the next border of intervals after \
                 everything that was read and announced"
            )));
        }
        Some(from) if newest.common_border(wanted, from) != from => {
            return Err(LedgerError::Refused(format!(
                "{from} is no border of intervals; the next one is {}",
                newest.common_border(wanted, from)
            )));
        }
        Some(from) => from,
    };
    let next = Tariff { version: newest.version + 1, since, ..wanted.clone() };
    store(db, &next)?;
    record_fact(db, now, &Fact::TariffChanged { version: next.version, since, who: who.to_owned() })?;
    Ok(next)
}

fn store(db: &Connection, tariff: &Tariff) -> Result<(), LedgerError> {
    let body = serde_json::to_string(tariff).map_err(|e| LedgerError::unreadable("the tariff", e))?;
    db.execute("INSERT INTO tariffs VALUES (?, ?, ?)", params![tariff.version, tariff.since.0, body])?;
    Ok(())
}
