//! `[forecast]`: how price ranges follow from a forecast, where `[tariff] ranges` says that they do.

use super::Table;
use super::fields::{DAY, duration, parsed};
use super::terms::minute;
use crate::config::Forecast;
use domain::Permille;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Lengths of slots.
const STEPS: [u64; 3] = [900, 1800, 3600];

/// The section; `None` where ranges are fixed.
pub(super) fn forecast(root: &Table<'_, '_>, wanted: Option<bool>) -> Option<Forecast> {
    let table = root.section("forecast");
    let Some(table) = table else { return (wanted == Some(true)).then(Forecast::default) };
    let usual = Forecast::default();
    let at_minute = match table.text("at") {
        None => Some(usual.at_minute),
        Some(text) => {
            let minute = minute(&text);
            if minute.is_none() {
                table.problem("at", format!("is {text:?}, must be a local time such as \"18:00\""));
            }
            minute
        }
    };
    let interval = duration(&table, "interval", "1h", HOUR / 4..=HOUR);
    let whole = interval.filter(|i| STEPS.contains(&i.as_secs()) && i.subsec_millis() == 0);
    if interval.is_some() && whole.is_none() {
        table.problem("interval", "must be \"15m\", \"30m\" or \"1h\"");
    }
    let interval = whole;
    let least_days = table.number("least_days", 3..366).unwrap_or(usual.least_days);
    let notice = duration(&table, "notice", "4h", Duration::ZERO..=DAY);
    let min_run = duration(&table, "min_run", "2h", HOUR / 4..=HOUR * 12);
    if let (Some(run), Some(step)) = (min_run, interval)
        && (run < step || run.as_secs() % step.as_secs() != 0)
    {
        table.problem("min_run", "must be whole intervals");
    }
    let max_switches = table.number("max_switches", 0..13).unwrap_or(usual.max_switches);
    let hysteresis = match table.get("hysteresis") {
        Some(_) => parsed::<Permille>(&table, "hysteresis", false).map(|p| u32::from(p.get())),
        None => Some(usual.hysteresis),
    };
    let seed = table.number("seed", 0..i128::from(i64::MAX)).unwrap_or(usual.seed);
    if let (Some(at), Some(notice)) = (at_minute, notice)
        && u64::from(at) * 60 + notice.as_secs() > DAY.as_secs()
    {
        table.problem("at", "is later than notice before midnight: ranges would always come too late");
    }
    table.close();
    let found = Forecast {
        at_minute: at_minute?,
        interval: interval?,
        least_days,
        notice: notice?,
        min_run: min_run?,
        max_switches,
        hysteresis: hysteresis?,
        seed,
    };
    (wanted == Some(true)).then_some(found)
}

/// `[tariff] ranges`: whether they follow from a forecast.
pub(super) fn ranges(tariff: &Table<'_, '_>) -> Option<bool> {
    match tariff.text("ranges").as_deref() {
        None | Some("fixed") => Some(false),
        Some("forecast") => Some(true),
        Some(other) => {
            tariff.problem("ranges", format!("is {other:?}, must be \"fixed\" or \"forecast\""));
            None
        }
    }
}
