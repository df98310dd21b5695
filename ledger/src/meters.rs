//! What a person does to a meter: releasing is in the projection; here it changes its customer, and gives way to another
//! device. Both count from where the Pricer stands, and are refused while readings of that meter wait before it.

use crate::commit::{PRICER, cursor};
use crate::money::number_of;
use crate::{Ledger, LedgerError, Outcome, Priced, Write};
use domain::{AccountId, Fact, Guard, MeterId, Registers, Replacement, Seq, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// Readings billed in one go.
const AT_ONCE: u32 = 5_000;
/// How often the last step is tried while readings keep coming in between.
const TRIES: u32 = 50;

/// Refused while readings of the meter are recorded that the Pricer has not passed: they are the old device's, or the old
/// customer's.
pub(crate) fn nothing_waits(db: &Connection, meter: &MeterId) -> Result<(), LedgerError> {
    let waiting = db
        .prepare_cached("SELECT 1 FROM readings WHERE seq > ? AND meter = (SELECT id FROM meters WHERE name = ?)")?
        .exists(params![cursor(db, PRICER)?, meter.as_str()])?;
    if waiting { Err(LedgerError::Refused(format!("readings of meter {meter} wait to be billed"))) } else { Ok(()) }
}

/// The newest fact of these kinds about a meter, and when it was recorded.
fn newest(db: &Connection, meter: &MeterId, kinds: [&str; 2]) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
    let newest: Option<(i64, String)> = db
        .prepare_cached(
            "SELECT at, body FROM facts WHERE json_extract(body, '$.fact') IN (?2, ?3)
             AND ?1 IN (json_extract(body, '$.meter'), json_extract(body, '$.change.meter')) ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([meter.as_str(), kinds[0], kinds[1]], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((at, body)) = newest else { return Ok(None) };
    let fact = serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("a fact", e))?;
    Ok(Some((Timestamp(at), fact)))
}

/// The newest replacement of a meter, if it is this one: the same last and first registers do not come twice.
fn replaced_just_so(db: &Connection, change: &Replacement) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
    let replaced = "meter_replaced";
    let Some((at, fact)) = newest(db, &change.meter, [replaced, replaced])? else { return Ok(None) };
    let same = matches!(&fact, Fact::MeterReplaced { change: done, .. }
        if (done.last, done.first) == (change.last, change.first));
    Ok(same.then_some((at, fact)))
}

/// The newest move of a meter.
pub(crate) fn moved(db: &Connection, meter: &MeterId) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
    newest(db, meter, ["meter_moved"; 2])
}

/// Refuses a replacement that came too early or twice.
pub(crate) fn replaceable(db: &Connection, change: &Replacement) -> Result<(), LedgerError> {
    nothing_waits(db, &change.meter)?;
    match replaced_just_so(db, change)? {
        Some((at, _)) => Err(LedgerError::Refused(format!("meter {} was replaced just so at {at}", change.meter))),
        None => Ok(()),
    }
}

/// The fact that a meter changes its customer, with what the ledger knows about it.
pub(crate) fn filled_in(db: &Connection, meter: &MeterId, to: &AccountId, by: &str) -> Result<Fact, LedgerError> {
    nothing_waits(db, meter)?;
    number_of(db, to)?;
    type Row = (Option<String>, Option<i64>, Option<i64>, Option<String>);
    let (owner, import, export, held): Row = db
        .query_row(
            "SELECT a.name, m.import, m.export, m.held FROM meters m LEFT JOIN accounts a ON a.number = m.account
             WHERE m.name = ?",
            [meter.as_str()],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )
        .optional()?
        .ok_or_else(|| LedgerError::Refused(format!("there is no meter {meter}")))?;
    if held.is_some() {
        return Err(LedgerError::Refused(format!(
            "meter {meter} is held: release or replace it first, so that it is clear what its customer owes"
        )));
    }
    let from =
        owner.map(|o| o.parse()).transpose().map_err(|e| LedgerError::unreadable("the name of an account", e))?;
    if from.as_ref() == Some(to) {
        return Err(LedgerError::Refused(format!("meter {meter} belongs to {to} already")));
    }
    Ok(Fact::MeterMoved {
        meter: meter.clone(),
        from,
        to: to.clone(),
        registers: import.map(|import| Registers { import: WattHours(import), export: export.map(WattHours) }),
        upto: Seq(cursor(db, PRICER)?),
        by: by.to_owned(),
    })
}

/// Somebody else pays for a meter. What one counted that was nobody's was never to be billed, and is forgotten.
pub(crate) fn reassign(
    db: &Connection,
    meter: &MeterId,
    from: Option<&AccountId>,
    to: &AccountId,
) -> Result<(), LedgerError> {
    if from.is_none() {
        db.execute(
            "UPDATE meters SET first_import = import, first_export = export, rolled = 0, unbilled = 0 WHERE name = ?",
            [meter.as_str()],
        )?;
    }
    db.execute("UPDATE meters SET account = ? WHERE name = ?", params![number_of(db, to)?, meter.as_str()])?;
    Ok(())
}

