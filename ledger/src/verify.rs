//! The auditor: bills every recorded reading again from the first one on, or from its own checkpoint where older ones are
//! gone, and compares.

use crate::checkpoint::{Audited, Checkpoint, gone, sequence};
use crate::commit::{PRICER, cursor};
use crate::money::entry_of;
use crate::read::{READINGS, accounts, meters, reading, totals};
use crate::tariffs::{classes, schedule};
use crate::{Ledger, LedgerError, dispatch};
use domain::register::Doubt;
use domain::{
    AccountId, Biller, Book, Books, Customer, Entry, Fact, Guard, Line, MeterId, Metered, Money, Reading, Replacement,
    Seq, Step, TariffRegisters, Timestamp, Usage, WattHours,
};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeMap;

/// One thing that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// What was found.
    pub found: String,
}

/// What the auditor found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Readings billed again.
    pub readings: u64,
    /// Readings that were let go before `since`: the auditor's checkpoint stands for them.
    pub gone: u64,
    /// The last reading of the checkpoint; 0 if all were billed again.
    pub since: Seq,
    /// Facts read.
    pub facts: u64,
    /// All that does not add up; empty is good.
    pub findings: Vec<Finding>,
}

impl Ledger {
    /// Checks the file page by page, the journal for gaps and repeats, and the accounts against a second billing of all
    /// readings that are there, on top of the auditor's own checkpoint for those that were let go. `guard` is what the Pricer judges a meter by.
    pub fn verify(&self, guard: impl Fn(&MeterId) -> Guard) -> Result<Report, LedgerError> {
        let mut reader = self.reader();
        let db = reader.transaction()?;
        let mut report = Report::default();
        let pages: String = db.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        if pages != "ok" {
            report.findings.push(Finding { check: "database pages", found: pages });
        }
        report.findings.extend(sequence(&db)?);

        let cursor = Seq(cursor(&db, PRICER)?);
        let kept = Checkpoint::load(&db)?;
        (report.gone, report.since) = (u64::try_from(gone(&db)?.readings).unwrap_or(0), kept.upto);
        let again = again(&db, &kept, Until::Now(cursor), guard, &mut report)?.due;
        report.facts =
            u64::try_from(db.query_row("SELECT count(*) FROM facts", [], |r| r.get::<_, i64>(0))?).unwrap_or(0);
        compare(&db, &again, &mut report)?;
        Ok(report)
    }
}

/// What an account should hold.
#[derive(Default)]
struct Due {
    registers: TariffRegisters,
    books: Books,
    usage: Usage,
    set_back: TariffRegisters,
}

impl Due {
    fn enter(&mut self, entry: Option<Entry>) {
        if let Some(books) = entry.and_then(|entry| self.books.enter(&entry)) {
            self.books = books;
        }
    }

    fn bill(&mut self, line: &Line) {
        self.registers.add(line);
        self.enter(Entry::line(line));
    }
}

/// What was done between readings.
enum Act {
    Release(MeterId),
    Hold(MeterId, Doubt),
    Found(MeterId),
    Replace(Replacement),
    Move(MeterId, AccountId),
    Share(Timestamp),
}

fn replay(biller: &mut Biller, act: Act, newest: &BTreeMap<MeterId, Reading>, due: &mut BTreeMap<AccountId, Due>) {
    match act {
        Act::Release(meter) => {
            if let Some(reading) = newest.get(&meter) {
                biller.release(&meter, reading);
            }
        }
        Act::Hold(meter, doubt) => biller.hold(&meter, doubt),
        Act::Found(meter) => {
            if let Some(reading) = newest.get(&meter) {
                biller.found_again(&meter, reading);
            }
        }
        Act::Replace(change) => {
            // Where it cannot be, the comparison finds what is missing.
            if let (Ok(done), Some(account)) = (biller.replace(&change), biller.account_of(&change.meter)) {
                let due = due.entry(account.clone()).or_default();
                done.lines.iter().for_each(|line| due.bill(line));
            }
        }
        Act::Move(meter, to) => biller.reassign(&meter, &to),
        Act::Share(until) => {
            for (account, line) in biller.close_pool(until) {
                due.entry(account).or_default().bill(&line);
            }
        }
    }
}

