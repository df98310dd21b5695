//! Plans on their way to the contract that judges them. What is revealed is written down with the plan, before anything of
//! it is said, so that a gateway that was killed after it committed still reveals.

use crate::{Ledger, LedgerError};
use domain::Timestamp;
use domain::dispatch::{RoundEvent, RoundState};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS rounds (
  begins INTEGER PRIMARY KEY, over INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL
);
";

/// Rounds that are kept; older ones are told by their facts. One that was opened stays until it is over: there may be a
/// stake in it.
const KEPT: i64 = 32;

/// A plan, as the contract takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When the interval begins, before which the plan is committed to.
    pub from: Timestamp,
    /// When it ends, until which the plan is revealed.
    pub until: Timestamp,
    /// The network, as hex.
    pub network: String,
    /// Demand and ranges, as hex.
    pub conditions: String,
    /// The plan and the prices that prove how good it is, as hex.
    pub solution: String,
    /// The contract's quanta of money in one unit of currency.
    pub quanta: u64,
    /// Minor units in one unit of currency.
    pub scale: i64,
    /// What is at stake, in gwei.
    pub stake_gwei: u64,
    /// The address of the contract that it goes before; the configured one, where nothing is said.
    #[serde(default)]
    pub contract: Option<String>,
}

impl Ledger {
    /// The rounds of which something is still to be done, oldest first.
    pub fn open_rounds(&self) -> Result<Vec<(Round, RoundState)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT body, state FROM rounds WHERE over = 0 ORDER BY begins")?;
        let found = rows.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
        found
            .map(|row| row.map_err(LedgerError::from).and_then(|(body, state)| Ok((read(&body)?, read(&state)?))))
            .collect()
    }

    /// How the newest rounds went: when each begins, and how far it has come; the newest first.
    pub fn newest_rounds(&self, most: u32) -> Result<Vec<(Timestamp, RoundState)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT begins, state FROM rounds ORDER BY begins DESC LIMIT ?")?;
        let found = rows.query_map([most], |r| Ok((Timestamp(r.get(0)?), r.get::<_, String>(1)?)))?;
        found.map(|row| row.map_err(LedgerError::from).and_then(|(at, state)| Ok((at, read(&state)?)))).collect()
    }

    /// A plan that was recorded for an interval.
    pub fn round(&self, from: Timestamp) -> Result<Option<Round>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT body FROM rounds WHERE begins = ?")?;
        rows.query_row([from.0], |r| r.get::<_, String>(0)).optional()?.map(|body| read(&body)).transpose()
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|e| LedgerError::unreadable("a round", e))
}

fn text(what: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(what).map_err(|e| LedgerError::unreadable("a round", e))
}

/// A plan for an interval is recorded once: what was committed to must not change.
pub(crate) fn keep(db: &Connection, round: &Round) -> Result<(), LedgerError> {
    let (body, state) = (text(round)?, text(&RoundState::default())?);
    db.execute("INSERT INTO rounds VALUES (?, 0, ?, ?) ON CONFLICT DO NOTHING", params![round.from.0, state, body])?;
    db.execute(
        "DELETE FROM rounds WHERE begins <= (SELECT begins FROM rounds ORDER BY begins DESC LIMIT 1 OFFSET ?)
         AND (over OR json_extract(state, '$.number') IS NULL)",
        [KEPT],
    )?;
    Ok(())
}

/// The state follows the facts.
pub(crate) fn follow(db: &Connection, from: Timestamp, number: u32, event: &RoundEvent) -> Result<(), LedgerError> {
    let state: Option<String> =
        db.query_row("SELECT state FROM rounds WHERE begins = ?", [from.0], |r| r.get(0)).optional()?;
    let Some(state) = state else { return Ok(()) };
    let mut state: RoundState = read(&state)?;
    state.follow(number, event);
    db.execute(
        "UPDATE rounds SET state = ?, over = ? WHERE begins = ?",
        params![text(&state)?, state.is_over(), from.0],
    )?;
    Ok(())
}
