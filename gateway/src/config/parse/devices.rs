//! Accounts, meters and switches.

use super::enforce::Enforced;
use super::fields::{DAY, duration, parsed};
use super::operators::tokens;
use super::{Table, agreed, gpio, terms};
use crate::config::{Account, Bus, Meter, SimulatedHome, Switch};
use domain::feeder::Counted;
use domain::{
    AccountId, BusId, ClassId, Currency, MeterId, OnSilence, Permille, Position, SwitchId, Tariff, Terms, Watts,
};
use drivers::document::did_you_mean;
use drivers::{BusKind, DeviceAddress, Library};
use std::path::Path;
use std::time::Duration;

pub(super) fn accounts(
    root: &Table<'_, '_>,
    base: &Path,
    unit: &Currency,
    tariff: Option<&Tariff>,
    usual: &Terms,
) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for table in root.sections("account") {
        let id = parsed::<AccountId>(&table, "id", true);
        if let Some(id) = &id
            && accounts.iter().any(|a| a.id == *id)
        {
            table.problem("id", format!("is {id}, and so is another account"));
        }
        let terms = terms::read(&table, unit, usual);
        let debt_share = parsed(&table, "debt_share", false).unwrap_or(Permille::NONE);
        let tokens = tokens(&table, base, unit);
        let class = parsed::<ClassId>(&table, "class", false);
        if let (Some(class), Some(tariff)) = (&class, tariff)
            && !tariff.classes.contains_key(class)
        {
            let known: Vec<&str> = tariff.classes.keys().map(ClassId::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            table.problem("class", format!("is {class}, which no [[tariff.class]] describes (there: {known})"));
        }
        let holder = agreed::holder(&table);
        table.close();
        if let Some(id) = id {
            accounts.push(Account { id, terms, class, debt_share, holder, tokens });
        }
    }
    accounts
}

/// The ids of an array of tables, whatever else is wrong with them.
pub(super) fn named<'a>(root: &Table<'a, '_>, key: &'static str) -> impl Iterator<Item = &'a str> {
    let tables = root.get(key).and_then(|v| v.get_ref().as_array()).into_iter().flatten();
    tables.filter_map(|t| t.get_ref().as_table()?.get("id")?.get_ref().as_str())
}

/// What meters and switches have in common: bus, address and model.
pub(super) fn device(
    root: &Table<'_, '_>,
    table: &Table<'_, '_>,
    buses: &[Bus],
    library: &Library,
) -> Option<(BusId, DeviceAddress, std::sync::Arc<drivers::Template>)> {
    let bus = table.required_text("bus");
    let model = table.required_text("model");
    let unit: Option<u8> = table.number("unit", 0..256);
    let topic = table.text("topic");
    let template = model.as_ref().and_then(|model| {
        let found = library.get(model);
        if found.is_none() {
            let hint = library.nearest(model).map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
            table.problem("model", format!("is {model:?}, which no template describes{hint}"));
        }
        found
    });
    let bus = bus.and_then(|name| {
        let found = buses.iter().find(|b| b.spec.id.as_str() == name);
        // A bus that is there and wrong was complained about already.
        if found.is_none() && !named(root, "bus").any(|id| id == name) {
            let hint = did_you_mean(&name, buses.iter().map(|b| b.spec.id.as_str()));
            table.problem("bus", format!("is {name:?}, but there is no such [[bus]]{hint}"));
        }
        found
    });
    let Some(bus) = bus else {
        gpio::leave_alone(table);
        return None;
    };
    let address = match (&bus.spec.kind, unit, topic) {
        (BusKind::Mqtt(_), None, Some(topic)) => DeviceAddress::Topic(topic),
        (BusKind::Mqtt(_), ..) => {
            table.problem("topic", "is required on an MQTT bus, and unit is not used there");
            return None;
        }
        (BusKind::Telegram(_), None, None) => DeviceAddress::Alone,
        (BusKind::Telegram(_), unit, _) => {
            let key = if unit.is_some() { "unit" } else { "topic" };
            table.problem(
                key,
                format!("is not used on bus {}: a meter that speaks telegrams is alone there", bus.spec.id),
            );
            return None;
        }
        (BusKind::Gpio(_), ..) => {
            let found = gpio::address(table, &bus.spec.id, template.as_deref());
            // A model that speaks something else says so below.
            match (found, &template) {
                (Some(address), _) => address,
                (None, Some(template)) if template.speaks() != "GPIO" => DeviceAddress::Alone,
                (None, _) => return None,
            }
        }
        (BusKind::ModbusRtu { .. } | BusKind::RtuOverTcp { .. }, Some(unit), None) if !(1..=247).contains(&unit) => {
            table.problem("unit", format!("is {unit}, must be 1 to 247 on a serial bus"));
            return None;
        }
        (_, Some(unit), None) => DeviceAddress::Unit(unit),
        (_, _, _) => {
            table.problem("unit", "is required on a Modbus bus, and topic is not used there");
            return None;
        }
    };
    let template = template?;
    let spoken = match bus.spec.kind {
        BusKind::Mqtt(_) => "MQTT",
        BusKind::Telegram(_) => "telegrams",
        BusKind::Gpio(_) => "GPIO",
        _ => "Modbus",
    };
    if spoken != template.speaks() {
        table.problem("model", format!("speaks {}, bus {} does not", template.speaks(), bus.spec.id));
        return None;
    }
    Some((bus.spec.id.clone(), address, template))
}

