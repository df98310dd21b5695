//! `silence`: what becomes of the switches once no gateway runs any more. systemd calls it when it gives up.

use super::{patient, print};
use crate::cli::Silence;
use crate::config::{self, Config};
use crate::failure::{Code, Failure};
use crate::{clock, house};
use domain::{Clock, Fact, OnSilence, Position, Reason, Timestamp};
use drivers::{Bus, Switch};
use ledger::{Ledger, LedgerError, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How the first line of a kept configuration begins. The file's name follows: relative paths begin beside it.
const KEPT: &str = "# This ran last, as ";

fn kept(state: &Path) -> PathBuf {
    state.join("ran-last.toml")
}

/// Keeps the configuration that just began to run. Without it everything goes on, so a failure is only told.
pub fn keep(path: &Path, state: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = std::fs::read_to_string(&path).map(|text| format!("{KEPT}{}\n{text}", path.display()));
    if let Err(error) = text.and_then(|text| crate::secrets::write_private(&kept(state), text.as_bytes())) {
        tracing::warn!(%error, "the configuration that runs could not be kept in the state folder");
    }
}

/// The present configuration, or if it is wrong the one that ran last.
fn load(options: &Silence) -> Result<Config, Failure> {
    let problems = match Config::load(&options.config.path) {
        Ok(config) => return Ok(config),
        Err(problems) => Failure::from(problems),
    };
    let state = options.state.clone().or_else(|| std::env::var_os("STATE_DIRECTORY").map(PathBuf::from));
    let Some(text) = state.as_ref().and_then(|state| std::fs::read_to_string(kept(state)).ok()) else {
        let more = "and there is none that ran before: name its state folder with --state, or mend the file";
        return Err(Failure::new(problems.code, format!("{problems}\n{more}")));
    };
    let was = text.lines().next().and_then(|line| line.strip_prefix(KEPT)).unwrap_or_default();
    eprintln!("{problems}\ngoing by the configuration that ran last");
    let base = Path::new(was).parent().unwrap_or(Path::new(""));
    Ok(Config::parse(was, &text, base)?)
}

/// Moves them.
pub fn run(options: &Silence) -> Result<(), Failure> {
    let config = load(options)?;
    if !config.state.exists() {
        return print("no gateway ever ran on this configuration: nothing is moved\n");
    }
    // Held until the end, so that no gateway starts meanwhile.
    let _lock = house::lock(&config.state)?;
    let clock = clock::open(&config)?;
    let mut told = Vec::new();
    let done = super::block_on(order(&config, &clock, &mut told));
    // Whatever ended the gateway may be the ledger: the switches move first. One of an earlier version is left to
    // the gateway: that may take long, and the lock would keep the gateway from starting meanwhile.
    if let Err(error) = record(&config.state.join("ledger.db"), told) {
        eprintln!("not recorded: {error}");
    }
    done
}

/// Writes down what was told, each with its time.
fn record(ledger: &Path, told: Vec<(Timestamp, Fact)>) -> Result<(), LedgerError> {
    let ledger = Ledger::open_present(ledger)?;
    told.into_iter().try_for_each(|(at, fact)| ledger.commit(at, &[Write::Fact(fact)]).map(|_| ()))
}

/// Orders every switch, and tells what came of it.
async fn order(config: &Config, clock: &Clock, told: &mut Vec<(Timestamp, Fact)>) -> Result<(), Failure> {
    let mut note = |fact| told.push((clock.now(), fact));
    let mut failed = 0;
    for bus in &config.buses {
        let switches: Vec<_> = config.switches.iter().filter(|s| s.bus == bus.spec.id).collect();
        if switches.is_empty() {
            continue;
        }
        if bus.simulate || config.broker.as_ref().is_some_and(|broker| bus.uses(broker)) {
            let why = if bus.simulate { "it is simulated" } else { "its broker is the gateway's own" };
            print(&format!("bus {}: nothing is moved: {why}\n", bus.spec.id))?;
            continue;
        }
        let opened = Bus::open(bus.spec.clone(), clock.clone()).map_err(|e| Failure::new(Code::Config, e))?;
        for s in switches {
            let Some(wanted) = wanted(s) else {
                print(&format!("switch {}: stays as it is\n", s.id))?;
                continue;
            };
            let switch = opened.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone());
            let switch = switch.map_err(|e| Failure::new(Code::Config, e))?;
            note(Fact::SwitchOrdered { switch: s.id.clone(), position: wanted, reason: Reason::Silence });
            match moved(&*switch, wanted).await {
                Ok(()) => {
                    note(Fact::SwitchConfirmed { switch: s.id.clone(), position: wanted, reason: Reason::Silence });
                    print(&format!("switch {}: {wanted}\n", s.id))?;
                }
                Err(problem) => {
                    failed += 1;
                    print(&format!("switch {}: should be {wanted}: {problem}\n", s.id))?;
                    note(Fact::SwitchFailed { switch: s.id.clone(), wanted, problem });
                }
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} switches are not where they should be"))),
    }
}

/// Where a switch goes; `None` if it stays. No configuration lets a protected customer's open.
fn wanted(switch: &config::Switch) -> Option<Position> {
    match switch.rule.on_silence {
        OnSilence::Hold => None,
        OnSilence::Closed => Some(Position::Closed),
        OnSilence::Open => Some(Position::Open),
    }
}

/// Orders it, and reads back.
async fn moved(switch: &dyn Switch, wanted: Position) -> Result<(), String> {
    let patience = Duration::from_secs(10);
    patient(patience, switch.set(wanted)).await.map_err(|e| e.to_string())?;
    match patient(patience, switch.position()).await.map_err(|e| e.to_string())? {
        found if found == wanted => Ok(()),
        found => Err(format!("it did not follow the order and is {found}")),
    }
}
