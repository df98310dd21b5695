//! From TOML text to a [`Template`] that cannot be wrong, or to every problem at once.

use super::{
    Contact, Discovery, Factor, JsonField, ModbusMap, ModbusSwitch, MqttMap, MqttSwitch, Protocol, Quantity, Scaling,
    Table, Template, TemplateProblem, plan,
};
use crate::document::{Notes, Section, decimal, integer};
use domain::{Position, WattHours};
use number::register_field;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

mod gpio;
mod identity;
mod limit;
mod number;
mod places;
mod preset;
mod telegram;

const PROTOCOLS: [(&str, u8); 4] = [("modbus", 0), ("mqtt", 1), ("telegram", 2), ("gpio", 3)];
const WORD: std::ops::Range<i128> = 0..0x1_0000;

pub(super) fn template(file: &str, text: &str) -> Result<Template, Vec<TemplateProblem>> {
    let notes = Notes::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.add(&error.span().unwrap_or(0..0), "", format!("this is no TOML: {}", error.message().trim()));
    }
    if errors.is_empty() {
        let found = read(&Section::root(&notes, table.get_ref(), 0..0));
        if let (Some(template), 0) = (found, notes.count()) {
            return Ok(template);
        }
    }
    Err(notes.finish())
}

fn read(root: &Section<'_, '_>) -> Option<Template> {
    let model = root.required_text("model");
    if let Some(model) = &model {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !model.chars().all(plain) {
            root.problem("model", "may only have a-z, 0-9 and '-'");
        }
    }
    let (vendor, name, source) =
        (root.required_text("vendor"), root.required_text("name"), root.required_text("source"));
    let notes = root.text("notes");
    let protocol = match root.required_choice("protocol", &PROTOCOLS)? {
        0 => modbus(root).map(Protocol::Modbus),
        1 => mqtt(root).map(Protocol::Mqtt),
        2 => telegram::telegram(root).map(Protocol::Telegram),
        _ => gpio::gpio(root).map(Protocol::Gpio),
    };
    root.close();
    Some(Template { model: model?, vendor: vendor?, name: name?, source: source?, notes, protocol: protocol? })
}

fn modbus(root: &Section<'_, '_>) -> Option<ModbusMap> {
    let max_quantity = root.number("max_quantity", 1..126).unwrap_or(125);
    let max_gap = root.number("max_gap", 0..126).unwrap_or(16);
    let mut fields = Vec::new();
    for quantity in Quantity::ALL {
        if let Some(section) = root.section(quantity.name()) {
            fields.extend(register_field(quantity, &section, max_quantity));
            section.close();
        }
    }
    let switch = root.section("switch").and_then(|section| {
        let switch = modbus_switch(&section);
        section.close();
        switch
    });
    let setup = preset::presets(root, "setup");
    let limit = root.section("limit").and_then(|section| {
        let limit = limit::limit(&section, max_quantity);
        section.close();
        limit
    });
    let identity = root.section("identity").map(|section| {
        let identity = identity::texts(&section, max_quantity);
        section.close();
        identity
    });
    let discovery = root.choice("discover", &[("sunspec", Discovery::default())]);
    if discovery.is_some() && (switch.is_some() || limit.is_some() || identity.is_some() || !fields.is_empty()) {
        root.problem("discover", "is for a device that says itself what it has, but the template says it too");
    }
    places::no_overlap(root, &fields, switch.as_ref());
    preset::no_conflict(root, &setup, switch.as_ref(), limit.as_ref());
    let nothing = fields.is_empty() && switch.is_none() && limit.is_none() && discovery.is_none();
    if nothing && root.notes.count() == 0 {
        root.notes.add(&root.span, "", "the template has neither a quantity nor a [switch] or [limit]");
    }
    let requests = plan::requests(&fields, max_quantity, max_gap);
    let requests_without_gaps = plan::requests(&fields, max_quantity, 0);
    let identity = identity.unwrap_or_default();
    Some(ModbusMap {
        max_quantity,
        max_gap,
        fields,
        switch,
        setup,
        limit,
        discovery,
        identity,
        requests,
        requests_without_gaps,
    })
}

fn scaling(quantity: Quantity, section: &Section<'_, '_>) -> Option<Scaling> {
    let factor = factor(quantity, section);
    limits(quantity, section, factor)
}

