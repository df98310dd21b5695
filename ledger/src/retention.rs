//! How long what is kept: old readings and old lines go, in small steps, when nobody needs them any more.
//!
//! A reading goes when it is older than it has to be kept, billed and settled. In the same transaction the auditor's
//! checkpoint moves past it, so a step happened or did not, and `verify` proves everything from there on. Pages that
//! become free are used again by what is recorded next: the file stays as large as its fullest day, and nothing is moved
//! about in it.

use crate::batch::accounts_of;
use crate::checkpoint::{Checkpoint, gone};
use crate::commit::{PRICER, SETTLED, cursor, set_cursor};
use crate::schema::open_reader;
use crate::verify::{self, Report};
use crate::{Ledger, LedgerError};
use domain::{Guard, MeterId, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// The cursor of the clearer of lines; its position is an intent.
const LINES: &str = "lines";
/// Readings that go in one step. A step is one transaction on the connection that records, so this bounds how long
/// recording waits for it.
const AT_ONCE: u32 = 5_000;

/// How long what is kept; `None` is for ever. Facts are kept for ever: payments and switching are what people come back
/// to, and they are few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Readings, by the clock of when they were taken.
    pub readings: Option<Duration>,
    /// Lines of bills, by when their batch was made.
    pub lines: Option<Duration>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Readings that went.
    pub readings: u64,
    /// Lines that went.
    pub lines: u64,
    /// Whether another step would find something.
    pub more: bool,
}

impl Ledger {
    /// Lets go of the oldest readings, or of the lines of the oldest batch, at most so many that recording does not wait
    /// for long. `guard` is what the Pricer judges a meter by.
    ///
    /// All the reckoning is done on a connection of its own; only the last part, which writes and deletes, keeps others
    /// from writing.
    pub fn tidy(&self, now: Timestamp, keep: &Keep, guard: impl Fn(&MeterId) -> Guard) -> Result<Tidied, LedgerError> {
        let mut done = Tidied::default();
        if let Some(age) = keep.readings {
            let mut reader = open_reader(&self.path)?;
            let db = reader.transaction()?;
            let kept = Checkpoint::load(&db)?;
            let (border, more) = border(&db, kept.upto, now, age)?;
            if border > kept.upto {
                let next = verify::checkpoint(&db, &kept, border, guard, &mut Report::default())?;
                // The log cannot be folded into the file while somebody reads an old state.
                drop(db);
                done.readings = self.let_go(&kept, &next)?;
                // Lines have their turn in the next step.
                done.more = more || keep.lines.is_some();
            }
        }
        if let (Some(age), 0) = (keep.lines, done.readings) {
            let lines = self.let_lines_go(now - age)?;
            done.more |= lines.is_some();
            done.lines = lines.unwrap_or(0);
        }
        Ok(done)
    }

    /// How many readings were let go so far, and the last of them.
    pub fn let_go_of(&self) -> Result<(i64, Seq), LedgerError> {
        let gone = gone(&self.reader())?;
        Ok((gone.readings, gone.upto))
    }

    fn let_go(&self, kept: &Checkpoint, next: &Checkpoint) -> Result<u64, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let stands = gone(&tx)?.upto;
        if stands != kept.upto {
            return Err(LedgerError::Refused(format!("readings up to {stands} went meanwhile")));
        }
        next.replace(kept, &tx)?;
        let n = tx.execute("DELETE FROM readings WHERE seq <= ?", [next.upto.0])?;
        tx.execute("UPDATE checkpoint SET gone = gone + ?", [i64::try_from(n).unwrap_or(i64::MAX)])?;
        tx.commit()?;
        Ok(u64::try_from(n).unwrap_or(u64::MAX))
    }

    /// Lets go of the lines of the oldest batch that was made before `border` and is done with; `None` if there is none.
    fn let_lines_go(&self, border: Timestamp) -> Result<Option<u64>, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let next: Option<(i64, i64, String)> = tx
            .query_row(
                "SELECT b.intent, i.made_at, b.state FROM batches b JOIN intents i ON i.id = b.intent
                 WHERE b.intent > ? ORDER BY b.intent LIMIT 1",
                [cursor(&tx, LINES)?],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )
            .optional()?;
        let Some((intent, made_at, state)) = next else { return Ok(None) };
        if state == "open" || made_at >= border.0 {
            return Ok(None);
        }
        let mut n = 0;
        for account in accounts_of(&tx, intent)? {
            // What a line stood for stays in the sums, so that the auditor can still add up all of them.
            tx.prepare_cached(
                "UPDATE checkpoint SET lines = checkpoint.lines + s.n, debits = checkpoint.debits + s.debits,
                     credits = checkpoint.credits + s.credits, energy = checkpoint.energy + s.energy
                 FROM (SELECT count(*) AS n, coalesce(sum(energy + network + demand + daily + tax), 0) AS debits,
                          coalesce(sum(credit), 0) AS credits, coalesce(sum(import + export), 0) AS energy
                       FROM lines WHERE account = ? AND batch = ?) s",
            )?
            .execute(params![account, intent])?;
            n += tx
                .prepare_cached("DELETE FROM lines WHERE account = ? AND batch = ?")?
                .execute(params![account, intent])?;
        }
        // Its items said what to settle, and are the order of its lines: neither is asked for any more.
        tx.execute("UPDATE batches SET items = '[]' WHERE intent = ?", [intent])?;
        set_cursor(&tx, LINES, intent)?;
        tx.commit()?;
        Ok(Some(u64::try_from(n).unwrap_or(u64::MAX)))
    }
}

/// The last reading of the next step, and whether the step is as large as it may be.
///
/// Readings go in the order in which they were recorded, up to the first that has to be kept. One that was taken after
/// `now` says that a clock was wrong: it goes when those behind it go.
fn border(db: &Connection, after: Seq, now: Timestamp, age: Duration) -> Result<(Seq, bool), LedgerError> {
    let (upto, old) = (settled(db)?, now - age);
    let mut rows = db.prepare("SELECT seq, at FROM readings WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?")?;
    let mut rows = rows.query(params![after.0, upto.0, AT_ONCE])?;
    let (mut border, mut n) = (after, 0);
    while let Some(row) = rows.next()? {
        n += 1;
        match Timestamp(row.get(1)?) {
            at if at < old => border = Seq(row.get(0)?),
            at if at <= now => return Ok((border, false)),
            _ => {}
        }
    }
    Ok((border, n == AT_ONCE))
}

/// The last reading that is billed and, with all before it, settled.
fn settled(db: &Connection) -> Result<Seq, LedgerError> {
    let waiting: i64 = db.query_row(
        "SELECT (SELECT count(*) FROM batches WHERE state = 'open') + (SELECT count(*) FROM accounts
         WHERE off_peak - back_off_peak > settled_off_peak OR peak - back_peak > settled_peak
            OR feed_in > settled_feed_in OR balance + deposits + paid_out + overturned <> settled_net)",
        [],
        |r| r.get(0),
    )?;
    let priced = cursor(db, PRICER)?;
    // A site without customers, or one where nothing moved since the last batch, has nothing to settle.
    Ok(Seq(if waiting == 0 { priced } else { cursor(db, SETTLED)?.min(priced) }))
}
