//! A ledger that was put back from a copy, on a chain that has gone further since.

use crate::commit::{cursor, set_cursor};
use crate::{Ledger, LedgerError};
use domain::{Money, TariffRegisters};
use rusqlite::{Connection, params};

/// The cursor of batches that are settled on the chain and stand in no ledger any more; its position is a number.
const ADOPTED: &str = "adopted";

/// An account as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its number.
    pub number: u32,
    /// What is settled there.
    pub settled: TariffRegisters,
    /// The part of the balance there that deposits do not explain.
    pub net: Money,
}

impl Ledger {
    /// The newest batch that is known to be settled, by its number on the chain; 0 before the first.
    pub fn newest_settled(&self) -> Result<u64, LedgerError> {
        let db = self.reader();
        let done: i64 =
            db.query_row("SELECT coalesce(max(sequence), 0) FROM batches WHERE state = 'done'", [], |r| r.get(0))?;
        Ok(u64::try_from(done.max(cursor(&db, ADOPTED)?)).unwrap_or(0))
    }
}

/// Takes over what the chain says, up to and including the batch `upto`. The next batch begins there: what those batches
/// billed is billed no second time, and what they did not is made up for in the next one's charges.
pub(crate) fn adopt(db: &Connection, upto: u64, accounts: &[Adopted]) -> Result<(), LedgerError> {
    for a in accounts {
        let changed = db
            .prepare_cached(
                "UPDATE accounts SET settled_off_peak = ?, settled_peak = ?, settled_feed_in = ?, settled_net = ?
                 WHERE number = ?",
            )?
            .execute(params![a.settled.off_peak.0, a.settled.peak.0, a.settled.feed_in.0, a.net.0, a.number])?;
        if changed != 1 {
            return Err(LedgerError::Refused(format!("there is no account {}", a.number)));
        }
    }
    set_cursor(db, ADOPTED, i64::try_from(upto).unwrap_or(i64::MAX))
}
