//! The log file. It grows by one record a block, and a record is on the disk before its block is answered for. Now and
//! then it is written anew, with less of old blocks, and the new file takes the old one's place at once.
//!
//! ```text
//! file   = "MGCHAIN\n" | version u32 | chain id u64 | genesis hash 32 | checksum 16 | record*
//! record = marker 4 | length u32 | checksum 16 (of length and payload) | payload (RLP)
//! ```
//! All numbers are big-endian, all checksums the first half of a Keccak-256.

use super::EmbeddedError;
use super::block::Block;
use crate::{B256, keccak256};
use revm::primitives::alloy_primitives::Keccak256;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The name of the file in its folder.
pub(super) const FILE: &str = "chain.log";
/// What a new file is called until it is whole.
pub(super) const DRAFT: &str = "chain.log.new";
const MAGIC: &[u8; 8] = b"MGCHAIN\n";
const VERSION: u32 = 1;
const PREAMBLE: usize = 8 + 4 + 8 + 32 + 16;
const MARKER: [u8; 4] = [0xb1, 0x0c, 0x1e, 0xaf];
const FRAME: u64 = 24;
/// Far above what one transaction can write under its gas cap. A length beyond it is damage, and not worth the memory.
const MAX_PAYLOAD: u32 = 64 * 1024 * 1024;

/// Where a record's payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub offset: u64,
    pub length: u32,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    end: u64,
    /// Set when a write failed: what the file then holds is known only to the next start.
    broken: bool,
}

impl Journal {
    /// Opens the file, or starts it if there is none, and hands every whole record to `each`. A record that is not
    /// whole is cut off if it is the last; anywhere else it is damage.
    pub(super) fn open(
        dir: &Path,
        chain_id: u64,
        genesis: B256,
        mut each: impl FnMut(&[u8], Place) -> Result<(), String>,
    ) -> Result<Self, EmbeddedError> {
        let path = dir.join(FILE);
        let io = |source| EmbeddedError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(io)? {
            create(dir, &path, &preamble(VERSION, chain_id, genesis)).map_err(io)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io)?;
        check_preamble(&file, &path, chain_id, genesis)?;
        let length = file.metadata().map_err(io)?.len();
        let mut journal = Self { file, path: path.clone(), end: PREAMBLE as u64, broken: false };
        while journal.end < length {
            let Some((place, payload)) = journal.record(journal.end, length).map_err(io)? else {
                journal.cut(length)?;
                break;
            };
            each(&payload, place).map_err(|what| journal.damaged(journal.end, &what))?;
            journal.end = place.offset + u64::from(place.length);
        }
        Ok(journal)
    }

    /// Opens a file only to look at it, beside a process that appends to it: it ends here after its last record that is
    /// whole now. The answer comes with the number of its records.
    pub(super) fn look(path: &Path) -> Result<(Self, u64), EmbeddedError> {
        let io = |source| EmbeddedError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        read_preamble(&file, path)?;
        let length = file.metadata().map_err(io)?.len();
        let mut journal = Self { file, path: path.to_owned(), end: PREAMBLE as u64, broken: true };
        let mut records = 0;
        while let Some((place, _)) = journal.record(journal.end, length).map_err(io)? {
            journal.end = place.offset + u64::from(place.length);
            records += 1;
        }
        if let Some(at) = journal.whole_record_after(journal.end + 1, length).map_err(io)? {
            return Err(journal.damaged(journal.end, &format!("a bad record with a good one behind it, at byte {at}")));
        }
        Ok((journal, records))
    }