/// How far to bill again.
#[derive(Clone, Copy)]
enum Until {
    /// All that the Pricer billed, and all that was done since.
    Now(Seq),
    /// Readings up to here, and what was done before them: later readings may still come with acts of their own.
    Reading(Seq),
}

/// What a second billing came to.
struct Again {
    due: BTreeMap<AccountId, Due>,
    /// None before the first tariff.
    biller: Option<Biller>,
    newest: BTreeMap<MeterId, Reading>,
}

/// The auditor's state after the reading `upto`, going on from an older one.
pub(crate) fn checkpoint(
    db: &Connection,
    kept: &Checkpoint,
    upto: Seq,
    guard: impl Fn(&MeterId) -> Guard,
    report: &mut Report,
) -> Result<Checkpoint, LedgerError> {
    let again = again(db, kept, Until::Reading(upto), guard, report)?;
    let Some(biller) = again.biller else {
        return Err(LedgerError::Refused("readings are not let go before there is a tariff".into()));
    };
    let audited = again.due.into_iter().map(|(account, due)| {
        let audited = Audited::new(due.registers, &due.books, due.usage);
        (account, audited)
    });
    Ok(Checkpoint::of(upto, &biller, again.newest, audited.collect()))
}

/// Bills everything after the checkpoint again. What was done between readings stands in the facts and is replayed at
/// its place.
fn again(
    db: &Connection,
    kept: &Checkpoint,
    until: Until,
    guard: impl Fn(&MeterId) -> Guard,
    report: &mut Report,
) -> Result<Again, LedgerError> {
    let mut due: BTreeMap<AccountId, Due> = BTreeMap::new();
    for (account, audited) in &kept.accounts {
        let books = audited.books().unwrap_or_default();
        due.insert(
            account.clone(),
            Due { registers: audited.registers, books, usage: audited.usage, ..Due::default() },
        );
    }
    // A checkpoint holds what readings came to; what was paid stands in the facts, which are all there.
    let (cursor, payments) = match until {
        Until::Now(cursor) => (cursor, true),
        Until::Reading(upto) => (upto, false),
    };
    let mut acts = Vec::new();
    let mut first_owners: BTreeMap<MeterId, Option<AccountId>> = BTreeMap::new();
    let mut facts = db.prepare("SELECT body FROM facts WHERE seq > ? ORDER BY seq")?;
    let first = if payments { 0 } else { kept.upto.0 };
    for body in facts.query_map([first], |r| r.get::<_, String>(0))? {
        let Ok(fact) = serde_json::from_str::<Fact>(&body?) else { continue };
        if let (true, Some(Ok((account, entry)))) = (payments, entry_of(&fact)) {
            due.entry(account.clone()).or_default().enter(Some(entry));
        }
        match fact {
            Fact::HappenedOnChain { account, event, .. } if payments => {
                due.entry(account).or_default().set_back.add_registers(&event.set_back());
            }
            Fact::OnChainTakenBack { account, event, .. } if payments => {
                let due = due.entry(account).or_default();
                due.set_back = due.set_back.less(&event.set_back());
            }
            Fact::MeterReleased { meter, upto, .. } => acts.push((upto, Act::Release(meter))),
            Fact::MeterHeld { meter, doubt, upto: Some(upto) } => acts.push((upto, Act::Hold(meter, doubt))),
            Fact::MeterFound { meter, upto } => acts.push((upto, Act::Found(meter))),
            Fact::MeterReplaced { change, upto, .. } => acts.push((upto, Act::Replace(change))),
            Fact::MeterMoved { meter, from, to, upto, .. } => {
                // Moves before the checkpoint are in it.
                if upto >= kept.upto {
                    first_owners.entry(meter.clone()).or_insert(from);
                }
                acts.push((upto, Act::Move(meter, to)));
            }
            Fact::PoolShared { until, upto, .. } => acts.push((upto, Act::Share(until))),
            _ => {}
        }
    }
    // What was done before the checkpoint's last reading is in it.
    acts.retain(|(upto, _)| *upto >= kept.upto && (payments || *upto < cursor));
    let mut newest = kept.newest.clone();
    let Some(schedule) = schedule(db)? else { return Ok(Again { due, biller: None, newest }) };
    let metered = meters(db)?.into_iter().map(|m| {
        let book = kept.meters.get(&m.name).cloned();
        let account = first_owners.remove(&m.name).unwrap_or(m.account);
        (m.name.clone(), Metered { account, book, guard: Some(guard(&m.name)) })
    });
    let mut customers: BTreeMap<AccountId, Customer> = BTreeMap::new();
    for (account, classes) in classes(db)? {
        customers.entry(account).or_default().classes = classes;
    }
    for (account, audited) in &kept.accounts {
        customers.entry(account.clone()).or_default().usage = audited.usage;
    }
    let biller = Biller::new(schedule, metered.collect(), customers, kept.pool());
    let mut biller = biller.dispatched(dispatch::told(db)?, kept.injected.clone());
    let mut acts = acts.into_iter().peekable();
    let mut rows = db.prepare(&format!("{READINGS} WHERE r.seq > ? ORDER BY r.seq"))?;
    for row in rows.query_map([kept.upto.0], reading)? {
        let (seq, r) = row?;
        if seq > cursor {
            break;
        }
        while let Some((upto, act)) = acts.next_if(|(upto, _)| *upto < seq) {
            biller.reached(upto);
            replay(&mut biller, act, &newest, &mut due);
        }
        report.readings += 1;
        biller.reached(seq);
        if r.import.is_some() {
            newest.insert(r.meter.clone(), r.clone());
        }
        if let (Step::Advanced(lines), Some(account)) = (biller.bill(&r), biller.account_of(&r.meter)) {
            let due = due.entry(account.clone()).or_default();
            for line in lines {
                due.bill(&line);
            }
        }
    }
    for (upto, act) in acts {
        biller.reached(upto);
        replay(&mut biller, act, &newest, &mut due);
    }
    for (account, usage) in biller.usages() {
        due.entry(account.clone()).or_default().usage = usage;
    }
    Ok(Again { due, biller: Some(biller), newest })
}

