//! How switches are enforced: `[enforce]`, what a `[[switch]]` says instead, and `[notify]`.

use super::Table;
use super::fields::{DAY, duration};
use actors::{Overload, Rule, Verify};
use domain::{OnSilence, Reconnect, Watts};
use std::time::Duration;

/// What holds for every switch unless its own table says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enforced {
    /// Switches that close together spread over this.
    pub stagger: Duration,
    reconnect: Reconnect,
    min_on: Duration,
    min_off: Duration,
    overload: Overload,
    verify: Verify,
}

const SECOND: Duration = Duration::from_secs(1);
const RECONNECT: [(&str, Reconnect); 2] = [("automatic", Reconnect::Automatic), ("ready", Reconnect::Ready)];

/// Reads `[enforce]`, or what holds without it.
pub(super) fn enforced(table: Option<&Table<'_, '_>>) -> Option<Enforced> {
    let time = |key, usual: &str, least, most| match table {
        Some(table) => duration(table, key, usual, least..=most),
        None => super::span(usual),
    };
    let number = |key, range, usual: u32| table.and_then(|t| t.number(key, range)).unwrap_or(usual);
    let stagger = time("stagger", "30s", Duration::ZERO, DAY / 24);
    let (min_on, min_off) = (time("min_on", "5s", Duration::ZERO, DAY), time("min_off", "10s", Duration::ZERO, DAY));
    let on = time("overload_on", "5s", SECOND, DAY / 24);
    let off = time("overload_off", "10s", SECOND, DAY / 24);
    let tries = number("overload_tries", 1..101, 5);
    let lock = time("overload_lock", "1h", SECOND, DAY);
    let power = Watts(number("bypass_power", 1..1_000_001, 50).into());
    let bypassed_after = time("bypass_after", "2m", SECOND, DAY);
    let tripped_after = time("trip_after", "10m", SECOND, DAY);
    let reconnect = table.and_then(|t| t.choice("reconnect", &RECONNECT)).unwrap_or_default();
    Some(Enforced {
        stagger: stagger?,
        reconnect,
        min_on: min_on?,
        min_off: min_off?,
        overload: Overload { on: on?, off: off?, tries, lock: lock? },
        verify: Verify { power, bypassed_after: bypassed_after?, tripped_after: tripped_after? },
    })
}

impl Enforced {
    /// The rule of one switch.
    pub fn rule(&self, table: &Table<'_, '_>, on_silence: OnSilence, protected: bool) -> Option<Rule> {
        let time = |key, usual: Duration| match table.get(key) {
            Some(_) => duration(table, key, "", Duration::ZERO..=DAY),
            None => Some(usual),
        };
        let (min_on, min_off) = (time("min_on", self.min_on), time("min_off", self.min_off));
        let reconnect = table.choice("reconnect", &RECONNECT).unwrap_or(self.reconnect);
        Some(Rule {
            on_silence,
            protected,
            reconnect,
            min_on: min_on?,
            min_off: min_off?,
            overload: self.overload,
            verify: self.verify,
        })
    }
}

/// Whom changes of credit are posted to.
pub(super) fn webhook(root: &Table<'_, '_>) -> Option<String> {
    let table = root.section("notify")?;
    let url = table.required_text("webhook");
    table.close();
    let url = url?;
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if host.is_none_or(|h| h.is_empty() || h.starts_with('/')) {
        table.problem("webhook", "must be a URL such as \"http://127.0.0.1:9000/credit\"");
        return None;
    }
    Some(url)
}
