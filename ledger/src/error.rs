use std::path::PathBuf;
use thiserror::Error;

/// Why the ledger could not do it.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file is not a database, or its pages contradict each other.
    #[error(
        "{path} is damaged ({what}). Nothing was changed. Put a backup in its place with `journal restore FILE --force`, which keeps this one beside it. Without one, move it and its -wal and -shm files away together and begin with a new ledger and a new contract: a new ledger does not fit a contract that has settled before"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A program of a later version wrote it.
    #[error(
        "{path} was written by a newer version of this program (its schema is {found}, this one knows up to {known}). Nothing was changed. Install that version again{back}"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The latest that is known here.
        known: i32,
        /// The other way out.
        back: String,
    },
    /// A program of an earlier version wrote it.
    #[error(
        "{path} is of an earlier version (its schema is {found}, that of this program is {known}). Nothing was changed. The gateway brings it up when it starts: systemctl restart microgrid-gateway"
    )]
    Earlier {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// That of this program.
        known: i32,
    },
    /// A database, but not ours, or of a version from before the first release.
    #[error("{path} is not a ledger this version can use: {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file could not be opened or created.
    #[error("cannot open {path}: {what}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The database refused at run time: full disk, read-only file system, another process holding it.
    #[error("the ledger cannot be written or read: {0}")]
    Database(#[from] rusqlite::Error),
    /// A stored value does not read back as what it should be.
    #[error("the ledger holds {what} that cannot be read: {problem}")]
    Unreadable {
        /// Which value.
        what: String,
        /// Why.
        problem: String,
    },
    /// A write that contradicts what is recorded; it was left out, the others of its group were kept.
    #[error("refused: {0}")]
    Refused(String),
}

impl LedgerError {
    pub(crate) fn unreadable(what: impl Into<String>, problem: impl ToString) -> Self {
        Self::Unreadable { what: what.into(), problem: problem.to_string() }
    }
}
