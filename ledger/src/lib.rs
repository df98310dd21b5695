//! The durable record. Everything that happened, in one SQLite file, and the state that follows from it.
//!
//! - One writer, [`Ledger::commit`]: many writes, one transaction, one sync (`synchronous=FULL` on a write-ahead log).
//!   What it has acknowledged survives a power cut.
//! - Readers keep a cursor ("read up to seq n") in the ledger itself; whoever restarts reads on from there.
//! - Facts project themselves onto the tables of present state in the same transaction that records them.
//!
//! No async here: callers put it on a blocking thread.

mod backup;
mod batch;
mod catch_up;
mod checkpoint;
mod codes;
mod commit;
mod dispatch;
mod error;
mod history;
mod lines;
mod load;
mod meters;
mod migrate;
mod money;
mod on_chain;
mod outbox;
mod places;
mod project;
mod ranges;
mod read;
mod reorg;
mod retention;
mod rounds;
mod schema;
mod supply;
mod tariffs;
mod verify;
mod write;

pub use backup::Restoration;
pub use codes::TokenUse;
pub use error::LedgerError;
pub use history::Group;
pub use lines::BilledLine;
pub use load::{Grid, Load, Loads, Row};
pub use money::Kind as NumberKind;
pub use on_chain::{Adopted, Happened, Holder};
pub use outbox::{Attempt, Batch, BatchItem, Deposit, Intent, Purpose, RoundAct, SettledBatch, Tries};
pub use places::Challenge;
pub use ranges::{DayAhead, Ranged};
pub use read::{AccountRow, MeterRow, SwitchRow, Totals};
pub use reorg::Anchor;
pub use retention::{Keep, Tidied};
pub use rounds::Round;
pub use supply::{OverrideRow, Used};
pub use verify::{Finding, Report};
pub use write::{Enrolled, Enrolment, Outcome, Priced, Write};

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ledger of one gateway. Shared by reference; writes and reads go over two connections, so that a long read does
/// not hold up recording.
pub struct Ledger {
    path: PathBuf,
    kept: Option<PathBuf>,
    reader: Mutex<Connection>,
    /// Dropped after the reader: only a connection that may write can fold the write-ahead log into the file when it is
    /// the last one to close.
    writer: Mutex<Connection>,
}

impl Ledger {
    /// Opens the ledger in this file, or makes a new one. A file that is no ledger, is damaged, or comes from a newer
    /// version is refused with advice. One from an earlier version is brought to this one, and stays beside as it was.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let (writer, kept) = schema::open_writer(path)?;
        let reader = schema::open_reader(path)?;
        Ok(Self { path: path.to_owned(), kept, writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// The same beside a gateway, which alone brings a ledger to its version: one of an earlier version is refused.
    ///
    /// # Errors
    /// [`LedgerError::Earlier`], and those of opening.
    pub fn open_present(path: &Path) -> Result<Self, LedgerError> {
        migrate::refuse_earlier(path)?;
        Self::open(path)
    }

    /// Where the ledger is kept as an earlier version left it, if opening it just now brought it to this one.
    #[must_use]
    pub fn kept_as_it_was(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// Folds the write-ahead log into the file, so that the file alone is the whole ledger.
    pub fn checkpoint(&self) -> Result<(), LedgerError> {
        Ok(self.writer().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// The file it lives in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    // A panic while the lock was held cannot have left the database half-changed: the transaction was rolled back.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
