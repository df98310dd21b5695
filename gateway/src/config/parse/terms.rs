//! What contracts say about supply: `[terms]` for everybody, and what an `[[account]]` says instead.

use super::Table;
use super::fields::money;
use domain::terms::{Allowance, EmergencyCredit, Friendly, LoadLimit, Mode};
use domain::{CreditRule, Currency, Money, Terms, WattHours, Watts};
use std::str::FromStr;

/// The terms of an account that says nothing itself.
pub(super) fn usual(root: &Table<'_, '_>, unit: &Currency) -> Terms {
    let rule = CreditRule { low_at: Money(unit.scale().saturating_mul(2)), restore_at: Money(unit.scale() / 2) };
    let plain = Terms::prepaid(rule);
    let Some(table) = root.section("terms") else { return plain };
    let terms = read(&table, unit, &plain);
    table.close();
    terms
}

/// The terms that a table says, with `usual` for what it does not.
pub(super) fn read(table: &Table<'_, '_>, unit: &Currency, usual: &Terms) -> Terms {
    let amount = |key, usual| money(table, key, unit).unwrap_or(usual);
    let rule = CreditRule {
        low_at: amount("low_at", usual.rule.low_at),
        restore_at: amount("restore_at", usual.rule.restore_at).max(Money(1)),
    };
    Terms {
        mode: mode(table, unit, usual.mode),
        rule,
        protected: table.flag("protected").unwrap_or(usual.protected),
        emergency: emergency(table, unit, usual, rule.low_at),
        friendly: Friendly {
            hours: list(table, "friendly_hours").unwrap_or_else(|| usual.friendly.hours.clone()),
            days: set(table, "friendly_days").unwrap_or_else(|| usual.friendly.days.clone()),
            dates: set(table, "friendly_dates").unwrap_or_else(|| usual.friendly.dates.clone()),
        },
        limit: limit(table, unit, usual.limit),
        allowance: allowance(table, usual.allowance),
    }
}

fn mode(table: &Table<'_, '_>, unit: &Currency, usual: Mode) -> Mode {
    let limit = money(table, "postpaid_limit", unit);
    let usual_limit = if let Mode::Postpaid { limit } = usual { Some(limit) } else { None };
    let postpaid = table.choice("mode", &[("prepaid", false), ("postpaid", true)]).unwrap_or(usual_limit.is_some());
    match (postpaid, limit.or(usual_limit)) {
        (true, Some(limit)) => Mode::Postpaid { limit },
        (true, None) => {
            if table.get("postpaid_limit").is_none() {
                table.problem("postpaid_limit", "is missing: how much may be owed, such as \"50.00\"?");
            }
            usual
        }
        (false, _) => {
            if limit.is_some() {
                table.problem("postpaid_limit", "belongs to mode = \"postpaid\"");
            }
            Mode::Prepaid
        }
    }
}

fn emergency(table: &Table<'_, '_>, unit: &Currency, all: &Terms, low_at: Money) -> Option<EmergencyCredit> {
    let usual = all.emergency;
    let amount = money(table, "emergency", unit).or(usual.map(|e| e.amount));
    // A threshold that was not said follows the account's own low_at.
    let at = money(table, "emergency_at", unit).or(usual.map(|e| e.at).filter(|at| *at != all.rule.low_at));
    let accept = table.choice("emergency_accept", &[("customer", false), ("automatic", true)]);
    let power = watts(table, "emergency_power").or(usual.and_then(|e| e.power));
    let Some(amount) = amount else {
        for key in ["emergency_at", "emergency_accept", "emergency_power"] {
            if table.get(key).is_some() {
                table.problem(key, "has no meaning without emergency = \"1.00\", the amount");
            }
        }
        return None;
    };
    let automatic = accept.or(usual.map(|e| e.automatic)).unwrap_or(false);
    // None at all: an account that has no part in what [terms] grants to the others.
    (amount > Money::ZERO).then(|| EmergencyCredit { amount, at: at.unwrap_or(low_at), automatic, power })
}

fn limit(table: &Table<'_, '_>, unit: &Currency, usual: Option<LoadLimit>) -> Option<LoadLimit> {
    let below = money(table, "limit_below", unit).or(usual.map(|l| l.below));
    let power = watts(table, "limit_power").or(usual.map(|l| l.power));
    match (below, power) {
        (Some(below), Some(power)) => Some(LoadLimit { below, power }),
        (Some(_), None) if table.get("limit_power").is_none() => {
            table.problem("limit_power", "is missing: how many watts are left below limit_below?");
            None
        }
        (None, Some(_)) if table.get("limit_below").is_none() => {
            table.problem("limit_below", "is missing: from which balance on does limit_power hold?");
            None
        }
        _ => None,
    }
}

fn allowance(table: &Table<'_, '_>, usual: Option<Allowance>) -> Option<Allowance> {
    let energy: Option<i64> = table.number("daily_allowance", 1..1_000_000_001);
    let reset = table.text("allowance_reset").and_then(|text| {
        let minute = minute(&text);
        if minute.is_none() {
            table.problem("allowance_reset", format!("is {text:?}, must be a time of day such as \"06:00\""));
        }
        minute
    });
    let energy = energy.map(WattHours).or(usual.map(|a| a.energy));
    if energy.is_none() && table.get("allowance_reset").is_some() && table.get("daily_allowance").is_none() {
        table.problem("allowance_reset", "has no meaning without daily_allowance, in Wh");
    }
    Some(Allowance { energy: energy?, reset: reset.or(usual.map(|a| a.reset)).unwrap_or(0) })
}

fn watts(table: &Table<'_, '_>, key: &'static str) -> Option<Watts> {
    table.number(key, 1..10_000_001).map(Watts)
}

/// `06:00`
pub(super) fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let part = |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok())?;
    let (hour, minute) = (part(hour)?, part(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn list<T: FromStr>(table: &Table<'_, '_>, key: &'static str) -> Option<Vec<T>>
where
    T::Err: std::fmt::Display,
{
    let mut found = Vec::new();
    for text in table.texts(key)? {
        match text.parse() {
            Ok(value) => found.push(value),
            Err(error) => table.problem(key, format!("holds a mistake: {error}")),
        }
    }
    Some(found)
}

fn set<T: FromStr + Ord>(table: &Table<'_, '_>, key: &'static str) -> Option<std::collections::BTreeSet<T>>
where
    T::Err: std::fmt::Display,
{
    list(table, key).map(|found| found.into_iter().collect())
}
