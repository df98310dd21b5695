//! What inverters were dispatched, as billing needs it: caps in the order of the journal, and what meters under a cap
//! have fed in of an interval that is not over for them.

use crate::read::named;
use crate::{Ledger, LedgerError};
use domain::dispatch::{Cap, Caps, Injected};
use domain::{Fact, MeterId, Money, Seq, Timestamp, WattHours};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS caps (seq INTEGER PRIMARY KEY, meter TEXT NOT NULL, until INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS caps_by_meter ON caps (meter, until);
CREATE TABLE IF NOT EXISTS injected (
  meter TEXT PRIMARY KEY, interval INTEGER NOT NULL, export INTEGER NOT NULL, credit INTEGER NOT NULL,
  coarse INTEGER NOT NULL
) WITHOUT ROWID;
-- The same as the auditor's checkpoint has it.
CREATE TABLE IF NOT EXISTS audited_injected (
  meter TEXT PRIMARY KEY, interval INTEGER NOT NULL, export INTEGER NOT NULL, credit INTEGER NOT NULL,
  coarse INTEGER NOT NULL
) WITHOUT ROWID;
";

/// A tariff's interval is a day at most, so no older cap can touch one that is open.
const LONGEST_INTERVAL_MS: i64 = 24 * 3_600_000;

/// The cap that a fact brings.
pub(crate) fn cap_of(fact: &Fact) -> Option<&Cap> {
    match fact {
        Fact::InverterLimited { cap, .. } | Fact::InverterReleased { cap, .. } => Some(cap),
        _ => None,
    }
}

pub(crate) fn keep(db: &Connection, seq: Seq, cap: &Cap) -> Result<(), LedgerError> {
    let body = serde_json::to_string(cap).map_err(|e| LedgerError::unreadable("a cap", e))?;
    db.prepare_cached("INSERT INTO caps VALUES (?, ?, ?, ?)")?.execute(params![
        seq.0,
        cap.meter.as_str(),
        cap.until.0,
        body
    ])?;
    Ok(())
}

/// The caps that an open interval may still be judged by.
pub(crate) fn caps(db: &Connection) -> Result<Caps, LedgerError> {
    let mut rows = db.prepare_cached(
        "SELECT c.seq, c.body FROM meters m JOIN caps c ON c.meter = m.name AND c.until > coalesce(m.at, 0) - ?
         ORDER BY c.seq",
    )?;
    let found = rows.query_map([LONGEST_INTERVAL_MS], |r| Ok((Seq(r.get(0)?), r.get::<_, String>(1)?)))?;
    let mut caps = Caps::default();
    for row in found {
        let (seq, body) = row?;
        caps.push(seq, serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("a cap", e))?);
    }
    Ok(caps)
}

/// All caps, from the facts themselves.
pub(crate) fn told(db: &Connection) -> Result<Caps, LedgerError> {
    let mut rows = db.prepare("SELECT seq, body FROM facts WHERE body LIKE '{\"fact\":\"inverter_%' ORDER BY seq")?;
    let mut caps = Caps::default();
    for row in rows.query_map([], |r| Ok((Seq(r.get(0)?), r.get::<_, String>(1)?)))? {
        let (seq, body) = row?;
        let Ok(fact) = serde_json::from_str::<Fact>(&body) else { continue };
        cap_of(&fact).into_iter().for_each(|cap| caps.push(seq, cap.clone()));
    }
    Ok(caps)
}

/// Which of the two tables.
#[derive(Clone, Copy)]
pub(crate) enum Table {
    Billed,
    Audited,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Billed => "injected",
            Self::Audited => "audited_injected",
        }
    }
}

pub(crate) fn injected(db: &Connection, table: Table) -> Result<BTreeMap<MeterId, Injected>, LedgerError> {
    let query = format!("SELECT meter, interval, export, credit, coarse FROM {}", table.name());
    let mut rows = db.prepare_cached(&query)?;
    let found = rows.query_map([], |r| {
        let fed = Injected {
            interval: Timestamp(r.get(1)?),
            export: WattHours(r.get(2)?),
            credit: Money(r.get(3)?),
            coarse: r.get(4)?,
        };
        Ok((named(r, 0)?, fed))
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Puts what meters have fed in, in the place of what was there; writes only what differs.
pub(crate) fn save(db: &Connection, table: Table, now: &BTreeMap<MeterId, Injected>) -> Result<(), LedgerError> {
    let before = injected(db, table)?;
    for gone in before.keys().filter(|meter| !now.contains_key(meter)) {
        db.prepare_cached(&format!("DELETE FROM {} WHERE meter = ?", table.name()))?.execute([gone.as_str()])?;
    }
    for (meter, fed) in now.iter().filter(|(meter, fed)| before.get(meter) != Some(fed)) {
        db.prepare_cached(&format!("INSERT OR REPLACE INTO {} VALUES (?, ?, ?, ?, ?)", table.name()))?
            .execute(params![meter.as_str(), fed.interval.0, fed.export.0, fed.credit.0, fed.coarse])?;
    }
    Ok(())
}

impl Ledger {
    /// The newest cap of each meter, which may be over.
    pub fn newest_caps(&self) -> Result<BTreeMap<MeterId, Cap>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT meter, body, max(seq) FROM caps GROUP BY meter")?;
        let found = rows.query_map([], |r| Ok((named(r, 0)?, r.get::<_, String>(1)?)))?;
        found
            .map(|row| {
                let (meter, body) = row?;
                Ok((meter, serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("a cap", e))?))
            })
            .collect()
    }
}
