//! The one writer: a group of writes, one transaction, one sync.

use crate::codes::{use_token, wrong_code};
use crate::meters::{filled_in, moved, replaceable};
use crate::money::{book_fact, debt_part, refundable};
use crate::project::project;
use crate::write::{Outcome, Priced, Write};
use crate::{Enrolment, Ledger, LedgerError, batch, catch_up, dispatch, lines, on_chain, places, reorg, rounds};
use domain::{AccountId, Fact, MeterBook, MeterId, Money, Reading, Seq, Source, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// The cursor of the Pricer.
pub(crate) const PRICER: &str = "pricer";
/// The last reading that is settled, together with all before it.
pub(crate) const SETTLED: &str = "settled";
/// The border up to which the pool is shared out; its position is a time.
pub(crate) const POOL: &str = "pool";
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

    /// Accounts that are enrolled from now on have numbers from this one on: gateways that share a contract share its
    /// numbers. Accounts that are there keep theirs.
    pub fn number_accounts_from(&self, first: u32) -> Result<(), LedgerError> {
        self.writer().execute(
            "INSERT INTO meta VALUES ('first_account', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [first.to_string()],
        )?;
        Ok(())
    }

    /// Makes sure that these accounts and meters exist. A meter that changes its account is refused: that needs a
    /// final reading. The answer names the meters that somebody moved on from the account that is named here, and to
    /// whom: they stay where they were moved.
    pub fn enrol(&self, who: &Enrolment) -> Result<Vec<(MeterId, AccountId)>, LedgerError> {
        let mut ahead = Vec::new();
        let mut db = self.writer();
        let tx = db.transaction()?;
        for account in &who.accounts {
            tx.execute(
                "INSERT INTO accounts (number, name, debt_share)
                 SELECT max(coalesce((SELECT max(number) FROM accounts), 0) + 1,
                   coalesce((SELECT value FROM meta WHERE key = 'first_account'), 1) + 0), ?, ? WHERE true
                 ON CONFLICT (name) DO UPDATE SET debt_share = excluded.debt_share",
                params![account.id.as_str(), account.debt_share.get()],
            )?;
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
            if enrolled == number {
                continue;
            }
            match (moved(&tx, meter)?, account) {
                (Some((_, Fact::MeterMoved { from: Some(from), to, .. })), Some(wanted)) if from == *wanted => {
                    ahead.push((meter.clone(), to));
                }
                _ => return Err(elsewhere(&tx, meter, account.as_ref())?),
            }
        }
        tx.commit()?;
        Ok(ahead)
    }
}

