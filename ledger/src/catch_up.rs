//! A ledger that was put back from a copy, on a chain that has gone further since.

use crate::commit::{cursor, set_cursor};
use crate::on_chain::{Adopted, adopt};
use crate::{Ledger, LedgerError};
use rusqlite::Connection;

/// The cursor of batches that are settled on the chain and stand in no ledger any more; its position is a number.
const ADOPTED: &str = "adopted";

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
pub(crate) fn catch_up(db: &Connection, upto: u64, accounts: &[Adopted]) -> Result<(), LedgerError> {
    adopt(db, accounts)?;
    set_cursor(db, ADOPTED, i64::try_from(upto).unwrap_or(i64::MAX))
}
