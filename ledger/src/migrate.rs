//! Ledgers of other versions: an earlier one becomes one of this version, a later one is left alone.
//!
//! The version is SQLite's `user_version`. It rises with whatever an earlier program would not read right: a table, a column,
//! or a fact or purpose that it does not know. Each step is all or nothing, together with the number that says it was made,
//! and the ledger as it was stays beside it under the name that [`kept`] gives.

use crate::backup::{beside, copy, failed, folder, sync_folder};
use crate::schema::{APPLICATION_ID, VERSION, classify, open_reader};
use crate::{Ledger, LedgerError};
use nix::sys::statvfs::statvfs;
use rusqlite::{Connection, TransactionBehavior};
use std::ffi::OsStr;
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
    room(path)?;
    let kept = unused(path, from)?;
    let copied = copy(path, &part)
        .and_then(|_| std::fs::rename(&part, &kept).map_err(|e| failed(&kept, "cannot be given its name", &e)))
        .and_then(|()| sync_folder(path));
    if let Err(error) = copied {
        // What is left of it is no copy. If it cannot be removed either, the next try says so.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    if let Err(error) = step(&tx).and_then(|()| Ok(tx.commit()?)) {
        // Each try would leave another. Nothing is lost: the ledger itself is still as it was.
        if version(db).is_ok_and(|now| now == from) {
            let _ = std::fs::remove_file(&kept);
        }
        return Err(error);
    }
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

/// Where the ledger of this file is kept as it was in that version, the `nth` time: somebody may go back and forth.
fn kept(path: &Path, version: i32, nth: u64) -> PathBuf {
    let more = if nth > 1 { format!("-{nth}") } else { String::new() };
    beside(path, &format!(".schema-{version}{more}"))
}

/// How often it was; the last of them may be there though those before it were removed.
fn times(path: &Path, version: i32) -> std::io::Result<u64> {
    let (folder, first) = (folder(path), kept(path, version, 1));
    let first = first.file_name().unwrap_or_default().as_encoded_bytes();
    let nth = |name: &OsStr| match name.as_encoded_bytes().strip_prefix(first)? {
        [] => Some(1),
        [b'-', n @ ..] => str::from_utf8(n).ok()?.parse().ok(),
        _ => None,
    };
    let mut last: u64 = 0;
    for entry in std::fs::read_dir(folder)? {
        last = last.max(nth(&entry?.file_name()).unwrap_or(0));
    }
    Ok(last)
}

/// No copy takes another's place.
fn unused(path: &Path, version: i32) -> Result<PathBuf, LedgerError> {
    let times = times(path, version).map_err(|e| failed(folder(path), "cannot be read", &e))?;
    Ok(kept(path, version, times.saturating_add(1)))
}

/// Whether the copy has room: found out before half of it fills the disk on which the gateway records.
fn room(path: &Path) -> Result<(), LedgerError> {
    let size = |tail| std::fs::metadata(beside(path, tail)).map_or(0, |m| m.len());
    let needed = size("").saturating_add(size("-wal"));
    // Where nobody can say, the copy finds out.
    let Ok(disk) = statvfs(folder(path)) else { return Ok(()) };
    #[allow(clippy::useless_conversion, reason = "half as wide on an arm of 32 bits")]
    let free = u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let what = format!(
        "it is of an earlier version and is kept as it was when it is brought to this one, which takes {} MiB beside it, \
         and {} are free. Nothing was changed. Make room there, or go on with the earlier version",
        mib(needed),
        free >> 20
    );
    Err(LedgerError::Open { path: path.to_owned(), what })
}

/// The version of a ledger by its first bytes, before SQLite opens it: opening alone may fold its log into it. A file that
/// says nothing, or is not there, is left to SQLite.
fn head(path: &Path) -> Option<i32> {
    let mut head = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // https://www.sqlite.org/fileformat2.html#the_database_header
    let ours = read.is_ok() && head.starts_with(b"SQLite format 3\0") && number(68) == APPLICATION_ID;
    ours.then(|| number(60))
}

pub(crate) fn refuse_newer(path: &Path) -> Result<(), LedgerError> {
    head(path).filter(|found| *found > VERSION).map_or(Ok(()), |found| Err(newer(path, found)))
}

/// Refuses a ledger of an earlier version, its log included. Whatever else is wrong with it, opening tells.
pub(crate) fn refuse_earlier(path: &Path) -> Result<(), LedgerError> {
    if head(path).is_none_or(|found| !(OLDEST..VERSION).contains(&found)) {
        return Ok(());
    }
    // The number may have risen in the log alone.
    let found = open_reader(path)?.pragma_query_value(None, "user_version", |r| r.get(0));
    match found.map_err(|e| classify(path, &e))? {
        found if found < VERSION => Err(LedgerError::Earlier { path: path.to_owned(), found, known: VERSION }),
        _ => Ok(()),
    }
}

pub(crate) fn newer(path: &Path, found: i32) -> LedgerError {
    // What was recorded last before the update is in the last of them.
    // The advice alone depends on it.
    let nth = times(path, VERSION).unwrap_or(0);
    let back = if nth > 0 {
        let copy = kept(path, VERSION, nth);
        format!("; or put back what it was before the update: `journal restore {} --force`", copy.display())
    } else {
        "; or put back a backup of before the update: `journal restore FILE --force`".into()
    };
    LedgerError::Newer { path: path.to_owned(), found, known: VERSION, back }
}

impl Ledger {
    /// Whether a program of this version may go on with the ledger in this file, as far as its first bytes tell, and has the
    /// room to. Nothing is opened or changed; a file that is not there, or cannot be read, is no reason against it.
    ///
    /// # Errors
    /// [`LedgerError::Newer`]; [`LedgerError::Open`] if there is no room to keep one of an earlier version.
    pub fn fits(path: &Path) -> Result<(), LedgerError> {
        refuse_newer(path)?;
        head(path).filter(|found| (OLDEST..VERSION).contains(found)).map_or(Ok(()), |_| room(path))
    }
}
