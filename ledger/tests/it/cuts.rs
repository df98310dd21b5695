//! Cuts: the write-ahead log is torn off at every kind of place, and what is left must be whole.

use super::*;

/// SQLite appends one frame per changed page to the log; a power cut leaves some prefix of it (frames after the last
/// sync may also be garbage, which their checksums show). Every prefix must open as a prefix of the acknowledged
/// history, with books that balance.
#[test]
fn whatever_is_left_of_the_log_opens_as_a_prefix_of_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let wal = dir.path().join("ledger.db-wal");
    let mut acknowledged = Vec::new();
    for round in 0..12_i64 {
        write(&ledger, Write::Readings((0..3).map(|h| reading(h, round * 60_000, round * 7)).collect()));
        write(&ledger, price(&ledger));
        acknowledged.push((std::fs::metadata(&wal).unwrap().len(), ledger.totals().unwrap()));
    }
    let whole = std::fs::read(&wal).unwrap();
    let main = std::fs::read(dir.path().join("ledger.db")).unwrap();
    let step = whole.len() / 149 + 1;
    let mut cut_at: Vec<usize> = (0..whole.len()).step_by(step).collect();
    cut_at.push(whole.len());
    for cut in cut_at {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("ledger.db"), &main).unwrap();
        std::fs::write(copy.path().join("ledger.db-wal"), &whole[..cut]).unwrap();
        let Ok(left) = Ledger::open(&copy.path().join("ledger.db")) else { panic!("cut at {cut} of {}", whole.len()) };
        let totals = left.totals().unwrap();
        let due = acknowledged.iter().rev().find(|(bytes, _)| *bytes <= cut as u64).map(|(_, t)| t.last_seq);
        assert!(totals.last_seq >= due.unwrap_or(0), "cut at {cut}: an acknowledged record is gone");
        assert_eq!(left.verify(|_| LIMIT).unwrap().findings, [], "cut at {cut}");
    }
}
