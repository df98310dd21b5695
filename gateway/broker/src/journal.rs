//! Where records are written: one file, appended and synced by a thread of its own, so that many messages share a sync.
//!
//! A position counts records. Whoever must not be told before something is safe waits until [`Journal::synced`] has
//! reached the position that [`Journal::barrier`] gave. When the file has grown far beyond what it says, it is written
//! anew beside the old one and put in its place.

use crate::record::Record;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// First bytes of the file: what it is, and of which version.
const MAGIC: &[u8; 8] = b"mgwmqtt1";
/// How long what nobody waits for may be unsynced.
const LAZY: Duration = Duration::from_secs(1);
/// How long a disk that refuses is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// A file is not written anew for less than this.
const WORTH: usize = 1 << 20;
/// Bytes that may wait for the disk before those who cause them are made to wait.
const AHEAD: usize = 8 << 20;

enum Work {
    /// Records up to a position; whether somebody waits for them.
    Append { bytes: Vec<u8>, upto: u64, urgent: bool },
    /// All that is worth knowing, in place of all that was written.
    Rewrite { bytes: Vec<u8>, upto: u64 },
    /// Sync, tell, and end.
    End(Sender<()>),
}

/// The records of a broker. Without a file it keeps nothing, and everything counts as safe at once.
pub(crate) struct Journal {
    pending: Vec<u8>,
    urgent: bool,
    position: u64,
    /// Bytes in the file that were written since it was last written anew, and bytes of that.
    grown: usize,
    base: usize,
    disk: Option<Disk>,
}

struct Disk {
    work: Sender<Work>,
    synced: watch::Receiver<u64>,
    waiting: Arc<AtomicUsize>,
}

/// Tells when records are safe.
#[derive(Clone)]
pub(crate) struct Synced(Option<watch::Receiver<u64>>);

impl Synced {
    /// Whether all up to this position is.
    pub fn reached(&mut self, position: u64) -> bool {
        self.0.as_mut().is_none_or(|synced| *synced.borrow_and_update() >= position)
    }

    /// Waits until more is.
    pub async fn more(&mut self) {
        if let Some(synced) = &mut self.0
            && synced.changed().await.is_ok()
        {
            return;
        }
        // The thread is gone: the broker is ending.
        std::future::pending().await
    }
}

impl Journal {
    /// One that keeps nothing.
    pub fn none() -> Self {
        Self { pending: Vec::new(), urgent: false, position: 0, grown: 0, base: 0, disk: None }
    }

    /// Opens `folder/log`, calling `each` for every record in it.
    pub fn open(folder: &Path, mut each: impl FnMut(Record)) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("log");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let good = match bytes.strip_prefix(MAGIC) {
            Some(records) => MAGIC.len() + Record::read_all(records, &mut each),
            None if MAGIC.starts_with(&bytes) => 0,
            None => {
                set_aside(&path, &bytes);
                0
            }
        };
        if good > 0 && good < bytes.len() && !is_tail(&bytes[good..]) {
            // More than a write that was cut short: somebody may want to look at it.
            set_aside(&path, &bytes);
        }
        let mut writer = Writer::new(path, file, good as u64);
        writer.clear();
        if good == 0 {
            writer.begin()?;
        } else {
            writer.mend()?;
        }
        writer.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        let (work, todo) = channel();
        let (tell, synced) = watch::channel(0);
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("mqtt-journal".into())
            .spawn(move || keep(&mut writer, &todo, &tell, &count))?;
        let disk = Some(Disk { work, synced, waiting });
        Ok(Self { pending: Vec::new(), urgent: false, position: 0, grown: bytes.len(), base: 0, disk })
    }

    /// Writes something down, soon.
    pub fn note(&mut self, record: &Record) {
        if self.disk.is_some() {
            record.write(&mut self.pending);
            self.position += 1;
        }
    }

    /// How many records were noted.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The position to wait for before somebody is told of what was noted last.
    pub fn barrier(&mut self) -> u64 {
        self.urgent = true;
        self.position
    }

    /// Hands what was noted to the disk.
    pub fn flush(&mut self) {
        let Some(disk) = &self.disk else { return };
        if self.pending.is_empty() && !self.urgent {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        self.grown += bytes.len();
        disk.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let urgent = std::mem::take(&mut self.urgent);
        let _ = disk.work.send(Work::Append { bytes, upto: self.position, urgent });
    }

    /// Whether the file is worth writing anew.
    pub fn is_bloated(&self) -> bool {
        self.disk.is_some() && self.grown > WORTH.max(self.base * 3)
    }

    /// Writes the file anew, with these records in place of all that were ever noted.
    pub fn rewrite(&mut self, records: &mut dyn Iterator<Item = Record>) {
        // Should there be no room for a new file, the old one goes on, and lacks nothing.
        self.flush();
        let Some(disk) = &self.disk else { return };
        let mut bytes = MAGIC.to_vec();
        records.for_each(|record| record.write(&mut bytes));
        (self.base, self.grown) = (bytes.len(), 0);
        disk.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let _ = disk.work.send(Work::Rewrite { bytes, upto: self.position });
    }

    /// What tells when records are safe.
    pub fn synced(&self) -> Synced {
        Synced(self.disk.as_ref().map(|disk| disk.synced.clone()))
    }

    /// Whether the disk has fallen behind so far that nobody should add to it.
    pub fn is_behind(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.waiting.load(Ordering::Relaxed) > AHEAD)
    }

    /// Makes all safe, and ends; or gives up after a while, when the disk refuses.
    pub fn close(&mut self) {
        self.flush();
        if let Some(disk) = self.disk.take() {
            let (tell, done) = channel();
            let _ = disk.work.send(Work::End(tell));
            let _ = done.recv_timeout(RETRY * 5);
        }
    }
}