    /// Begins a file that is to take this one's place. Its records are on the disk when it does, and not before.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let preamble = self.begun()?;
        let path = self.path.with_file_name(DRAFT);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(&preamble, 0)?;
        Ok(Draft { file, path, end: PREAMBLE as u64 })
    }

    /// Puts a draft in this file's place. An error leaves this file as it is.
    pub(super) fn replace(&mut self, draft: Draft) -> io::Result<()> {
        draft.file.sync_all()?;
        std::fs::rename(&draft.path, &self.path)?;
        (self.file, self.end) = (draft.file, draft.end);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
            // After a power cut either file may be there, and only one of them would have what is appended now.
            tracing::error!(file = %self.path.display(), %error, "the chain takes no more transactions");
            self.broken = true;
        }
        Ok(())
    }

    /// Where the last whole record ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// What the file begins with: it stands for chain id and genesis.
    pub(super) fn begun(&self) -> io::Result<[u8; PREAMBLE]> {
        let mut preamble = [0; PREAMBLE];
        self.file.read_exact_at(&mut preamble, 0)?;
        Ok(preamble)
    }

    /// The hash of the block in this record, counted from 1; `None` for 0.
    pub(super) fn hash_of(&self, record: u64) -> Result<Option<B256>, EmbeddedError> {
        let io = |source| EmbeddedError::Io { path: self.path.clone(), source };
        let (mut at, mut found) = (PREAMBLE as u64, None);
        for _ in 0..record {
            let Some((place, payload)) = self.record(at, self.end).map_err(io)? else { break };
            at = place.offset + u64::from(place.length);
            found = Some((place, payload));
        }
        let hash = |(place, payload): (Place, Vec<u8>)| {
            let block = Block::decode(&payload).map_err(|e| self.damaged(place.offset, &e.to_string()))?;
            Ok(block.header.hash())
        };
        found.map(hash).transpose()
    }

    /// Everything up to the end, from the beginning.
    pub(super) fn bytes(&self) -> io::Result<impl io::Read + use<>> {
        use io::{Read, Seek};
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file.take(self.end))
    }

    /// Appends a record and makes it durable. After an error the file takes no more records.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<Place> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed: restart to go on from what is on the disk"));
        }
        let (record, length) = framed(payload)?;
        if let Err(e) = self.file.write_all_at(&record, self.end).and_then(|()| self.file.sync_data()) {
            self.broken = true;
            return Err(e);
        }
        let place = Place { offset: self.end + FRAME, length };
        self.end = place.offset + u64::from(length);
        Ok(place)
    }

    /// Cuts off everything behind this record; behind the preamble if it is `None`.
    pub(super) fn cut_after(&mut self, last: Option<Place>) -> io::Result<()> {
        let end = last.map_or(PREAMBLE as u64, |p| p.offset + u64::from(p.length));
        self.file.set_len(end)?;
        self.file.sync_all()?;
        self.end = end;
        Ok(())
    }

    /// Reads a record again, and checks it again.
    pub(super) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let found = self.record(place.offset - FRAME, self.end)?.map(|(_, payload)| payload);
        found.ok_or_else(|| io::Error::other(format!("{}: damaged at byte {}", self.path.display(), place.offset)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The record at `offset` of a file of `length` bytes, if a whole one is there.
    fn record(&self, offset: u64, length: u64) -> io::Result<Option<(Place, Vec<u8>)>> {
        let mut frame = [0; 24];
        if length.saturating_sub(offset) < FRAME {
            return Ok(None);
        }
        self.file.read_exact_at(&mut frame, offset)?;
        let size = u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        if frame[..4] != MARKER || size > MAX_PAYLOAD || length - offset - FRAME < u64::from(size) {
            return Ok(None);
        }
        let mut payload = vec![0; size as usize];
        self.file.read_exact_at(&mut payload, offset + FRAME)?;
        let whole = frame[8..] == checksum(size, &payload);
        Ok(whole.then_some((Place { offset: offset + FRAME, length: size }, payload)))
    }

    /// Cuts off what lies behind the last whole record, unless a whole record lies behind that again: a write that a
    /// power cut interrupted can only be the last one.
    fn cut(&mut self, length: u64) -> Result<(), EmbeddedError> {
        let io = |source| EmbeddedError::Io { path: self.path.clone(), source };
        if let Some(at) = self.whole_record_after(self.end + 1, length).map_err(io)? {
            return Err(self.damaged(self.end, &format!("a bad record with a good one behind it, at byte {at}")));
        }
        let (bytes, file) = (length - self.end, self.path.display().to_string());
        tracing::warn!(file, bytes, "the last record is not whole, as after a power cut while it was written: cut off");
        self.file.set_len(self.end).and_then(|()| self.file.sync_all()).map_err(io)
    }

    fn whole_record_after(&self, from: u64, length: u64) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; 64 * 1024];
        let mut at = from;
        while at < length {
            let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
            let Some(window) = buffer.get_mut(..wanted) else { break };
            self.file.read_exact_at(window, at)?;
            let hits = window.windows(MARKER.len()).enumerate().filter(|(_, w)| **w == MARKER);
            for (offset, _) in hits {
                let found = at + offset as u64;
                if self.record(found, length)?.is_some() {
                    return Ok(Some(found));
                }
            }
            // A marker may lie across two windows.
            at += (wanted - wanted.min(MARKER.len() - 1)).max(1) as u64;
        }
        Ok(None)
    }

    fn damaged(&self, at: u64, what: &str) -> EmbeddedError {
        EmbeddedError::Damaged { path: self.path.clone(), at, what: what.to_owned() }
    }

    /// From here on every write fails, as on a disk that has gone.
    #[cfg(test)]
    pub(super) fn sabotage(&mut self) {
        self.file = File::open(&self.path).expect("the file was open a moment ago");
    }
}

