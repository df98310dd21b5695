//! Where meters were found: the newest proof of each, how many of the last ones failed, how its beacon was calibrated,
//! and the challenge of the epoch.

use crate::commit::{PRICER, cursor};
use crate::meters::nothing_waits;
use crate::read::named;
use crate::{Ledger, LedgerError, Write};
use domain::place::{Placed, Proof, RadioModel, Track};
use domain::register::Doubt;
use domain::{Fact, Guard, MeterId, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
-- failed, judged: the proofs that counted since a person last released the meter, as domain::place::Track has them.
CREATE TABLE IF NOT EXISTS places (
  meter TEXT PRIMARY KEY, epoch INTEGER, proof TEXT, failed INTEGER NOT NULL DEFAULT 0,
  judged INTEGER NOT NULL DEFAULT 0, model TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS challenge (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
";

/// A challenge as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whole epochs since 1970.
    pub epoch: i64,
    /// As hex.
    pub challenge: String,
    /// The block that it came from.
    pub block: Option<u64>,
}

fn text(value: &impl serde::Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|e| LedgerError::unreadable("a place", e))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|e| LedgerError::unreadable("a place", e))
}

/// An epoch is judged once, whoever was killed in between, and none before one that was judged.
pub(crate) fn located(db: &Connection, meter: &MeterId, proof: &Proof) -> Result<(), LedgerError> {
    let before: Option<(Option<i64>, i64, u32)> = db
        .prepare_cached("SELECT epoch, failed, judged FROM places WHERE meter = ?")?
        .query_row([meter.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let (epoch, failed, judged) = before.unwrap_or_default();
    // A clock that was set back judges nothing anew.
    if let Some(last) = epoch.filter(|last| proof.epoch <= *last) {
        let why = format!("meter {meter}: epoch {} is not after {last}, which was judged already", proof.epoch);
        return Err(LedgerError::Refused(why));
    }
    let track = Track { failed: u64::from_ne_bytes(failed.to_ne_bytes()), judged };
    let track = if proof.counts { track.and(proof.failed()) } else { track };
    db.prepare_cached(
        "INSERT INTO places (meter, epoch, proof, failed, judged) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET epoch = ?2, proof = ?3, failed = ?4, judged = ?5",
    )?
    .execute(params![
        meter.as_str(),
        proof.epoch,
        text(proof)?,
        i64::from_ne_bytes(track.failed.to_ne_bytes()),
        track.judged
    ])?;
    Ok(())
}

pub(crate) fn calibrated(db: &Connection, meter: &MeterId, model: &RadioModel) -> Result<(), LedgerError> {
    db.execute(
        "INSERT INTO places (meter, model) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET model = ?2",
        params![meter.as_str(), text(model)?],
    )?;
    Ok(())
}

pub(crate) fn challenged(db: &Connection, fact: &Fact) -> Result<(), LedgerError> {
    db.execute("INSERT OR REPLACE INTO challenge VALUES (1, ?)", [text(fact)?])?;
    Ok(())
}

/// What was proved before a person looked counts no more.
pub(crate) fn begin_again(db: &Connection, meter: &MeterId) -> Result<(), LedgerError> {
    db.execute("UPDATE places SET failed = 0, judged = 0 WHERE meter = ?", [meter.as_str()])?;
    Ok(())
}

/// The fact that a meter is held for its place, or is there again, with how far billing has come.
pub(crate) fn filled_in(db: &Connection, fact: &Fact) -> Result<Fact, LedgerError> {
    let upto = || Ok::<_, LedgerError>(Seq(cursor(db, PRICER)?));
    match fact {
        Fact::MeterHeld { meter, doubt, upto: Some(_) } => {
            nothing_waits(db, meter)?;
            Ok(Fact::MeterHeld { meter: meter.clone(), doubt: *doubt, upto: Some(upto()?) })
        }
        Fact::MeterFound { meter, .. } => {
            nothing_waits(db, meter)?;
            Ok(Fact::MeterFound { meter: meter.clone(), upto: upto()? })
        }
        other => Ok(other.clone()),
    }
}

pub(crate) fn hold(db: &Connection, meter: &MeterId, doubt: Doubt) -> Result<(), LedgerError> {
    let held = db.execute(
        "UPDATE meters SET held = ? WHERE name = ? AND held IS NULL AND at IS NOT NULL",
        params![text(&doubt)?, meter.as_str()],
    )?;
    if held == 1 {
        Ok(())
    } else {
        Err(LedgerError::Refused(format!("meter {meter} is held already, or was never read")))
    }
}

/// As [`domain::MeterBook::found_again`] has it.
pub(crate) fn found(db: &Connection, meter: &MeterId) -> Result<(), LedgerError> {
    let changed = db.execute(
        "UPDATE meters SET held = NULL, doubted_since = NULL,
         unbilled = unbilled + CASE WHEN r.export >= meters.export THEN r.export - meters.export ELSE 0 END,
         export_at = CASE WHEN r.export >= coalesce(meters.export, 0) THEN r.at ELSE export_at END,
         first_export = CASE WHEN r.export >= coalesce(meters.export, 0) THEN coalesce(first_export, r.export)
           ELSE first_export END,
         export = CASE WHEN r.export >= coalesce(meters.export, 0) THEN r.export ELSE meters.export END
         FROM (SELECT meter, at, export, seq FROM readings
               WHERE import IS NOT NULL AND meter = (SELECT id FROM meters WHERE name = ?1) AND seq <= ?2
               UNION ALL SELECT meter, at, export, 0 FROM last_readings
               WHERE meter = (SELECT id FROM meters WHERE name = ?1)
               ORDER BY seq DESC LIMIT 1) r
         WHERE meters.id = r.meter AND meters.name = ?1 AND json_extract(meters.held, '$.doubt') = 'elsewhere'
           AND (r.export IS NOT NULL OR meters.export IS NULL)",
        params![meter.as_str(), cursor(db, PRICER)?],
    )?;
    if changed == 1 {
        return Ok(());
    }
    // What it exported meanwhile is let go up to a reading that says how much that was.
    let why = "is not held for its place, or its newest reading does not say what it exported: wait for the next";
    Err(LedgerError::Refused(format!("meter {meter} {why}")))
}

impl Ledger {
    /// Every meter that has a place, by name.
    pub fn places(&self) -> Result<BTreeMap<MeterId, Placed>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT p.meter, p.proof, p.failed, p.judged, p.model,
                 coalesce(json_extract(m.held, '$.doubt') = 'elsewhere', 0)
             FROM places p LEFT JOIN meters m ON m.name = p.meter ORDER BY p.meter",
        )?;
        type Texts = (Option<String>, Option<String>);
        let found = rows.query_map([], |r| {
            let texts: Texts = (r.get(1)?, r.get(4)?);
            let failed: i64 = r.get(2)?;
            let track = Track { failed: u64::from_ne_bytes(failed.to_ne_bytes()), judged: r.get(3)? };
            Ok((named(r, 0)?, texts, track, r.get(5)?))
        })?;
        found
            .map(|row| {
                let (meter, (proof, model), track, held): (MeterId, Texts, Track, bool) = row?;
                let proof = proof.map(|p| parsed(&p)).transpose()?;
                let model = model.map(|m| parsed(&m)).transpose()?;
                Ok((meter.clone(), Placed { meter, proof, track, model, held }))
            })
            .collect()
    }

    /// The newest challenge.
    pub fn challenge(&self) -> Result<Option<Challenge>, LedgerError> {
        let body: Option<String> =
            self.reader().query_row("SELECT body FROM challenge", [], |r| r.get(0)).optional()?;
        Ok(match body.map(|b| parsed(&b)).transpose()? {
            Some(Fact::Challenged { epoch, challenge, block }) => Some(Challenge { epoch, challenge, block }),
            _ => None,
        })
    }

    /// Holds a meter for its place: what it counted so far is billed, and nothing after. Whatever is recorded meanwhile
    /// is billed before.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for a meter that is held already, or was never read; nothing is changed then.
    pub fn hold_for_place(
        &self,
        now: Timestamp,
        guards: &BTreeMap<MeterId, Guard>,
        meter: &MeterId,
        (failed, of): (u32, u32),
    ) -> Result<Fact, LedgerError> {
        let doubt = Doubt::Elsewhere { failed, of };
        let fact = Fact::MeterHeld { meter: meter.clone(), doubt, upto: Some(Seq(0)) };
        self.between_readings(now, guards, || Ok(Write::Fact(fact.clone())))
    }

    /// A meter that was held for its place is there again: what it imported meanwhile is billed with its next reading,
    /// what it exported is let go.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for a meter that is not held for its place; nothing is changed then.
    pub fn found_at_its_place(
        &self,
        now: Timestamp,
        guards: &BTreeMap<MeterId, Guard>,
        meter: &MeterId,
    ) -> Result<Fact, LedgerError> {
        let fact = Fact::MeterFound { meter: meter.clone(), upto: Seq(0) };
        self.between_readings(now, guards, || Ok(Write::Fact(fact.clone())))
    }
}
