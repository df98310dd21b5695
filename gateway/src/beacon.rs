//! What a file says of a beacon: its secret, and how loud it is.

use crate::secrets;
use contracts::B256;
use contracts::location::Secret;
use drivers::document::{Section, decimal};
use solvers::locate::{Heard, PathLoss, calibrate};
use std::path::Path;
use zeroize::Zeroizing;

type Table<'a, 't> = Section<'a, 't>;

fn needed(table: &Table<'_, '_>, key: &'static str) -> Option<f64> {
    if table.get(key).is_none() {
        table.problem(key, "is missing");
    }
    table.float(key)
}

/// A place as two numbers of metres, east and north of the site's origin: farther apart nothing is judged.
pub fn position(table: &Table<'_, '_>, key: &'static str) -> Option<(f64, f64)> {
    let value = table.get(key)?;
    let numbers = value.get_ref().as_array().map(|list| {
        list.iter()
            .map(|n| decimal(n.get_ref()).and_then(|d| d.parse::<f64>().ok()).filter(|n| n.abs() <= 1e6))
            .collect()
    });
    let found = numbers.and_then(|list: Vec<Option<f64>>| match list[..] {
        [Some(east), Some(north)] => Some((east, north)),
        _ => None,
    });
    if found.is_none() {
        table.problem(key, "must be two numbers of metres, east and north of an origin nearby, such as [12.5, -3.0]");
    }
    found
}

/// What is in the file is never repeated.
pub fn secret(path: &Path) -> Result<Secret, String> {
    secrets::private(path)?;
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|e| format!("names {}, which cannot be read: {e}", path.display()))?;
    let key = text.trim().parse::<B256>();
    let key = key.map_err(|_| format!("names {}, which holds no secret: 64 hex digits", path.display()))?;
    Ok(Secret::new(key.0))
}

/// How loud a device is at which distance: three numbers, or an itinerary.
pub fn model(table: &Table<'_, '_>, base: &Path) -> Option<PathLoss> {
    const NUMBERS: [&str; 3] = ["at_one_metre", "exponent", "spread"];
    if let Some(file) = table.text("itinerary") {
        if let Some(key) = NUMBERS.into_iter().find(|key| table.get(key).is_some()) {
            table.problem(key, "and `itinerary` exclude each other");
        }
        return itinerary(&base.join(file)).map_err(|what| table.problem("itinerary", what)).ok();
    }
    let (one, exponent, spread) = (needed(table, NUMBERS[0]), needed(table, NUMBERS[1]), needed(table, NUMBERS[2]));
    let (one, exponent, spread) = (one?, exponent?, spread?);
    let bounds = |key, value: f64, least: f64, most: f64| {
        if !(least..=most).contains(&value) {
            table.problem(key, format!("is {value}, must be from {least} to {most}"));
        }
    };
    bounds(NUMBERS[0], one, -150.0, 50.0);
    bounds(NUMBERS[1], exponent, 1.0, 8.0);
    bounds(NUMBERS[2], spread, 0.1, 20.0);
    // Only the difference of what is sent and what the first metre takes is known, and needed.
    Some(PathLoss { sent: 0.0, first_metre: -one, exponent, spread })
}

/// Lines of metres and dBm.
fn itinerary(path: &Path) -> Result<PathLoss, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("names {name}, which cannot be read: {e}"))?;
    let mut heard = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.split_once(',').and_then(|(m, d)| Some((m.trim().parse().ok()?, d.trim().parse().ok()?)));
        let (metres, dbm) = pair.ok_or_else(|| format!("names {name}, whose line {number} is not metres,dBm"))?;
        heard.push(Heard { metres, dbm });
    }
    calibrate(&heard, 0.0).map_err(|why| format!("names {name}, which gives no model: {why}"))
}
