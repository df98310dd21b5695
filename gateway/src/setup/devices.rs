//! Who is on the buses, whose it is, and what disconnects whom.

use super::draft::{Draft, Entry};
use super::talk::Talk;
use crate::cli::{Scan, unit_range};
use crate::failure::{Code, Failure};
use crate::scan::{self, Way};
use domain::{AccountId, BusId, MeterId, WattHours};
use drivers::scan::Found;
use drivers::{DeviceAddress, Library};
use std::io::{BufRead, Write};
use std::time::Duration;

/// Answers that end a list.
const NONE: &str = "none";
/// The customer of a meter that nobody pays by.
const FEEDER: &str = "feeder";
const SPEEDS: &str = "9600,19200,2400,4800,38400,57600,115200";

/// Every bus, with its meters and customers.
pub fn buses<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    let ports = scan::ports();
    let mut text = String::from("\nThe buses.\n");
    for (n, port) in ports.iter().enumerate() {
        text += &format!("\n  {} is {}", n + 1, port.display());
    }
    talk.say(text)?;
    loop {
        let question = "next bus: a port by number or path, host:port of a Modbus TCP device, mqtt, or none";
        let place = talk.ask(question, Some(NONE), |answer| {
            let numbered = answer.parse::<usize>().ok().map(|n| ports.get(n.wrapping_sub(1)));
            match numbered {
                Some(Some(port)) => Ok(port.display().to_string()),
                Some(None) => Err("no port has that number".to_owned()),
                None if answer.contains(':') || answer.starts_with('/') || [NONE, "mqtt"].contains(&answer) => {
                    Ok(answer.to_owned())
                }
                None => Err(format!("{answer:?} is neither a path from / nor host:port")),
            }
        })?;
        match place.as_str() {
            NONE => return Ok(()),
            "mqtt" => mqtt(talk, draft)?,
            port if port.starts_with('/') && !talk.yes("do its devices speak Modbus", Some(true))? => {
                telegrams(talk, draft, port)?;
            }
            place => modbus(talk, draft, place)?,
        }
    }
}

/// A bus whose units are asked who they are.
fn modbus<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>, place: &str) -> Result<(), Failure> {
    let serial = place.starts_with('/');
    let units = talk.ask("units to ask", Some("1-32"), unit_range)?;
    let baud = if serial {
        let read = |text: &str| text.split(',').map(|s| s.trim().parse::<u32>()).collect::<Result<Vec<_>, _>>();
        talk.ask("speeds to try", Some(SPEEDS), read)?
    } else {
        Vec::new()
    };
    let options = Scan {
        place: Some(place.to_owned()),
        baud,
        parity: vec!["none".into(), "even".into()],
        units,
        timeout: Duration::from_millis(if serial { 150 } else { 500 }),
    };
    let (mut found, mut heard): (Vec<Found>, Option<Way>) = (Vec::new(), None);
    for way in scan::ways(place, &options) {
        match scan::look(&way, &options) {
            Ok(some) if !some.is_empty() => {
                (found, heard) = (some, Some(way));
                break;
            }
            Ok(_) => {}
            // Nobody was asked: nobody can have kept silent.
            Err(why) => return talk.say(format!("  {why}")),
        }
    }
    let Some(way) = heard else {
        return talk.say("  nobody answers there: power, A and B, unit numbers, 120 Ω at both ends?");
    };
    let id = free(draft, if serial { "rtu" } else { "lan" })?;
    if let Err(why) = draft.add(&[Entry::new("bus").text("id", id.as_str()).lines(&way.toml)]) {
        return talk.say(why);
    }
    talk.say(format!("  {} is bus {id}: {} found", way.label, found.len()))?;
    for one in &found {
        let likely = scan::likely(one);
        let shown = one.models.first().map(|m| &m.reading);
        let energy = shown.and_then(|r| r.import).map_or_else(String::new, |WattHours(wh)| {
            format!(", its display should show about {}.{} kWh", wh / 1000, wh % 1000 / 100)
        });
        let what = match likely.as_slice() {
            [] => "no model that is known".to_owned(),
            models => models.join(" or "),
        };
        talk.say(format!("\n  unit {}: {what}{energy}", one.unit))?;
        meter(talk, draft, &id, ("unit", &one.unit.to_string()), &likely)?;
    }
    Ok(())
}

/// Meters that publish by themselves.
fn mqtt<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    let id = free(draft, "mqtt")?;
    if let Err(why) =
        draft.add(&[Entry::new("bus").text("id", id.as_str()).text("kind", "mqtt").text("broker", "embedded")])
    {
        return talk.say(why);
    }
    loop {
        let topic = talk.text("topic of the next device, such as shellyplus1pm-a8032ab12345, or none", Some(NONE))?;
        if topic == NONE {
            return Ok(());
        }
        meter(talk, draft, &id, ("topic", &topic), &[])?;
    }
}

/// A port with one meter that sends telegrams.
fn telegrams<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>, port: &str) -> Result<(), Failure> {
    let id = free(draft, "head")?;
    let bus = Entry::new("bus").text("id", id.as_str()).text("kind", "telegram").text("port", port);
    if let Err(why) = draft.add(&[bus]) {
        return talk.say(why);
    }
    meter(talk, draft, &id, ("", ""), &["dsmr-p1"])
}

