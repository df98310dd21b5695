//! The one writer: a group of writes, one transaction, one sync.

use crate::outbox::{Batch, BatchItem, load_batch};
use crate::project::project;
use crate::write::{Outcome, Priced, Write};
use crate::{Enrolment, Ledger, LedgerError};
use domain::{Fact, MeterBook, Money, Piece, Reading, Seq, Tariff, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, params};

/// The cursor of the Pricer.
pub(crate) const PRICER: &str = "pricer";
/// The cursor of the reader of chain deposits; its position is a block number.
pub(crate) const DEPOSITS: &str = "deposits";

impl Ledger {
    /// Writes them all in one transaction and syncs it. The answers come in the order of the writes: an inner `Err` is
    /// one write refused, the outer `Err` means that nothing at all was written.
    pub fn commit(&self, now: Timestamp, writes: &[Write]) -> Result<Vec<Result<Outcome, LedgerError>>, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            tx.execute_batch("SAVEPOINT one")?;
            let outcome = apply(&tx, now, write).map_err(contradiction);
            match &outcome {
                // The database itself failed: no part of the group can be trusted to be whole.
                Err(LedgerError::Database(_)) => {
                    drop(tx);
                    return outcome.map(|_| outcomes);
                }
                Err(_) => tx.execute_batch("ROLLBACK TO one; RELEASE one")?,
                Ok(_) => tx.execute_batch("RELEASE one")?,
            }
            outcomes.push(outcome);
        }
        tx.commit()?;
        Ok(outcomes)
    }

    /// Makes sure that these accounts and meters exist. A meter that changes its account is refused: that needs a
    /// final reading.
    pub fn enrol(&self, who: &Enrolment) -> Result<(), LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction()?;
        for account in &who.accounts {
            tx.execute("INSERT INTO accounts (name) VALUES (?) ON CONFLICT DO NOTHING", [account.as_str()])?;
        }
        for (meter, account) in &who.meters {
            let number: Option<u32> = match account {
                Some(a) => {
                    Some(tx.query_row("SELECT number FROM accounts WHERE name = ?", [a.as_str()], |r| r.get(0))?)
                }
                None => None,
            };
            tx.execute(
                "INSERT INTO meters (name, account) VALUES (?, ?) ON CONFLICT DO NOTHING",
                params![meter.as_str(), number],
            )?;
            let enrolled: Option<u32> =
                tx.query_row("SELECT account FROM meters WHERE name = ?", [meter.as_str()], |r| r.get(0))?;
            if enrolled != number {
                return Err(LedgerError::Refused(format!(
                    "meter {meter} belongs to another account in the ledger; give the meter a new name instead"
                )));
            }
        }
        Ok(tx.commit()?)
    }

    /// The tariff in force: records `wanted` as the first version, or answers the recorded one if they differ.
    pub fn tariff(&self, now: Timestamp, wanted: &Tariff) -> Result<Tariff, LedgerError> {
        let db = self.writer();
        let latest: Option<String> =
            db.query_row("SELECT body FROM tariffs ORDER BY version DESC LIMIT 1", [], |r| r.get(0)).optional()?;
        if let Some(body) = latest {
            return serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("the tariff", e));
        }
        let body = serde_json::to_string(wanted).map_err(|e| LedgerError::unreadable("the tariff", e))?;
        db.execute("INSERT INTO tariffs VALUES (?, ?, ?)", params![wanted.version, now.0, body])?;
        Ok(wanted.clone())
    }
}

/// A broken constraint is the fault of one write, not of the database.
fn contradiction(error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Database(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
            LedgerError::Refused(e.to_string())
        }
        other => other,
    }
}

