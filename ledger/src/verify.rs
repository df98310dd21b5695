//! The auditor: bills every recorded reading again from the first one on, and compares.

use crate::commit::{PRICER, cursor};
use crate::read::{READINGS, accounts, meters, reading, totals};
use crate::{Ledger, LedgerError};
use domain::{Billed, Fact, Guard, MeterBook, MeterId, Money, Seq, Tariff, TariffRegisters, WattHours, billing};
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
    /// Facts read.
    pub facts: u64,
    /// All that does not add up; empty is good.
    pub findings: Vec<Finding>,
}

impl Ledger {
    /// Checks the file page by page, the journal for gaps and repeats, and the accounts against a second billing of all
    /// readings from scratch. `guard` is what the Pricer judges a meter by.
    pub fn verify(&self, guard: impl Fn(&MeterId) -> Guard) -> Result<Report, LedgerError> {
        let mut reader = self.reader();
        let db = reader.transaction()?;
        let mut report = Report::default();
        let mut note = |check, found| report.findings.push(Finding { check, found });

        let pages: String = db.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        if pages != "ok" {
            note("database pages", pages);
        }
        let (recorded, distinct, last): (i64, i64, i64) = db.query_row(
            "SELECT count(*), count(DISTINCT seq), (SELECT last FROM sequence)
             FROM (SELECT seq FROM readings UNION ALL SELECT seq FROM facts)",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
        )?;
        if recorded != last || distinct != last {
            note("journal sequence", format!("{recorded} records with {distinct} numbers, but {last} were given out"));
        }

        // Bill everything again. Releases of held meters stand in the facts and are replayed at their place.
        let tariff: Option<String> = {
            let mut rows = db.prepare("SELECT body FROM tariffs ORDER BY version DESC LIMIT 1")?;
            rows.query_map([], |r| r.get(0))?.next().transpose()?
        };
        let cursor = Seq(cursor(&db, PRICER)?);
        let mut again: BTreeMap<MeterId, (Option<MeterBook>, TariffRegisters, i128, i128)> = BTreeMap::new();
        if let Some(tariff) = tariff {
            let tariff: Tariff = serde_json::from_str(&tariff).map_err(|e| LedgerError::unreadable("the tariff", e))?;
            let mut releases =
                db.prepare("SELECT body FROM facts WHERE body LIKE '%\"meter_released\"%' ORDER BY seq")?;
            let mut released = Vec::new();
            for body in releases.query_map([], |r| r.get::<_, String>(0))? {
                if let Ok(Fact::MeterReleased { meter, upto, .. }) = serde_json::from_str(&body?) {
                    released.push((upto, meter));
                }
            }
            let mut released = released.into_iter().peekable();
            let mut newest: BTreeMap<MeterId, domain::Reading> = BTreeMap::new();
            let mut rows = db.prepare(&format!("{READINGS} ORDER BY r.seq"))?;
            for row in rows.query_map([], reading)? {
                let (seq, r) = row?;
                if seq > cursor {
                    break;
                }
                while let Some((_, meter)) = released.next_if(|(upto, _)| *upto < seq) {
                    if let (Some(entry), Some(r)) = (again.get_mut(&meter), newest.get(&meter))
                        && let Some(book) = &mut entry.0
                    {
                        book.held = None;
                        book.doubted_since = None;
                        (book.at, book.up, book.import) = (r.at, r.up, r.import.unwrap_or(book.import));
                        if r.export.is_some() {
                            (book.export, book.export_at) = (r.export, Some(r.at));
                        }
                    }
                }
                report.readings += 1;
                if r.import.is_some() {
                    newest.insert(r.meter.clone(), r.clone());
                }
                let entry = again.entry(r.meter.clone()).or_default();
                match billing::bill(entry.0.as_ref(), &r, &tariff, &guard(&r.meter)) {
                    Billed::Started(book) | Billed::Held(book, _) | Billed::Doubted(book, _) => entry.0 = Some(book),
                    Billed::Advanced(book, pieces) => {
                        entry.0 = Some(book);
                        for p in pieces {
                            entry.1.add(&p);
                            entry.2 += i128::from(p.debit.0);
                            entry.3 += i128::from(p.credit.0);
                        }
                    }
                    Billed::Nothing => {}
                }
            }
        }
        report.facts =
            u64::try_from(db.query_row("SELECT count(*) FROM facts", [], |r| r.get::<_, i64>(0))?).unwrap_or(0);
        compare(&db, &again, &mut report)?;
        Ok(report)
    }
}

#[allow(clippy::type_complexity, reason = "one row of the audit, used nowhere else")]
fn compare(
    db: &Connection,
    again: &BTreeMap<MeterId, (Option<MeterBook>, TariffRegisters, i128, i128)>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let mut note = |check, found| report.findings.push(Finding { check, found });
    let meters = meters(db)?;
    for account in accounts(db)? {
        let mut registers = TariffRegisters::default();
        let (mut debit, mut credit) = (0_i128, 0_i128);
        for meter in meters.iter().filter(|m| m.account.as_ref() == Some(&account.name)) {
            if let Some((_, r, d, c)) = again.get(&meter.name) {
                registers.off_peak += r.off_peak;
                registers.peak += r.peak;
                registers.feed_in += r.feed_in;
                debit += d;
                credit += c;
            }
        }
        let name = &account.name;
        if registers != account.registers {
            note(
                "energy billed once",
                format!("{name}: {:?} in the books, {registers:?} by the readings", account.registers),
            );
        }
        if (i128::from(account.debited.0), i128::from(account.paid_for_feed_in.0)) != (debit, credit) {
            note("money follows energy", format!("{name}: debited {}, by the readings {debit}", account.debited.0));
        }
        let due = i128::from(account.topped_up.0) + credit - debit;
        if i128::from(account.balance.0) != due {
            note("balance", format!("{name}: balance {}, but paid in + feed-in − debits is {due}", account.balance.0));
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
    let (lines, energy): (i64, i64) =
        db.query_row("SELECT coalesce(sum(debit), 0), coalesce(sum(import + export), 0) FROM intervals", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?;
    if Money(lines) != totals.debited || WattHours(energy) != totals.billed {
        note(
            "bill lines",
            format!("lines add up to {lines} and {energy} Wh, accounts to {} and {}", totals.debited, totals.billed),
        );
    }
    Ok(())
}
