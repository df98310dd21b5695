//! The outbox: intents, the signed attempts at each, and the batches of registers that some of them carry.

use crate::{Ledger, LedgerError};
use domain::{AccountId, Money, Price, TariffRegisters, Timestamp, WattHours};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// What is to happen on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Purpose {
    /// Deploy the provider contract.
    Deploy,
    /// Open accounts there.
    OpenAccounts {
        /// Their numbers.
        numbers: Vec<u32>,
    },
    /// Set the contract's prices to these.
    SetTariff {
        /// Of energy taken off peak.
        off_peak: Price,
        /// Of energy taken at peak.
        peak: Price,
        /// Of energy fed in.
        feed_in: Price,
    },
    /// Name who holds accounts, before anything moves on them.
    NameHolders {
        /// Numbers of accounts, and their holders' addresses as hex.
        holders: Vec<(u32, String)>,
    },
    /// Name one of them by itself.
    NameHolder {
        /// Its number.
        number: u32,
        /// The holder's address, as hex.
        holder: String,
    },
    /// Post the forecast of a day, and the ranges that follow.
    PostRanges {
        /// The contract's number of the day.
        round: u32,
        /// When it begins.
        from: Timestamp,
    },
    /// Say what we forecast for a day that another gateway posted.
    AttestRanges {
        /// The contract's number of the day.
        round: u32,
        /// When our day begins.
        from: Timestamp,
        /// What was posted: a number is given again when a day failed.
        posted: String,
    },
    /// Say something of a plan to the contract that judges plans.
    Dispatch {
        /// What.
        act: RoundAct,
        /// The contract's number of the round; 0 before it has one.
        round: u32,
        /// When the interval of the plan begins.
        from: Timestamp,
    },
    /// Tell the grid operator's register where switches are.
    Attest {
        /// Connection points, as hex, and whether each is supplied.
        positions: Vec<(String, bool)>,
    },
    /// Say something to the neighbourhood's witnesses.
    Witness {
        /// What it says, for people.
        what: String,
        /// The call, as hex with 0x.
        data: String,
    },
    /// Settle a batch.
    Settle {
        /// Its sequence number.
        sequence: u64,
    },
}

/// What is said of a plan, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundAct {
    /// The network that it is on, if it is not there yet.
    Publish,
    /// What is demanded, and until when plans are taken.
    Open,
    /// The hash of it, and the stake.
    Commit,
    /// The plan itself.
    Reveal,
    /// That the time is over.
    Close,
    /// That the stake is owing to us.
    Reclaim,
    /// That what is owing is paid.
    Collect,
}

/// An intent with every transaction signed for it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its number.
    pub id: i64,
    /// What it wants.
    pub purpose: Purpose,
    /// Signed transactions.
    pub attempts: Vec<Attempt>,
}

/// One signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The intent it serves.
    pub intent: i64,
    /// Its hash, as hex with 0x.
    pub hash: String,
    /// The nonce it uses.
    pub nonce: u64,
    /// The bytes to send.
    pub raw: Vec<u8>,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// A snapshot of registers on its way to the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The intent that brings it to the chain.
    pub intent: i64,
    /// Its sequence number on the chain.
    pub sequence: u64,
    /// The tariff version that prices it.
    pub tariff_version: u32,
    /// One entry per account whose registers moved.
    pub items: Vec<BatchItem>,
    /// Readings priced since the batch before.
    pub readings: u64,
}

/// A batch that is final on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledBatch {
    /// The intent that brought it there.
    pub intent: i64,
    /// Its sequence number.
    pub sequence: u64,
    /// The transaction that carried it, as hex.
    pub transaction: String,
    /// The numbers of the accounts in it, in its order.
    pub accounts: Vec<u32>,
}

/// One account in a batch: its cumulative registers, and a charge that is not cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct BatchItem {
    /// The account's number on the chain.
    pub number: u32,
    /// Its registers at the moment of the snapshot.
    pub registers: TariffRegisters,
    /// What the customer owes beyond the contract's price of what the registers moved; negative is money to the customer.
    pub charge: Money,
    /// The part of the balance that deposits do not explain, at that moment.
    pub net: Money,
}

/// An item as it is kept: number, off-peak, peak and feed-in registers, charge, net. A year has tens of thousands of
/// batches, and names of fields would be most of them.
type Packed = (u32, WattHours, WattHours, WattHours, Money, Money);

