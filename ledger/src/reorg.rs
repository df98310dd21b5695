//! Blocks that the chain takes back: what was final becomes open again, with the bytes that are to be sent.

use crate::commit::record_fact;
use crate::outbox::BatchItem;
use crate::{Ledger, LedgerError, batch};
use domain::{Fact, Money, Seq, Source, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, params};

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
-- Where the newest concluded intents were mined. Their attempts keep their bytes for as long as they stand here. before:
-- what the accounts of a batch had as settled until then.
CREATE TABLE IF NOT EXISTS mined (
  intent INTEGER PRIMARY KEY, block INTEGER NOT NULL, hash TEXT NOT NULL, before TEXT NOT NULL
) STRICT;
";

/// How many concluded intents can be opened again. A chain that takes back more than this has begun anew.
const KEPT: i64 = 64;

/// The block in which an intent was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The intent.
    pub intent: i64,
    /// Its block's height.
    pub block: u64,
    /// Its block's hash, as hex with 0x.
    pub hash: String,
}

impl Ledger {
    /// The blocks of the newest concluded intents, newest first.
    pub fn anchors(&self) -> Result<Vec<Anchor>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT intent, block, hash FROM mined ORDER BY intent DESC")?;
        let anchor = |r: &rusqlite::Row<'_>| {
            let block: i64 = r.get(1)?;
            Ok(Anchor { intent: r.get(0)?, block: u64::try_from(block).unwrap_or(0), hash: r.get(2)? })
        };
        Ok(rows.query_map([], anchor)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The nonce of the newest transaction of ours that is final and did what it was to do. One that failed is not
    /// reckoned with: it is not opened again when its block is taken back, and then its nonce is free for another.
    pub fn final_nonce(&self) -> Result<Option<u64>, LedgerError> {
        let db = self.reader();
        let found: Option<i64> = db
            .prepare_cached(
                "SELECT a.nonce FROM intents i JOIN attempts a ON a.hash = i.transaction_hash
                 WHERE i.state = 'done' AND i.transaction_hash IS NOT NULL ORDER BY i.id DESC LIMIT 1",
            )?
            .query_row([], |r| r.get(0))
            .optional()?;
        Ok(found.and_then(|nonce| u64::try_from(nonce).ok()))
    }
}

/// Facts among which the newest deposits are sought.
const LOOKED_AT: i64 = 5_000;

impl Ledger {
    /// The newest deposits that are booked, newest first, at most so many: transaction and ordinal.
    pub fn newest_deposits(&self, most: usize) -> Result<Vec<(String, u32)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT body FROM facts ORDER BY seq DESC LIMIT ?")?;
        let bodies: Vec<String> = rows.query_map([LOOKED_AT], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut booked = db.prepare_cached("SELECT 1 FROM deposits WHERE transaction_hash = ? AND ordinal = ?")?;
        let mut found: Vec<(String, u32)> = Vec::new();
        for body in bodies {
            if found.len() == most {
                break;
            }
            if let Ok(Fact::ToppedUp { source: Source::Chain { transaction, ordinal }, .. }) =
                serde_json::from_str(&body)
                && booked.exists(params![transaction, ordinal])?
            {
                found.push((transaction, ordinal));
            }
        }
        Ok(found)
    }
}