fn compare(db: &Connection, again: &BTreeMap<AccountId, Due>, report: &mut Report) -> Result<(), LedgerError> {
    let mut note = |check, found| report.findings.push(Finding { check, found });
    let nothing = Due::default();
    for account in accounts(db)? {
        let due = again.get(&account.name).unwrap_or(&nothing);
        let name = &account.name;
        if due.registers != account.registers {
            note(
                "energy billed once",
                format!("{name}: {:?} in the books, {:?} by the readings", account.registers, due.registers),
            );
        }
        for book in Book::ALL {
            let (kept, due) = (account.books.get(book), due.books.get(book));
            if kept != due {
                let check = if book == Book::Balance { "balance" } else { "money follows energy" };
                note(check, format!("{name}: {book:?} holds {kept}, by readings and facts it is {due}"));
            }
        }
        if due.set_back != account.set_back {
            note(
                "energy given back once",
                format!("{name}: {:?} in the books, {:?} by the facts", account.set_back, due.set_back),
            );
        }
        if due.usage != account.usage {
            note("usage", format!("{name}: {:?} in the books, {:?} by the readings", account.usage, due.usage));
        }
        let s = account.settled;
        if s.off_peak > account.registers.off_peak
            || s.peak > account.registers.peak
            || s.feed_in > account.registers.feed_in
        {
            note("settled within billed", format!("{name}: {s:?} settled, {:?} billed", account.registers));
        }
    }
    let totals = totals(db)?;
    if totals.metered != totals.billed {
        note(
            "energy conserved",
            format!("{} metered, {} billed, {} let go", totals.metered, totals.billed, totals.unbilled),
        );
    }
    let (debits, credits, energy): (i64, i64, i64) = db.query_row(
        "SELECT coalesce(sum(energy + network + demand + daily + tax), 0), coalesce(sum(credit), 0),
             coalesce(sum(import + export), 0) FROM lines",
        [],
        |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
    )?;
    let gone = gone(db)?;
    let (debits, credits, energy) = (debits + gone.debits.0, credits + gone.credits.0, energy + gone.energy.0);
    if (Money(debits), Money(credits)) != (totals.debited, totals.paid_for_feed_in)
        || WattHours(energy) != totals.billed
    {
        note(
            "bill lines",
            format!(
                "lines add up to {debits} charged, {credits} paid and {energy} Wh; accounts to {}, {} and {}",
                totals.debited, totals.paid_for_feed_in, totals.billed
            ),
        );
    }
    Ok(())
}
