//! Verbs that look at a load history in a file.

use clap::Args;
use domain::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// A forecast.
#[derive(Clone, Debug, Args)]
pub struct Forecast {
    /// A CSV file: `timestamp` (RFC 3339, ascending) and one or more columns of loads. A name that ends in _w, _wh, _kw or
    /// _kwh says its unit; empty cells are gaps. Local days follow from the timestamps' offsets
    pub file: PathBuf,
    /// The column; the sum of all if left out
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
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
pub struct Tou {
    /// A CSV file as `forecast` reads it, with one day of up to 96 values; of more, the mean day is taken
    pub file: PathBuf,
    /// The column; the sum of all if left out
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
    /// How many ranges; the contract knows up to 3
    #[arg(short, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub k: u8,
    /// Intervals that a range lasts at least
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub min_run: usize,
    /// Switches a day at most
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub max_switches: usize,
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