/// Takes a deposit out of the account that it was booked to.
pub(crate) fn deposit_gone(
    db: &Connection,
    now: Timestamp,
    transaction: &str,
    ordinal: u32,
) -> Result<Seq, LedgerError> {
    let found: Option<(String, i64)> = db
        .query_row(
            "SELECT a.name, d.amount FROM deposits d JOIN accounts a ON a.number = d.account
             WHERE d.transaction_hash = ? AND d.ordinal = ?",
            params![transaction, ordinal],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()?;
    let refused = || LedgerError::Refused(format!("deposit {ordinal} of {transaction} is not booked"));
    let (name, amount) = found.ok_or_else(refused)?;
    let account = name.parse().map_err(|_| refused())?;
    db.execute("DELETE FROM deposits WHERE transaction_hash = ? AND ordinal = ?", params![transaction, ordinal])?;
    let (amount, transaction) = (Money(amount), transaction.to_owned());
    record_fact(db, now, &Fact::DepositTakenBack { account, amount, transaction, ordinal })
}

/// Remembers the block of an intent that is about to be concluded, and what its batch replaces.
pub(crate) fn anchor(db: &Connection, anchor: &Anchor) -> Result<(), LedgerError> {
    let mut before = Vec::new();
    if db.query_row("SELECT count(*) FROM batches WHERE intent = ?", [anchor.intent], |r| r.get::<_, i64>(0))? > 0 {
        for number in batch::accounts_of(db, anchor.intent)? {
            before.push(settled(db, number)?);
        }
    }
    let before = serde_json::to_string(&before).map_err(|e| LedgerError::unreadable("what was settled", e))?;
    let block = i64::try_from(anchor.block).map_err(|e| LedgerError::unreadable("a block number", e))?;
    db.execute("INSERT OR REPLACE INTO mined VALUES (?, ?, ?, ?)", params![anchor.intent, block, anchor.hash, before])?;
    let gone = "SELECT intent FROM mined ORDER BY intent DESC LIMIT -1 OFFSET ?";
    db.execute(&format!("UPDATE attempts SET raw = x'' WHERE intent IN ({gone})"), [KEPT])?;
    db.execute(&format!("DELETE FROM mined WHERE intent IN ({gone})"), [KEPT])?;
    Ok(())
}

fn settled(db: &Connection, number: u32) -> Result<BatchItem, LedgerError> {
    let read = |r: &rusqlite::Row<'_>| {
        let registers = TariffRegisters {
            off_peak: WattHours(r.get(0)?),
            peak: WattHours(r.get(1)?),
            feed_in: WattHours(r.get(2)?),
        };
        Ok(BatchItem { number, registers, charge: Money::ZERO, net: Money(r.get(3)?) })
    };
    Ok(db
        .prepare_cached(
            "SELECT settled_off_peak, settled_peak, settled_feed_in, settled_net FROM accounts WHERE number = ?",
        )?
        .query_row([number], read)?)
}

/// Opens this intent and all that were concluded after it, newest first, so that each account ends at what was settled
/// before the first of them. Says how many there were.
pub(crate) fn reopen(db: &Connection, from: i64) -> Result<usize, LedgerError> {
    let mut rows = db.prepare_cached("SELECT intent, before FROM mined WHERE intent >= ? ORDER BY intent DESC")?;
    let found: Vec<(i64, String)> =
        rows.query_map([from], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (intent, before) in &found {
        let before: Vec<BatchItem> = serde_json::from_str(before)
            .map_err(|e| LedgerError::unreadable(format!("what was settled before intent {intent}"), e))?;
        for item in before {
            let r = item.registers;
            db.prepare_cached(
                "UPDATE accounts SET settled_off_peak = ?, settled_peak = ?, settled_feed_in = ?, settled_net = ?
                 WHERE number = ?",
            )?
            .execute(params![r.off_peak.0, r.peak.0, r.feed_in.0, item.net.0, item.number])?;
            // What was overturned since is in none of what was settled before.
            db.prepare_cached("UPDATE accounts SET doubted = 1 WHERE number = ? AND back_off_peak + back_peak > 0")?
                .execute([item.number])?;
        }
        db.execute(
            "UPDATE intents SET state = 'open', transaction_hash = NULL, block = NULL WHERE id = ? AND state = 'done'",
            [intent],
        )?;
        db.execute("UPDATE batches SET state = 'open' WHERE intent = ? AND state = 'done'", [intent])?;
        db.execute("DELETE FROM mined WHERE intent = ?", [intent])?;
    }
    if found.is_empty() {
        return Err(LedgerError::Refused(format!("intent {from} is too old to be opened again")));
    }
    Ok(found.len())
}