/// Whose a meter is in the ledger, where the configuration says otherwise, and what to do.
fn elsewhere(db: &Connection, meter: &MeterId, wanted: Option<&AccountId>) -> Result<LedgerError, LedgerError> {
    let owner: Option<String> = db.query_row(
        "SELECT a.name FROM meters m LEFT JOIN accounts a ON a.number = m.account WHERE m.name = ?",
        [meter.as_str()],
        |r| r.get(0),
    )?;
    let whose = owner.as_ref().map_or_else(|| "to nobody".to_owned(), |owner| format!("to account {owner}"));
    Ok(LedgerError::Refused(match wanted {
        Some(wanted) => format!(
            "meter {meter} belongs {whose} in the ledger, and to account {wanted} in the configuration; \
             if {wanted} pays from now on, run: microgrid-gateway meter move {meter} {wanted}"
        ),
        None => format!(
            "meter {meter} belongs {whose} in the ledger, and to nobody in the configuration; \
             name its account, or give the meter a new name"
        ),
    }))
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
                let fresh = db.execute(
                    "INSERT INTO deposits SELECT ?1, ?2, number, ?3 FROM accounts WHERE name = ?4 ON CONFLICT DO NOTHING",
                    params![d.transaction, d.ordinal, d.amount.0, d.account.as_str()],
                )?;
                if fresh == 1 {
                    let source = Source::Chain { transaction: d.transaction.clone(), ordinal: d.ordinal };
                    last = top_up(db, now, &d.account, d.amount, source)?;
                }
            }
            set_cursor(db, DEPOSITS, i64::try_from(*upto_block).unwrap_or(i64::MAX))?;
            Ok(Outcome::Recorded(last))
        }
        Write::DepositGone { transaction, ordinal } => {
            reorg::deposit_gone(db, now, transaction, *ordinal).map(Outcome::Recorded)
        }
        Write::Happened(new) => {
            on_chain::record(db, now, new)?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::HappenedNot { transaction, ordinal } => {
            on_chain::gone(db, now, transaction, *ordinal).map(Outcome::Recorded)
        }
        Write::Adopt(accounts) => {
            on_chain::adopt(db, accounts)?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::DepositsAgain { upto_block } => {
            let position = i64::try_from(*upto_block).unwrap_or(i64::MAX);
            db.execute("UPDATE cursors SET position = ? WHERE reader = ?", params![position, DEPOSITS])?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::TopUp { account, amount, source } => {
            top_up(db, now, account, *amount, source.clone()).map(Outcome::Recorded)
        }
        Write::Token(token) => use_token(db, now, token).map(Outcome::Recorded),
        Write::WrongCode { account, by } => wrong_code(db, now, account, by).map(Outcome::Recorded),
        Write::Refund { account, amount, reference, who, force } => {
            refundable(db, account, *amount, reference, *force)?;
            let (account, amount, reference, who) = (account.clone(), *amount, reference.clone(), who.clone());
            record_fact(db, now, &Fact::Refunded { account, amount, reference, who }).map(Outcome::Recorded)
        }
        Write::Queue(purpose) => {
            let purpose = serde_json::to_string(purpose).map_err(|e| LedgerError::unreadable("a purpose", e))?;
            queue(db, now, &purpose).map(Outcome::Queued)
        }
        Write::MakeBatch { sequence, most, tariff_version, prices } => {
            batch::make(db, now, *sequence, *most, *tariff_version, prices).map(Outcome::Batch)
        }
        Write::Attempt(a) => {
            let nonce = i64::try_from(a.nonce).map_err(|e| LedgerError::unreadable("a nonce", e))?;
            db.execute(
                "INSERT INTO attempts (hash, intent, nonce, raw, signed_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![a.hash, a.intent, nonce, a.raw, a.signed_at.0],
            )?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::Conclude { intent, mined, problem, facts } => {
            batch::conclude(db, now, *intent, mined.as_ref(), problem.as_deref(), facts).map(Outcome::Recorded)
        }
        Write::Anchor(anchor) => {
            reorg::anchor(db, anchor)?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::Reopen { from } => {
            reorg::reopen(db, *from)?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::NotOpen(numbers) => {
            let mut closed = db.prepare_cached("UPDATE accounts SET opened = 0 WHERE number = ?")?;
            for number in numbers {
                closed.execute([number])?;
            }
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::CatchUp { upto, accounts } => {
            catch_up::catch_up(db, *upto, accounts)?;
            Ok(Outcome::Recorded(current(db)?))
        }
        Write::Round(round) => {
            rounds::keep(db, round)?;
            Ok(Outcome::Recorded(current(db)?))
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

pub(crate) fn current(db: &Connection) -> Result<Seq, LedgerError> {
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

pub(crate) fn record_fact(db: &Connection, now: Timestamp, fact: &Fact) -> Result<Seq, LedgerError> {
    let seq = take(db, 1)? + 1;
    let fact = &match fact {
        Fact::MeterReleased { meter, by, .. } => {
            Fact::MeterReleased { meter: meter.clone(), upto: Seq(cursor(db, PRICER)?), by: by.clone() }
        }
        Fact::MeterMoved { meter, to, by, .. } => filled_in(db, meter, to, by)?,
        Fact::MeterReplaced { change, .. } => {
            replaceable(db, change)?;
            fact.clone()
        }
        other => places::filled_in(db, other)?,
    };
    let body = serde_json::to_string(fact).map_err(|e| LedgerError::unreadable("a fact", e))?;
    db.prepare_cached("INSERT INTO facts VALUES (?, ?, ?)")?.execute(params![seq, now.0, body])?;
    book_fact(db, Seq(seq), fact)?;
    project(db, now, fact)?;
    if let Some(cap) = dispatch::cap_of(fact) {
        dispatch::keep(db, Seq(seq), cap)?;
    }
    Ok(Seq(seq))
}

/// Money that came in; the part that pays back debt is settled here, so that two at once cannot pay it back twice.
pub(crate) fn top_up(
    db: &Connection,
    now: Timestamp,
    account: &AccountId,
    amount: Money,
    source: Source,
) -> Result<Seq, LedgerError> {
    if amount <= Money::ZERO {
        return Err(LedgerError::Refused(format!("{amount} is no amount to pay in")));
    }
    let debt = debt_part(db, account, amount)?;
    record_fact(db, now, &Fact::ToppedUp { account: account.clone(), amount, debt, source })
}

pub(crate) fn set_cursor(db: &Connection, reader: &str, position: i64) -> Result<(), LedgerError> {
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
    for (account, line) in &priced.lines {
        lines::bill(db, account, line)?;
    }
    for (account, usage) in &priced.usages {
        let usage = serde_json::to_string(usage).map_err(|e| LedgerError::unreadable("a usage", e))?;
        db.prepare_cached("UPDATE accounts SET usage = ? WHERE name = ?")?
            .execute([usage.as_str(), account.as_str()])?;
    }
    for (interval, account, part) in &priced.pool {
        db.prepare_cached(
            "INSERT INTO pool SELECT ?, number, ?, ?, ? FROM accounts WHERE name = ?
             ON CONFLICT DO UPDATE SET sales = excluded.sales, import = excluded.import, export = excluded.export",
        )?
        .execute(params![interval.0, part.sales.0, part.import.0, part.export.0, account.as_str()])?;
    }
    dispatch::save(db, dispatch::Table::Billed, &priced.injected)?;
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
        // An export register that is gone was that of a device before: what it had counted is kept.
        "UPDATE meters SET at = ?1, import = ?2, export = ?3, export_at = ?4, doubted_since = ?5, held = ?6,
         boot = ?8, up = ?9, rolled = ?10 + CASE WHEN ?3 IS NULL THEN coalesce(export - first_export, 0) ELSE 0 END,
         first_import = coalesce(first_import, ?2),
         first_export = CASE WHEN ?3 IS NULL THEN NULL ELSE coalesce(first_export, ?3) END WHERE name = ?7",
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

pub(crate) fn queue(db: &Connection, now: Timestamp, purpose: &str) -> Result<i64, LedgerError> {
    db.execute("INSERT INTO intents (made_at, purpose, state) VALUES (?, ?, 'open')", params![now.0, purpose])?;
    Ok(db.last_insert_rowid())
}
