//! A disk that can lose its power after any write: it knows what was synced, and what of the rest may be gone.

mod vfs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// One thing that was done to the disk.
#[derive(Clone, Debug)]
pub enum Op {
    /// A file was made under a name.
    Create(usize, String),
    /// A name is gone.
    Delete(String),
    /// Bytes were written at a place of a file.
    Write(usize, usize, Vec<u8>),
    /// A file was cut or stretched to a size.
    Truncate(usize, usize),
    /// A file, and its name if that is new, are on the disk.
    Sync(usize),
    /// All names are on the disk.
    SyncFolder,
}

/// A folder that is watched.
pub struct Lab {
    pub dir: PathBuf,
    folder: Mutex<Option<tempfile::TempDir>>,
    log: Mutex<Log>,
    room: AtomicU64,
}

#[derive(Default)]
struct Log {
    ops: Vec<Op>,
    names: BTreeMap<String, usize>,
    files: usize,
}

impl Lab {
    /// A fresh folder.
    pub fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let lab = Self {
            // SQLite says real paths.
            dir: folder.path().canonicalize().unwrap(),
            folder: Mutex::new(Some(folder)),
            log: Mutex::default(),
            room: AtomicU64::new(u64::MAX),
        };
        let lab = Arc::new(lab);
        vfs::watch(&lab);
        lab
    }

    /// Takes it down.
    pub fn close(&self) {
        vfs::forget(&self.dir);
        drop(self.folder.lock().unwrap().take());
    }

    /// How much was done to the disk so far.
    pub fn len(&self) -> usize {
        self.log.lock().unwrap().ops.len()
    }

    /// All of it.
    pub fn ops(&self) -> Vec<Op> {
        self.log.lock().unwrap().ops.clone()
    }

    /// From now on so many bytes find room; after those the disk is full.
    pub fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    fn takes(&self, bytes: usize) -> bool {
        let take = |room: u64| if room == u64::MAX { Some(room) } else { room.checked_sub(bytes as u64) };
        self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn note(&self, op: Op) {
        self.log.lock().unwrap().ops.push(op);
    }

    fn opened(&self, name: &str, there: bool) -> usize {
        let mut log = self.log.lock().unwrap();
        if let (Some(inode), true) = (log.names.get(name), there) {
            return *inode;
        }
        log.files += 1;
        let inode = log.files;
        log.names.insert(name.to_owned(), inode);
        log.ops.push(Op::Create(inode, name.to_owned()));
        inode
    }
}

/// How the disk treats what it was not told to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// What was synced is there.
    Honest,
    /// Some sticks and cards acknowledge a sync and do nothing.
    Lies,
}

/// The disk as it was after some operations: what is safe, and what is under way.
pub struct Disk {
    honesty: Honesty,
    safe: BTreeMap<usize, Vec<u8>>,
    under_way: Vec<Op>,
    names: BTreeMap<String, usize>,
    renames: Vec<Op>,
}

impl Disk {
    pub fn new(honesty: Honesty) -> Self {
        Self { honesty, safe: BTreeMap::new(), under_way: vec![], names: BTreeMap::new(), renames: vec![] }
    }

    /// One more operation.
    pub fn after(&mut self, op: &Op) {
        match op {
            Op::Create(..) | Op::Delete(_) => self.renames.push(op.clone()),
            Op::Write(..) | Op::Truncate(..) => self.under_way.push(op.clone()),
            Op::Sync(_) | Op::SyncFolder if self.honesty == Honesty::Lies => {}
            Op::Sync(inode) => {
                let (done, left) =
                    std::mem::take(&mut self.under_way).into_iter().partition(|op| file_of(op) == *inode);
                self.under_way = left;
                let done: Vec<Op> = done;
                for op in done {
                    apply(&mut self.safe, &op, |_| Fate::Kept);
                }
                // SQLite syncs the folder together with the first sync of a file that it made. What a file system does
                // to names it does in order.
                let made = self.renames.iter().position(|op| matches!(op, Op::Create(i, _) if i == inode));
                let count = made.map_or(0, |at| at + 1);
                self.name(count);
            }
            Op::SyncFolder => self.name(self.renames.len()),
        }
    }

    fn name(&mut self, count: usize) {
        for op in self.renames.drain(..count) {
            rename(&mut self.names, &op);
        }
    }

    /// What is found after the power comes back, written into `folder`. Names: the first so many changes. Bytes: each
    /// sector of each write that was under way is there, is as before, or is junk.
    pub fn cut(&self, dice: &mut fastrand::Rng, folder: &Path) {
        let mut names = self.names.clone();
        for op in &self.renames[..dice.usize(..=self.renames.len())] {
            rename(&mut names, op);
        }
        let mut files = self.safe.clone();
        let way = dice.u8(..6);
        let torn = dice.usize(..=self.under_way.len());
        for (at, op) in self.under_way.iter().enumerate() {
            let whole = dice.bool();
            apply(&mut files, op, |dice_or_not| match (way, dice_or_not) {
                (0, _) => Fate::Kept,
                (1, _) => Fate::Lost,
                // Whole writes, in any order.
                (2, _) => {
                    if whole {
                        Fate::Kept
                    } else {
                        Fate::Lost
                    }
                }
                // In order up to some write, and that one in part.
                (3, _) if at != torn => {
                    if at < torn {
                        Fate::Kept
                    } else {
                        Fate::Lost
                    }
                }
                (5, _) => [Fate::Kept, Fate::Lost, Fate::Junk][dice.usize(..3)],
                _ => {
                    if dice.bool() {
                        Fate::Kept
                    } else {
                        Fate::Lost
                    }
                }
            });
        }
        for (name, inode) in names {
            std::fs::write(folder.join(name), files.get(&inode).map_or(&[][..], |f| f)).unwrap();
        }
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Junk,
}

fn file_of(op: &Op) -> usize {
    match op {
        Op::Write(inode, ..) | Op::Truncate(inode, _) => *inode,
        _ => unreachable!("only what changes bytes is under way"),
    }
}

fn rename(names: &mut BTreeMap<String, usize>, op: &Op) {
    match op {
        Op::Create(inode, name) => drop(names.insert(name.clone(), *inode)),
        Op::Delete(name) => drop(names.remove(name)),
        _ => unreachable!("only names"),
    }
}

fn apply(files: &mut BTreeMap<usize, Vec<u8>>, op: &Op, mut fate: impl FnMut(usize) -> Fate) {
    let file = files.entry(file_of(op)).or_default();
    match op {
        Op::Truncate(_, size) => {
            if matches!(fate(0), Fate::Kept) {
                file.resize(*size, 0);
            }
        }
        Op::Write(_, at, bytes) => {
            let end = at + bytes.len();
            for sector in at / SECTOR..end.div_ceil(SECTOR) {
                let (from, to) = ((sector * SECTOR).max(*at), ((sector + 1) * SECTOR).min(end));
                let fate = fate(sector);
                if matches!(fate, Fate::Lost) {
                    continue;
                }
                if file.len() < to {
                    file.resize(to, 0);
                }
                match fate {
                    Fate::Junk => file[from..to].fill(0xA5),
                    _ => file[from..to].copy_from_slice(&bytes[from - at..to - at]),
                }
            }
        }
        _ => unreachable!("only what changes bytes"),
    }
}
