//! Ledgers of other versions: earlier ones go on where they were, later ones are left alone.

use super::*;
use ledger::{LedgerError, Restoration};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// As the program of schema 4 left it.
fn four(folder: &Path) -> PathBuf {
    let path = folder.join("ledger.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("schemas/4.sql")).unwrap();
    path
}

fn version(path: &Path) -> i32 {
    Connection::open(path).unwrap().pragma_query_value(None, "user_version", |r| r.get(0)).unwrap()
}

fn tables(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut all = db.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY type DESC, name").unwrap();
    all.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Everything that a ledger holds, in words.
fn contents(path: &Path) -> Vec<String> {
    let ledger = Ledger::open_copy(path).unwrap();
    let facts = ledger.facts_after(Seq(0), 1_000).unwrap();
    let readings = ledger.readings_after(Seq(0), 1_000).unwrap();
    let accounts = ledger.accounts().unwrap();
    assert!(facts.len() > 5 && readings.len() > 20 && accounts.len() == 2, "the fixture holds something");
    facts
        .iter()
        .map(|f| format!("{f:?}"))
        .chain(readings.iter().map(|r| format!("{r:?}")))
        .chain(accounts.iter().map(|a| format!("{a:?}")))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn a_ledger_of_an_earlier_version_goes_on_where_it_was_and_is_kept_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    // A program from before meters had places made no tables for them.
    Connection::open(&path).unwrap().execute_batch("DROP TABLE places; DROP TABLE challenge;").unwrap();
    let (before, old_tables) = (contents(&path), tables(&path));

    let ledger = Ledger::open(&path).unwrap();
    let kept = ledger.kept_as_it_was().unwrap().to_owned();
    assert_eq!(kept, dir.path().join("ledger.db.schema-4"));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    write(&ledger, Write::Fact(Fact::Started { version: "next".into() }));
    drop(ledger);
    assert_eq!(version(&path), 5);
    assert_eq!((version(&kept), tables(&kept)), (4, old_tables));
    assert_eq!(contents(&kept), before);
    let after = contents(&path);
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|row| after.contains(row)));

    let again = Ledger::open(&path).unwrap();
    assert_eq!(again.kept_as_it_was(), None, "it is done once");
    drop(again);
    assert_eq!(names(dir.path()), ["ledger.db", "ledger.db.schema-4"]);
}

#[test]
fn an_earlier_ledger_ends_with_the_tables_of_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let old = four(dir.path());
    let new = dir.path().join("new.db");
    drop(Ledger::open(&old).unwrap());
    drop(Ledger::open(&new).unwrap());
    assert_eq!(tables(&old), tables(&new));
}

/// Whoever changes a table meets this: a released version's tables are not changed, there is a new version and a step to it.
#[test]
fn tables_change_only_together_with_the_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    drop(Ledger::open(&path).unwrap());
    let now = tables(&path).join(";\n") + ";\n";
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/schemas/{}.tables", version(&path)));
    if std::env::var_os("PIN_TABLES").is_some() {
        std::fs::write(&pinned, &now).unwrap();
    }
    let then = std::fs::read_to_string(&pinned).unwrap_or_default();
    assert!(
        now == then,
        "the tables are not those of {}. If a program with that version was released, raise VERSION in schema.rs and add a \
         step to migrate.rs; in any case run this again with PIN_TABLES=1",
        pinned.display()
    );
}

#[test]
fn a_ledger_of_a_later_version_is_refused_and_not_a_byte_of_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    drop(Ledger::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA user_version=6; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // It was killed: what it recorded last is only in its log.
    db.execute_batch("INSERT INTO facts VALUES (999, 0, '{\"of\": \"tomorrow\"}')").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let killed = folder.path().join("ledger.db");
    for tail in ["", "-wal"] {
        std::fs::copy(dir.path().join(format!("ledger.db{tail}")), folder.path().join(format!("ledger.db{tail}")))
            .unwrap();
    }
    let bytes = || names(folder.path()).into_iter().map(|n| (std::fs::read(folder.path().join(&n)).unwrap(), n));
    let before: Vec<_> = bytes().collect();
    assert!(before.len() == 2 && !before[1].0.is_empty());

    let refused = Ledger::open(&killed).err().unwrap();
    assert!(matches!(refused, LedgerError::Newer { found: 6, known: 5, .. }), "{refused:?}");
    for word in ["a newer version", "Nothing was changed", "journal restore"] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    assert!(Ledger::fits(&killed).is_err());
    assert!(bytes().eq(before), "something was touched");

    // One that went on from schema 5 names its copy.
    std::fs::write(folder.path().join("ledger.db.schema-5"), "").unwrap();
    assert!(Ledger::open(&killed).err().unwrap().to_string().contains("ledger.db.schema-5 --force"));
    // Of several the last: between them somebody went back, and recorded.
    std::fs::write(folder.path().join("ledger.db.schema-5-10"), "").unwrap();
    std::fs::write(folder.path().join("ledger.db.schema-5-9"), "").unwrap();
    std::fs::write(folder.path().join("ledger.db.schema-55"), "").unwrap();
    assert!(Ledger::open(&killed).err().unwrap().to_string().contains("ledger.db.schema-5-10 --force"));
}