/// One meter, and its customer if that is a new one.
fn meter<R: BufRead, W: Write>(
    talk: &mut Talk<R, W>,
    draft: &mut Draft<'_>,
    bus: &BusId,
    (key, address): (&str, &str),
    likely: &[&str],
) -> Result<(), Failure> {
    let library = Library::builtin();
    loop {
        let n = draft.read().meters.len() + 1;
        let name = talk.ask("  its name, or none to leave it out", Some(&format!("home-{n}")), |answer| {
            if answer != NONE {
                let id: MeterId = answer.parse().map_err(|e| format!("{e}"))?;
                if draft.read().meters.iter().any(|m| m.id == id) {
                    return Err(format!("there is a meter {id} already"));
                }
            }
            Ok(answer.to_owned())
        })?;
        if name == NONE {
            return Ok(());
        }
        let model = talk.ask("  model", likely.first().copied(), |answer| match library.get(answer) {
            Some(model) if model.is_meter() => Ok(answer.to_owned()),
            Some(_) => Err(format!("{answer} measures nothing")),
            None => Err(match library.nearest(answer) {
                Some(near) => format!("no model is called {answer:?}; did you mean {near:?}?"),
                None => format!("no model is called {answer:?}: `microgrid-gateway models` lists them"),
            }),
        })?;
        let customer = talk.ask("  customer who pays by it, or feeder", Some(&name), |answer| {
            answer.parse::<AccountId>().map(|_| answer.to_owned()).map_err(|e| e.to_string())
        })?;
        let mut entries = Vec::new();
        let mut entry = Entry::new("meter").text("id", &name).text("bus", bus.as_str()).text("model", &model);
        entry = match key {
            "" => entry,
            "unit" => entry.plain(key, address),
            _ => entry.text(key, address),
        };
        if customer != FEEDER {
            if !draft.read().accounts.iter().any(|a| a.id.as_str() == customer) {
                let question = "  is the customer protected (medical devices, say): never disconnected";
                let protected = talk.yes(question, Some(false))?;
                entries.push(Entry::new("account").text("id", &customer).plain("protected", protected));
            }
            entry = entry.text("account", &customer);
        }
        entries.push(entry);
        match draft.add(&entries) {
            Ok(()) => return Ok(()),
            Err(why) => talk.say(why)?,
        }
    }
}

/// What disconnects whom.
pub fn switches<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    if draft.read().accounts.is_empty() {
        return Ok(());
    }
    talk.say(
        "\nThe switches. One is the meter's own contact, or a relay board's: its bus, its unit or topic, and its model,\n\
         such as: rtu0 101 modbus-relay-coil\n",
    )?;
    for account in draft.read().accounts.clone() {
        let meter = draft.read().meters.iter().find(|m| m.account.as_ref() == Some(&account.id));
        let own = meter.filter(|m| m.template.is_switch()).and_then(|m| {
            let address = match &m.address {
                DeviceAddress::Unit(unit) => unit.to_string(),
                DeviceAddress::Topic(topic) => topic.clone(),
                _ => return None,
            };
            Some((m.bus.to_string(), address, m.template.model.clone()))
        });
        let usual = if own.is_some() { "own" } else { NONE };
        loop {
            let question = format!("what disconnects {}: own, none, or BUS UNIT MODEL", account.id);
            let place = talk.ask(&question, Some(usual), |answer| match answer {
                NONE => Ok(None),
                "own" => own.clone().map(Some).ok_or("its meter has no contact"),
                other => match other.split_whitespace().collect::<Vec<_>>().as_slice() {
                    [bus, address, model] => Ok(Some(((*bus).to_owned(), (*address).to_owned(), (*model).to_owned()))),
                    _ => Err("bus, unit or topic, and model, with a gap between them"),
                },
            })?;
            let Some((bus, address, model)) = place else { break };
            let question = "  where it goes when this gateway is silent: open, closed, or hold";
            let silence = talk.ask(question, None, |answer| match answer {
                "open" | "closed" | "hold" => Ok(answer.to_owned()),
                _ => Err("open, closed or hold: there is no safe answer for all"),
            })?;
            let id = account.id.as_str();
            let mut entry = Entry::new("switch").text("id", id).text("account", id).text("bus", &bus);
            entry = match address.parse::<u8>() {
                Ok(unit) => entry.plain("unit", unit),
                Err(_) => entry.text("topic", &address),
            };
            match draft.add(&[entry.text("model", &model).text("on_silence", &silence)]) {
                Ok(()) => break,
                Err(why) => talk.say(why)?,
            }
        }
    }
    Ok(())
}

/// A name for a bus that no other has.
fn free(draft: &Draft<'_>, kind: &str) -> Result<BusId, Failure> {
    let taken = |id: &BusId| draft.read().buses.iter().any(|b| b.spec.id == *id);
    let ids = (0_u32..).filter_map(|n| format!("{kind}{n}").parse::<BusId>().ok());
    ids.take(1000).find(|id| !taken(id)).ok_or_else(|| Failure::new(Code::Usage, "a thousand buses are enough"))
}
