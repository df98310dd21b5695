//! What the rules of supply remember: emergency credit, overrides, and who asked for reconnection; and what they ask
//! about recent use.

use crate::{Ledger, LedgerError};
use domain::{AccountId, Emergency, Money, Position, SwitchId, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS emergencies (account TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
-- What a person ordered, until it runs out or is taken back.
CREATE TABLE IF NOT EXISTS overrides (
  switch TEXT PRIMARY KEY, position TEXT NOT NULL, made_at INTEGER NOT NULL, until INTEGER, safety INTEGER NOT NULL,
  by TEXT NOT NULL, why TEXT NOT NULL
) WITHOUT ROWID;
-- Switches that the customer's own act has released to close, until they are opened again.
CREATE TABLE IF NOT EXISTS reconnects (switch TEXT PRIMARY KEY, by TEXT NOT NULL) WITHOUT ROWID;
";

/// What a person ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OverrideRow {
    /// Where the switch is to be.
    pub position: Position,
    /// When it was ordered, on the wall clock.
    pub made_at: Timestamp,
    /// Until when; `None` until it is taken back.
    pub until: Option<Timestamp>,
    /// Whether it is for somebody's safety.
    pub safety: bool,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What an account used from some moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Energy from the grid.
    pub import: WattHours,
    /// Debits without what was paid for feed-in.
    pub spent: Money,
    /// Where the first interval began; `None` if there is none.
    pub from: Option<Timestamp>,
}

impl Ledger {
    /// How far each account has come with its emergency credit; an account that is not named never needed any.
    pub fn emergencies(&self) -> Result<BTreeMap<AccountId, Emergency>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT account, state FROM emergencies")?;
        let found = rows.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
        found
            .map(|row| {
                let (account, state) = row?;
                let state = serde_json::from_str(&state).map_err(|e| LedgerError::unreadable("emergency credit", e))?;
                Ok((account.parse().map_err(|e| LedgerError::unreadable("emergency credit", e))?, state))
            })
            .collect()
    }

    /// What people ordered that was not taken back, whether or not it has run out.
    pub fn overrides(&self) -> Result<BTreeMap<SwitchId, OverrideRow>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT switch, position, made_at, until, safety, by, why FROM overrides")?;
        let found = rows.query_map([], |r| {
            let (switch, position): (String, String) = (r.get(0)?, r.get(1)?);
            let (made_at, until) = (Timestamp(r.get(2)?), r.get::<_, Option<i64>>(3)?.map(Timestamp));
            let (safety, by, why): (bool, String, String) = (r.get(4)?, r.get(5)?, r.get(6)?);
            Ok((switch, position, move |position| OverrideRow { position, made_at, until, safety, by, why }))
        })?;
        found
            .map(|found| {
                let (switch, position, row) = found?;
                let switch: SwitchId = switch.parse().map_err(|e| LedgerError::unreadable("an override", e))?;
                let position = position.parse::<Position>();
                let position = position.map_err(|e| LedgerError::unreadable("an override", e))?;
                Ok((switch, row(position)))
            })
            .collect()
    }

    /// Switches that a customer's act has released to close, and that were not opened since.
    pub fn reconnects(&self) -> Result<BTreeSet<SwitchId>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT switch FROM reconnects")?;
        let found = rows.query_map([], |r| r.get::<_, String>(0))?;
        found.map(|row| row?.parse().map_err(|e| LedgerError::unreadable("a reconnection", e))).collect()
    }

    /// What an account used in the billing intervals that began at `since` or later.
    pub fn used_since(&self, account: &AccountId, since: Timestamp) -> Result<Used, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT coalesce(sum(import), 0), coalesce(sum(spent), 0), min(from_at) FROM (
               SELECT import, energy + network + demand + daily + tax - credit AS spent, from_at FROM lines
                 WHERE batch = 0 AND account = (SELECT number FROM accounts WHERE name = ?1) AND from_at >= ?2
               UNION ALL
               SELECT import, energy + network + demand + daily + tax - credit, from_at FROM lines
                 WHERE batch > 0 AND account = (SELECT number FROM accounts WHERE name = ?1) AND from_at >= ?2)",
        )?;
        Ok(rows.query_row(params![account.as_str(), since.0], |r| {
            let from: Option<i64> = r.get(2)?;
            Ok(Used { import: WattHours(r.get(0)?), spent: Money(r.get(1)?), from: from.map(Timestamp) })
        })?)
    }
}

/// The customer, or the operator for them, takes what was offered: taken twice, or unasked, it is refused.
pub(crate) fn emergency(db: &Connection, account: &AccountId, now: Emergency, by: &str) -> Result<(), LedgerError> {
    if now == Emergency::Accepted {
        let before: Option<String> = db
            .query_row("SELECT state FROM emergencies WHERE account = ?", [account.as_str()], |r| r.get(0))
            .optional()?;
        if before.as_deref() != Some("\"offered\"") {
            return Err(LedgerError::Refused(format!("{by}: no emergency credit is offered to {account} now")));
        }
    }
    let state = serde_json::to_string(&now).map_err(|e| LedgerError::unreadable("emergency credit", e))?;
    db.execute(
        "INSERT INTO emergencies SELECT name, ?2 FROM accounts WHERE name = ?1 ON CONFLICT DO UPDATE SET state = ?2",
        params![account.as_str(), state],
    )?;
    Ok(())
}

/// What is kept open for safety is not moved by the next order: it must be given back first, knowingly.
pub(crate) fn override_switch(
    db: &Connection,
    switch: &SwitchId,
    order: Option<&OverrideRow>,
) -> Result<(), LedgerError> {
    let Some(order) = order else {
        db.execute("DELETE FROM overrides WHERE switch = ?", [switch.as_str()])?;
        return Ok(());
    };
    let kept: Option<String> = db
        .query_row("SELECT by FROM overrides WHERE switch = ? AND safety = 1", [switch.as_str()], |r| r.get(0))
        .optional()?;
    if let Some(by) = kept {
        return Err(LedgerError::Refused(format!(
            "{switch} is kept open for safety by {by}; when it is safe, end that with: switch {switch} auto"
        )));
    }
    db.execute(
        "INSERT OR REPLACE INTO overrides VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            switch.as_str(),
            order.position.to_string(),
            order.made_at.0,
            order.until.map(|t| t.0),
            order.safety,
            order.by,
            order.why
        ],
    )?;
    Ok(())
}
