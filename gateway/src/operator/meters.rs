//! What an operator does to a meter. Said again, it is not done twice: the same registers, the same customer.

use super::NotDone;
use crate::config::Config;
use crate::narrate;
use domain::{AccountId, Fact, MeterId, Registers, Replacement, Seq, Stamp, Timestamp, WattHours};
use drivers::document::did_you_mean;
use ledger::{Enrolled, Enrolment, Ledger, LedgerError, Outcome, Write};
use serde::Serialize;

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterAct {
    /// Its present registers are its new start.
    Release,
    /// Another device is in its place.
    Replace {
        /// What the old one showed in the end.
        last: Registers,
        /// What the new one shows at first.
        first: Registers,
        /// When; now if left out.
        at: Option<Timestamp>,
    },
    /// Somebody else pays for it.
    Move {
        /// Who.
        to: AccountId,
    },
}

/// It is done: now, or before.
#[derive(Clone, Debug, Serialize)]
pub struct MeterDone {
    /// Which.
    pub meter: MeterId,
    /// In words.
    pub said: String,
    /// When it was done.
    pub at: String,
    /// Whether it had been done before, and nothing was done now.
    pub repeated: bool,
    /// What is left to do, if something is.
    pub todo: Option<String>,
    /// What stands in the journal.
    pub fact: Fact,
}

/// What was read off both devices, and when, as typed.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// `final_import`, `final_export`.
    pub last: (&'a str, Option<&'a str>),
    /// `start_import`, `start_export`.
    pub first: (&'a str, Option<&'a str>),
    /// `at`.
    pub at: Option<&'a str>,
}

impl MeterAct {
    /// A replacement from what was typed; all that is wrong with it is said at once.
    pub fn replace(typed: Typed<'_>, config: &Config) -> Result<Self, NotDone> {
        let mut wrong = Vec::new();
        let mut energy = |field: &str, text: &str| {
            text.parse::<WattHours>().map_err(|e| wrong.push(format!("{field}: {e}"))).unwrap_or_default()
        };
        let last_import = energy("final_import", typed.last.0);
        let last_export = typed.last.1.map(|text| energy("final_export", text));
        let first_import = energy("start_import", typed.first.0);
        let first_export = typed.first.1.map(|text| energy("start_export", text));
        let at =
            typed.at.and_then(|text| config.tariff.zone.instant(text).map_err(|e| wrong.push(format!("at: {e}"))).ok());
        if !wrong.is_empty() {
            return Err(NotDone::Wrong(wrong.join("; ")));
        }
        let last = Registers { import: last_import, export: last_export };
        Ok(Self::Replace { last, first: Registers { import: first_import, export: first_export }, at })
    }

    /// Does it, beside a gateway that reads the meter or without one.
    pub fn carry_out(
        &self,
        meter: &str,
        config: &Config,
        ledger: &Ledger,
        now: Stamp,
        by: &str,
    ) -> Result<Result<MeterDone, NotDone>, LedgerError> {
        let meters = ledger.meters()?;
        let Some(row) = meters.iter().find(|m| m.name.as_str() == meter) else {
            let hint = did_you_mean(meter, meters.iter().map(|m| m.name.as_str()));
            return Ok(Err(NotDone::NoAccount(format!("{meter:?} is no meter of this ledger{hint}"))));
        };
        let meter = &row.name;
        let done = match self {
            Self::Release => released(ledger, now.at, meter, by),
            Self::Replace { last, first, at } => {
                let Stamp { at, up } = at.map_or(now, Stamp::from);
                if at > now.at {
                    return Ok(Err(NotDone::Wrong(format!("at: {at} has not come yet"))));
                }
                let change = Replacement { meter: meter.clone(), at, up, last: *last, first: *first };
                match ledger.replaced(&change)? {
                    Some(before) => Ok((before, true)),
                    None => {
                        let fact = ledger.replace_meter(now.at, &config.guards(), &change, by);
                        fact.map(|fact| ((now.at, fact), false))
                    }
                }
            }
            Self::Move { to } => {
                if let Err(not) = known(config, ledger, to)? {
                    return Ok(Err(not));
                }
                match ledger.moved(meter, to)?.filter(|_| row.account.as_ref() == Some(to)) {
                    Some(before) => Ok((before, true)),
                    None => {
                        let fact = ledger.move_meter(now.at, &config.guards(), meter, to, by);
                        fact.map(|fact| ((now.at, fact), false))
                    }
                }
            }
        };
        match done {
            Ok(((at, fact), repeated)) => Ok(Ok(MeterDone {
                meter: meter.clone(),
                said: narrate::sentence(&fact, &config.currency).1,
                at: at.to_string(),
                repeated,
                todo: self.todo(meter, config),
                fact,
            })),
            Err(LedgerError::Refused(why)) => Ok(Err(NotDone::Refused(why))),
            Err(other) => Err(other),
        }
    }

    /// What the configuration has to be told.
    fn todo(&self, meter: &MeterId, config: &Config) -> Option<String> {
        let Self::Move { to } = self else { return None };
        let there = config.meters.iter().find(|m| m.id == *meter).and_then(|m| m.configured.as_ref());
        (there != Some(to)).then(|| {
            format!(
                "write account = \"{to}\" into [[meter]] {meter} of the configuration before the next start, and into \
                 its [[switch]] if that moves too"
            )
        })
    }
}

impl MeterDone {
    /// In words, for a terminal.
    #[must_use]
    pub fn text(&self, by: &str) -> String {
        if self.repeated {
            return format!("done already at {}: {}\nnothing was done twice\nby {by}\n", self.at, self.said);
        }
        format!("{}\nby {by}\n", self.said)
    }
}

type Before = ((Timestamp, Fact), bool);

fn released(ledger: &Ledger, now: Timestamp, meter: &MeterId, by: &str) -> Result<Before, LedgerError> {
    if let Some(before) = ledger.released(meter)? {
        return Ok((before, true));
    }
    let fact = Fact::MeterReleased { meter: meter.clone(), upto: Seq(0), by: by.to_owned() };
    match ledger.commit(now, &[Write::Fact(fact.clone())])?.pop() {
        Some(Ok(Outcome::Recorded(seq))) => {
            let recorded = ledger.facts_after(Seq(seq.0 - 1), 1)?.pop();
            Ok(((now, recorded.map_or(fact, |(_, _, fact)| fact)), false))
        }
        Some(Err(error)) => Err(error),
        _ => Err(LedgerError::Refused("nothing was recorded".into())),
    }
}

/// The new customer may be so new that the gateway was not started with it yet.
fn known(config: &Config, ledger: &Ledger, account: &AccountId) -> Result<Result<(), NotDone>, LedgerError> {
    let accounts = ledger.accounts()?;
    if accounts.iter().any(|a| a.name == *account) {
        return Ok(Ok(()));
    }
    let Some(new) = config.accounts.iter().find(|a| a.id == *account) else {
        let hint = did_you_mean(account.as_str(), config.accounts.iter().map(|a| a.id.as_str()));
        return Ok(Err(NotDone::NoAccount(format!("\"{account}\" is no account of the configuration{hint}"))));
    };
    let enrolled = Enrolled { id: new.id.clone(), debt_share: new.debt_share };
    ledger.enrol(&Enrolment { accounts: vec![enrolled], meters: Vec::new() })?;
    Ok(Ok(()))
}
