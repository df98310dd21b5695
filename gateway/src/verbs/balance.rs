//! `balance`: the feeder against its homes, from the ledger.

use super::{open_ledger, print};
use crate::cli::Balance;
use crate::failure::{Code, Failure};
use crate::house::audit_plan;
use domain::feeder::Irregularity;
use domain::{Seq, Timestamp};
use ledger::{Ledger, LedgerError};
use solvers::balance::{Judgement, Verdict};

/// Records that are looked at for the newest reading.
const TAIL: u32 = 1_000;

/// `balance`
pub fn balance(options: &Balance) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&options.config)?;
    let Some(plan) = audit_plan(&config) else {
        let what = "there is no feeder meter: add a [[meter]] without account before the homes, or name it in [feeder]";
        return Err(Failure::new(Code::Config, what));
    };
    let newest = newest(&ledger)?;
    let Some(to) = options.to.or(newest) else {
        return Err(Failure::new(Code::Unavailable, "no reading is recorded yet"));
    };
    let from = options.from.unwrap_or(to - plan.window);
    if from >= to {
        return Err(Failure::new(Code::Usage, format!("--from {from} is not before --to {to}")));
    }
    let verdict = plan.between(&ledger, from, to)?;
    if options.json {
        let json = serde_json::to_string(&verdict).map_err(|e| Failure::new(Code::Internal, e))?;
        print(&format!("{json}\n"))?;
    } else {
        print(&told(&verdict, from, to))?;
    }
    match verdict {
        Verdict::Judged(Judgement { found, .. }) if !found.is_empty() => {
            Err(Failure::new(Code::Found, format!("{} things do not add up", found.len())))
        }
        _ => Ok(()),
    }
}

fn newest(ledger: &Ledger) -> Result<Option<Timestamp>, LedgerError> {
    let last = ledger.last_seq()?;
    let tail = ledger.readings_after(Seq(last.0.saturating_sub(TAIL.into())), TAIL)?;
    Ok(tail.iter().map(|(_, r)| r.at).max())
}

fn told(verdict: &Verdict, from: Timestamp, to: Timestamp) -> String {
    let mut text = format!("from {from} to {to}\n");
    match verdict {
        Verdict::NotEnough { have, need, absent } => {
            text += &format!("not enough to judge: {have} of {need} intervals in which every meter is known\n");
            let mut absent: Vec<_> = absent.iter().collect();
            absent.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
            for (meter, times) in absent {
                text += &format!("  {meter} is absent in {times}\n");
            }
        }
        Verdict::Judged(judged) => {
            let (last, n) = (judged.last, judged.intervals);
            text += &format!("{n} intervals; losses {} of what flows, noise {}\n", judged.loss, judged.noise);
            text += &format!("last, from {}: feeder {} = homes {}", last.from, last.feeder, last.homes);
            text += &format!(" + losses {} + unexplained {}\n", last.losses, last.unexplained);
            judged.found.iter().for_each(|f| text += &line(f));
            if judged.found.is_empty() {
                text += "everything adds up\n";
            }
        }
    }
    text
}

fn line(found: &Irregularity) -> String {
    format!("{found}, since {}\n  {}\n", found.since, found.cause.advice())
}