pub(super) fn meters(root: &Table<'_, '_>, buses: &[Bus], accounts: &[Account], library: &Library) -> Vec<Meter> {
    let mut meters: Vec<Meter> = Vec::new();
    for table in root.sections("meter") {
        let id = parsed::<MeterId>(&table, "id", true);
        if let Some(id) = &id
            && meters.iter().any(|m| m.id == *id)
        {
            table.problem("id", format!("is {id}, and so is another meter"));
        }
        let place = device(root, &table, buses, library);
        if let Some((_, _, template)) = &place
            && !template.is_meter()
        {
            table.problem("model", format!("is {}, which measures nothing", template.model));
        }
        let account = owner(&table, accounts, false);
        // Where it is on a network is looked at where that is read.
        table.get("node");
        // And where it stands where anchors are read.
        for key in ["position", "beacon"] {
            table.get(key);
        }
        let period = duration(&table, "period", "10s", Duration::from_millis(100)..=DAY);
        let max_power = Watts(table.number("max_power", 1..10_000_001).unwrap_or(50_000));
        let pv_peak = Watts(table.number("simulated_pv", 0..1_000_001).unwrap_or(0));
        let scale_permille = table.number("simulated_scale", 1..100_001).unwrap_or(1000);
        let theft = Watts(table.number("simulated_theft", 0..1_000_001).unwrap_or(0));
        let counts = Counted(table.number("simulated_counts", -2000..2001).unwrap_or(1000));
        let real = place.as_ref().is_some_and(|(bus, ..)| buses.iter().any(|b| b.spec.id == *bus && !b.simulate));
        for (key, set) in [("simulated_theft", theft.0 != 0), ("simulated_counts", counts.0 != 1000)] {
            if set && real {
                table.problem(key, "is for a bus with simulate = true: nothing can be made wrong on a real one");
            }
        }
        table.close();
        if let (Some(id), Some((bus, address, template)), Some(period)) = (id, place, period) {
            let home = SimulatedHome { pv_peak, scale_permille, theft, counts };
            let configured = account.clone();
            meters.push(Meter { id, bus, address, template, account, configured, period, max_power, home });
        }
    }
    meters
}

pub(super) fn switches(
    root: &Table<'_, '_>,
    buses: &[Bus],
    accounts: &[Account],
    library: &Library,
    enforced: Option<&Enforced>,
) -> Vec<Switch> {
    let mut switches: Vec<Switch> = Vec::new();
    for table in root.sections("switch") {
        let id = parsed::<SwitchId>(&table, "id", true);
        if let Some(id) = &id
            && switches.iter().any(|s| s.id == *id)
        {
            table.problem("id", format!("is {id}, and so is another switch"));
        }
        let place = device(root, &table, buses, library);
        if let Some((_, _, template)) = &place
            && !template.is_switch()
        {
            table.problem("model", format!("is {}, which has no switch", template.model));
        }
        let account = owner(&table, accounts, true);
        let choices = [("open", OnSilence::Open), ("closed", OnSilence::Closed), ("hold", OnSilence::Hold)];
        let on_silence = table.required_choice("on_silence", &choices);
        let owner = account.as_ref().and_then(|id| accounts.iter().find(|a| a.id == *id));
        let protected = owner.is_some_and(|a| a.terms.protected);
        if on_silence == Some(OnSilence::Open) && protected {
            table.problem("on_silence", "is \"open\", but this customer is protected and never disconnected");
        }
        let by_itself = place.as_ref().and_then(|(_, _, template)| template.lets_go());
        let agrees = matches!(
            (by_itself, on_silence),
            (None, _)
                | (_, None)
                | (Some(Position::Open), Some(OnSilence::Open))
                | (Some(Position::Closed), Some(OnSilence::Closed))
        );
        if let (Some(position), false) = (by_itself, agrees) {
            let what = format!("must be \"{position}\": this model goes there by itself when the gateway is gone");
            table.problem("on_silence", what);
        }
        let rule = enforced.and_then(|e| e.rule(&table, on_silence?, protected));
        let point = agreed::point(&table);
        if let (Some(id), Some(point)) = (&id, point)
            && switches.iter().any(|s: &Switch| s.point == Some(point))
        {
            table.problem("point", format!("of {id} is another switch's connection point too"));
        }
        table.close();
        if let (Some(id), Some((bus, address, template)), Some(account), Some(rule)) = (id, place, account, rule) {
            switches.push(Switch { id, bus, address, template, account, rule, point });
        }
    }
    switches
}

