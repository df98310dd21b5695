//! `[feeder]`: what is compared with what, and what is known of the line. Everything has a default.

use super::Table;
use super::devices::named;
use super::fields::{DAY, duration, span};
use crate::config::{Feeder, Meter};
use domain::{MeterId, Ohms, Permille, Volts, WattHours, Watts};
use drivers::document::did_you_mean;
use solvers::balance::Settings;
use std::time::Duration;

/// 14 days.
const WINDOW: &str = "336h";
const INTERVAL: &str = "15m";
/// Intervals that a window must have room for, at least: less is judged by nobody.
const LEAST: u32 = 96;

pub(super) fn feeder(root: &Table<'_, '_>, meters: &[Meter]) -> Option<Feeder> {
    let table = root.section("feeder");
    let of_nobody = || meters.iter().filter(|m| m.account.is_none()).map(|m| m.id.clone()).collect::<Vec<_>>();
    let Some(table) = table else {
        let settings = settings(None, Permille::new(10)?, Permille::new(997)?)?;
        return Some(build(meters, of_nobody(), span(INTERVAL)?, span(WINDOW)?, settings));
    };
    let feeders = match table.texts("meters") {
        Some(names) => listed(root, &table, meters, &names),
        None => of_nobody(),
    };
    let minute = Duration::from_secs(60);
    let interval = duration(&table, "interval", INTERVAL, minute..=minute * 60);
    let window = duration(&table, "window", WINDOW, minute..=DAY * 90);
    if let (Some(interval), Some(window)) = (interval, window)
        && window < interval * LEAST
    {
        table.problem("window", format!("is too short: {LEAST} intervals are the least that is judged"));
    }
    let share = |key, usual| match table.text(key).as_deref().unwrap_or(usual).parse::<Permille>() {
        Ok(share) => Some(share),
        Err(problem) => {
            table.problem(key, problem);
            None
        }
    };
    let (error, confidence) = (share("meter_error", "1%"), share("alarm_confidence", "99.7%"));
    if error.is_some_and(|e| !(1..=100).contains(&e.get())) {
        table.problem("meter_error", "must be from 0.1% to 10%: what the meters' class allows");
    }
    if confidence.is_some_and(|c| !(900..1000).contains(&c.get())) {
        table.problem("alarm_confidence", "must be from 90% to 99.9%: a day without a false alarm");
    }
    let settings = settings(Some(&table), error?, confidence?);
    table.close();
    Some(build(meters, feeders, interval?, window?, settings?))
}

fn build(meters: &[Meter], feeders: Vec<MeterId>, interval: Duration, window: Duration, settings: Settings) -> Feeder {
    let homes = meters.iter().map(|m| m.id.clone()).filter(|id| !feeders.contains(id)).collect();
    Feeder { meters: feeders, homes, interval, window, settings }
}

fn listed(root: &Table<'_, '_>, table: &Table<'_, '_>, meters: &[Meter], names: &[String]) -> Vec<MeterId> {
    let mut found = Vec::new();
    for name in names {
        match meters.iter().find(|m| m.id.as_str() == name) {
            Some(m) if m.account.is_some() => {
                table.problem("meters", format!("holds {name:?}, but that is a customer's meter"));
            }
            Some(m) if found.contains(&m.id) => table.problem("meters", format!("holds {name:?} twice")),
            Some(m) => found.push(m.id.clone()),
            // A meter that is there and wrong was complained about already.
            None if named(root, "meter").any(|id| id == name) => {}
            None => {
                let hint = did_you_mean(name, meters.iter().map(|m| m.id.as_str()));
                table.problem("meters", format!("holds {name:?}, but there is no such [[meter]]{hint}"));
            }
        }
    }
    found
}

fn settings(table: Option<&Table<'_, '_>>, meter_error: Permille, confidence: Permille) -> Option<Settings> {
    let resistance = table.and_then(|t| {
        let text = t.text("resistance_ohm")?;
        let ohms = text.parse().ok().filter(|ohms| (0.0..=1000.0).contains(ohms)).and_then(Ohms::finite);
        if ohms.is_none() {
            t.problem("resistance_ohm", format!("is {text:?}, must be a number of ohms such as \"0.12\""));
        }
        ohms
    });
    let loss: Option<u16> = table.and_then(|t| t.number("loss_permille", 0..501));
    let voltage: u32 = table.and_then(|t| t.number("voltage", 12..40_001)).unwrap_or(230);
    let own_use = table.and_then(|t| t.number("own_use", 0..101)).unwrap_or(1);
    let step = table.and_then(|t| t.number("register_step", 1..10_001)).unwrap_or(1);
    Some(Settings {
        resistance,
        voltage: Volts::finite(f64::from(voltage))?,
        loss: loss.and_then(Permille::new),
        meter_error,
        own_use: Watts(own_use),
        confidence,
        step: WattHours(step),
    })
}
