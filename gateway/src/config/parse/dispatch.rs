//! `[dispatch]` and `[[inverter]]`: which network the homes are on, and what is limited so that it carries them all.

use super::devices::{device, named};
use super::fields::{duration, parsed};
use super::{Reader, Table};
use crate::config::{Bus, Dispatch, Inverter, Meter};
use crate::network;
use actors::{Home, Roof, Site};
use domain::network::Network;
use domain::{Currency, InverterId, MeterId, Permille, Tariff, Watts};
use drivers::document::did_you_mean;
use drivers::{DeviceAddress, Library};
use std::time::Duration;

/// What a setting of shares is when nobody says it.
const HEADROOM: &str = "2%";
const TOLERANCE: &str = "5%";

pub(super) fn inverters(root: &Table<'_, '_>, buses: &[Bus], meters: &[Meter], library: &Library) -> Vec<Inverter> {
    let mut inverters: Vec<Inverter> = Vec::new();
    for table in root.sections("inverter") {
        let id = parsed::<InverterId>(&table, "id", true);
        if let Some(id) = &id {
            if inverters.iter().any(|i| i.id == *id) {
                table.problem("id", format!("is {id}, and so is another inverter"));
            }
            if meters.iter().any(|m| m.id.as_str() == id.as_str()) {
                table.problem(
                    "id",
                    format!("is {id}, and so is a meter: what an inverter makes is kept under its name"),
                );
            }
        }
        let place = device(root, &table, buses, library);
        if let Some((_, _, template)) = &place
            && !(template.is_inverter() && template.is_meter())
        {
            let what = "takes no limits, or does not say what it makes";
            table.problem("model", format!("is {}, which {what}", template.model));
        }
        let meter = table.required_text("meter").and_then(|name| {
            let found = meters.iter().find(|m| m.id.as_str() == name);
            match found {
                Some(m) if m.account.is_none() => {
                    table.problem("meter", format!("is {name:?}, which is no customer's: feed-in is paid by it"));
                }
                Some(m) if inverters.iter().any(|i| i.meter == m.id) => {
                    table.problem("meter", format!("is {name:?}, behind which another inverter is: give each its own"));
                }
                Some(_) => {}
                None if named(root, "meter").any(|id| id == name) => {}
                None => {
                    let hint = did_you_mean(&name, meters.iter().map(|m| m.id.as_str()));
                    table.problem("meter", format!("is {name:?}, but there is no such [[meter]]{hint}"));
                }
            }
            found
        });
        let rated = table.required_number("rated_power", 1..10_000_001).map(Watts);
        let ignores_limit = table.flag("simulated_ignores_limit").unwrap_or(false);
        let real = place.as_ref().is_some_and(|(bus, ..)| buses.iter().any(|b| b.spec.id == *bus && !b.simulate));
        if ignores_limit && real {
            let what = "is for a bus with simulate = true: a real inverter does as it likes";
            table.problem("simulated_ignores_limit", what);
        }
        if let Some((bus, address, _)) = &place {
            let twin = meters.iter().find(|m| m.bus == *bus && m.address == *address).map(|m| m.id.to_string());
            let other = inverters.iter().find(|i| i.bus == *bus && i.address == *address).map(|i| i.id.to_string());
            if let (Some(twin), DeviceAddress::Unit(_)) = (twin.or(other), address) {
                table.problem("unit", format!("is {address} on bus {bus}, where {twin} is already"));
            }
        }
        table.close();
        if let (Some(id), Some((bus, address, template)), Some(meter), Some(rated)) = (id, place, meter, rated) {
            let (period, meter) = (meter.period, meter.id.clone());
            inverters.push(Inverter { id, bus, address, template, meter, rated, period, ignores_limit });
        }
    }
    inverters
}

