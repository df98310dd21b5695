//! Who listens where, and who claims what: a file of people.

use crate::beacon::{model, secret};
use crate::config::Problems;
use crate::failure::{Code, Failure};
use contracts::B256;
use drivers::document::{Notes, Section};
use drivers::radio::code;
use solvers::locate::PathLoss;
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::DeTable;

/// Who listens.
pub struct Anchor {
    pub node: String,
    pub x: f64,
    pub y: f64,
}

/// Who claims.
pub struct Device {
    pub name: String,
    pub x: f64,
    pub y: f64,
    /// By which it is known.
    pub code: String,
    pub model: PathLoss,
}

/// The file.
pub struct Places {
    pub false_rejections: f64,
    /// Metres.
    pub reach: f64,
    pub samples: usize,
    pub anchors: Vec<Anchor>,
    pub devices: Vec<Device>,
}

/// Reads it. With a seed, devices that share a secret with us are known by the code that follows from both.
pub fn read(path: &Path, seed: Option<B256>) -> Result<Places, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(Code::Data, format!("{name}: {e}")))?;
    let notes = Notes::new(&name, &text);
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        notes.add(&error.span().unwrap_or(0..0), "", format!("this is no TOML: {}", error.message().trim()));
    }
    if errors.is_empty() {
        let base = path.parent().unwrap_or(Path::new("."));
        let places = places(&Section::root(&notes, table.get_ref(), 0..0), base, seed);
        if let (Some(places), 0) = (places, notes.count()) {
            return Ok(places);
        }
    }
    Err(Failure::new(Code::Data, Problems(notes.finish())))
}

type Table<'a, 't> = Section<'a, 't>;

fn needed(table: &Table<'_, '_>, key: &'static str) -> Option<f64> {
    if table.get(key).is_none() {
        table.problem(key, "is missing");
    }
    table.float(key)
}

fn within(table: &Table<'_, '_>, key: &'static str, default: f64, least: f64, most: f64) -> f64 {
    let value = table.float(key).unwrap_or(default);
    if !(least..=most).contains(&value) {
        table.problem(key, format!("is {value}, must be from {least} to {most}"));
    }
    value
}

/// A coordinate: farther apart nothing is judged.
fn coordinate(table: &Table<'_, '_>, key: &'static str) -> Option<f64> {
    let value = needed(table, key)?;
    if value.abs() > 1e6 {
        table.problem(key, format!("is {value}, must be metres from an origin nearby"));
    }
    Some(value)
}

fn places(root: &Table<'_, '_>, base: &Path, seed: Option<B256>) -> Option<Places> {
    let false_rejections = within(root, "false_rejections", 0.01, 1e-6, 0.5);
    let reach = within(root, "reach", 18.0, 0.1, 1000.0);
    let samples = root.number("samples", 1..10_001).unwrap_or(5);
    let (mut nodes, mut names, mut codes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut anchors = Vec::new();
    for table in root.sections("anchor") {
        let node = table.required_text("node");
        if let Some(node) = node.as_ref().filter(|node| !nodes.insert((*node).clone())) {
            table.problem("node", format!("{node:?} is another anchor already"));
        }
        let place = (coordinate(&table, "x"), coordinate(&table, "y"));
        if let (Some(node), (Some(x), Some(y))) = (node, place) {
            anchors.push(Anchor { node, x, y });
        }
        table.close();
    }
    let mut devices = Vec::new();
    for table in root.sections("device") {
        let name = table.required_text("name");
        if let Some(name) = name.as_ref().filter(|name| !names.insert((*name).clone())) {
            table.problem("name", format!("{name:?} is another device already"));
        }
        let place = (coordinate(&table, "x"), coordinate(&table, "y"));
        let code = known_by(&table, base, seed);
        if let Some(code) = code.as_ref().filter(|code| !codes.insert((*code).clone())) {
            table.problem("sender", format!("{code} is another device already"));
        }
        let model = model(&table, base);
        if let (Some(name), (Some(x), Some(y)), Some(code), Some(model)) = (name, place, code, model) {
            devices.push(Device { name, x, y, code, model });
        }
        table.close();
    }
    if root.get("device").is_none() {
        root.problem("device", "is missing: say who claims to be where");
    }
    if nodes.len() < 3 {
        root.problem("anchor", format!("{} anchors are too few: a place needs three at least", nodes.len()));
    }
    root.close();
    Some(Places { false_rejections, reach, samples, anchors, devices })
}

fn known_by(table: &Table<'_, '_>, base: &Path, seed: Option<B256>) -> Option<String> {
    match (table.text("sender"), table.text("secret")) {
        (Some(sender), None) => Some(code(&sender)),
        (None, Some(file)) => {
            let Some(seed) = seed else {
                table.problem("secret", "needs the seed of the draw: give --seed, or a `sender` that stays the same");
                return None;
            };
            let secret = secret(&base.join(file)).map_err(|what| table.problem("secret", what)).ok()?;
            Some(secret.beacon(seed).iter().map(|byte| format!("{byte:02x}")).collect())
        }
        (Some(_), Some(_)) => {
            table.problem("secret", "and `sender` exclude each other");
            None
        }
        (None, None) => {
            if table.get("sender").is_none() && table.get("secret").is_none() {
                table.problem("sender", "is missing, and so is `secret`");
            }
            None
        }
    }
}
