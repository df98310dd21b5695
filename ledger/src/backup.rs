//! Copies of the ledger: made while it is written to, and put back in its place.

use crate::commit::{current, record_fact};
use crate::schema::{check, open_reader};
use crate::{Ledger, LedgerError};
use domain::{Fact, Timestamp};
use rusqlite::{Connection, params};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The setting that says when the ledger was put back from a copy: the chain may know more than it.
const RESTORED: &str = "restored";

impl Ledger {
    /// Opens a copy only to look at it: nothing in it changes, and it may stand on a medium that cannot be written. One of an
    /// earlier version is looked at as it is; what it has no table for cannot be asked.
    pub fn open_copy(path: &Path) -> Result<Self, LedgerError> {
        // A connection that may only read does not make a file, but says so in SQLite's words.
        if let Err(e) = File::open(path) {
            return Err(failed(path, "cannot be read", &e));
        }
        let (first, second) = (open_reader(path)?, open_reader(path)?);
        let application: Result<i32, _> = first.pragma_query_value(None, "application_id", |r| r.get(0));
        if let Err(error) = application {
            return Err(crate::schema::classify(path, &error));
        }
        check(path, &first)?;
        Ok(Self { path: path.to_owned(), kept: None, reader: Mutex::new(first), writer: Mutex::new(second) })
    }

    /// Writes a copy of everything as it stands at one moment, without holding up whoever records. It is packed: pages
    /// that are free in the ledger are not in it. It gets its name when it is on the disk, whole; a file of that name is
    /// never replaced. The answer is its size in bytes.
    ///
    /// As long as it is being written the write-ahead log cannot be folded into the file, and grows instead.
    pub fn back_up(&self, to: &Path) -> Result<u64, LedgerError> {
        self.back_up_with(to, || Ok(())).map(|(size, ())| size)
    }

    /// The same together with what belongs to it: `more` is called when the copy is on the disk and has no name yet, so
    /// that a backup with a name is whole.
    ///
    /// # Errors
    /// Those of the ledger, and those of `more`.
    pub fn back_up_with<T, E: From<LedgerError>>(
        &self,
        to: &Path,
        more: impl FnOnce() -> Result<T, E>,
    ) -> Result<(u64, T), E> {
        if to.exists() {
            return Err(LedgerError::Refused(format!("{} is there already; name another file", to.display())).into());
        }
        let part = beside(to, ".part");
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        made.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => LedgerError::Refused(format!(
                "{} is there: another backup is being written, or one was cut off; if none is, remove that file",
                part.display()
            )),
            _ => failed(&part, "cannot be made", &e),
        })?;
        let copied = copy(&self.path, &part).map_err(E::from).and_then(|size| {
            let more = more()?;
            std::fs::rename(&part, to).map_err(|e| failed(to, "cannot be given its name", &e))?;
            sync_folder(to)?;
            Ok((size, more))
        });
        if copied.is_err() {
            // What is left of it is no backup. If it cannot be removed either, the next one says so.
            let _ = std::fs::remove_file(&part);
        }
        copied
    }

    /// When this ledger was put back from a copy, if it ever was.
    pub fn restored_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        Ok(self.meta(RESTORED)?.and_then(|text| text.parse().ok()).map(Timestamp))
    }
}

/// Copies the ledger in a file as it stands at one moment, packed and synced; the answer is its size in bytes.
pub(crate) fn copy(ledger: &Path, part: &Path) -> Result<u64, LedgerError> {
    let name = part.to_str().ok_or_else(|| LedgerError::Refused(format!("{} is no text", part.display())))?;
    // On a connection of its own: the page and the Pricer go on reading over theirs.
    open_reader(ledger)?.execute("VACUUM INTO ?", [name])?;
    let file = File::open(part).map_err(|e| failed(part, "cannot be read", &e))?;
    // SQLite does not sync what it vacuums into.
    file.sync_all().map_err(|e| failed(part, "cannot be synced", &e))?;
    Ok(file.metadata().map_err(|e| failed(part, "cannot be read", &e))?.len())
}

/// A copy on its way to where the ledger is to be. Dropped before it is there, it leaves nothing behind.
pub struct Restoration {
    part: PathBuf,
    place: PathBuf,
}

