//! Single values: durations, amounts, addresses.

use super::Table;
use domain::{Currency, Money};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// The longest that most durations may be.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn need<'a, 't>(root: &Table<'a, 't>, key: &'static str) -> Option<Table<'a, 't>> {
    let found = root.section(key);
    if found.is_none() && root.get(key).is_none() {
        root.problem(key, format!("is missing: a [{key}] section is required"));
    }
    found
}

pub(super) fn close(table: Option<Table<'_, '_>>) {
    if let Some(table) = table {
        table.close();
    }
}

/// A value read by its own parser, which also words the complaint.
pub(super) fn parsed<T: FromStr>(table: &Table<'_, '_>, key: &'static str, required: bool) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let text = if required { table.required_text(key)? } else { table.text(key)? };
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            table.problem(key, format!("is {text:?}: {error}"));
            None
        }
    }
}

pub(super) fn money(table: &Table<'_, '_>, key: &'static str, unit: &Currency) -> Option<Money> {
    let text = table.text(key)?;
    match unit.parse(&text) {
        Ok(money) if money >= Money::ZERO => Some(money),
        Ok(_) => {
            table.problem(key, "must not be negative");
            None
        }
        Err(what) => {
            table.problem(key, what);
            None
        }
    }
}

pub(super) fn address(table: &Table<'_, '_>, key: &'static str, required: bool) -> Option<SocketAddr> {
    let text = if required { table.required_text(key)? } else { table.text(key)? };
    let found = text.parse().ok();
    if found.is_none() {
        table.problem(key, format!("is {text:?}, must be an IP address and port such as \"127.0.0.1:8080\""));
    }
    found
}

pub(super) fn loopback_only(table: &Table<'_, '_>, key: &'static str, at: Option<SocketAddr>, why: &str) {
    if at.is_some_and(|a| !a.ip().is_loopback()) {
        table.problem(key, format!("must be on loopback, because {why}; reach it through an SSH tunnel"));
    }
}

pub(super) fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

pub(super) fn default(table: Option<&Table<'_, '_>>, key: &'static str, fallback: &str) -> Option<Duration> {
    match table {
        Some(table) => duration(table, key, fallback, Duration::from_secs(1)..=DAY * 7),
        None => span(fallback),
    }
}

pub(super) fn duration(
    table: &Table<'_, '_>,
    key: &'static str,
    fallback: &str,
    bounds: std::ops::RangeInclusive<Duration>,
) -> Option<Duration> {
    let text = table.text(key).unwrap_or_else(|| fallback.to_owned());
    match span(&text).filter(|d| bounds.contains(d)) {
        Some(duration) => Some(duration),
        None => {
            let show = |d: &Duration| {
                if d.as_secs() > 0 { format!("{}s", d.as_secs()) } else { format!("{}ms", d.as_millis()) }
            };
            let (least, most) = (show(bounds.start()), show(bounds.end()));
            table.problem(key, format!("is {text:?}, must be a duration such as \"10s\", from {least} to {most}"));
            None
        }
    }
}

/// `500ms`, `10s`, `15m`, `1h`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}