pub(super) fn owner(table: &Table<'_, '_>, accounts: &[Account], required: bool) -> Option<AccountId> {
    let name = if required { table.required_text("account")? } else { table.text("account")? };
    let found = accounts.iter().find(|a| a.id.as_str() == name);
    if found.is_none() {
        let hint = did_you_mean(&name, accounts.iter().map(|a| a.id.as_str()));
        table.problem("account", format!("is {name:?}, but there is no such [[account]]{hint}"));
    }
    found.map(|a| a.id.clone())
}

/// Who has which line of a chip is looked at where lines are read.
fn on_a_line(address: &DeviceAddress) -> bool {
    matches!(address, DeviceAddress::Pulses(_) | DeviceAddress::Output(_))
}

/// Two devices of different models at one address, or two meters there: one of them is a mistake.
pub(super) fn shared_units(root: &Table<'_, '_>, meters: &[Meter], switches: &[Switch]) {
    for (index, table) in root.sections("meter").iter().enumerate() {
        let Some(this) = meters.iter().find(|m| Some(m.id.as_str()) == table.text("id").as_deref()) else { continue };
        if on_a_line(&this.address) {
            continue;
        }
        let twin =
            meters.iter().take(index).find(|m| m.bus == this.bus && m.address == this.address && m.id != this.id);
        if let Some(twin) = twin {
            let key = match this.address {
                DeviceAddress::Unit(_) => "unit",
                DeviceAddress::Topic(_) => "topic",
                _ => "bus",
            };
            table.problem(key, format!("is {} on bus {}, where meter {} is already", this.address, this.bus, twin.id));
        }
    }
    for (index, table) in root.sections("switch").iter().enumerate() {
        let Some(this) = switches.iter().find(|s| Some(s.id.as_str()) == table.text("id").as_deref()) else { continue };
        if on_a_line(&this.address) {
            continue;
        }
        let same = |s: &&Switch| {
            s.id != this.id
                && s.bus == this.bus
                && s.address == this.address
                && s.template.contact() == this.template.contact()
        };
        if let Some(twin) = switches.iter().take(index).find(same) {
            table.problem("id", format!("is {}, but moves the same contact as switch {}", this.id, twin.id));
        }
        let twin = meters
            .iter()
            .find(|m| m.bus == this.bus && m.address == this.address && m.template.model != this.template.model);
        if let Some(twin) = twin {
            table.problem(
                "model",
                format!(
                    "is {}, but at {} on bus {} meter {} has model {}",
                    this.template.model, this.address, this.bus, twin.id, twin.template.model
                ),
            );
        }
    }
}

/// A customer's meter that is read so rarely that the lease runs out between two readings would have its switch follow
/// `on_silence` all the time.
pub(super) fn rare_meters(root: &Table<'_, '_>, meters: &[Meter], switches: &[Switch], lasts: Duration) {
    for table in root.sections("meter") {
        let Some(this) = meters.iter().find(|m| Some(m.id.as_str()) == table.text("id").as_deref()) else { continue };
        let switched = this.account.as_ref().is_some_and(|a| switches.iter().any(|s| s.account == *a));
        if switched && this.period * 2 > lasts {
            let most = lasts.as_secs() / 2;
            table.problem(
                "period",
                format!("is too long for a customer with a switch: with this [enforce] lease and stale_after, at most {most}s"),
            );
        }
    }
}
