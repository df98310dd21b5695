//! Copies of a chain's file: made while blocks are mined, and put back where there is no chain or an earlier state of the
//! same one. Every block names the one before, so of two chains with a block in common the longer knows what the shorter
//! does; what is left of old blocks may differ.

use super::EmbeddedError;
use super::journal::{DRAFT, FILE, Journal};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A copy that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its size in bytes.
    pub bytes: u64,
    /// The blocks in it, besides the first, which nobody mined.
    pub blocks: u64,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is in place, with so many blocks.
    Placed(u64),
    /// The chain that is there has all of its blocks, this many more, and stayed.
    Kept(u64),
}

/// Copies the chain in `dir` to a new file `to`, beside a process that has it open or without one. Every block that
/// anybody was told of is in it. The answer is `None` if there is no chain yet.
///
/// # Errors
/// Also if `to` is there.
pub fn back_up(dir: &Path, to: &Path) -> Result<Option<Copied>, EmbeddedError> {
    let path = dir.join(FILE);
    match path.try_exists() {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(source) => return Err(EmbeddedError::Io { path, source }),
    }
    let (journal, blocks) = Journal::look(&path)?;
    write(&journal, to, false)?;
    Ok(Some(Copied { bytes: journal.end(), blocks }))
}

/// Puts a copy in place. A chain that is there and is further than the copy is kept: it has settled what the copy does
/// not know.
///
/// # Errors
/// [`EmbeddedError::OtherChain`] if the two went different ways; nothing changes then.
pub fn put_back(copy: &Path, dir: &Path) -> Result<PutBack, EmbeddedError> {
    let (copied, blocks) = Journal::look(copy)?;
    std::fs::create_dir_all(dir).map_err(|source| EmbeddedError::Io { path: dir.to_owned(), source })?;
    let _lock = super::lock(dir)?;
    let path = dir.join(FILE);
    let io = |source| EmbeddedError::Io { path: path.clone(), source };
    if path.try_exists().map_err(io)? {
        let (there, further) = Journal::look(&path)?;
        let common = further.min(blocks);
        if there.begun().map_err(io)? != copied.begun().map_err(io)?
            || there.hash_of(common)? != copied.hash_of(common)?
        {
            return Err(EmbeddedError::OtherChain { path });
        }
        if further >= blocks {
            return Ok(PutBack::Kept(further.saturating_sub(blocks)));
        }
    }
    let draft = dir.join(DRAFT);
    write(&copied, &draft, true)?;
    std::fs::rename(&draft, &path).and_then(|()| File::open(dir)?.sync_all()).map_err(io)?;
    Ok(PutBack::Placed(blocks))
}

/// Writes a file and syncs it. One that is there is replaced only if it may be.
fn write(journal: &Journal, to: &Path, replace: bool) -> Result<(), EmbeddedError> {
    let io = |source| EmbeddedError::Io { path: to.to_owned(), source };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let options = if replace { options.create(true).truncate(true) } else { options.create_new(true) };
    let mut file = options.open(to).map_err(io)?;
    let copied = journal.bytes().and_then(|mut bytes| io::copy(&mut bytes, &mut file)).and_then(|_| file.sync_all());
    copied.map_err(|source| {
        // What is left of it is no copy.
        let _ = std::fs::remove_file(to);
        io(source)
    })
}
