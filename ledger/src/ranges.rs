//! The days whose price ranges follow from a forecast: announced once, with the version of the tariff that says so, the
//! fact that tells it, and what others need to work it out again, all in one transaction.

use crate::commit::record_fact;
use crate::tariffs::{adopt, schedule};
use crate::{Ledger, LedgerError};
use domain::{DayRange, Fact, Tariff, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// The setting that keeps the newest days.
const DAYS: &str = "ranges";
/// Days that are kept there: today, tomorrow, and what yesterday's ranges were.
const KEPT: usize = 3;

/// A day and its forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayAhead {
    /// When it begins.
    pub from: Timestamp,
    /// Length of a slot.
    pub slot_minutes: u16,
    /// Mean power of each slot in watts; the forecast that is posted.
    pub values: Vec<i32>,
    /// The lower and the upper end of the interval in which four of five are expected.
    pub band: Vec<(i32, i32)>,
    /// Ranges by k-means: what the contract finds.
    pub clusters: Vec<u8>,
    /// Ranges that hold, after the guard rails.
    pub labels: Vec<u8>,
    /// The dearer hours that follow.
    pub peak_hours: Vec<DayRange>,
    /// The readings that the model learned from: the first instant, and the first after.
    pub data: (Timestamp, Timestamp),
    /// The model that forecast.
    pub chosen: String,
    /// Keccak-256 of what it learned, as hex with 0x.
    pub model: String,
    /// Keccak-256 of the values as the contract takes them, as hex with 0x.
    pub forecast: String,
}

/// A day that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranged {
    /// What is announced.
    #[serde(flatten)]
    pub day: DayAhead,
    /// The version of the tariff that holds when it begins.
    pub version: u32,
    /// When it was announced.
    pub announced: Timestamp,
}

impl Ledger {
    /// The newest days that were announced by forecast, oldest first.
    pub fn ranged(&self) -> Result<Vec<Ranged>, LedgerError> {
        days(&self.reader())
    }

    /// Announces the ranges of a day: from its beginning on the newest tariff holds with these dearer hours. A day is
    /// announced once; said again, the answer is what was said first.
    pub fn announce_ranges(&self, now: Timestamp, day: &DayAhead, who: &str) -> Result<Ranged, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut known = days(&tx)?;
        if let Some(said) = known.iter().find(|r| r.day.from == day.from) {
            return Ok(said.clone());
        }
        let Some(schedule) = schedule(&tx)? else {
            return Err(LedgerError::Refused("the ledger has no tariff yet".into()));
        };
        let newest = schedule.newest();
        if newest.since > day.from {
            return Err(LedgerError::Refused(format!(
                "other prices were announced from {} on: until then nothing is announced between",
                newest.since
            )));
        }
        let wanted = Tariff { peak_hours: day.peak_hours.clone(), ..newest.clone() };
        let adopted = adopt(&tx, now, &wanted, Some(day.from), who)?;
        let ranged = Ranged { day: day.clone(), version: adopted.version, announced: now };
        let fact = Fact::RangesAnnounced {
            from: day.from,
            version: adopted.version,
            peak_hours: day.peak_hours.clone(),
            data: day.data,
            chosen: day.chosen.clone(),
            model: day.model.clone(),
            forecast: day.forecast.clone(),
        };
        record_fact(&tx, now, &fact)?;
        known.push(ranged.clone());
        known.drain(..known.len().saturating_sub(KEPT));
        let text = serde_json::to_string(&known).map_err(|e| LedgerError::unreadable("announced days", e))?;
        tx.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            params![DAYS, text],
        )?;
        tx.commit()?;
        Ok(ranged)
    }
}

fn days(db: &Connection) -> Result<Vec<Ranged>, LedgerError> {
    let text: Option<String> = db.query_row("SELECT value FROM meta WHERE key = ?", [DAYS], |r| r.get(0)).optional()?;
    match text {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(&text).map_err(|e| LedgerError::unreadable("announced days", e)),
    }
}
