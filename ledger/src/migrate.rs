//! Ledgers of other versions: an earlier one becomes one of this version, a later one is left alone.
//!
//! The version is SQLite's `user_version`. It rises with whatever an earlier program would not read right: a table, a column,
//! or a fact or purpose that it does not know. Each step is all or nothing, together with the number that says it was made,
//! and the ledger as it was stays beside it under the name [`kept`] gives.

use crate::backup::{beside, copy, failed, sync_folder};
use crate::schema::{APPLICATION_ID, VERSION};
use crate::{Ledger, LedgerError};
use rusqlite::{Connection, TransactionBehavior};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The oldest version that a step begins with. Those before it never left the workshop.
pub(crate) const OLDEST: i32 = 4;

/// What makes a ledger of version `OLDEST + i` one of the version after it.
const STEPS: [fn(&Connection) -> rusqlite::Result<()>; (VERSION - OLDEST) as usize] = [
    // Programs of version 4 made some tables whenever they met a ledger without them, and their facts with them; a program
    // from before such a table took the ledger for one of its own, and did not know those facts.
    |db| crate::schema::additions().try_for_each(|tables| db.execute_batch(tables)),
];

/// Brings a ledger of an earlier version to this one, and answers where it is kept as it was; nothing, if it is of this
/// version. Somebody else may do so at the same time: one of them makes the step.
pub(crate) fn migrate(path: &Path, db: &mut Connection) -> Result<Option<PathBuf>, LedgerError> {
    if version(db)? == VERSION {
        return Ok(None);
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock.
    let from = version(&tx)?;
    if from == VERSION {
        return Ok(None);
    }
    let part = beside(path, ".migrating");
    match std::fs::remove_file(&part) {
        // Whoever made it was cut off: it would hold the lock that is held here.
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(failed(&part, "is in the way and cannot be removed", &e));
        }
        _ => {}
    }
    let kept = unused(kept(path, from));
    let copied = copy(path, &part)
        .and_then(|_| std::fs::rename(&part, &kept).map_err(|e| failed(&kept, "cannot be given its name", &e)))
        .and_then(|()| sync_folder(path));
    if let Err(error) = copied {
        // What is left of it is no copy. If it cannot be removed either, the next try says so.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    step(&tx)?;
    tx.commit()?;
    // The number is in the file itself from here on, where programs look that only ask for it.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(Some(kept))
}

/// The same for a copy, of which the original stays.
pub(crate) fn migrate_copy(db: &mut Connection) -> Result<(), LedgerError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    step(&tx)?;
    Ok(tx.commit()?)
}

fn step(tx: &Connection) -> Result<(), LedgerError> {
    let passed = usize::try_from(version(tx)?.saturating_sub(OLDEST)).unwrap_or(0);
    for step in STEPS.iter().skip(passed) {
        step(tx)?;
    }
    Ok(tx.pragma_update(None, "user_version", VERSION)?)
}

fn version(db: &Connection) -> Result<i32, LedgerError> {
    Ok(db.pragma_query_value(None, "user_version", |r| r.get(0))?)
}

/// Where the ledger of this file is kept as it was in that version.
fn kept(path: &Path, version: i32) -> PathBuf {
    beside(path, &format!(".schema-{version}"))
}

/// Somebody went back and forth: no copy takes another's place.
fn unused(name: PathBuf) -> PathBuf {
    let mut names = std::iter::once(name.clone()).chain((2..).map(|n| beside(&name, &format!("-{n}"))));
    names.find(|name| !name.exists()).unwrap_or(name)
}

/// Refuses a ledger of a later version by what its first bytes say, before SQLite opens it: opening alone may fold its log
/// into it. A file that says nothing, or is not there, is left to SQLite.
pub(crate) fn refuse_newer(path: &Path) -> Result<(), LedgerError> {
    let mut head = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // https://www.sqlite.org/fileformat2.html#the_database_header
    let ours = read.is_ok() && head.starts_with(b"SQLite format 3\0") && number(68) == APPLICATION_ID;
    if ours && number(60) > VERSION { Err(newer(path, number(60))) } else { Ok(()) }
}

pub(crate) fn newer(path: &Path, found: i32) -> LedgerError {
    let copy = kept(path, VERSION);
    let back = if copy.exists() {
        format!("; or put back what it was before the update: `journal restore {} --force`", copy.display())
    } else {
        "; or put back a backup of before the update: `journal restore FILE --force`".into()
    };
    LedgerError::Newer { path: path.to_owned(), found, known: VERSION, back }
}

impl Ledger {
    /// Whether a program of this version may go on with the ledger in this file, as far as its first bytes tell. Nothing is
    /// opened or changed; a file that is not there, or cannot be read, is no reason against it.
    ///
    /// # Errors
    /// [`LedgerError::Newer`].
    pub fn fits(path: &Path) -> Result<(), LedgerError> {
        refuse_newer(path)
    }
}
