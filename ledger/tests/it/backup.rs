//! Copies: whole, of one moment, never in another's place by mistake; and back again.

use super::*;
use crate::story::fingerprint;
use ledger::{LedgerError, Restoration};
use std::path::Path;

fn some(dir: &Path) -> Ledger {
    let ledger = open(dir);
    for minute in 0..20 {
        write(&ledger, Write::Readings((0..3).map(|h| reading(h, minute * 60_000, minute * 7)).collect()));
    }
    write(&ledger, price(&ledger));
    ledger
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_of_one_moment_though_recording_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = some(dir.path());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for minute in 20.. {
                if stop.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                write(&ledger, Write::Readings((0..3).map(|h| reading(h, minute * 60_000, minute * 7)).collect()));
                write(&ledger, price(&ledger));
            }
        });
        for n in 0..8 {
            let copy = dir.path().join(format!("copy-{n}"));
            let before = ledger.last_seq().unwrap();
            let size = ledger.back_up(&copy).unwrap();
            assert_eq!(size, std::fs::metadata(&copy).unwrap().len());
            let copy = Ledger::open_copy(&copy).unwrap();
            assert_eq!(copy.verify(|_| LIMIT).unwrap().findings, []);
            assert!(copy.last_seq().unwrap() >= before, "what was recorded before is in it");
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn a_backup_never_takes_the_place_of_a_file_and_leaves_nothing_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = some(dir.path());
    let to = dir.path().join("copy");
    std::fs::write(&to, "precious").unwrap();
    assert!(matches!(ledger.back_up(&to), Err(LedgerError::Refused(_))));
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    std::fs::remove_file(&to).unwrap();
    std::fs::write(dir.path().join("copy.part"), "").unwrap();
    let refused = ledger.back_up(&to).unwrap_err().to_string();
    assert!(refused.contains("copy.part") && refused.contains("remove"), "{refused}");
    let nowhere = ledger.back_up(&dir.path().join("no/such/folder/copy")).unwrap_err().to_string();
    assert!(nowhere.contains("no/such/folder"), "{nowhere}");
    assert!(!to.exists());
}

#[test]
fn only_its_owner_can_read_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("copy");
    some(dir.path()).back_up(&to).unwrap();
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_root_puts_back_belongs_to_whoever_owns_the_folder() {
    use std::os::unix::fs::{MetadataExt, chown};
    let dir = tempfile::tempdir().unwrap();
    let (copy, state) = (dir.path().join("copy"), dir.path().join("state"));
    some(dir.path()).back_up(&copy).unwrap();
    std::fs::create_dir(&state).unwrap();
    if std::fs::metadata(&state).unwrap().uid() != 0 {
        return println!("only root can give files away: not tried");
    }
    chown(&state, Some(4_711), Some(4_712)).unwrap();
    let place = state.join("ledger.db");
    for replace in [false, true] {
        let restoration = Restoration::prepare(&copy, &place, Timestamp(1), "ada").unwrap();
        restoration.put_in_place(replace, Timestamp(2)).unwrap();
        for name in files(&state) {
            let owner = std::fs::metadata(state.join(&name)).unwrap();
            assert_eq!((owner.uid(), owner.gid()), (4_711, 4_712), "{name}");
        }
    }
    assert_eq!(files(&state).len(), 2);
}

#[test]
fn looking_at_a_copy_changes_nothing_in_it_or_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("copy");
    some(dir.path()).back_up(&to).unwrap();
    let (bytes, names) = (std::fs::read(&to).unwrap(), files(dir.path()));
    let copy = Ledger::open_copy(&to).unwrap();
    copy.verify(|_| LIMIT).unwrap();
    assert!(copy.commit(Timestamp(0), &[price(&copy)]).is_err(), "a copy is only looked at");
    drop(copy);
    assert_eq!((std::fs::read(&to).unwrap(), files(dir.path())), (bytes, names));
}

