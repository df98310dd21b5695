//! `meter`: what a person does to a meter.

use super::office::pretty;
use super::{open_ledger, print};
use crate::cli::{Look, Meter, Office};
use crate::clock;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::operator::MeterAct;
use domain::{AccountId, Registers};
use ledger::MeterRow;

/// `meter`
pub fn run(verb: &Meter) -> Result<(), Failure> {
    match verb {
        Meter::List(look) => list(look),
        Meter::Release { meter, office } => act(meter, office, |_| Ok(MeterAct::Release)),
        Meter::Replace { meter, final_import, final_export, start_import, start_export, at, office } => {
            let last = Registers { import: *final_import, export: *final_export };
            let first = Registers { import: *start_import, export: *start_export };
            act(meter, office, |config| {
                let instant = |text: &String| config.tariff.zone.instant(text);
                let at = at.as_ref().map(instant).transpose().map_err(|e| Failure::new(Code::Usage, e))?;
                Ok(MeterAct::Replace { last, first, at })
            })
        }
        Meter::Move { meter, account, office } => act(meter, office, |_| {
            let to = account.parse().map_err(|e: domain::BadId| Failure::new(Code::Usage, e))?;
            Ok(MeterAct::Move { to })
        }),
    }
}

fn act(meter: &str, office: &Office, what: impl FnOnce(&Config) -> Result<MeterAct, Failure>) -> Result<(), Failure> {
    let by = office.by.name()?;
    let (config, ledger) = open_ledger(&office.config)?;
    let now = clock::open(&config)?.stamp();
    let done = what(&config)?.carry_out(meter, &config, &ledger, now, &by)??;
    if let Some(todo) = &done.todo {
        eprintln!("{todo}");
    }
    if office.json { pretty(&done) } else { print(&done.text(&by)) }
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
