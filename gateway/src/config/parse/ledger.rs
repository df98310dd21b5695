//! `[ledger]`: how long what is kept.

use super::Table;
use super::fields::{DAY, span};
use ledger::Keep;
use std::time::Duration;

/// A quarter of a year: time to look into a bill that a customer complains about. Lines, with the registers that they
/// begin at, stay.
const READINGS: &str = "90d";
const LINES: &str = "forever";
/// Long enough for whatever waits for a silent meter, and for a person to look at a held one.
const LEAST: Duration = Duration::from_secs(7 * 86_400);

pub(super) fn keep(table: Option<&Table<'_, '_>>) -> Option<Keep> {
    let (readings, lines) = match table {
        None => (age(READINGS), age(LINES)),
        Some(table) => (kept(table, "keep_readings", READINGS), kept(table, "keep_lines", LINES)),
    };
    let (readings, lines) = (readings?, lines?);
    if let (Some(table), Some(lines)) = (table, lines)
        && readings.is_none_or(|readings| readings > lines)
    {
        // Which lines somebody's readings came to is what readings are looked up for.
        table.problem("keep_lines", "must not be shorter than keep_readings");
        return None;
    }
    Some(Keep { readings, lines })
}

/// The outer `None` is a mistake, the inner one is for ever.
#[allow(clippy::option_option, reason = "a mistake is not for ever")]
fn kept(table: &Table<'_, '_>, key: &'static str, fallback: &str) -> Option<Option<Duration>> {
    let text = table.text(key).unwrap_or_else(|| fallback.to_owned());
    let found = age(&text).filter(|kept| kept.is_none_or(|kept| kept >= LEAST));
    if found.is_none() {
        table.problem(key, format!("is {text:?}, must be \"forever\" or at least 7 days, such as \"90d\" or \"10y\""));
    }
    found
}

/// `90d`, `10y`, `forever`, or any shorter duration. A year is never shorter than a real one.
#[allow(clippy::option_option, reason = "no age is not for ever")]
pub(super) fn age(text: &str) -> Option<Option<Duration>> {
    if text == "forever" {
        return Some(None);
    }
    let days = |number: &str, each: u32| DAY.checked_mul(number.parse::<u32>().ok()?.checked_mul(each)?);
    // Beyond 1,000 years the arithmetic of time ends before the file does.
    let most = DAY * 366_000;
    let found = match (text.strip_suffix('d'), text.strip_suffix('y')) {
        (Some(number), _) => days(number, 1),
        (_, Some(number)) => days(number, 366),
        _ => span(text),
    };
    found.filter(|age| *age <= most).map(Some)
}