impl From<Packed> for BatchItem {
    fn from((number, off_peak, peak, feed_in, charge, net): Packed) -> Self {
        Self { number, registers: TariffRegisters { off_peak, peak, feed_in }, charge, net }
    }
}

impl From<BatchItem> for Packed {
    fn from(item: BatchItem) -> Self {
        let r = item.registers;
        (item.number, r.off_peak, r.peak, r.feed_in, item.charge, item.net)
    }
}

/// Money that a customer sent to the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Whose account.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// The transaction, as hex with 0x.
    pub transaction: String,
    /// Which of that transaction's deposits it is, from 0.
    pub ordinal: u32,
}

/// What settling needs, as purposes are kept.
const SET_UPS: [&str; 5] = ["deploy", "open_accounts", "set_tariff", "name_holder", "name_holders"];

/// How often something was to be said on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// So many intents said it.
    pub times: u32,
    /// When the newest was made.
    pub newest: Timestamp,
    /// Whether one of them was in a block, whatever came of it there.
    pub mined: bool,
}

impl Ledger {
    /// The intents that are not final, oldest first.
    pub fn open_intents(&self) -> Result<Vec<Intent>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT id, purpose FROM intents WHERE state = 'open' ORDER BY id")?;
        let found: Vec<(i64, String)> =
            rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        found
            .into_iter()
            .map(|(id, purpose)| Ok(Intent { id, purpose: parse_purpose(id, &purpose)?, attempts: attempts(&db, id)? }))
            .collect()
    }

    /// What became of the newest intent that says this: whether it is final on the chain; `None` if none ever did.
    pub fn became_of(&self, purpose: &Purpose) -> Result<Option<bool>, LedgerError> {
        let text = serde_json::to_string(purpose).map_err(|e| LedgerError::unreadable("a purpose", e))?;
        let db = self.reader();
        let mut rows =
            db.prepare_cached("SELECT state = 'done' FROM intents WHERE purpose = ? ORDER BY id DESC LIMIT 1")?;
        Ok(rows.query_row([text], |r| r.get(0)).optional()?)
    }

    /// How often this was to be said on the chain; `None` if it never was.
    pub fn tries(&self, purpose: &Purpose) -> Result<Option<Tries>, LedgerError> {
        let text = serde_json::to_string(purpose).map_err(|e| LedgerError::unreadable("a purpose", e))?;
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT count(*), max(made_at), count(transaction_hash) > 0 FROM intents WHERE purpose = ? HAVING count(*) > 0",
        )?;
        let tries = |r: &Row<'_>| Ok(Tries { times: r.get(0)?, newest: Timestamp(r.get(1)?), mined: r.get(2)? });
        Ok(rows.query_row([text], tries).optional()?)
    }

    /// Why the newest concluded intent was refused; `None` if it was not.
    pub fn last_refusal(&self) -> Result<Option<(Purpose, String)>, LedgerError> {
        let db = self.reader();
        let newest: Option<(i64, String, Option<String>)> = db
            .query_row(
                "SELECT id, purpose, problem FROM intents WHERE state <> 'open' ORDER BY id DESC LIMIT 1",
                [],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )
            .optional()?;
        let Some((id, purpose, Some(problem))) = newest else { return Ok(None) };
        Ok(Some((parse_purpose(id, &purpose)?, problem)))
    }

    /// The number of the newest batch that is not under way, if it was refused.
    pub fn batch_refused(&self) -> Result<Option<u64>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT sequence, state = 'refused' FROM batches WHERE state <> 'open' ORDER BY intent DESC LIMIT 1",
        )?;
        let newest: Option<(i64, bool)> = rows.query_row([], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        let refused = newest.filter(|(_, refused)| *refused).map(|(sequence, _)| u64::try_from(sequence));
        refused.transpose().map_err(|e| LedgerError::unreadable("a batch number", e))
    }

    /// Whether the newest of what settling needs, and is not under way, was refused.
    pub fn set_up_refused(&self) -> Result<bool, LedgerError> {
        let db = self.reader();
        // By the index of purposes: of the few that set up, not of all that was ever settled.
        let mut rows = db.prepare_cached(
            "SELECT id, state = 'refused' FROM intents WHERE purpose >= ? AND purpose < ? AND state <> 'open'
             ORDER BY +id DESC LIMIT 1",
        )?;
        let mut newest = None;
        for kind in SET_UPS {
            // The character after a quotation mark ends what begins with the kind.
            let (first, end) = (format!("{{\"do\":\"{kind}\""), format!("{{\"do\":\"{kind}#"));
            let found: Option<(i64, bool)> = rows.query_row([first, end], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
            newest = newest.max(found);
        }
        Ok(newest.is_some_and(|(_, refused)| refused))
    }

    /// Whether we signed the transaction with this hash at some time.
    pub fn has_signed(&self, hash: &str) -> Result<bool, LedgerError> {
        Ok(self.reader().prepare_cached("SELECT 1 FROM attempts WHERE hash = ?")?.exists([hash])?)
    }

    /// How many intents the chain refused for good.
    pub fn intents_refused(&self) -> Result<i64, LedgerError> {
        Ok(self.reader().query_row("SELECT count(*) FROM intents WHERE state = 'refused'", [], |r| r.get(0))?)
    }

    /// Whether this deposit is booked.
    pub fn has_deposit(&self, transaction: &str, ordinal: u32) -> Result<bool, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT 1 FROM deposits WHERE transaction_hash = ? AND ordinal = ?")?;
        Ok(rows.exists(params![transaction, ordinal])?)
    }

    /// When the newest batch was made.
    pub fn last_batch_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        let at: Option<i64> = self.reader().query_row(
            "SELECT max(i.made_at) FROM batches b JOIN intents i ON i.id = b.intent",
            [],
            |r| r.get(0),
        )?;
        Ok(at.map(Timestamp))
    }

    /// The batch of an intent, if it is final on the chain.
    pub fn settled_batch(&self, intent: i64) -> Result<Option<SettledBatch>, LedgerError> {
        let db = self.reader();
        let found: Option<(i64, String, String)> = db
            .query_row(
                "SELECT b.sequence, i.transaction_hash, b.items FROM batches b JOIN intents i ON i.id = b.intent
                 WHERE b.intent = ? AND b.state = 'done' AND i.transaction_hash IS NOT NULL",
                [intent],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )
            .optional()?;
        let Some((sequence, transaction, items)) = found else { return Ok(None) };
        let items: Vec<BatchItem> = serde_json::from_str(&items)
            .map_err(|e| LedgerError::unreadable(format!("the batch of intent {intent}"), e))?;
        let sequence = u64::try_from(sequence).map_err(|e| LedgerError::unreadable("a batch number", e))?;
        let accounts = items.iter().map(|i| i.number).collect();
        Ok(Some(SettledBatch { intent, sequence, transaction, accounts }))
    }

    /// The newest batch of this sequence number.
    pub fn batch(&self, sequence: u64) -> Result<Option<Batch>, LedgerError> {
        load_batch(&self.reader(), sequence)
    }
}

