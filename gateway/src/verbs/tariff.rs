//! `tariff`: which prices held, hold, and are announced.

use super::office::pretty;
use super::{open_ledger, print};
use crate::cli::{Look, Office, Tariff as Verb};
use crate::clock;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::operator::{Announcement, changes, since};
use domain::{Money, Price, Tariff};
use serde_json::json;

/// `tariff`
pub fn run(verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show(look) => show(look),
        Verb::Announce { from, office } => announce(from.as_deref(), office),
    }
}

fn show(look: &Look) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&look.config)?;
    let now = clock::open(&config)?.now();
    let Some(schedule) = ledger.schedule()? else {
        return Err(Failure::new(
            Code::Unavailable,
            "the ledger has no tariff yet: the gateway's first start adopts one",
        ));
    };
    let holds = schedule.at(now).version;
    let state = |t: &Tariff| match t.version {
        v if v == holds => "holds",
        _ if t.since > now => "announced",
        _ => "past",
    };
    if look.json {
        let one = |t: &Tariff| json!({ "state": state(t), "since": since(t), "tariff": t });
        return pretty(&schedule.versions().map(one).collect::<Vec<_>>());
    }
    for t in schedule.versions() {
        print(&format!("version {} {:<9} from {}: {}\n", t.version, state(t), since(t), described(&config, t)))?;
    }
    for c in changes(schedule.newest(), &config.tariff, &config) {
        let said = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
        print(&format!("the configuration's {} says {}, not {}\n", c.key, said(c.becomes), said(c.was)))?;
    }
    Ok(())
}

fn described(config: &Config, tariff: &Tariff) -> String {
    let rates = &tariff.rates;
    let per_kwh = |price: Price| config.currency.show(Money(i64::from(price.0).saturating_mul(1000)));
    let hours: Vec<String> = tariff.peak_hours.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{} a kWh, {} in {}, {} for feed-in",
        per_kwh(rates.off_peak),
        per_kwh(rates.peak),
        hours.join(" and "),
        per_kwh(rates.feed_in)
    );
    if rates.network != Price(0) {
        text += &format!(", network {}", per_kwh(rates.network));
    }
    if rates.daily != Money::ZERO {
        text += &format!(", {} a day", config.currency.show(rates.daily));
    }
    if !rates.blocks.is_empty() {
        text += &format!(", {} blocks", rates.blocks.len());
    }
    if !tariff.classes.is_empty() {
        text += &format!(", {} classes", tariff.classes.len());
    }
    text
}

fn announce(from: Option<&str>, office: &Office) -> Result<(), Failure> {
    let by = office.by.name()?;
    let (config, ledger) = open_ledger(&office.config)?;
    let now = clock::open(&config)?.now();
    let from = from.map(|text| config.tariff.zone.instant(text)).transpose();
    let from = from.map_err(|e| Failure::new(Code::Usage, e))?;
    let announcement = Announcement { terms: config.tariff.clone(), from, seen: None };
    let announced = announcement.announce(&config, &ledger, now, &by, false)??;
    if office.json {
        return pretty(&announced);
    }
    let said = if announced.repeated { "says so already; it holds" } else { "holds" };
    print(&format!(
        "version {} {said} from {}: {}\nby {by}\n",
        announced.version,
        announced.since,
        described(&config, &announced.tariff)
    ))
}
