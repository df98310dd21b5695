//! The tables, and how the file is opened.

use crate::{LedgerError, migrate};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "MGGW" as SQLite's application id, so that a foreign database is recognised.
pub(crate) const APPLICATION_ID: i32 = 0x4D47_4757;
/// Rises with every change that a program from before it would not read right: see `migrate.rs`, which then needs a step.
pub(crate) const VERSION: i32 = 5;
/// Files up to this size are checked page by page at every start; beyond it that would delay the start for long.
const QUICK_CHECK_BYTES: u64 = 64 << 20;

const TABLES: &str = "
-- One sequence for readings and facts: the order in which they were recorded.
CREATE TABLE readings (
  seq INTEGER PRIMARY KEY, meter INTEGER NOT NULL, at INTEGER NOT NULL, boot INTEGER, up INTEGER,
  import INTEGER, export INTEGER, power INTEGER, voltage REAL, current REAL, frequency REAL
);
CREATE TABLE facts (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE sequence (last INTEGER NOT NULL);
INSERT INTO sequence VALUES (0);

-- balance to lent are the books of the account, as domain::Book has them: every entry takes from one what it gives to
-- others, so each row adds up to nothing, and the database itself refuses whatever would not. STRICT, because a sum that
-- overflowed would otherwise quietly become a fraction.
-- settled_net: the part of the balance that did not come about on the chain itself and that the chain knows.
-- back_*: energy that the contract took off its registers again, so that its registers are those here less these.
-- doubted: what the chain has of the account is asked before more is settled.
CREATE TABLE accounts (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, opened INTEGER NOT NULL DEFAULT 0,
  off_peak INTEGER NOT NULL DEFAULT 0, peak INTEGER NOT NULL DEFAULT 0, feed_in INTEGER NOT NULL DEFAULT 0,
  settled_off_peak INTEGER NOT NULL DEFAULT 0, settled_peak INTEGER NOT NULL DEFAULT 0,
  settled_feed_in INTEGER NOT NULL DEFAULT 0, settled_net INTEGER NOT NULL DEFAULT 0,
  balance INTEGER NOT NULL DEFAULT 0, debt INTEGER NOT NULL DEFAULT 0, deposits INTEGER NOT NULL DEFAULT 0,
  cash INTEGER NOT NULL DEFAULT 0, energy INTEGER NOT NULL DEFAULT 0, network INTEGER NOT NULL DEFAULT 0,
  demand INTEGER NOT NULL DEFAULT 0, daily INTEGER NOT NULL DEFAULT 0, tax INTEGER NOT NULL DEFAULT 0,
  fed_in INTEGER NOT NULL DEFAULT 0, pool INTEGER NOT NULL DEFAULT 0, refunds INTEGER NOT NULL DEFAULT 0,
  adjustments INTEGER NOT NULL DEFAULT 0, lent INTEGER NOT NULL DEFAULT 0, paid_out INTEGER NOT NULL DEFAULT 0,
  overturned INTEGER NOT NULL DEFAULT 0, back_off_peak INTEGER NOT NULL DEFAULT 0,
  back_peak INTEGER NOT NULL DEFAULT 0, doubted INTEGER NOT NULL DEFAULT 0,
  credit TEXT NOT NULL DEFAULT '\"good\"', debt_share INTEGER NOT NULL DEFAULT 0, usage TEXT,
  CHECK (balance + debt + deposits + cash + energy + network + demand + daily + tax + fed_in + pool + refunds
         + adjustments + lent + paid_out + overturned = 0)
) STRICT;
-- Which class an account belonged to, and from when.
CREATE TABLE classes (
  account INTEGER NOT NULL, since INTEGER NOT NULL, class TEXT, PRIMARY KEY (account, since)
) WITHOUT ROWID;
-- first_*: where billing of this meter began; import/export/at: how far it has come.
-- rolled: what registers had counted when they began again; unbilled: energy that a person let go when releasing a
-- held meter.
CREATE TABLE meters (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, account INTEGER REFERENCES accounts(number),
  at INTEGER, boot INTEGER, up INTEGER, import INTEGER, export INTEGER, export_at INTEGER, first_import INTEGER, first_export INTEGER,
  doubted_since INTEGER, held TEXT, rolled INTEGER NOT NULL DEFAULT 0,
  unbilled INTEGER NOT NULL DEFAULT 0
);
-- The lines of bills. While batch is 0 a line grows with every reading of its interval; when a batch has taken it, it is
-- committed to by that batch's root and never changes. meter is 0 for a line without energy.
-- The batch leads, so that the lines that still grow stand together: every bill touches a few pages and not one for each
-- account. The index finds an account's lines in batches; it leaves out those that grow, and so moves once for each line.
CREATE TABLE lines (
  account INTEGER NOT NULL, batch INTEGER NOT NULL, interval INTEGER NOT NULL, meter INTEGER NOT NULL,
  kind INTEGER NOT NULL, tariff INTEGER NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,
  import_from INTEGER NOT NULL, export_from INTEGER NOT NULL, import INTEGER NOT NULL, free INTEGER NOT NULL,
  export INTEGER NOT NULL, energy INTEGER NOT NULL, network INTEGER NOT NULL, demand INTEGER NOT NULL,
  daily INTEGER NOT NULL, tax INTEGER NOT NULL, credit INTEGER NOT NULL, carry INTEGER NOT NULL,
  PRIMARY KEY (batch, account, interval, meter, kind, tariff)
) WITHOUT ROWID, STRICT;
CREATE INDEX lines_by_account ON lines (account, from_at) WHERE batch > 0;
-- What accounts did in intervals that the pool has not shared out yet.
CREATE TABLE pool (
  interval INTEGER NOT NULL, account INTEGER NOT NULL, sales INTEGER NOT NULL, import INTEGER NOT NULL,
  export INTEGER NOT NULL, PRIMARY KEY (interval, account)
) WITHOUT ROWID;
CREATE TABLE tariffs (version INTEGER PRIMARY KEY, since INTEGER NOT NULL, body TEXT NOT NULL);
-- Numbers that count once: of cash, vouchers, tokens, refunds.
CREATE TABLE used (kind TEXT NOT NULL, number TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE TABLE switches (
  name TEXT PRIMARY KEY, ordered TEXT, position TEXT, reason TEXT, at INTEGER NOT NULL, problem TEXT
) WITHOUT ROWID;
CREATE TABLE cursors (reader TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;

-- The outbox: what is to happen on the chain, and every signed transaction that was made for it. raw is what is sent
-- again until the intent is done with; then the hash is left, and the chain has the rest.
CREATE TABLE intents (
  id INTEGER PRIMARY KEY, made_at INTEGER NOT NULL, purpose TEXT NOT NULL, state TEXT NOT NULL,
  transaction_hash TEXT, block INTEGER, problem TEXT
);
CREATE INDEX open_intents ON intents (state) WHERE state = 'open';
CREATE INDEX intents_by_purpose ON intents (purpose);
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, intent INTEGER NOT NULL REFERENCES intents(id),
  nonce INTEGER NOT NULL, raw BLOB NOT NULL, signed_at INTEGER NOT NULL
);
CREATE INDEX attempts_by_intent ON attempts (intent);
-- The number of a refused batch is used again, so a batch is named by its intent.
-- covers: the last reading that is settled when this batch is; 0 if the batch had no room for all accounts.
CREATE TABLE batches (
  intent INTEGER PRIMARY KEY REFERENCES intents(id), sequence INTEGER NOT NULL, tariff INTEGER NOT NULL,
  items TEXT NOT NULL, readings INTEGER NOT NULL, state TEXT NOT NULL, covers INTEGER NOT NULL
);
CREATE INDEX batches_by_sequence ON batches (sequence);
-- ordinal: which of the transaction's own deposits. A place in the block would change with a reorganisation.
CREATE TABLE deposits (
  transaction_hash TEXT NOT NULL, ordinal INTEGER NOT NULL, account INTEGER NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (transaction_hash, ordinal)
) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- What the auditor had billed when it let go of the oldest readings: all those up to and including `upto`, of which
-- there were `gone`. The sums are those of bill lines that are kept no longer.
CREATE TABLE checkpoint (
  upto INTEGER NOT NULL, gone INTEGER NOT NULL, pool_until INTEGER NOT NULL, lines INTEGER NOT NULL,
  debits INTEGER NOT NULL, credits INTEGER NOT NULL, energy INTEGER NOT NULL
) STRICT;
INSERT INTO checkpoint VALUES (0, 0, 0, 0, 0, 0, 0);
CREATE TABLE audited_accounts (account INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE audited_meters (meter INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE audited_pool (
  interval INTEGER NOT NULL, account INTEGER NOT NULL, sales INTEGER NOT NULL, import INTEGER NOT NULL,
  export INTEGER NOT NULL, PRIMARY KEY (interval, account)
) WITHOUT ROWID;
-- Each meter's newest reading with an import register among those that are gone: a held meter may be released on it.
CREATE TABLE last_readings (
  meter INTEGER PRIMARY KEY, at INTEGER NOT NULL, boot INTEGER, up INTEGER, import INTEGER NOT NULL, export INTEGER
);
";

/// Tables that came later, each beside what it is for.
pub(crate) fn additions() -> impl Iterator<Item = &'static str> {
    [
        crate::supply::TABLES,
        crate::reorg::TABLES,
        crate::on_chain::TABLES,
        crate::dispatch::TABLES,
        crate::places::TABLES,
        crate::rounds::TABLES,
    ]
    .into_iter()
}

/// The connection that writes, and where the ledger is kept as it was if it is of an earlier version.
pub(crate) fn open_writer(path: &Path) -> Result<(Connection, Option<PathBuf>), LedgerError> {
    migrate::refuse_newer(path)?;
    let mut connection = Connection::open(path).map_err(|e| classify(path, &e))?;
    let kept = prepare(path, &mut connection).map_err(|e| match e {
        LedgerError::Database(e) => classify(path, &e),
        other => other,
    })?;
    Ok((connection, kept))
}

pub(crate) fn open_reader(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| classify(path, &e))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn prepare(path: &Path, db: &mut Connection) -> Result<Option<PathBuf>, LedgerError> {
    db.busy_timeout(Duration::from_secs(5))?;
    // Asked before anything is set: a file that is not ours is left exactly as it is.
    if !is_new(db)? {
        check(path, db)?;
    }
    // NORMAL lost acknowledged rows in simulated power cuts, FULL lost none.
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // Keeps the log, and with it the memory that maps it, near 4 MiB.
    db.pragma_update(None, "wal_autocheckpoint", 1000)?;
    db.pragma_update(None, "journal_size_limit", 8 << 20)?;
    db.pragma_update(None, "cache_size", -2048)?;
    if is_new(db)? {
        db.execute_batch("BEGIN IMMEDIATE")?;
        // Asked again under the lock: somebody else may have made the tables meanwhile.
        if is_new(db)? {
            db.execute_batch(TABLES)?;
            additions().try_for_each(|tables| db.execute_batch(tables))?;
            db.execute_batch(&format!("PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};"))?;
        }
        db.execute_batch("COMMIT")?;
    }
    migrate::migrate(path, db)
}

fn is_new(db: &Connection) -> Result<bool, LedgerError> {
    let application: i32 = db.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    Ok(tables == 0 && application == 0)
}

/// Whether a database that has something in it is ours, of a version that can be read here, and whole.
pub(crate) fn check(path: &Path, db: &Connection) -> Result<(), LedgerError> {
    let application: i32 = db.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version: i32 = db.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let foreign = |what: String| LedgerError::Foreign { path: path.to_owned(), what };
    if application != APPLICATION_ID {
        return Err(foreign("it is another program's SQLite database; name another file".into()));
    }
    if version < migrate::OLDEST {
        return Err(foreign(format!(
            "its schema has version {version}, from before the first release, and this program reads {} to {VERSION}; \
             begin with a new state folder",
            migrate::OLDEST
        )));
    }
    if version > VERSION {
        return Err(migrate::newer(path, version));
    }
    if std::fs::metadata(path).is_ok_and(|m| m.len() <= QUICK_CHECK_BYTES) {
        let found: String = db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
        if found != "ok" {
            return Err(LedgerError::Damaged { path: path.to_owned(), what: found });
        }
    }
    Ok(())
}

pub(crate) fn classify(path: &Path, error: &rusqlite::Error) -> LedgerError {
    let what = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            LedgerError::Damaged { path: path.to_owned(), what }
        }
        _ => LedgerError::Open { path: path.to_owned(), what },
    }
}
