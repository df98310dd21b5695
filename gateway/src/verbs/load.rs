//! `load`: the homes' load history out of the ledger; and where the verbs that look at one get theirs.

use super::{open_ledger, print};
use crate::cli::{ConfigFile, History, Load};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::house::{grid, homes};
use domain::{LoadTable, MeterId, Seq, Timestamp, Unit};
use ledger::{Group, Ledger, LedgerError};
use solvers::forecast::{Row, Series};
use std::path::Path;
use std::time::Duration;

/// Problems of a file that are told.
const TOLD: usize = 50;
/// Records that are looked at for the newest reading.
const TAIL: u32 = 1_000;
/// However old the oldest reading claims to be, nothing before that is asked for.
const MOST: Duration = Duration::from_secs(800 * 86_400);

/// `load`
pub fn load(options: &Load) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&options.config)?;
    let mut groups = vec![match &options.account {
        Some(account) => group(&config, account)?,
        None => homes(&config),
    }];
    if options.each {
        groups.extend(config.accounts.iter().map(|a| of(&config, a.id.as_str())));
    }
    let (from, to) = match (options.from, options.to, ends(&ledger)?) {
        (Some(from), Some(to), _) => (from, to),
        (from, to, Some((oldest, newest))) => (from.unwrap_or(oldest), to.unwrap_or(newest)),
        (_, _, None) => return Err(Failure::new(Code::Unavailable, "no reading is recorded yet")),
    };
    if from >= to {
        return Err(Failure::new(Code::Usage, format!("--from {from} is not before --to {to}")));
    }
    let table = ledger.history(from, to, grid(&config, options.interval), &groups, &config.tariff.zone)?;
    print(&table.to_string())
}

fn of(config: &Config, account: &str) -> Group {
    let own = |m: &&crate::config::Meter| m.account.as_ref().is_some_and(|a| a.as_str() == account);
    let meters: Vec<MeterId> = config.meters.iter().filter(own).map(|m| m.id.clone()).collect();
    Group { name: account.to_owned(), meters }
}

fn group(config: &Config, account: &str) -> Result<Group, Failure> {
    if config.accounts.iter().any(|a| a.id.as_str() == account) {
        return Ok(of(config, account));
    }
    let hint = drivers::document::did_you_mean(account, config.accounts.iter().map(|a| a.id.as_str()));
    Err(Failure::new(Code::Usage, format!("{account:?} is no account of the configuration{hint}")))
}

/// When the oldest and the newest reading were taken.
fn ends(ledger: &Ledger) -> Result<Option<(Timestamp, Timestamp)>, LedgerError> {
    let (_, gone) = ledger.let_go_of()?;
    let first = ledger.readings_after(gone, 1)?;
    let last = ledger.last_seq()?;
    let tail = ledger.readings_after(Seq(last.0.saturating_sub(TAIL.into())), TAIL)?;
    let newest = tail.iter().map(|(_, r)| r.at).max();
    Ok(first.first().zip(newest).map(|((_, first), newest)| (first.at.max(newest - MOST), newest)))
}

/// A load history, wherever it came from.
pub struct Loads {
    /// The file, for people.
    pub name: String,
    /// One value an interval.
    pub rows: Vec<Row>,
    /// Of the values.
    pub unit: Unit,
}

impl Loads {
    /// Reads it.
    pub fn open(history: &History) -> Result<Self, Failure> {
        match (&history.file, &history.config) {
            (Some(file), _) => Self::from_file(file, history.column.as_deref()),
            (None, Some(path)) => {
                let (config, ledger) = open_ledger(&ConfigFile { path: path.clone() })?;
                let group = match &history.column {
                    Some(account) => group(&config, account)?,
                    None => homes(&config),
                };
                let Some((from, to)) = ends(&ledger)? else {
                    return Err(Failure::new(Code::Unavailable, "no reading is recorded yet"));
                };
                let grid = grid(&config, history.interval);
                let table = ledger.history(from, to, grid, &[group], &config.tariff.zone)?;
                let rows = table.rows.iter().map(|r| Row { at: r.at, offset: r.offset, value: r.loads[0] }).collect();
                Ok(Self { name: ledger.path().display().to_string(), rows, unit: Unit::WattHours })
            }
            (None, None) => Err(Failure::new(Code::Usage, "name a CSV file, or a configuration with -c")),
        }
    }

    /// The rows of a file's column, or of the sum of all.
    fn from_file(file: &Path, column: Option<&str>) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let text = std::fs::read(file).map_err(|e| Failure::new(Code::Unavailable, format!("{name}: {e}")))?;
        let text = String::from_utf8(text).map_err(|e| {
            let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Failure::new(Code::Data, format!("{name}: line {line}: bytes that are no UTF-8 text"))
        })?;
        let table = LoadTable::parse(&text).map_err(|problems| {
            let mut told: Vec<String> = problems.iter().take(TOLD).map(|p| format!("{name}: {p}")).collect();
            if problems.len() > TOLD {
                told.push(format!("{name}: and {} more", problems.len() - TOLD));
            }
            Failure::new(Code::Data, told.join("\n"))
        })?;
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let unit = table.columns[0].unit;
        let picked = match column {
            Some(column) => {
                let unknown = || {
                    let hint = drivers::document::did_you_mean(column, names.iter().copied());
                    let what = format!("{name}: there is no column {column:?}{hint}; it has {}", names.join(", "));
                    Failure::new(Code::Usage, what)
                };
                Some(names.iter().position(|n| *n == column).ok_or_else(unknown)?)
            }
            None if table.columns.iter().any(|c| c.unit != unit) => {
                let what = format!("{name}: columns in W and in Wh have no sum: pick one with --column");
                return Err(Failure::new(Code::Usage, what));
            }
            None => None,
        };
        let value = |loads: &[Option<f64>]| match picked {
            Some(at) => loads[at],
            // A sum of which a part is missing is missing.
            None => loads.iter().copied().sum(),
        };
        let unit = picked.map_or(unit, |at| table.columns[at].unit);
        let rows = table.rows.iter().map(|r| Row { at: r.at, offset: r.offset, value: value(&r.loads) }).collect();
        Ok(Self { name, rows, unit })
    }

    /// The rows on an even grid; energies of shorter intervals than its slots add up.
    pub fn series(&self) -> Result<Series, Failure> {
        let series = match self.unit {
            Unit::Watts => Series::from_rows(&self.rows),
            Unit::WattHours => Series::from_energies(&self.rows),
        };
        series.map_err(|e| Failure::new(Code::Data, format!("{}: {e}", self.name)))
    }
}
