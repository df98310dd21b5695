//! Batches: what moved, on its way to the chain, and what became of it.

use crate::commit::{PRICER, SETTLED, current, cursor, queue, record_fact, set_cursor};
use crate::outbox::{Batch, BatchItem, load_batch};
use crate::{LedgerError, lines};
use domain::{Fact, Money, RegisterPrices, Seq, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, Row, params};

/// Snapshots what moved into a new batch, unless one is open still. `prices` are those of the contract: what customers
/// owe beyond them is each item's charge.
pub(crate) fn make(
    db: &Connection,
    now: Timestamp,
    number: u64,
    most: u32,
    tariff: u32,
    prices: &RegisterPrices,
) -> Result<Option<Batch>, LedgerError> {
    let unfinished: i64 = db.query_row("SELECT count(*) FROM batches WHERE state = 'open'", [], |r| r.get(0))?;
    if unfinished > 0 {
        return Ok(None);
    }
    let items = moved(db, most, prices)?;
    if items.is_empty() {
        return Ok(None);
    }
    let sequence = i64::try_from(number).map_err(|e| LedgerError::unreadable("batch number", e))?;
    let settled: i64 =
        db.query_row("SELECT count(*) FROM batches WHERE sequence = ? AND state = 'done'", [sequence], |r| r.get(0))?;
    if settled > 0 {
        return Err(LedgerError::Refused(format!(
            "batch {number} is settled here, but the contract takes it next: it is not the contract of this ledger"
        )));
    }
    let purpose = serde_json::to_string(&crate::Purpose::Settle { sequence: number })
        .map_err(|e| LedgerError::unreadable("a purpose", e))?;
    let intent = queue(db, now, &purpose)?;
    // How many readings this batch brings to the chain: those priced since the last one.
    let priced = cursor(db, PRICER)?;
    let readings: i64 = db.query_row(
        "SELECT count(*) FROM readings r JOIN meters m ON m.id = r.meter
         WHERE r.seq > ?1 AND r.seq <= ?2 AND m.account IS NOT NULL",
        params![cursor(db, "batched")?, priced],
        |r| r.get(0),
    )?;
    set_cursor(db, "batched", priced)?;
    let text = serde_json::to_string(&items).map_err(|e| LedgerError::unreadable("a batch", e))?;
    // A full batch leaves others waiting.
    let covers = if items.len() < usize::try_from(most).unwrap_or(usize::MAX) { priced } else { 0 };
    db.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, 'open', ?)",
        params![intent, sequence, tariff, text, readings, covers],
    )?;
    for item in &items {
        lines::take(db, item.number, intent)?;
    }
    load_batch(db, number)
}

/// The accounts whose registers or balance moved otherwise than the chain knows, at most so many. One of which the chain
/// knows more than this ledger, put back from a copy, waits until its meters have said as much: registers on the chain
/// never step back.
fn moved(db: &Connection, most: u32, prices: &RegisterPrices) -> Result<Vec<BatchItem>, LedgerError> {
    let mut rows = db.prepare_cached(
        "SELECT number, off_peak - back_off_peak AS o, peak - back_peak AS p, feed_in, settled_off_peak, settled_peak,
             settled_feed_in, balance + deposits + paid_out + overturned AS net, settled_net
         FROM accounts WHERE opened = 1 AND doubted = 0
         AND (o > settled_off_peak OR p > settled_peak OR feed_in > settled_feed_in OR net <> settled_net)
         AND o >= settled_off_peak AND p >= settled_peak AND feed_in >= settled_feed_in
         ORDER BY number LIMIT ?",
    )?;
    let registers = |r: &Row<'_>, i: usize| {
        Ok::<_, rusqlite::Error>(TariffRegisters {
            off_peak: WattHours(r.get(i)?),
            peak: WattHours(r.get(i + 1)?),
            feed_in: WattHours(r.get(i + 2)?),
        })
    };
    let found = rows.query_map([most], |r| {
        Ok((r.get::<_, u32>(0)?, registers(r, 1)?, registers(r, 4)?, r.get::<_, i64>(7)?, r.get::<_, i64>(8)?))
    })?;
    found
        .map(|row| {
            let (number, registers, settled, net, settled_net) = row?;
            let out_of_range = || LedgerError::Refused(format!("the charge of account {number} is out of range"));
            let charge =
                prices.charge(&settled, &registers, Money(settled_net), Money(net)).ok_or_else(out_of_range)?;
            Ok(BatchItem { number, registers, charge, net: Money(net) })
        })
        .collect()
}

pub(crate) fn conclude(
    db: &Connection,
    now: Timestamp,
    intent: i64,
    mined: Option<&(String, u64)>,
    problem: Option<&str>,
    facts: &[Fact],
) -> Result<Seq, LedgerError> {
    let state = if problem.is_none() { "done" } else { "refused" };
    let block = mined.map(|(_, b)| i64::try_from(*b).unwrap_or(i64::MAX));
    let changed = db.execute(
        "UPDATE intents SET state = ?, transaction_hash = ?, block = ?, problem = ? WHERE id = ? AND state = 'open'",
        params![state, mined.map(|(h, _)| h), block, problem, intent],
    )?;
    if changed != 1 {
        return Err(LedgerError::Refused(format!("intent {intent} is concluded already")));
    }
    // What is anchored may be wanted again.
    db.execute(
        "UPDATE attempts SET raw = x'' WHERE intent = ?1 AND NOT EXISTS (SELECT 1 FROM mined WHERE intent = ?1)",
        [intent],
    )?;
    let batch = db.execute("UPDATE batches SET state = ? WHERE intent = ?", params![state, intent])?;
    if batch == 1 && problem.is_some() {
        for number in accounts_of(db, intent)? {
            lines::give_back(db, number, intent)?;
        }
    }
    if batch == 1 && problem.is_none() {
        let covers = db.query_row("SELECT covers FROM batches WHERE intent = ?", [intent], |r| r.get(0))?;
        set_cursor(db, SETTLED, covers)?;
    }
    let mut last = current(db)?;
    for fact in facts {
        last = record_fact(db, now, fact)?;
    }
    Ok(last)
}

/// The accounts in a batch.
pub(crate) fn accounts_of(db: &Connection, intent: i64) -> Result<Vec<u32>, LedgerError> {
    let items: String = db.query_row("SELECT items FROM batches WHERE intent = ?", [intent], |r| r.get(0))?;
    let items: Vec<BatchItem> = serde_json::from_str(&items)
        .map_err(|e| LedgerError::unreadable(format!("the batch of intent {intent}"), e))?;
    Ok(items.iter().map(|i| i.number).collect())
}