impl Ledger {
    /// When this very replacement was recorded, if it was the meter's newest.
    pub fn replaced(&self, change: &Replacement) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
        replaced_just_so(&self.reader(), change)
    }

    /// When a meter was moved to this account, if that was its newest move.
    pub fn moved(&self, meter: &MeterId, account: &AccountId) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
        let newest = moved(&self.reader(), meter)?;
        Ok(newest.filter(|(_, fact)| matches!(fact, Fact::MeterMoved { to, .. } if to == account)))
    }

    /// When a meter was released, if it was not held again since.
    pub fn released(&self, meter: &MeterId) -> Result<Option<(Timestamp, Fact)>, LedgerError> {
        let newest = newest(&self.reader(), meter, ["meter_released", "meter_held"])?;
        Ok(newest.filter(|(_, fact)| matches!(fact, Fact::MeterReleased { .. })))
    }

    /// Bills what is recorded and not billed yet, as the Pricer does, and beside it: of two that bill the same readings
    /// the second is refused.
    pub fn catch_up(&self, now: Timestamp, guards: &BTreeMap<MeterId, Guard>) -> Result<Seq, LedgerError> {
        loop {
            let after = self.priced_seq()?;
            let readings = self.readings_after(after, AT_ONCE)?;
            if readings.is_empty() {
                return Ok(after);
            }
            let Some(biller) = self.biller(guards)? else { return Ok(after) };
            for outcome in self.commit(now, &[Write::Priced(Priced::by(biller, after, &readings, |_, _, _| {}))])? {
                match outcome {
                    Err(LedgerError::Refused(why)) if self.priced_seq()? == after => {
                        return Err(LedgerError::Refused(why));
                    }
                    Err(LedgerError::Refused(_)) | Ok(_) => {}
                    Err(other) => return Err(other),
                }
            }
        }
    }

    /// Another device in the place of a meter: the old one is billed to its last registers, the new one from its first.
    /// Whatever is recorded meanwhile is billed before.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] says why it cannot be; nothing is changed then.
    pub fn replace_meter(
        &self,
        now: Timestamp,
        guards: &BTreeMap<MeterId, Guard>,
        change: &Replacement,
        by: &str,
    ) -> Result<Fact, LedgerError> {
        self.between_readings(now, guards, || {
            let after = self.priced_seq()?;
            let Some(biller) = self.biller(guards)? else {
                return Err(LedgerError::Refused("there is no tariff yet".into()));
            };
            let priced = Priced::replaced(biller, after, change.clone(), by)
                .map_err(|e| LedgerError::Refused(format!("meter {}: {e}", change.meter)))?;
            Ok(Write::Priced(priced))
        })
    }

    /// Somebody else pays for a meter from here on. Whatever is recorded meanwhile is billed to the one before.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] says why it cannot be; nothing is changed then.
    pub fn move_meter(
        &self,
        now: Timestamp,
        guards: &BTreeMap<MeterId, Guard>,
        meter: &MeterId,
        to: &AccountId,
        by: &str,
    ) -> Result<Fact, LedgerError> {
        let (meter, to, by) = (meter.clone(), to.clone(), by.to_owned());
        let fact = Fact::MeterMoved { meter, from: None, to, registers: None, upto: Seq(0), by };
        self.between_readings(now, guards, || Ok(Write::Fact(fact.clone())))
    }

    /// Tries a write again for as long as readings come between, and answers the fact that was recorded.
    pub(crate) fn between_readings(
        &self,
        now: Timestamp,
        guards: &BTreeMap<MeterId, Guard>,
        write: impl Fn() -> Result<Write, LedgerError>,
    ) -> Result<Fact, LedgerError> {
        let mut tries = TRIES;
        let seq = loop {
            let after = self.catch_up(now, guards)?;
            let written = write().and_then(|write| self.commit(now, &[write]).map(|mut all| all.pop()));
            match written {
                Ok(Some(Ok(Outcome::Recorded(seq)))) => break seq,
                Ok(Some(Err(LedgerError::Refused(why)))) | Err(LedgerError::Refused(why)) => {
                    // Without a reading since, it would be refused again for the same reason.
                    let came_between = self.priced_seq()? != after || !self.readings_after(after, 1)?.is_empty();
                    tries -= 1;
                    if tries == 0 || !came_between {
                        return Err(LedgerError::Refused(why));
                    }
                }
                Ok(Some(Err(other))) | Err(other) => return Err(other),
                Ok(Some(Ok(_)) | None) => return Err(LedgerError::Refused("nothing was recorded".into())),
            }
        };
        let facts = self.facts_after(Seq(seq.0 - 1), 1)?;
        let fact = facts.into_iter().next().map(|(_, _, fact)| fact);
        fact.ok_or_else(|| LedgerError::unreadable(format!("fact {seq}"), "it is gone"))
    }
}