impl Reader<'_> {
    pub(super) fn dispatch(
        &self,
        root: &Table<'_, '_>,
        meters: &[Meter],
        inverters: &[Inverter],
        (tariff, unit): (Option<&Tariff>, &Currency),
    ) -> Option<Dispatch> {
        let Some(table) = root.section("dispatch") else {
            if root.get("dispatch").is_none() {
                for t in root.sections("inverter") {
                    t.problem("id", "is of an inverter that nothing plans for: add [dispatch] with the network");
                }
                for t in root.sections("meter").iter().filter(|t| t.get("node").is_some()) {
                    t.problem("node", "is a bus of a network, but there is no [dispatch]");
                }
            }
            return None;
        };
        let network = table.required_text("network").and_then(|file| self.network(&table, &file));
        let power = |key| table.number(key, 0..1_000_000_001).map(Watts);
        let (export_limit, import_limit) = (power("export_limit"), power("import_limit"));
        let share = |key, usual, most: u16| match table.text(key).as_deref().unwrap_or(usual).parse::<Permille>() {
            Ok(share) if share.get() <= most => Some(share),
            Ok(_) => {
                table.problem(key, format!("must be at most {} %", most / 10));
                None
            }
            Err(problem) => {
                table.problem(key, problem);
                None
            }
        };
        let (headroom, tolerance) = (share("headroom", HEADROOM, 500), share("tolerance", TOLERANCE, 500));
        let interval = tariff.map(|t| Duration::from_secs(t.interval_s.into()));
        let second = Duration::from_secs(1);
        let lead = duration(&table, "lead", "30s", second..=Duration::from_secs(600));
        let deadline = duration(&table, "deadline", "5s", Duration::from_millis(10)..=Duration::from_secs(60));
        if let (Some(lead), Some(interval)) = (lead, interval)
            && lead * 2 > interval
        {
            table.problem("lead", format!("must be at most half of [tariff] interval, {}s", interval.as_secs()));
        }
        table.close();
        if inverters.is_empty() && root.sections("inverter").is_empty() {
            table.problem("network", "has nobody to be limited: add [[inverter]] tables, or leave [dispatch] out");
        }
        let network = network?;
        let homes = homes(root, meters, &network);
        let roof = |i: &Inverter| {
            let bus = homes.iter().find(|h| h.meter == i.meter)?.bus;
            let own = own_meter(&i.id)?;
            Some(Roof { id: i.id.clone(), bus, meter: i.meter.clone(), own, rated: i.rated })
        };
        let roofs = inverters.iter().filter_map(roof).collect();
        let scale = unit.scale();
        let site = Site { network, homes, roofs, export_limit, import_limit, headroom: headroom?, scale };
        Some(Dispatch { site, interval: interval?, lead: lead?, deadline: deadline?, tolerance: tolerance? })
    }

    fn network(&self, table: &Table<'_, '_>, file: &str) -> Option<Network> {
        let network = match network::read(&self.base.join(file)) {
            Ok((network, _)) => network,
            Err(failure) => {
                for line in failure.message.lines() {
                    table.problem("network", format!("holds a mistake: {line}"));
                }
                return None;
            }
        };
        let fed = network.generators.first().map(|g| &network.buses[g.bus]);
        if !fed.is_some_and(|bus| bus.kind == domain::network::BusKind::Reference) {
            let what = "must begin its generators with the source, at the reference bus: as a street's [source] does";
            table.problem("network", what);
            return None;
        }
        Some(network)
    }
}

/// The name under which an inverter's own meter is read: both are spelt by one rule.
pub fn own_meter(inverter: &InverterId) -> Option<MeterId> {
    inverter.as_str().parse().ok()
}

/// Where the customers' meters are.
fn homes(root: &Table<'_, '_>, meters: &[Meter], network: &Network) -> Vec<Home> {
    let mut homes = Vec::new();
    for table in root.sections("meter") {
        let Some(meter) = meters.iter().find(|m| Some(m.id.as_str()) == table.text("id").as_deref()) else { continue };
        let Some(node) = table.text("node") else {
            if meter.account.is_some() && table.get("node").is_none() {
                table.problem("node", "is missing: on which bus of the [dispatch] network is this meter?");
            }
            continue;
        };
        let names: Vec<String> = network.buses.iter().map(domain::network::Bus::shown).collect();
        match names.iter().position(|name| *name == node) {
            Some(_) if meter.account.is_none() => {
                table.problem("node", "belongs to a customer's meter: what the feeder brings follows from those");
            }
            Some(bus) => homes.push(Home { meter: meter.id.clone(), bus }),
            None => {
                let hint = did_you_mean(&node, names.iter().map(String::as_str));
                table.problem("node", format!("is {node:?}, which is no bus of the [dispatch] network{hint}"));
            }
        }
    }
    homes
}
