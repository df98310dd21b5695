//! The count on disk: two slots with a checksum each, of which the older one is overwritten, so that a kill or a power
//! cut at any instruction leaves at least the other. A line of text each, so that a person can read it too.

use super::count::Register;
use super::spec::PulsesPerKwh;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use thiserror::Error;

/// Far enough apart that one torn block of the medium never holds both.
const APART: u64 = 4096;
/// A slot is as long as this, filled up with spaces; the checksum stands at its end.
const SLOT: usize = 256;
const MAGIC: &str = "microgrid-gateway pulse count 1";

/// Why there is no count.
#[derive(Debug, Error)]
pub(crate) enum StoreProblem {
    /// What the system says.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// Neither slot holds a count. To begin anew would let the register step back.
    #[error(
        "{0}: neither of its two counts is whole. Put back a copy; or move the file away and set start_wh to what the \
         meter's own counter shows now"
    )]
    Damaged(String),
    /// Somebody else counts there.
    #[error("{0}: another process counts there")]
    Taken(String),
}

/// A count that is kept.
#[derive(Debug)]
pub(crate) struct CountFile {
    file: File,
    /// The number of the newest whole slot; the next is written to the other place.
    number: u64,
}

impl CountFile {
    /// The count in this file, which is durable on return; one that `fresh` gives if there is no file yet.
    pub fn open(path: &Path, fresh: impl FnOnce() -> Register) -> Result<(Self, Register), StoreProblem> {
        let failed = |error| StoreProblem::Io(path.display().to_string(), error);
        if !path.try_exists().map_err(failed)? {
            create(path, &fresh()).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreProblem::Taken(path.display().to_string())),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (number, register) =
            newest(&file).map_err(failed)?.ok_or_else(|| StoreProblem::Damaged(path.display().to_string()))?;
        // A process that was killed may have left it in memory only, and it is told as a reading from now on.
        file.sync_data().map_err(failed)?;
        Ok((Self { file, number }, register))
    }