fn apply(db: &Connection, now: Timestamp, write: &Write) -> Result<Outcome, LedgerError> {
    match write {
        Write::Readings(readings) => record_readings(db, readings).map(Outcome::Recorded),
        Write::Fact(fact) => record_fact(db, now, fact).map(Outcome::Recorded),
        Write::Priced(priced) => book(db, now, priced).map(Outcome::Recorded),
        Write::Deposits { upto_block, deposits } => {
            let mut last = current(db)?;
            for d in deposits {
                let fact = Fact::ToppedUp {
                    account: d.account.clone(),
                    amount: d.amount,
                    transaction: d.transaction.clone(),
                    ordinal: d.ordinal,
                };
                let fresh = db.execute(
                    "INSERT INTO deposits SELECT ?1, ?2, number, ?3 FROM accounts WHERE name = ?4 ON CONFLICT DO NOTHING",
                    params![d.transaction, d.ordinal, d.amount.0, d.account.as_str()],
                )?;
                if fresh == 1 {
                    last = record_fact(db, now, &fact)?;
                }
            }
            set_cursor(db, DEPOSITS, i64::try_from(*upto_block).unwrap_or(i64::MAX))?;
            Ok(Outcome::Recorded(last))
        }
        Write::Queue(purpose) => {
            let purpose = serde_json::to_string(purpose).map_err(|e| LedgerError::unreadable("a purpose", e))?;
            queue(db, now, &purpose).map(Outcome::Queued)
        }
        Write::MakeBatch { sequence, most, tariff_version } => {
            make_batch(db, now, *sequence, *most, *tariff_version).map(Outcome::Batch)
        }
        Write::Attempt(a) => {
            let nonce = i64::try_from(a.nonce).map_err(|e| LedgerError::unreadable("a nonce", e))?;
            db.execute(
                "INSERT INTO attempts (hash, intent, nonce, raw, signed_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![a.hash, a.intent, nonce, a.raw, now.0],
            )?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::Conclude { intent, mined, problem, facts } => {
            conclude(db, now, *intent, mined.as_ref(), problem.as_deref(), facts).map(Outcome::Recorded)
        }
        Write::Meta(key, value) => {
            db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                params![key, value],
            )?;
            Ok(Outcome::Recorded(current(db)?))
        }
    }
}

fn current(db: &Connection) -> Result<Seq, LedgerError> {
    Ok(Seq(db.query_row("SELECT last FROM sequence", [], |r| r.get(0))?))
}

/// Takes `n` sequence numbers; the answer is the one before the first.
fn take(db: &Connection, n: usize) -> Result<i64, LedgerError> {
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    let last: i64 = db.query_row("UPDATE sequence SET last = last + ? RETURNING last", [n], |r| r.get(0))?;
    Ok(last - n)
}

fn record_readings(db: &Connection, readings: &[Reading]) -> Result<Seq, LedgerError> {
    let mut seq = take(db, readings.len())?;
    let mut insert = db.prepare_cached(
        "INSERT INTO readings SELECT ?1, id, ?2, ?10, ?11, ?3, ?4, ?5, ?6, ?7, ?8 FROM meters WHERE name = ?9",
    )?;
    for r in readings {
        seq += 1;
        let inserted = insert.execute(params![
            seq,
            r.at.0,
            r.import.map(|v| v.0),
            r.export.map(|v| v.0),
            r.power.map(|v| v.0),
            r.voltage.map(|v| v.get()),
            r.current.map(|v| v.get()),
            r.frequency.map(|v| v.get()),
            r.meter.as_str(),
            r.up.map(|up| up.boot),
            r.up.map(|up| up.ms)
        ])?;
        if inserted != 1 {
            return Err(LedgerError::Refused(format!("meter {} is not enrolled", r.meter)));
        }
    }
    Ok(Seq(seq))
}

fn record_fact(db: &Connection, now: Timestamp, fact: &Fact) -> Result<Seq, LedgerError> {
    let seq = take(db, 1)? + 1;
    let fact = &match fact {
        Fact::MeterReleased { meter, by, .. } => {
            Fact::MeterReleased { meter: meter.clone(), upto: Seq(cursor(db, PRICER)?), by: by.clone() }
        }
        other => other.clone(),
    };
    let body = serde_json::to_string(fact).map_err(|e| LedgerError::unreadable("a fact", e))?;
    db.prepare_cached("INSERT INTO facts VALUES (?, ?, ?)")?.execute(params![seq, now.0, body])?;
    project(db, now, fact)?;
    Ok(Seq(seq))
}

fn set_cursor(db: &Connection, reader: &str, position: i64) -> Result<(), LedgerError> {
    db.prepare_cached(
        "INSERT INTO cursors VALUES (?, ?) ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
    )?
    .execute(params![reader, position])?;
    Ok(())
}