/// The device's unit in ours, from `unit` and `scale`.
fn factor(quantity: Quantity, section: &Section<'_, '_>) -> Option<Factor> {
    let before = section.notes.count();
    let unit = section.choice("unit", quantity.units()).unwrap_or(Factor::ONE);
    scaled(unit, section).filter(|_| section.notes.count() == before)
}

/// A unit times `scale`.
fn scaled(unit: Factor, section: &Section<'_, '_>) -> Option<Factor> {
    let Some(value) = section.get("scale") else { return Some(unit) };
    let factor = decimal(value.get_ref()).and_then(|text| ratio(&text)).and_then(|f| product(f, unit));
    if factor.is_none() {
        section.problem("scale", "must be a positive decimal number with at most 9 digits, such as 0.01");
    }
    factor
}

/// What a quantity may be, and which way round it is.
fn limits(quantity: Quantity, section: &Section<'_, '_>, factor: Option<Factor>) -> Option<Scaling> {
    let before = section.notes.count();
    let invert = section.flag("invert").unwrap_or(false);
    let (min, max) = (section.float("min"), section.float("max"));
    if let (Some(min), Some(max)) = (min, max)
        && min >= max
    {
        section.problem("min", "is not below max");
    }
    let rollover = section.number("rollover", 1..(1 << 40)).map(WattHours);
    if section.get("rollover").is_some() && !matches!(quantity, Quantity::Import | Quantity::Export) {
        section.problem("rollover", "is for import and export only");
    }
    let scaling = Scaling { factor: factor?, invert, min, max, rollover };
    (section.notes.count() == before).then_some(scaling)
}

/// `0.01` as 1/100.
fn ratio(text: &str) -> Option<Factor> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() > 10 {
        return None;
    }
    let num = format!("{whole}{fraction}").parse::<u32>().ok().filter(|n| *n > 0)?;
    let den = 10_u32.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    product(Factor { num, den }, Factor::ONE)
}

fn product(a: Factor, b: Factor) -> Option<Factor> {
    let (num, den) = (u64::from(a.num) * u64::from(b.num), u64::from(a.den) * u64::from(b.den));
    let (mut x, mut y) = (num, den);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    let divisor = x.max(1);
    Some(Factor { num: u32::try_from(num / divisor).ok()?, den: u32::try_from(den / divisor).ok()? })
}

fn modbus_switch(section: &Section<'_, '_>) -> Option<ModbusSwitch> {
    let order = contact(section, &[("coil", Table::Coil), ("holding", Table::Holding)], None);
    let channels = section.number("channels", 1..257).unwrap_or(1);
    let tables =
        [("coil", Table::Coil), ("discrete", Table::Discrete), ("input", Table::Input), ("holding", Table::Holding)];
    let readback = match section.section("readback") {
        None => order,
        Some(inner) => {
            let readback = contact(&inner, &tables, order);
            inner.close();
            readback
        }
    };
    let lets_go = section.choice("lets_go", &[("open", Position::Open), ("closed", Position::Closed)]);
    let (order, readback) = (order?, readback?);
    if u32::from(order.address.max(readback.address)) + u32::from(channels) > 0x1_0000 {
        section.problem("channels", "run past address 65535");
        return None;
    }
    Some(ModbusSwitch { order, readback, channels, lets_go })
}

/// A place of a position; the values default to 1 and 0, or for a readback to those of the order.
fn contact(section: &Section<'_, '_>, tables: &[(&str, Table)], like: Option<Contact>) -> Option<Contact> {
    let table = section.required_choice("table", tables);
    let address = section.required_number("address", WORD);
    let bit = matches!(table, Some(Table::Coil | Table::Discrete));
    let values = if bit { 0..2 } else { WORD };
    // An order is the whole register: to change some of its bits would take a look first, and others may write too.
    let mask = if like.is_some() { section.number("mask", 1..0x1_0000) } else { None };
    let like = like.filter(|l| !bit || (l.closed < 2 && l.open < 2));
    let closed = section.number("closed", values.clone()).unwrap_or(like.map_or(1, |l| l.closed));
    let open = section.number("open", values).unwrap_or(like.map_or(0, |l| l.open));
    if closed == open {
        section.problem("open", "is the same value as closed");
    }
    let mask = mask.unwrap_or(u16::MAX);
    if (closed | open) & !mask != 0 {
        section.problem("mask", "cuts bits off closed or open");
    }
    Some(Contact { table: table?, address: address?, closed, open, mask })
}

