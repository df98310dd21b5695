//! Verbs that look at a load history in a file.

use super::ConfigFile;
use clap::Args;
use domain::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// Where a load history comes from.
#[derive(Clone, Debug, Args)]
pub struct History {
    /// A CSV file: `timestamp` (RFC 3339, ascending) and one or more columns of loads. A name that ends in _w, _wh, _kw or
    /// _kwh says its unit; empty cells are gaps. Local days follow from the timestamps' offsets
    #[arg(required_unless_present = "config", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// Instead of a file: the configuration of a gateway, whose ledger has the history
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The column, or with --config the account; the sum of all if left out
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
    /// With --config: the length of an interval, 15m, 30m or 1h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = step)]
    pub interval: Duration,
}

/// A load history out of the ledger.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The net energy of each interval in Wh: from the grid less to it, interpolated at the borders from the \
    recorded registers. A meter counts from its first known interval on. Where up to a tenth of the meters are absent, each \
    counts with its mean at that time of day; where more are, the cell is empty. `forecast`, `tou` and spreadsheets read it."
)]
pub struct Load {
    /// Configuration of the gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// The length of an interval: 15m, 30m or 1h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = step)]
    pub interval: Duration,
    /// Only this account, instead of all homes together
    #[arg(long, value_name = "ID", conflicts_with = "each")]
    pub account: Option<String>,
    /// A column for every account beside the sum
    #[arg(long)]
    pub each: bool,
    /// From then on, such as 2026-03-02T00:00:00Z; the oldest reading if left out
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Until then; the newest reading if left out
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
}

fn step(text: &str) -> Result<Duration, String> {
    let found =
        crate::config::span(text).filter(|d| [900, 1800, 3600].contains(&d.as_secs()) && d.subsec_millis() == 0);
    found.ok_or_else(|| format!("{text:?} is no length of an interval: 15m, 30m or 1h"))
}

/// A forecast.
#[derive(Clone, Debug, Args)]
pub struct Forecast {
    /// Of what
    #[command(flatten)]
    pub history: History,
    /// How far ahead: a number of intervals, or a time such as 24h
    #[arg(long, value_name = "N|DURATION", default_value = "24h", value_parser = horizon)]
    pub horizon: Horizon,
    /// Learn from nothing at or after this instant, forecast from there, and score on what the file has after it
    #[arg(long, value_name = "TIME")]
    pub train_until: Option<Timestamp>,
    /// Of all that is random: the same file, seed and version give the same bytes on every machine
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// So many intervals.
    Slots(usize),
    /// So long.
    Time(Duration),
}

/// Ranges of a day.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "With --recover, also what a kWh would have to cost in each range for such a day to bring in that amount: \
    prices in the proportion of --weights, rounded up to a whole minor unit a watt-hour. They are reckoned from a day that \
    may come otherwise: what then comes in less or more is the operator's. Nothing is announced; `tariff announce` does \
    that. Network fee, tax, blocks, classes and free energy are not in it."
)]
pub struct Tou {
    /// Of what: one day of up to 96 values; of more, the mean day is taken
    #[command(flatten)]
    pub history: History,
    /// How many ranges; the contract knows up to 3
    #[arg(short, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub k: u8,
    /// Intervals that a range lasts at least
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub min_run: usize,
    /// Switches a day at most
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub max_switches: usize,
    /// What the day has to bring in, such as 12.50: what is paid for energy and feed-in, and a day's share of fixed cost
    #[arg(long, value_name = "AMOUNT")]
    pub recover: Option<String>,
    /// How dear the ranges are beside each other, from the one with the least load
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "recover", default_values_t = [100, 180])]
    pub weights: Vec<u32>,
    /// Decimals of the currency's minor unit in --recover
    #[arg(long, value_name = "N", requires = "recover", default_value_t = 9, value_parser = clap::value_parser!(u8).range(3..=9))]
    pub decimals: u8,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn horizon(text: &str) -> Result<Horizon, String> {
    if let Ok(slots) = text.parse() {
        return Ok(Horizon::Slots(slots));
    }
    let what = || format!("{text:?} is no horizon: write 24 for so many intervals, or 24h");
    crate::config::span(text).map(Horizon::Time).ok_or_else(what)
}
