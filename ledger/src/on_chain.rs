//! What happens to accounts on the chain without this gateway: paid out, contested, overturned, closed. Each counts once,
//! and not at all if the chain takes it back.

use crate::commit::record_fact;
use crate::money::number_of;
use crate::{Ledger, LedgerError};
use domain::{AccountId, Fact, Money, OnChain, Seq, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// Made with a new ledger, and where they are missing by the step from schema 4.
pub(crate) const TABLES: &str = "
-- body: the event as JSON. A block may change with a reorganisation, and with it which of two events is the newer.
CREATE TABLE IF NOT EXISTS happened (
  transaction_hash TEXT NOT NULL, ordinal INTEGER NOT NULL, account INTEGER NOT NULL, block INTEGER NOT NULL,
  log INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (transaction_hash, ordinal)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS happened_in ON happened (block, log);
";

/// An event of the contract that concerns one account, apart from deposits and batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Whose account.
    pub account: AccountId,
    /// What.
    pub event: OnChain,
    /// The transaction, as hex with 0x.
    pub transaction: String,
    /// Which of that transaction's events of this kind, from 0.
    pub ordinal: u32,
    /// The height of its block.
    pub block: u64,
    /// Its place among the logs of its block.
    pub log: u32,
}

/// What an account's holder has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Who gets the refund, as hex; none if nobody was named.
    pub who: Option<String>,
    /// From when what is left can be paid out, if the account was closed.
    pub leaving: Option<Timestamp>,
}

impl Ledger {
    /// Events in blocks after this one, in chain order.
    pub fn happened_after(&self, block: u64) -> Result<Vec<Happened>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!("{EVENTS} WHERE h.block > ? ORDER BY h.block, h.log"))?;
        let found = rows.query_map([i64::try_from(block).unwrap_or(i64::MAX)], raw)?;
        found.map(|row| parse(row?)).collect()
    }

    /// The event that is recorded under this transaction and ordinal.
    pub fn happened(&self, transaction: &str, ordinal: u32) -> Result<Option<Happened>, LedgerError> {
        find(&self.reader(), transaction, ordinal)
    }

    /// The accounts to which something happened, with what their holders have done.
    pub fn holders(&self) -> Result<BTreeMap<AccountId, Holder>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!("{EVENTS} ORDER BY h.block, h.log"))?;
        let mut holders: BTreeMap<AccountId, Holder> = BTreeMap::new();
        for row in rows.query_map([], raw)? {
            let Happened { account, event, .. } = parse(row?)?;
            let holder = holders.entry(account).or_default();
            match event {
                OnChain::HolderNamed { holder: who } => holder.who = Some(who),
                OnChain::Closing { due } => holder.leaving = Some(due),
                OnChain::Reopened => holder.leaving = None,
                OnChain::PaidOut { .. } | OnChain::Contested { .. } | OnChain::Overturned { .. } => {}
            }
        }
        Ok(holders)
    }
}

const EVENTS: &str = "SELECT a.name, h.body, h.transaction_hash, h.ordinal, h.block, h.log
     FROM happened h JOIN accounts a ON a.number = h.account";

type Raw = (String, String, String, u32, i64, u32);

fn raw(r: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
}

fn parse((name, body, transaction, ordinal, block, log): Raw) -> Result<Happened, LedgerError> {
    let account = name.parse().map_err(|e| LedgerError::unreadable("an account", e))?;
    let event = serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("an event of the chain", e))?;
    Ok(Happened { account, event, transaction, ordinal, block: u64::try_from(block).unwrap_or(0), log })
}

fn find(db: &Connection, transaction: &str, ordinal: u32) -> Result<Option<Happened>, LedgerError> {
    let mut row = db.prepare_cached(&format!("{EVENTS} WHERE h.transaction_hash = ? AND h.ordinal = ?"))?;
    row.query_row(params![transaction, ordinal], raw).optional()?.map(parse).transpose()
}