#[test]
fn a_migration_that_cannot_keep_a_copy_changes_nothing_and_is_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    let before = contents(&path);
    std::fs::create_dir(dir.path().join("ledger.db.migrating")).unwrap();
    let refused = Ledger::open(&path).err().unwrap();
    assert!(refused.to_string().contains("ledger.db.migrating: it is in the way"), "{refused}");
    assert_eq!((version(&path), contents(&path)), (4, before.clone()));

    // What a migration that was cut off left behind is no such thing.
    std::fs::remove_dir(dir.path().join("ledger.db.migrating")).unwrap();
    std::fs::write(dir.path().join("ledger.db.migrating"), "half a copy").unwrap();
    let ledger = Ledger::open(&path).unwrap();
    assert!(ledger.kept_as_it_was().is_some());
    drop(ledger);
    assert_eq!((version(&path), contents(&path)), (5, before));
}

#[test]
fn a_ledger_that_has_no_room_to_be_kept_is_told_so_beforehand() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    assert!(Ledger::fits(&path).is_ok());
    // More than any disk that this runs on has free; a hole takes no room.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(8 << 40).unwrap();
    for refused in [Ledger::fits(&path).err().unwrap(), Ledger::open(&path).err().unwrap()] {
        assert!(refused.to_string().contains("takes 8388608 MiB beside it, and "), "{refused}");
    }
    file.set_len(size).unwrap();
    assert_eq!(version(&path), 4);
    assert_eq!(names(dir.path()), ["ledger.db"]);
}

#[test]
fn a_migration_that_fails_leaves_no_copy_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    let before = contents(&path);
    let db = Connection::open(&path).unwrap();
    // A name that the step needs is taken.
    db.execute_batch("DROP TABLE places; CREATE INDEX places ON readings (at)").unwrap();
    for _ in 0..2 {
        assert!(Ledger::open(&path).is_err());
        assert_eq!((version(&path), contents(&path)), (4, before.clone()));
        assert!(!names(dir.path()).iter().any(|name| name.contains("schema-4")), "{:?}", names(dir.path()));
    }
    db.execute_batch("DROP INDEX places").unwrap();
    assert!(Ledger::open(&path).unwrap().kept_as_it_was().is_some());
}

#[test]
fn beside_a_gateway_an_earlier_ledger_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    let refused = Ledger::open_present(&path).err().unwrap();
    assert!(matches!(refused, LedgerError::Earlier { found: 4, known: 5, .. }), "{refused:?}");
    assert!(refused.to_string().contains("The gateway brings it up when it starts"), "{refused}");
    assert_eq!(version(&path), 4);
    assert!(!names(dir.path()).iter().any(|name| name.contains("schema")));
    drop(Ledger::open(&path).unwrap());
    Ledger::open_present(&path).unwrap();
}

#[test]
fn two_programs_that_meet_an_earlier_ledger_migrate_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = four(dir.path());
    let opened = std::thread::scope(|all| {
        let threads: Vec<_> = (0..4).map(|_| all.spawn(|| Ledger::open(&path).unwrap())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(opened.iter().filter(|l| l.kept_as_it_was().is_some()).count(), 1);
    drop(opened);
    assert_eq!(names(dir.path()), ["ledger.db", "ledger.db.schema-4"]);
}

#[test]
fn a_backup_of_an_earlier_version_can_be_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let old = four(dir.path());
    let before = contents(&old);
    let place = dir.path().join("street").join("ledger.db");
    std::fs::create_dir(place.parent().unwrap()).unwrap();
    let restoration = Restoration::prepare(&old, &place, Timestamp(1), "ada").unwrap();
    assert_eq!(restoration.ledger().unwrap().verify(|_| LIMIT).unwrap().findings, []);
    restoration.put_in_place(false, Timestamp(2)).unwrap();
    assert_eq!(version(&old), 4, "the backup stays what it is");
    assert_eq!(version(&place), 5);
    let after = contents(&place);
    assert_eq!(after.len(), before.len() + 1, "and a fact tells of it");
    assert!(before.iter().all(|row| after.contains(row)));
}
