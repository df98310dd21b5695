//! `journal backup`, `restore` and `verify`.

use super::{open_ledger, print};
use crate::cli::ConfigFile;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::{clock, house, narrate};
use domain::{Guard, Seq, Watts};
use ledger::{Ledger, LedgerError, Report, Restoration};
use std::path::Path;

/// `journal verify`: of the ledger, or of a copy.
pub fn verify(file: &ConfigFile, copy: Option<&Path>) -> Result<(), Failure> {
    let (config, ledger) = match copy {
        None => open_ledger(file)?,
        Some(copy) => (Config::load(&file.path)?, Ledger::open_copy(copy)?),
    };
    let report = audit(&config, &ledger)?;
    let json = serde_json::to_string(&report).map_err(|e| Failure::new(Code::Internal, e))?;
    print(&format!("{json}\n"))?;
    match report.findings.len() {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} things do not add up"))),
    }
}

fn audit(config: &Config, ledger: &Ledger) -> Result<Report, LedgerError> {
    let guards = config.guards();
    ledger.verify(|meter| guards.get(meter).copied().unwrap_or(Guard::new(Watts(i64::MAX))))
}

/// `journal backup`: beside a running gateway or without one.
pub fn backup(file: &ConfigFile, to: &Path) -> Result<(), Failure> {
    let (_, ledger) = open_ledger(file)?;
    let size = ledger.back_up(to).map_err(misused)?;
    let last = Ledger::open_copy(to)?.last_seq()?;
    print(&format!("{}: {size} bytes, everything up to record {last}\n", to.display()))
}

/// `journal restore`
pub fn restore(file: &ConfigFile, from: &Path, force: bool) -> Result<(), Failure> {
    let config = Config::load(&file.path)?;
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    // Held to the end: a gateway that starts meanwhile would begin a new ledger.
    let _lock = house::lock(&config.state)?;
    let place = config.state.join("ledger.db");
    if place.exists() && !force {
        let what = format!(
            "{} is there; with --force it is kept under another name, and the copy is put in its place",
            place.display()
        );
        return Err(Failure::new(Code::Usage, what));
    }
    let now = clock::open(&config)?.now();
    let restoration = Restoration::prepare(from, &place, now).map_err(misused)?;
    let ledger = restoration.ledger()?;
    let report = audit(&config, &ledger)?;
    if let Some(first) = report.findings.first() {
        let n = report.findings.len();
        let what = format!(
            "{}: {n} things do not add up, so it was not put in place; the first: {}: {}",
            from.display(),
            first.check,
            first.found
        );
        return Err(Failure::new(Code::Found, what));
    }
    let newest = newest(&ledger, &config)?;
    drop(ledger);
    let aside = restoration.put_in_place(force, now).map_err(misused)?;
    print(&format!(
        "{} is in place; {} readings and {} facts add up\n",
        place.display(),
        report.readings,
        report.facts
    ))?;
    if let Some(aside) = aside {
        print(&format!("the ledger that was there is now {}\n", aside.display()))?;
    }
    print(&format!(
        "its newest fact: {newest}\n\
         What happened after that is not in it. Meters count on by themselves: the energy since is billed with their next\n\
         readings, at the prices of the times it is spread over. Deposits are read again from the chain. Batches that the\n\
         chain has settled since are taken over from it and not billed again. Payments in cash, vouchers, refunds and\n\
         corrections since then must be entered again.\n"
    ))
}

/// The newest fact, in words.
fn newest(ledger: &Ledger, config: &Config) -> Result<String, Failure> {
    let last = ledger.last_seq()?;
    // Facts are sparse among readings: back in growing strides.
    let mut back = 1_000;
    loop {
        let from = Seq(last.0.saturating_sub(back).max(0));
        let mut newest = None;
        let mut cursor = from;
        loop {
            let more = ledger.facts_after(cursor, 1_000)?;
            let Some(fact) = more.into_iter().next_back() else { break };
            cursor = fact.0;
            newest = Some(fact);
        }
        match newest {
            Some((seq, at, fact)) => return Ok(format!("{seq} {at} {}", narrate::sentence(&fact, &config.currency).1)),
            None if from.0 == 0 => return Ok("none".into()),
            None => back = back.saturating_mul(10),
        }
    }
}

/// What is refused here is refused to the person at the command line.
fn misused(error: LedgerError) -> Failure {
    match error {
        LedgerError::Refused(what) => Failure::new(Code::Usage, what),
        other => other.into(),
    }
}