/// A file that is to take the journal's place.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    end: u64,
}

impl Draft {
    /// Appends a record.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<Place> {
        let (record, length) = framed(payload)?;
        self.file.write_all_at(&record, self.end)?;
        let place = Place { offset: self.end + FRAME, length };
        self.end = place.offset + u64::from(length);
        Ok(place)
    }
}

/// A payload as a record, and its length.
fn framed(payload: &[u8]) -> io::Result<(Vec<u8>, u32)> {
    let length = u32::try_from(payload.len()).ok().filter(|l| *l <= MAX_PAYLOAD);
    let length = length.ok_or_else(|| io::Error::other("the block is too large for a record"))?;
    let mut record = Vec::with_capacity(payload.len() + 24);
    record.extend_from_slice(&MARKER);
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(&checksum(length, payload));
    record.extend_from_slice(payload);
    Ok((record, length))
}

fn half(hash: B256) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    out
}

fn checksum(length: u32, payload: &[u8]) -> [u8; 16] {
    let mut hasher = Keccak256::new();
    hasher.update(length.to_be_bytes());
    hasher.update(payload);
    half(hasher.finalize())
}

fn preamble(version: u32, chain_id: u64, genesis: B256) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&chain_id.to_be_bytes());
    out.extend_from_slice(genesis.as_slice());
    let sum = half(keccak256(&out));
    out.extend_from_slice(&sum);
    out
}

/// Writes a new file beside its place and moves it there when it is whole: no crash leaves half a preamble.
fn create(dir: &Path, path: &Path, preamble: &[u8]) -> io::Result<()> {
    let draft = dir.join(DRAFT);
    let mut file = File::create(&draft)?;
    file.write_all(preamble)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()
}

fn check_preamble(file: &File, path: &Path, chain_id: u64, genesis: B256) -> Result<(), EmbeddedError> {
    let (id, begun) = read_preamble(file, path)?;
    if id != chain_id {
        return Err(EmbeddedError::OtherChainId { path: path.to_owned(), found: id, wanted: chain_id });
    }
    if begun != genesis {
        return Err(EmbeddedError::OtherGenesis { path: path.to_owned() });
    }
    Ok(())
}

/// The chain id and the hash of the genesis.
fn read_preamble(file: &File, path: &Path) -> Result<(u64, B256), EmbeddedError> {
    let damaged = |what: &str| EmbeddedError::Damaged { path: path.to_owned(), at: 0, what: what.to_owned() };
    let mut found = [0; PREAMBLE];
    file.read_exact_at(&mut found, 0).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the file is too short to be a chain"),
        _ => EmbeddedError::Io { path: path.to_owned(), source: e },
    })?;
    if found[..8] != *MAGIC {
        return Err(damaged("this is no chain file"));
    }
    let version = u32::from_be_bytes([found[8], found[9], found[10], found[11]]);
    if version != VERSION {
        return Err(EmbeddedError::UnknownVersion { path: path.to_owned(), found: version, known: VERSION });
    }
    if found[52..] != half(keccak256(&found[..52])) {
        return Err(damaged("the first bytes do not match their checksum"));
    }
    let mut id = [0; 8];
    id.copy_from_slice(&found[12..20]);
    Ok((u64::from_be_bytes(id), B256::from_slice(&found[20..52])))
}