impl Restoration {
    /// Copies `copy` beside `place`, and records in the copied ledger that it was put back at `now`, by whom and from
    /// where. Nothing of what is at `place` changes yet.
    pub fn prepare(copy: &Path, place: &Path, now: Timestamp, by: &str) -> Result<Self, LedgerError> {
        let source = Ledger::open_copy(copy)?;
        let this = Self { part: beside(place, ".restoring"), place: place.to_owned() };
        // Whoever restores holds the lock of the state folder, so what is there was cut off.
        this.clear();
        source.back_up(&this.part)?;
        let mut db = Connection::open(&this.part)?;
        crate::migrate::migrate_copy(&mut db)?;
        let tx = db.transaction()?;
        tx.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            params![RESTORED, now.0.to_string()],
        )?;
        let until = tx.query_row(
            "SELECT max(coalesce((SELECT at FROM readings ORDER BY seq DESC LIMIT 1), 0),
                        coalesce((SELECT at FROM facts ORDER BY seq DESC LIMIT 1), 0))",
            [],
            |r| r.get(0),
        )?;
        let (from, by) = (copy.display().to_string(), by.to_owned());
        let fact = Fact::Restored { from, upto: current(&tx)?, until: Timestamp(until), by };
        record_fact(&tx, now, &fact)?;
        tx.commit()?;
        drop(db);
        Ok(this)
    }

    /// What is about to be put in place, to look at.
    pub fn ledger(&self) -> Result<Ledger, LedgerError> {
        Ledger::open_copy(&self.part)
    }

    /// Puts it in place. A ledger that is there is kept under another name, which is the answer; without `replace` it is
    /// a reason to refuse. No gateway may run meanwhile.
    pub fn put_in_place(self, replace: bool, now: Timestamp) -> Result<Option<PathBuf>, LedgerError> {
        let place = &self.place;
        let aside = beside(place, &format!(".replaced-{}", now.0));
        let there = place.exists();
        if there && !replace {
            return Err(LedgerError::Refused(format!("{} is there already", place.display())));
        }
        if there {
            // Folds its log into it, if it is of this version and can still be opened; any other is kept as it is, log and all.
            drop(Ledger::open_present(place));
            if std::fs::hard_link(place, &aside).is_err() {
                std::fs::copy(place, &aside).map_err(|e| failed(&aside, "cannot be made", &e))?;
                give(&aside)?;
                let kept = File::open(&aside).and_then(|f| f.sync_all());
                kept.map_err(|e| failed(&aside, "cannot be synced", &e))?;
            }
        }
        // A log that stayed would be read as the new ledger's.
        for log in ["-wal", "-shm"] {
            match std::fs::rename(beside(place, log), beside(&aside, log)) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(failed(&beside(place, log), "cannot be moved", &e));
                }
                _ => {}
            }
        }
        sync_folder(place)?;
        give(&self.part)?;
        std::fs::rename(&self.part, place).map_err(|e| failed(place, "cannot be put in place", &e))?;
        sync_folder(place)?;
        Ok(there.then_some(aside))
    }
}

impl Restoration {
    /// What cannot be removed is in the way of the next copy, which says so.
    fn clear(&self) {
        for tail in ["", ".part", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(beside(&self.part, tail));
        }
    }
}

impl Drop for Restoration {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The same path with more at its end.
pub(crate) fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

/// Where a file is.
pub(crate) fn folder(of: &Path) -> &Path {
    of.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What root puts into the state folder is the service's, as the folder is: it must open it when it starts. Others can give
/// away nothing, and need not.
fn give(file: &Path) -> Result<(), LedgerError> {
    let owner = std::fs::metadata(folder(file)).map_err(|e| failed(folder(file), "cannot be read", &e))?;
    let ours = std::fs::metadata(file).map_err(|e| failed(file, "cannot be read", &e))?;
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    match std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())) {
        Err(e) if e.kind() != ErrorKind::PermissionDenied => {
            Err(failed(file, "cannot be given to its folder's owner", &e))
        }
        _ => Ok(()),
    }
}

/// A name is on the disk when its folder is.
pub(crate) fn sync_folder(of: &Path) -> Result<(), LedgerError> {
    let folder = folder(of);
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(folder, "cannot be synced", &e))
}

pub(crate) fn failed(path: &Path, what: &str, error: &std::io::Error) -> LedgerError {
    LedgerError::Open { path: path.to_owned(), what: format!("it {what}: {error}") }
}