pub(crate) fn cursor(db: &Connection, reader: &str) -> Result<i64, LedgerError> {
    let found = db.prepare_cached("SELECT position FROM cursors WHERE reader = ?")?.query_row([reader], |r| r.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

fn book(db: &Connection, now: Timestamp, priced: &Priced) -> Result<Seq, LedgerError> {
    let at = cursor(db, PRICER)?;
    if at != priced.after.0 {
        return Err(LedgerError::Refused(format!(
            "readings after {} were priced already, up to {at}; nothing was billed twice",
            priced.after
        )));
    }
    for b in priced.started.iter().chain(&priced.books) {
        store_book(db, b)?;
    }
    for (meter, piece) in &priced.pieces {
        bill_piece(db, meter.as_str(), piece, priced.interval_ms)?;
    }
    set_cursor(db, PRICER, priced.upto.0)?;
    let mut last = current(db)?;
    for fact in &priced.facts {
        last = record_fact(db, now, fact)?;
    }
    Ok(last)
}

fn store_book(db: &Connection, book: &MeterBook) -> Result<(), LedgerError> {
    let held = book.held.map(|d| serde_json::to_string(&d)).transpose();
    let held = held.map_err(|e| LedgerError::unreadable("a doubt", e))?;
    db.prepare_cached(
        "UPDATE meters SET at = ?1, import = ?2, export = ?3, export_at = ?4, doubted_since = ?5, held = ?6,
         boot = ?8, up = ?9, rolled = ?10,
         first_import = coalesce(first_import, ?2), first_export = coalesce(first_export, ?3) WHERE name = ?7",
    )?
    .execute(params![
        book.at.0,
        book.import.0,
        book.export.map(|e| e.0),
        book.export_at.map(|t| t.0),
        book.doubted_since.map(|t| t.0),
        held,
        book.meter.as_str(),
        book.up.map(|up| up.boot),
        book.up.map(|up| up.ms),
        book.rolled.0
    ])?;
    Ok(())
}

fn bill_piece(db: &Connection, meter: &str, piece: &Piece, interval_ms: i64) -> Result<(), LedgerError> {
    let account: Option<(i64, u32)> = db
        .prepare_cached("SELECT id, account FROM meters WHERE name = ? AND account IS NOT NULL")?
        .query_row([meter], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((meter, account)) = account else { return Ok(()) };
    let bucket = piece.from.0.div_euclid(interval_ms.max(1)) * interval_ms.max(1);
    db.prepare_cached(
        "INSERT INTO intervals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT DO UPDATE SET to_at = max(to_at, excluded.to_at), import = import + excluded.import,
         export = export + excluded.export, debit = debit + excluded.debit, credit = credit + excluded.credit",
    )?
    .execute(params![
        meter,
        bucket,
        range_code(piece),
        piece.tariff_version,
        piece.from.0,
        piece.to.0,
        piece.import_from.0,
        piece.export_from.0,
        piece.import.0,
        piece.export.0,
        piece.debit.0,
        piece.credit.0
    ])?;
    let mut moved = TariffRegisters::default();
    moved.add(piece);
    let net =
        piece.credit.checked_sub(piece.debit).ok_or_else(|| LedgerError::Refused("amount out of range".into()))?;
    db.prepare_cached(
        "UPDATE accounts SET off_peak = off_peak + ?1, peak = peak + ?2, feed_in = feed_in + ?3,
         balance = balance + ?4, debited = debited + ?5, paid_for_feed_in = paid_for_feed_in + ?6 WHERE number = ?7",
    )?
    .execute(params![
        moved.off_peak.0,
        moved.peak.0,
        moved.feed_in.0,
        net.0,
        piece.debit.0,
        piece.credit.0,
        account
    ])?;
    Ok(())
}

pub(crate) fn range_code(piece: &Piece) -> u8 {
    match piece.range {
        domain::Range::OffPeak => 0,
        domain::Range::Peak => 1,
    }
}

fn queue(db: &Connection, now: Timestamp, purpose: &str) -> Result<i64, LedgerError> {
    db.execute("INSERT INTO intents (made_at, purpose, state) VALUES (?, ?, 'open')", params![now.0, purpose])?;
    Ok(db.last_insert_rowid())
}

fn make_batch(
    db: &Connection,
    now: Timestamp,
    number: u64,
    most: u32,
    tariff: u32,
) -> Result<Option<Batch>, LedgerError> {
    let unfinished: i64 = db.query_row("SELECT count(*) FROM batches WHERE state = 'open'", [], |r| r.get(0))?;
    if unfinished > 0 {
        return Ok(None);
    }
    let mut rows = db.prepare_cached(
        "SELECT number, off_peak, peak, feed_in FROM accounts WHERE opened = 1 AND
         (off_peak > settled_off_peak OR peak > settled_peak OR feed_in > settled_feed_in) ORDER BY number LIMIT ?",
    )?;
    let items: Vec<BatchItem> = rows
        .query_map([most], |r| {
            let registers = TariffRegisters {
                off_peak: WattHours(r.get(1)?),
                peak: WattHours(r.get(2)?),
                feed_in: WattHours(r.get(3)?),
            };
            Ok(BatchItem { number: r.get(0)?, registers, charge: Money::ZERO })
        })?
        .collect::<rusqlite::Result<_>>()?;
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
    db.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, 'open')",
        params![intent, sequence, tariff, text, readings],
    )?;
    load_batch(db, number)
}

fn conclude(
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
    db.execute("UPDATE batches SET state = ? WHERE intent = ?", params![state, intent])?;
    let mut last = current(db)?;
    for fact in facts {
        last = record_fact(db, now, fact)?;
    }
    Ok(last)
}
