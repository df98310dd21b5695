//! `[[setup]]`: registers that must hold a value.

use super::WORD;
use super::number::order;
use crate::codec::scatter;
use crate::document::{Section, decimal, integer};
use crate::template::{Kind, ModbusLimit, ModbusSwitch, Preset, Table};
use std::ops::Range;
use toml::de::DeValue;

/// More than any device needs, and few enough to be read before a reading.
const MOST: usize = 32;

pub(super) fn presets(root: &Section<'_, '_>, key: &'static str) -> Vec<Preset> {
    let sections = root.sections(key);
    if sections.len() > MOST {
        root.problem(key, format!("has {} registers, at most {MOST} are set up", sections.len()));
    }
    let read = |section: &Section<'_, '_>| {
        let preset = preset(section);
        section.close();
        preset
    };
    // Every one is read before the first mistake counts.
    let found: Vec<Option<Preset>> = sections.iter().map(read).collect();
    found.into_iter().flatten().collect()
}

fn preset(section: &Section<'_, '_>) -> Option<Preset> {
    let table = section.required_choice("table", &[("coil", Table::Coil), ("holding", Table::Holding)]);
    let address: Option<u16> = section.required_number("address", WORD);
    let coil = table == Some(Table::Coil);
    let kind = if section.get("type").is_none() { Some(Kind::U16) } else { section.choice("type", &Kind::ALL) };
    let order = order(section, kind);
    let function = section.choice_of_numbers("function", if coil { &[5] } else { &[6, 16] });
    if section.get("value").is_none() {
        section.problem("value", "is missing");
    }
    if coil && section.get("type").is_some() {
        section.problem("type", "is for registers only: a coil is 0 or 1");
        return None;
    }
    let value = section.get("value")?.get_ref();
    let words = if coil {
        let bit = value.as_bool().map(u16::from).or_else(|| integer(value).and_then(|n| u16::try_from(n).ok()));
        bit.filter(|bit| *bit < 2).map(|bit| vec![bit])
    } else {
        bits(kind?, value).map(|bits| scatter(kind.unwrap_or(Kind::U16), order.unwrap_or_default(), bits))
    };
    if words.is_none() {
        section.problem("value", if coil { "must be 0 or 1" } else { "is no value of this type" });
    }
    let (words, address) = (words?, address?);
    if usize::from(address) + words.len() > 0x1_0000 {
        section.problem("address", "is so high that the value does not fit below 65536");
    }
    if function == Some(6) && words.len() > 1 {
        section.problem("function", "is 6, which writes one register, but the type has more");
    }
    order?;
    Some(Preset { table: table?, address, many: function == Some(16) || words.len() > 1, words })
}

/// The bit pattern of a literal; `None` if the type cannot hold it.
fn bits(kind: Kind, value: &DeValue<'_>) -> Option<u64> {
    match kind {
        Kind::F64 => Some(decimal(value)?.parse::<f64>().ok().filter(|x| x.is_finite())?.to_bits()),
        Kind::F32 => Some(decimal(value)?.parse::<f32>().ok().filter(|x| x.is_finite())?.to_bits().into()),
        Kind::U8 | Kind::I8 | Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => None,
        _ => {
            let whole = 1_i128 << kind.bits();
            let (least, most) = if kind.is_signed() { (-whole / 2, whole / 2 - 1) } else { (0, whole - 1) };
            let number = integer(value).filter(|n| (least..=most).contains(n))?;
            u64::try_from(number.rem_euclid(whole)).ok()
        }
    }
}

/// No register is written for two reasons, and no set-up moves a contact: one that disconnects a customer is a mistake.
pub(super) fn no_conflict(
    root: &Section<'_, '_>,
    setup: &[Preset],
    switch: Option<&ModbusSwitch>,
    limit: Option<&ModbusLimit>,
) {
    let mut spans: Vec<(&'static str, Table, Range<u32>)> = Vec::new();
    let mut add = |name, table, address: u16, count: usize| {
        let start = u32::from(address);
        spans.push((name, table, start..start + u32::try_from(count).unwrap_or(1)));
    };
    if let Some(ModbusSwitch { order, channels, .. }) = switch {
        add("switch", order.table, order.address, usize::from(*channels));
    }
    for preset in setup {
        add("setup", preset.table, preset.address, preset.words.len());
    }
    if let Some(limit) = limit {
        for part in &limit.value.kind.parts {
            let registers = part.kind.registers();
            add("limit", Table::Holding, limit.value.address.saturating_add(part.offset), registers.into());
            if let Some(full) = limit.reversion.as_ref().and_then(|reversion| reversion.full) {
                add("limit.reversion.full", Table::Holding, full, registers.into());
            }
        }
        if let Some(enable) = &limit.enable {
            add("limit.enable", enable.table, enable.address, 1);
        }
        if let Some(reversion) = &limit.reversion {
            add("limit.reversion", Table::Holding, reversion.address, reversion.registers.into());
            if let Some(off) = reversion.off {
                add("limit.reversion.off", Table::Holding, off, 1);
            }
        }
        for preset in &limit.setup {
            add("limit.setup", preset.table, preset.address, preset.words.len());
        }
    }
    for (i, (name, table, here)) in spans.iter().enumerate() {
        for (other, its, there) in &spans[..i] {
            if its == table && there.start < here.end && here.start < there.end {
                let key = name.split('.').next().map_or("setup", |top| if top == "limit" { "limit" } else { "setup" });
                let (table, at) = (table.name(), here.start);
                root.problem(key, format!("writes {table} {at} as {name}, which is written as {other} too"));
            }
        }
    }
}