pub(crate) fn parse_purpose(id: i64, text: &str) -> Result<Purpose, LedgerError> {
    serde_json::from_str(text).map_err(|e| LedgerError::unreadable(format!("intent {id}"), e))
}

fn attempts(db: &Connection, intent: i64) -> Result<Vec<Attempt>, LedgerError> {
    let mut rows =
        db.prepare_cached("SELECT hash, nonce, raw, signed_at FROM attempts WHERE intent = ? ORDER BY id")?;
    let attempt = |r: &Row<'_>| {
        let nonce: i64 = r.get(1)?;
        Ok(Attempt {
            intent,
            hash: r.get(0)?,
            nonce: u64::try_from(nonce).unwrap_or(0),
            raw: r.get(2)?,
            signed_at: Timestamp(r.get(3)?),
        })
    };
    Ok(rows.query_map([intent], attempt)?.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn load_batch(db: &Connection, sequence: u64) -> Result<Option<Batch>, LedgerError> {
    let key = i64::try_from(sequence).map_err(|e| LedgerError::unreadable("batch number", e))?;
    let found: Option<(i64, u32, String, i64)> = db
        .query_row(
            "SELECT intent, tariff, items, readings FROM batches WHERE sequence = ? ORDER BY intent DESC LIMIT 1",
            params![key],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )
        .optional()?;
    let Some((intent, tariff_version, items, readings)) = found else { return Ok(None) };
    let items = serde_json::from_str(&items).map_err(|e| LedgerError::unreadable(format!("batch {sequence}"), e))?;
    Ok(Some(Batch { intent, sequence, tariff_version, items, readings: u64::try_from(readings).unwrap_or(0) }))
}