    /// The count in this file, for whoever only looks; `None` if there is none yet.
    pub fn peek(path: &Path) -> Result<Option<Register>, StoreProblem> {
        let failed = |error| StoreProblem::Io(path.display().to_string(), error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let found = newest(&file).map_err(failed)?;
        let (_, register) = found.ok_or_else(|| StoreProblem::Damaged(path.display().to_string()))?;
        Ok(Some(register))
    }

    /// Writes a count; on return it is durable. After a failure the next one goes to the same place.
    pub fn save(&mut self, register: &Register) -> io::Result<()> {
        let number = self.number + 1;
        self.file.write_all_at(&slot(number, register), number % 2 * APART)?;
        self.file.sync_data()?;
        self.number = number;
        Ok(())
    }
}

/// Makes the file under another name first: half a file is never found under its own.
fn create(path: &Path, register: &Register) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let file = File::create(&new)?;
    for number in [0, 1] {
        file.write_all_at(&slot(number, register), number % 2 * APART)?;
    }
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    // The name is as durable as the folder it stands in, and that as its own name.
    File::open(folder)?.sync_all()?;
    match folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

fn newest(file: &File) -> io::Result<Option<(u64, Register)>> {
    let mut bytes = Vec::new();
    let mut from_the_start = file;
    from_the_start.seek(SeekFrom::Start(0))?;
    from_the_start.take(2 * APART).read_to_end(&mut bytes)?;
    Ok(newest_of(&bytes))
}

/// The newest whole count of a file with these bytes.
fn newest_of(bytes: &[u8]) -> Option<(u64, Register)> {
    let slots = bytes.chunks(usize::try_from(APART).unwrap_or(usize::MAX)).filter_map(|block| block.get(..SLOT));
    slots.filter_map(parse).max_by_key(|(number, _)| *number)
}

pub(super) fn slot(number: u64, register: &Register) -> [u8; SLOT] {
    let Register { wh, part, constant, start, pulses, lost } = register;
    let constant = constant.get();
    let text = format!(
        "{MAGIC} number={number} wh={wh} part={part} imp_per_kwh={constant} start_wh={start} pulses={pulses} lost={lost}"
    );
    // Six numbers of at most 20 digits and their names: the text is shorter than its place, always.
    let mut bytes = [b' '; SLOT];
    for (place, byte) in bytes.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    let sum = format!("{:08x}\n", crc32(bytes.get(..SLOT - 9).unwrap_or_default()));
    for (place, byte) in bytes.iter_mut().skip(SLOT - 9).zip(sum.bytes()) {
        *place = byte;
    }
    bytes
}

/// What a slot says, if it is whole and can be.
pub(super) fn parse(bytes: &[u8]) -> Option<(u64, Register)> {
    let (text, sum) = bytes.split_at_checked(SLOT - 9)?;
    if sum != format!("{:08x}\n", crc32(text)).as_bytes() {
        return None;
    }
    let mut words = std::str::from_utf8(text).ok()?.strip_prefix(MAGIC)?.split_ascii_whitespace();
    let mut next = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok();
    let (number, wh, part) = (next("number")?, next("wh")?, next("part")?);
    let constant = PulsesPerKwh::new(u32::try_from(next("imp_per_kwh")?).ok()?)?;
    let (start, pulses, lost) = (next("start_wh")?, next("pulses")?, next("lost")?);
    let part = u32::try_from(part).ok().filter(|part| *part < constant.get())?;
    Some((number, Register { wh, part, constant, start, pulses, lost }))
}

/// CRC-32/ISO-HDLC, bit by bit: a slot is short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn register(pulses: u64) -> Register {
        Register::new(PulsesPerKwh::new(800).unwrap(), 12_345).plus(pulses, pulses / 7)
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pulses/home-1.count");
        (folder, path)
    }

    #[test]
    fn the_checksum_is_the_one_that_everybody_calls_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_count_is_found_again_and_the_largest_one_has_room() {
        let (_folder, path) = folder();
        let (mut file, first) = CountFile::open(&path, || register(0)).unwrap();
        assert_eq!(first, register(0));
        let most = Register { wh: u64::MAX, pulses: u64::MAX, lost: u64::MAX, start: u64::MAX, ..register(799) };
        for count in [register(3), register(1000), most] {
            file.save(&count).unwrap();
            assert_eq!(CountFile::peek(&path).unwrap(), Some(count));
        }
        drop(file);
        assert_eq!(CountFile::open(&path, || register(7)).unwrap().1, most);
        assert_eq!(parse(&slot(u64::MAX, &most)), Some((u64::MAX, most)));
    }

    #[test]
    fn two_processes_do_not_count_in_one_file() {
        let (_folder, path) = folder();
        let _ours = CountFile::open(&path, || register(0)).unwrap();
        assert!(matches!(CountFile::open(&path, || register(0)), Err(StoreProblem::Taken(_))));
    }

    #[test]
    fn a_file_without_a_whole_count_is_no_new_beginning() {
        for bytes in [Vec::new(), b"nonsense".to_vec(), vec![0; 8192]] {
            let (_folder, path) = folder();
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            let problem = CountFile::open(&path, || register(0)).unwrap_err();
            assert!(problem.to_string().contains("start_wh"), "{problem}");
            assert!(CountFile::peek(&path).is_err());
        }
    }

    /// A file as `create` and so many `save`s leave it.
    fn image(counts: &[Register]) -> Vec<u8> {
        let mut bytes = vec![0; 4096 + SLOT];
        let all = counts.first().into_iter().chain(counts);
        for (count, number) in all.zip(0..) {
            write(&mut bytes, number, count, SLOT, None);
        }
        bytes
    }

    /// What a power cut leaves of a write: its first bytes are there, what follows in its block is old or garbage.
    fn write(bytes: &mut [u8], number: u64, new: &Register, cut: usize, garbage: Option<u8>) {
        let place = usize::try_from(number % 2 * APART).unwrap();
        bytes[place..place + cut].copy_from_slice(&slot(number, new)[..cut]);
        if let Some(garbage) = garbage {
            let end = bytes.len().min(place + 4096);
            bytes[place + cut..end].fill(garbage);
        }
    }

    #[test]
    fn a_write_that_is_cut_at_any_byte_leaves_the_old_count_or_the_new_one() {
        for garbage in [None, Some(0), Some(0xFF), Some(b' ')] {
            for cut in 0..=SLOT {
                for saved in 1..4_usize {
                    let counts: Vec<Register> = (0..saved).map(|n| register(u64::try_from(n).unwrap())).collect();
                    let (mut bytes, number) = (image(&counts), u64::try_from(saved).unwrap() + 1);
                    write(&mut bytes, number, &register(1234), cut, garbage);
                    let found = newest_of(&bytes).unwrap();
                    let (old, new) = ((number - 1, counts[saved - 1]), (number, register(1234)));
                    assert!(found == old || found == new, "cut at {cut}: {found:?}");
                    assert!(!(found == old && cut == SLOT), "the whole write was there");
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_short_at_any_byte_has_the_count_that_is_left_or_says_that_there_is_none() {
        let counts = [register(5), register(6)];
        let bytes = image(&counts);
        assert_eq!(newest_of(&bytes), Some((2, counts[1])));
        for cut in 0..=bytes.len() {
            let expected = (cut >= SLOT).then_some((2, counts[1]));
            assert_eq!(newest_of(&bytes[..cut]), expected, "{cut}");
        }
        // The same where the newest is in the second place.
        let bytes = image(&counts[..1]);
        for cut in SLOT..=bytes.len() {
            let number = u64::from(cut == bytes.len());
            assert_eq!(newest_of(&bytes[..cut]), Some((number, counts[0])), "{cut}");
        }
    }

    #[test]
    fn after_a_torn_write_a_real_file_goes_on_from_the_count_before() {
        for cut in [0, 1, 31, 100, SLOT - 9, SLOT - 1] {
            let (_folder, path) = folder();
            let (mut file, _) = CountFile::open(&path, || register(0)).unwrap();
            file.save(&register(5)).unwrap();
            let number = file.number + 1;
            drop(file);
            let torn = OpenOptions::new().write(true).open(&path).unwrap();
            torn.write_all_at(&slot(number, &register(6))[..cut], number % 2 * APART).unwrap();
            torn.write_all_at(&[0xFF; 8], number % 2 * APART + u64::try_from(cut).unwrap()).unwrap();
            let (mut file, found) = CountFile::open(&path, || register(0)).unwrap();
            assert_eq!(found, register(5), "cut at {cut}");
            file.save(&register(7)).unwrap();
            assert_eq!(CountFile::peek(&path).unwrap(), Some(register(7)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn whatever_is_cut_and_how_often_a_confirmed_count_never_falls(
            steps in prop::collection::vec((1_u64..9, prop::option::of((0..SLOT, prop::option::of(any::<u8>())))), 1..40)
        ) {
            let mut bytes = image(&[register(0)]);
            let (mut number, mut shown) = newest_of(&bytes).unwrap();
            for (pulses, torn) in steps {
                let next = shown.plus(pulses, 0);
                let (cut, garbage) = torn.unwrap_or((SLOT, None));
                write(&mut bytes, number + 1, &next, cut, garbage);
                let found;
                // What begins now reads the file anew.
                (number, found) = newest_of(&bytes).unwrap();
                prop_assert!(found == next || (torn.is_some() && found == shown), "{found:?} of {shown:?} and {next:?}");
                shown = found;
            }
        }
    }
}
