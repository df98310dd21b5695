//! Announcing prices: what is to change is said in the words of `[tariff]`, what would come of it is shown before, and said
//! again it is not announced twice.

use super::NotDone;
use crate::config::{Config, prices};
use domain::{Schedule, Tariff, Timestamp};
use ledger::{Ledger, LedgerError};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

/// Prices to announce.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// What is to hold.
    pub terms: Tariff,
    /// From when on; from the next border of intervals if left out.
    pub from: Option<Timestamp>,
    /// The version that whoever announces has seen as the newest.
    pub seen: Option<u32>,
}

/// One key that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// As in `[tariff]`; of a class `class.ID.key`.
    pub key: String,
    /// What it was; nothing if it was not said.
    pub was: Option<String>,
    /// What it becomes.
    pub becomes: Option<String>,
}

/// It is announced: now, or before.
#[derive(Clone, Debug, Serialize)]
pub struct Announced {
    /// Number of the version that says so.
    pub version: u32,
    /// From when it holds.
    pub since: String,
    /// The same in local time.
    pub since_local: String,
    /// Who announced it.
    pub by: String,
    /// Whether the newest version said so already, and nothing was done now.
    pub repeated: bool,
    /// What differs from the version before.
    pub changes: Vec<Change>,
    /// What to write into the configuration, so that it says the same.
    pub configuration: String,
    /// The version itself.
    #[serde(skip)]
    pub tariff: Tariff,
}

impl Announcement {
    /// From a JSON object: `from`, `version`, and whatever keys of `[tariff]` are to change; `null` takes one away. All
    /// that is wrong with it is said at once.
    pub fn new(mut body: Map<String, Json>, config: &Config, schedule: &Schedule) -> Result<Self, NotDone> {
        let mut wrong = Vec::new();
        let from = match body.remove("from") {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => {
                config.tariff.zone.instant(&text).map_err(|e| wrong.push(format!("from: {e}"))).ok()
            }
            Some(other) => {
                wrong.push(format!("from is {other}, must be a date as text"));
                None
            }
        };
        let seen = match body.remove("version").map(|v| v.as_u64().and_then(|v| u32::try_from(v).ok())) {
            None => None,
            Some(Some(version)) => Some(version),
            Some(None) => {
                wrong.push("version must be the number of the newest version".into());
                None
            }
        };
        let mut table = prices::written(schedule.newest(), &config.currency, false);
        for (key, value) in body {
            match toml_of(&value) {
                Ok(Some(value)) => drop(table.insert(key, value)),
                Ok(None) => drop(table.remove(&key)),
                Err(what) => wrong.push(format!("{key} {what}")),
            }
        }
        match prices::read(&table, &config.currency, &config.tariff.zone) {
            Ok(terms) if wrong.is_empty() => Ok(Self { terms, from, seen }),
            Ok(_) => Err(NotDone::Wrong(wrong.join("; "))),
            Err(more) => Err(NotDone::Wrong([wrong, more].concat().join("; "))),
        }
    }

    /// Announces it; `try_only` shows what would come of it.
    pub fn announce(
        &self,
        config: &Config,
        ledger: &Ledger,
        now: Timestamp,
        by: &str,
        try_only: bool,
    ) -> Result<Result<Announced, NotDone>, LedgerError> {
        let Some(schedule) = ledger.schedule()? else {
            let why = "the ledger has no tariff yet: the gateway's first start adopts one";
            return Ok(Err(NotDone::Refused(why.into())));
        };
        let newest = schedule.newest().clone();
        let repeated = newest.same_terms(&self.terms);
        if let Some(seen) = self.seen.filter(|seen| *seen != newest.version && !repeated) {
            let why = format!("version {} was announced after version {seen}: look at it first", newest.version);
            return Ok(Err(NotDone::Refused(why)));
        }
        let adopted = match try_only {
            true => ledger.preview_tariff(now, &self.terms, self.from),
            false => ledger.adopt_tariff(now, &self.terms, self.from, by),
        };
        let adopted = match adopted {
            Ok(adopted) => adopted,
            Err(LedgerError::Refused(why)) => return Ok(Err(NotDone::Refused(why))),
            Err(other) => return Err(other),
        };
        let before =
            if repeated { schedule.versions().filter(|v| v.version < newest.version).last() } else { Some(&newest) };
        Ok(Ok(Announced {
            version: adopted.version,
            since: since(&adopted),
            since_local: adopted.zone.day_and_time(adopted.since),
            by: by.to_owned(),
            repeated,
            changes: changes(before.unwrap_or(&newest), &adopted, config),
            configuration: format!("[tariff]\n{}", prices::written(&adopted, &config.currency, false)),
            tariff: adopted,
        }))
    }
}

/// When a version began, for people.
#[must_use]
pub fn since(tariff: &Tariff) -> String {
    if tariff.since <= Timestamp(0) { "the beginning".into() } else { tariff.since.to_string() }
}

/// What differs between two versions, key by key.
#[must_use]
pub fn changes(before: &Tariff, after: &Tariff, config: &Config) -> Vec<Change> {
    let flat = |tariff| {
        let mut all = Vec::new();
        flatten("", &prices::written(tariff, &config.currency, true), &mut all);
        all
    };
    let (was, becomes) = (flat(before), flat(after));
    let of = |all: &[(String, String)], key: &str| all.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let mut keys: Vec<&String> = was.iter().chain(&becomes).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let change = |key: &String| Change { key: key.clone(), was: of(&was, key), becomes: of(&becomes, key) };
    keys.into_iter().map(change).filter(|c| c.was != c.becomes).collect()
}

fn flatten(path: &str, table: &Table, all: &mut Vec<(String, String)>) {
    for (key, value) in table {
        match value {
            Value::Array(classes) if key == "class" => {
                for class in classes.iter().filter_map(Value::as_table) {
                    let id = class.get("id").and_then(Value::as_str).unwrap_or_default();
                    flatten(&format!("class.{id}."), class, all);
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                all.push((format!("{path}{key}"), items.join(", ")));
            }
            other => all.push((format!("{path}{key}"), plain(other))),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Table(block) => {
            let part = |key: &str| block.get(key).map(plain).unwrap_or_default();
            format!("{} above {} kWh", part("surcharge"), part("above_kwh"))
        }
        other => other.to_string(),
    }
}

fn toml_of(json: &Json) -> Result<Option<Value>, String> {
    Ok(Some(match json {
        Json::Null => return Ok(None),
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => return Err(format!("holds {number}: write amounts as text, such as \"0.32\"")),
        },
        Json::Array(items) => {
            Value::Array(items.iter().filter_map(|i| toml_of(i).transpose()).collect::<Result<_, _>>()?)
        }
        Json::Object(fields) => {
            let mut table = Table::new();
            for (key, value) in fields {
                if let Some(value) = toml_of(value)? {
                    table.insert(key.clone(), value);
                }
            }
            Value::Table(table)
        }
    }))
}