fn mqtt(root: &Section<'_, '_>) -> Option<MqttMap> {
    let quiet: u32 = root.number("quiet_s", 1..86_401).unwrap_or(600);
    let (mut fields, mut measures) = (Vec::new(), false);
    for quantity in Quantity::ALL {
        if let Some(section) = root.section(quantity.name()) {
            measures = true;
            let pointer = pointer(&section, true);
            let scaling = scaling(quantity, &section);
            section.close();
            fields.extend(pointer.zip(scaling).map(|(pointer, scaling)| JsonField { quantity, pointer, scaling }));
        }
    }
    let topic = if measures { topic(root, "topic") } else { Some(String::new()) };
    let switch = root.section("switch").and_then(|section| {
        let switch = mqtt_switch(&section);
        section.close();
        switch
    });
    if fields.is_empty() && switch.is_none() && root.notes.count() == 0 {
        root.notes.add(&root.span, "", "the template has neither a quantity nor a [switch]");
    }
    Some(MqttMap { topic: topic?, quiet: Duration::from_secs(u64::from(quiet)), fields, switch })
}

fn topic(section: &Section<'_, '_>, key: &'static str) -> Option<String> {
    let topic = section.required_text(key)?;
    if !topic.contains("{topic}") {
        section.problem(key, "must contain {topic}, or all devices of this model would share it");
    } else if topic.contains(['+', '#', '\0']) {
        section.problem(key, "must be one topic, without wildcards");
    }
    Some(topic)
}

/// A JSON pointer; the empty one is the payload as a whole.
fn pointer(section: &Section<'_, '_>, required: bool) -> Option<String> {
    let pointer = section.text("pointer");
    if pointer.is_none() && (required || section.get("pointer").is_some()) {
        if section.get("pointer").is_none() {
            section.problem("pointer", "is missing");
        }
        return None;
    }
    let pointer = pointer.unwrap_or_default();
    if !pointer.is_empty() && !pointer.starts_with('/') {
        section.problem("pointer", "must begin with '/', as JSON pointers do");
    }
    Some(pointer)
}

fn mqtt_switch(section: &Section<'_, '_>) -> Option<MqttSwitch> {
    let command = topic(section, "command");
    let (command_closed, command_open) = (section.required_text("closed"), section.required_text("open"));
    if command_closed.is_some() && command_closed == command_open {
        section.problem("open", "is the same payload as closed");
    }
    let state_section = section.section("state");
    if state_section.is_none() && section.get("state").is_none() {
        section.problem("state", "is missing: a switch whose contact cannot be read back is not used");
    }
    let state = state_section?;
    let (state_topic, pointer) = (topic(&state, "topic"), pointer(&state, false));
    let (closed, open) = (scalar(&state, "closed"), scalar(&state, "open"));
    if closed.is_some() && closed == open {
        state.problem("open", "is the same value as closed");
    }
    state.close();
    let ask = section.section("ask").and_then(|ask| {
        let found = topic(&ask, "topic").zip(ask.text("payload").or(Some(String::new())));
        ask.close();
        found
    });
    Some(MqttSwitch {
        command: command?,
        command_closed: command_closed?,
        command_open: command_open?,
        state: state_topic?,
        pointer: pointer?,
        state_closed: closed?,
        state_open: open?,
        ask,
    })
}

/// A text, a number or a truth value, to be compared with what stands in JSON.
fn scalar(section: &Section<'_, '_>, key: &'static str) -> Option<serde_json::Value> {
    let Some(value) = section.get(key) else {
        section.problem(key, "is missing");
        return None;
    };
    let found = match value.get_ref() {
        DeValue::String(text) => Some(serde_json::Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(serde_json::Value::from(*flag)),
        other => integer(other).and_then(|n| i64::try_from(n).ok()).map(serde_json::Value::from),
    };
    if found.is_none() {
        section.problem(key, "must be a text, a whole number, true or false");
    }
    found
}

#[cfg(test)]
mod tests;