/// Whether this may be what a cut write leaves: one record begun, or zeroes of a file that was made longer first.
fn is_tail(rest: &[u8]) -> bool {
    let announced = rest.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    rest.len() < announced.saturating_add(8) || rest.iter().all(|byte| *byte == 0)
}

fn set_aside(path: &Path, bytes: &[u8]) {
    let aside = path.with_extension("damaged");
    match std::fs::write(&aside, bytes) {
        Ok(()) => tracing::warn!(file = %aside.display(), "the broker's log is damaged: a copy was put aside"),
        // Most likely there is no room. What stands before the damage still holds.
        Err(error) => {
            tracing::warn!(%error, file = %aside.display(), "the broker's log is damaged, and no copy of it could be put aside")
        }
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes of it that are whole records.
    good: u64,
    /// The last of them, which are not synced yet.
    fresh: Vec<u8>,
    /// Whether a sync of these failed.
    stale: bool,
    /// Whether the last write was cut short, and what it left behind may stand after the whole records.
    torn: bool,
    /// Whether the file took the old one's place, and the folder may not know yet.
    moved: bool,
}

impl Writer {
    fn new(path: PathBuf, file: File, good: u64) -> Self {
        Self { path, file, good, fresh: Vec::new(), stale: false, torn: false, moved: false }
    }

    /// Where the file is written anew.
    fn beside(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    /// Removes what a rewrite that failed left behind: it takes room that is short.
    fn clear(&self) {
        if let Err(error) = std::fs::remove_file(self.beside())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.beside().display(), "cannot be removed");
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        self.good = MAGIC.len() as u64;
        Ok(())
    }

    /// Takes back what a write that failed left behind.
    fn mend(&mut self) -> io::Result<()> {
        self.file.set_len(self.good)?;
        self.file.seek(SeekFrom::Start(self.good))?;
        self.torn = false;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.mend()?;
        }
        self.torn = true;
        self.file.write_all(bytes)?;
        self.torn = false;
        self.good += bytes.len() as u64;
        self.fresh.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.stale {
            self.file.seek(SeekFrom::Start(self.good - self.fresh.len() as u64))?;
            self.file.write_all(&self.fresh)?;
        }
        // After a failure the kernel may have dropped what it could not write, and would call the next sync a success:
        // so it is written again before.
        self.stale = true;
        self.file.sync_data()?;
        if self.moved {
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            self.moved = false;
        }
        self.stale = false;
        self.fresh.clear();
        Ok(())
    }

    /// Puts a new file in the old one's place. It is not safe before the next sync; after an error the old one goes on.
    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.beside();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        (self.file, self.good) = (file, bytes.len() as u64);
        self.fresh.clear();
        (self.stale, self.torn, self.moved) = (false, false, true);
        Ok(())
    }
}

/// The thread: writes what comes, syncs what somebody waits for, and tells.
fn keep(writer: &mut Writer, todo: &Receiver<Work>, tell: &watch::Sender<u64>, waiting: &AtomicUsize) {
    let mut unsynced: Option<Instant> = None;
    let mut written = 0;
    loop {
        let first = match unsynced {
            None => todo.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => todo.recv_timeout(LAZY.saturating_sub(since.elapsed())),
        };
        let (mut urgent, mut ends) = (false, None);
        let mut next = match first {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => {
                urgent = true;
                None
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // All that came meanwhile shares one write and one sync.
        let mut together = Vec::new();
        while let Some(work) = next.take().or_else(|| todo.try_recv().ok()) {
            match work {
                Work::Append { bytes, upto, urgent: waits } => {
                    together.extend_from_slice(&bytes);
                    urgent |= waits;
                    written = upto;
                }
                Work::Rewrite { bytes, upto } => {
                    waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                    match writer.rewrite(&bytes) {
                        Ok(()) => {
                            waiting.fetch_sub(together.len(), Ordering::Relaxed);
                            together.clear();
                            insist("sync its log", || writer.sync());
                            written = upto;
                            tell.send_replace(upto);
                            unsynced = None;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the broker cannot write its log anew, and goes on with the old one");
                            writer.clear();
                        }
                    }
                }
                Work::End(done) => {
                    (urgent, ends) = (true, Some(done));
                    break;
                }
            }
        }
        if !together.is_empty() {
            insist("write its log", || writer.append(&together));
            waiting.fetch_sub(together.len(), Ordering::Relaxed);
            unsynced.get_or_insert_with(Instant::now);
        }
        if urgent || unsynced.is_some_and(|since| since.elapsed() >= LAZY) {
            if unsynced.take().is_some() {
                insist("sync its log", || writer.sync());
            }
            tell.send_replace(written);
        }
        if let Some(done) = ends {
            let _ = done.send(());
            return;
        }
    }
}

/// Tries until it succeeds: nobody is told that something is safe which is not.
#[allow(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
fn insist(what: &str, mut work: impl FnMut() -> io::Result<()>) {
    let mut complained = false;
    while let Err(error) = work() {
        if !complained {
            tracing::error!(%error, "the broker cannot {what}; it acknowledges nothing until it can");
            complained = true;
        }
        std::thread::sleep(RETRY);
    }
    if complained {
        tracing::info!("the broker could {what} again");
    }
}
