//! Power cuts at any write: what is found afterwards is the ledger as it was acknowledged, or with the one transaction
//! that was under way.

use crate::disk::{Disk, Honesty, Lab, Op};
use crate::story::{Story, fingerprint};
use crate::{LIMIT, price, write};
use domain::Timestamp;
use ledger::{Ledger, LedgerError};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

/// One transaction: how much had been done to the disk when it was acknowledged, and what the ledger was then.
struct Acknowledged {
    at: usize,
    state: u64,
}

/// A life of so many transactions, and the disk that saw it.
fn live(seed: u64, transactions: usize) -> (Vec<Op>, Vec<Acknowledged>) {
    let lab = Lab::new();
    let mut story = Story::begin(&lab.dir, seed);
    let mut history = Vec::new();
    let file = lab.dir.join("ledger.db");
    for step in 0.. {
        if !story.prologue(step) {
            break;
        }
        history.push(Acknowledged { at: lab.len(), state: fingerprint(&file) });
    }
    for _ in 0..transactions {
        story.go_on();
        history.push(Acknowledged { at: lab.len(), state: fingerprint(&file) });
    }
    let ops = lab.ops();
    drop(story);
    lab.close();
    (ops, history)
}

/// Opens what a cut left, and says what is wrong with it.
fn found(lab: &Arc<Lab>, history: &[Acknowledged], cut: usize) -> Result<(), String> {
    let file = lab.dir.join("ledger.db");
    let ledger = Ledger::open(&file).map_err(|e| format!("it does not open: {e}"))?;
    // Everything acknowledged, and perhaps what was under way: there is one writer.
    let safe = history.iter().take_while(|a| a.at <= cut).count();
    let state = fingerprint(&file);
    if safe > 0 && !history[safe - 1..].iter().take(2).any(|a| a.state == state) {
        let which = history.iter().position(|a| a.state == state);
        return Err(format!("{safe} transactions were acknowledged, this is {which:?}"));
    }
    let sound = |when: &str| match ledger.verify(|_| LIMIT) {
        Ok(report) if report.findings.is_empty() => Ok(()),
        Ok(report) => Err(format!("{when}: {:?}", report.findings)),
        Err(error) => Err(format!("{when}: {error}")),
    };
    sound("found")?;
    // And it goes on: what was not billed before is billed now, once.
    if ledger.schedule().is_ok_and(|s| s.is_some()) {
        write(&ledger, price(&ledger));
        sound("billed on")?;
    }
    Ok(())
}

/// Cuts the power at every `step`th operation, and collects what was wrong.
fn cut_everywhere(seed: u64, transactions: usize, step: usize, honesty: Honesty) -> (usize, Vec<String>) {
    let (ops, history) = live(seed, transactions);
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let (mut disk, mut cuts, mut wrong) = (Disk::new(honesty), 0, Vec::new());
    for (at, op) in ops.iter().enumerate() {
        disk.after(op);
        if at % step == dice.usize(..step) || history.iter().any(|a| a.at == at + 1) {
            // A folder in which syncs are not waited for.
            let lab = Lab::new();
            disk.cut(&mut dice, &lab.dir);
            cuts += 1;
            wrong
                .extend(found(&lab, &history, at + 1).err().map(|e| format!("seed {seed}, cut after {}: {e}", at + 1)));
            lab.close();
        }
    }
    (cuts, wrong)
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn a_power_cut_at_any_write_loses_nothing_that_was_acknowledged_and_bills_nothing_twice() {
    let (first, lives) = (number("SEED", 20_261_126), number("LIVES", 2));
    let (mut cuts, mut wrong) = (0, Vec::new());
    for seed in first..first + lives {
        let (n, found) = cut_everywhere(seed, 260, number("EVERY", 4) as usize, Honesty::Honest);
        cuts += n;
        wrong.extend(found);
    }
    println!("{cuts} power cuts in {lives} lives from seed {first} on (SEED, LIVES and EVERY=1 change that)");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cuts >= 1_000 || number("LIVES", 0) > 0, "only {cuts} cuts");
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out_by_the_same_test() {
    let (cuts, wrong) = cut_everywhere(number("SEED", 20_261_126), 40, 4, Honesty::Lies);
    println!("{} of {cuts} cuts found something, such as: {}", wrong.len(), wrong[0]);
    assert!(wrong.len() > cuts / 4, "{} of {cuts}", wrong.len());
}

/// How many acknowledged rows a table lost, over all cuts, at one level of `PRAGMA synchronous`.
fn lost_at(synchronous: &str) -> i64 {
    let lab = Lab::new();
    let db = Connection::open(lab.dir.join("plain.db")).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    db.execute_batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)").unwrap();
    let mut acknowledged = Vec::new();
    for n in 1..=60 {
        db.execute("INSERT INTO numbers VALUES (?)", [n]).unwrap();
        acknowledged.push((lab.len(), n));
    }
    let ops = lab.ops();
    let mut dice = fastrand::Rng::with_seed(7);
    let (mut disk, mut lost) = (Disk::new(Honesty::Honest), 0);
    for (at, op) in ops.iter().enumerate() {
        disk.after(op);
        let due = acknowledged.iter().take_while(|(len, _)| *len <= at + 1).last().map_or(0, |(_, n)| *n);
        let folder = Lab::new();
        disk.cut(&mut dice, &folder.dir);
        lost += due - count(&folder.dir.join("plain.db")).min(due);
        folder.close();
    }
    lab.close();
    lost
}

fn count(file: &Path) -> i64 {
    let rows = |db: Connection| db.query_row("SELECT count(*) FROM numbers", [], |r| r.get(0));
    Connection::open(file).and_then(rows).unwrap_or(0)
}

#[test]
fn full_synchronisation_loses_no_row_where_the_lesser_ones_do() {
    let (full, normal, off) = (lost_at("FULL"), lost_at("NORMAL"), lost_at("OFF"));
    println!("acknowledged rows lost over all cuts: FULL {full}, NORMAL {normal}, OFF {off}");
    assert_eq!(full, 0);
    assert!(normal > 0 && off > 0);
}

#[test]
fn a_disk_that_is_full_at_any_write_loses_nothing_and_recording_goes_on_when_there_is_room() {
    let (mut refused, seed) = (0, number("SEED", 20_261_126));
    for room in (0..60_000).step_by(1_500) {
        let lab = Lab::new();
        let file = lab.dir.join("ledger.db");
        let ledger = crate::open(&lab.dir);
        let before = fingerprint(&file);
        let mut due = vec![before];
        lab.set_room(room);
        for minute in 1..=12 {
            let readings =
                ledger::Write::Readings((0..3).map(|h| crate::reading(h, minute * 60_000, minute * 7)).collect());
            match ledger.commit(Timestamp(0), &[readings]) {
                Ok(_) => due.push(fingerprint(&file)),
                Err(LedgerError::Database(_)) => refused += 1,
                Err(other) => panic!("seed {seed}, room {room}: {other}"),
            }
            assert_eq!(fingerprint(&file), due[due.len() - 1], "room {room}: what was refused left something");
        }
        lab.set_room(u64::MAX);
        write(&ledger, ledger::Write::Readings(vec![crate::reading(0, 900_000, 100)]));
        write(&ledger, price(&ledger));
        assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, [], "room {room}");
        // The registers are cumulative: the reading that found room covers those that did not.
        let billed = if due.len() > 1 { 93 } else { 0 };
        assert_eq!(ledger.accounts().unwrap()[0].registers.off_peak.0, billed, "room {room}");
        drop(ledger);
        lab.close();
    }
    assert!(refused > 100, "the disk was hardly ever full: {refused}");
}
