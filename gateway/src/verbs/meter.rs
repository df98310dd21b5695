//! `meter`: what a person does to a meter.

use super::office::pretty;
use super::{open_ledger, print};
use crate::cli::{Look, Meter, Office};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::{clock, narrate};
use domain::{AccountId, Fact, MeterId, Registers, Replacement, Seq, Stamp};
use ledger::{Enrolled, Enrolment, Ledger, LedgerError, MeterRow, Write};

/// `meter`
pub fn run(verb: &Meter) -> Result<(), Failure> {
    match verb {
        Meter::List(look) => list(look),
        Meter::Release { meter, office } => act(meter, office, |config, ledger, meter, by| {
            let now = clock::open(config)?.now();
            let fact = Fact::MeterReleased { meter: meter.clone(), upto: Seq(0), by: by.to_owned() };
            match ledger.commit(now, &[Write::Fact(fact.clone())])?.pop() {
                Some(Err(error)) => Err(refused(error)),
                _ => Ok(fact),
            }
        }),
        Meter::Replace { meter, final_import, final_export, start_import, start_export, at, office } => {
            let last = Registers { import: *final_import, export: *final_export };
            let first = Registers { import: *start_import, export: *start_export };
            act(meter, office, |config, ledger, meter, by| {
                let now = clock::open(config)?.stamp();
                let zone = &config.tariff.zone;
                let Stamp { at, up } = match at {
                    Some(text) => zone.instant(text).map_err(|e| Failure::new(Code::Usage, e))?.into(),
                    None => now,
                };
                if at > now.at {
                    return Err(Failure::new(Code::Usage, format!("{at} has not come yet")));
                }
                let change = Replacement { meter: meter.clone(), at, up, last, first };
                if let Some((at, fact)) = ledger.replaced(&change)? {
                    eprintln!("done already at {at}; nothing was done twice");
                    return Ok(fact);
                }
                ledger.replace_meter(now.at, &config.guards(), &change, by).map_err(refused)
            })
        }
        Meter::Move { meter, account, office } => act(meter, office, |config, ledger, meter, by| {
            let to: AccountId = account.parse().map_err(|e: domain::BadId| Failure::new(Code::Usage, e))?;
            known(config, ledger, &to)?;
            let fact =
                ledger.move_meter(clock::open(config)?.now(), &config.guards(), meter, &to, by).map_err(refused)?;
            let there = config.meters.iter().find(|m| m.id == *meter).and_then(|m| m.account.as_ref());
            if there != Some(&to) {
                eprintln!("write account = \"{to}\" into [[meter]] {meter} of the configuration before the next start");
            }
            Ok(fact)
        }),
    }
}

fn refused(error: LedgerError) -> Failure {
    match error {
        LedgerError::Refused(why) => Failure::new(Code::Found, why),
        other => other.into(),
    }
}

/// The new customer may be so new that the gateway was not started with it yet.
fn known(config: &Config, ledger: &Ledger, account: &AccountId) -> Result<(), Failure> {
    let accounts = ledger.accounts()?;
    if accounts.iter().any(|a| a.name == *account) {
        return Ok(());
    }
    let Some(new) = config.accounts.iter().find(|a| a.id == *account) else {
        let hint = drivers::document::did_you_mean(account.as_str(), config.accounts.iter().map(|a| a.id.as_str()));
        return Err(Failure::new(Code::Usage, format!("\"{account}\" is no account of the configuration{hint}")));
    };
    let enrolled = Enrolled { id: new.id.clone(), debt_share: new.debt_share };
    Ok(ledger.enrol(&Enrolment { accounts: vec![enrolled], meters: Vec::new() })?)
}

fn act(
    meter: &str,
    office: &Office,
    does: impl FnOnce(&Config, &Ledger, &MeterId, &str) -> Result<Fact, Failure>,
) -> Result<(), Failure> {
    let by = office.by.name()?;
    let (config, ledger) = open_ledger(&office.config)?;
    let meters = ledger.meters()?;
    let Some(row) = meters.iter().find(|m| m.name.as_str() == meter) else {
        let hint = drivers::document::did_you_mean(meter, meters.iter().map(|m| m.name.as_str()));
        return Err(Failure::new(Code::Usage, format!("{meter:?} is no meter of this ledger{hint}")));
    };
    let fact = does(&config, &ledger, &row.name, &by)?;
    if office.json {
        return pretty(&fact);
    }
    print(&format!("{}\nby {by}\n", narrate::sentence(&fact, &config.currency).1))
}

/// A meter in one line.
pub(super) fn described(row: &MeterRow) -> String {
    let Some(book) = &row.book else { return format!("{}, never read", row.name) };
    let exported = book.export.map_or_else(String::new, |e| format!(", export {e}"));
    let held = book.held.map_or_else(String::new, |doubt| format!(", HELD: {doubt}"));
    format!("{}, billed to {}: import {}{exported}{held}", row.name, book.at, book.import)
}

fn list(look: &Look) -> Result<(), Failure> {
    let (_, ledger) = open_ledger(&look.config)?;
    let meters = ledger.meters()?;
    if look.json {
        return pretty(&meters);
    }
    for row in meters {
        let whose = row.account.as_ref().map_or("nobody's", AccountId::as_str);
        print(&format!("{whose:<32} {}\n", described(&row)))?;
    }
    Ok(())
}