/// Records an event. One that is recorded already is not recorded again; one that is another than before, because the
/// chain did the same thing at another time, takes the place of the former.
pub(crate) fn record(db: &Connection, now: Timestamp, new: &Happened) -> Result<(), LedgerError> {
    let block = i64::try_from(new.block).map_err(|e| LedgerError::unreadable("a block number", e))?;
    if let Some(old) = find(db, &new.transaction, new.ordinal)? {
        if old.account == new.account && old.event.is_same_event(&new.event) {
            db.prepare_cached("UPDATE happened SET block = ?, log = ? WHERE transaction_hash = ? AND ordinal = ?")?
                .execute(params![block, new.log, new.transaction, new.ordinal])?;
            return Ok(());
        }
        gone(db, now, &new.transaction, new.ordinal)?;
    }
    let number = number_of(db, &new.account)?;
    let event = match &new.event {
        OnChain::Overturned { excess, amount, .. } => {
            // As the contract does: peak gives way first.
            let peak: i64 =
                db.query_row("SELECT settled_peak FROM accounts WHERE number = ?", [number], |r| r.get(0))?;
            let from_peak = WattHours(excess.0.min(peak.max(0)));
            OnChain::Overturned { excess: *excess, from_peak, amount: *amount }
        }
        other => other.clone(),
    };
    let body = serde_json::to_string(&event).map_err(|e| LedgerError::unreadable("an event of the chain", e))?;
    db.prepare_cached("INSERT INTO happened VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
        new.transaction,
        new.ordinal,
        number,
        block,
        new.log,
        body
    ])?;
    let (account, transaction, ordinal) = (new.account.clone(), new.transaction.clone(), new.ordinal);
    record_fact(db, now, &Fact::HappenedOnChain { account, event, transaction, ordinal })?;
    Ok(())
}

/// Takes back an event that the chain took back.
pub(crate) fn gone(db: &Connection, now: Timestamp, transaction: &str, ordinal: u32) -> Result<Seq, LedgerError> {
    let refused = || LedgerError::Refused(format!("event {ordinal} of {transaction} is not recorded"));
    let Happened { account, event, transaction, ordinal, .. } = find(db, transaction, ordinal)?.ok_or_else(refused)?;
    db.execute("DELETE FROM happened WHERE transaction_hash = ? AND ordinal = ?", params![transaction, ordinal])?;
    record_fact(db, now, &Fact::OnChainTakenBack { account, event, transaction, ordinal })
}

/// What an event changes beside money: an overturned debit sets the contract's registers back, and what the contract has
/// then is asked for before anything more is settled, since a batch may have been on its way.
pub(crate) fn project(db: &Connection, account: &AccountId, event: &OnChain, again: bool) -> Result<(), LedgerError> {
    if !matches!(event, OnChain::Overturned { .. }) {
        return Ok(());
    }
    let (sign, back) = (if again { -1 } else { 1 }, event.set_back());
    db.prepare_cached(
        "UPDATE accounts SET back_off_peak = back_off_peak + ?1, back_peak = back_peak + ?2,
             settled_off_peak = settled_off_peak - ?1, settled_peak = settled_peak - ?2, doubted = 1 WHERE name = ?3",
    )?
    .execute(params![sign * back.off_peak.0, sign * back.peak.0, account.as_str()])?;
    Ok(())
}

/// An account as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its number.
    pub number: u32,
    /// What is settled there.
    pub settled: TariffRegisters,
    /// The part of the balance there that did not come about on the chain itself.
    pub net: Money,
}

/// Takes over what the chain says of these accounts: what the next batch says begins there.
pub(crate) fn adopt(db: &Connection, accounts: &[Adopted]) -> Result<(), LedgerError> {
    for a in accounts {
        let changed = db
            .prepare_cached(
                "UPDATE accounts SET settled_off_peak = ?, settled_peak = ?, settled_feed_in = ?, settled_net = ?,
                     doubted = 0 WHERE number = ?",
            )?
            .execute(params![a.settled.off_peak.0, a.settled.peak.0, a.settled.feed_in.0, a.net.0, a.number])?;
        if changed != 1 {
            return Err(LedgerError::Refused(format!("there is no account {}", a.number)));
        }
    }
    Ok(())
}