#[test]
fn what_is_no_copy_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    let said = |file: &Path| Ledger::open_copy(file).err().unwrap().to_string();
    assert!(said(&file).contains("No such file"), "{}", said(&file));
    std::fs::write(&file, vec![7; 9_000]).unwrap();
    assert!(said(&file).contains("damaged"), "{}", said(&file));
    std::fs::write(&file, "").unwrap();
    assert!(said(&file).contains("not a ledger"), "{}", said(&file));
}

#[test]
fn a_copy_put_back_is_the_ledger_of_its_moment_and_the_one_before_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, place) = (dir.path().join("copy"), dir.path().join("ledger.db"));
    let ledger = some(dir.path());
    ledger.back_up(&copy).unwrap();
    let then = ledger.totals().unwrap();
    write(&ledger, Write::Readings(vec![reading(0, 5_000_000, 500)]));
    drop(ledger);
    let now = fingerprint(&place);

    // One that was cut off is not in the way.
    std::fs::write(dir.path().join("ledger.db.restoring.part"), "").unwrap();
    std::fs::write(dir.path().join("ledger.db.restoring"), "").unwrap();
    let refused = Restoration::prepare(&copy, &place, Timestamp(42), "ada").unwrap().put_in_place(false, Timestamp(42));
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    assert_eq!(fingerprint(&place), now);

    let restoration = Restoration::prepare(&copy, &place, Timestamp(42), "ada").unwrap();
    // Everything as it was, and one fact more.
    let copied = Seq(then.last_seq);
    let then = ledger::Totals { last_seq: copied.0 + 1, facts: then.facts + 1, ..then };
    assert_eq!(restoration.ledger().unwrap().totals().unwrap(), then);
    let aside = restoration.put_in_place(true, Timestamp(42)).unwrap().unwrap();
    assert_eq!(files(dir.path()), ["copy", "ledger.db", "ledger.db.replaced-42"]);
    assert_eq!(fingerprint(&aside), now);
    let back = Ledger::open(&place).unwrap();
    assert_eq!((back.totals().unwrap(), back.restored_at().unwrap()), (then, Some(Timestamp(42))));
    let Some((_, Timestamp(42), Fact::Restored { from, upto, until, by })) = back.facts_after(copied, 1).unwrap().pop()
    else {
        panic!("it does not tell that it was put back")
    };
    assert_eq!((from, upto, by.as_str()), (copy.display().to_string(), copied, "ada"));
    assert!(until > Timestamp(0), "{until}");
    write(&back, price(&back));
    assert_eq!(back.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn the_log_of_a_damaged_ledger_is_not_read_as_the_restored_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, place) = (dir.path().join("copy"), dir.path().join("ledger.db"));
    let ledger = some(dir.path());
    ledger.back_up(&copy).unwrap();
    ledger.checkpoint().unwrap();
    write(&ledger, Write::Readings(vec![reading(0, 5_000_000, 500)]));
    let log = std::fs::read(dir.path().join("ledger.db-wal")).unwrap();
    drop(ledger);
    // As a power cut and a bad card leave it: a file that cannot be read, and a log that can.
    std::fs::write(&place, vec![7; 9_000]).unwrap();
    std::fs::write(dir.path().join("ledger.db-wal"), log).unwrap();
    assert!(matches!(Ledger::open(&place), Err(LedgerError::Damaged { .. })));
    let aside =
        Restoration::prepare(&copy, &place, Timestamp(9), "ada").unwrap().put_in_place(true, Timestamp(9)).unwrap();
    let back = Ledger::open(&place).unwrap();
    assert_eq!(back.last_seq().unwrap(), Seq(61));
    assert_eq!(back.verify(|_| LIMIT).unwrap().findings, []);
    assert_eq!(std::fs::read(aside.unwrap()).unwrap(), vec![7; 9_000]);
    assert!(files(dir.path()).contains(&"ledger.db.replaced-9-wal".to_owned()), "{:?}", files(dir.path()));
}
