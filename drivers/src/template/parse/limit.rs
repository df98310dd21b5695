//! `[limit]`: how an inverter takes a limit of its active power.

use super::number::{layout, part, register_field};
use super::preset::presets;
use super::{WORD, scaled};
use crate::document::Section;
use crate::template::{Enable, Factor, ModbusLimit, Quantity, Rated, RegisterField, Reversion, Scaling, Share, Table};
use domain::Watts;
use std::time::Duration;

/// Whether it is a share, and its size: a percent is ten thousandths.
const UNITS: [(&str, (bool, Factor)); 3] = [
    ("%", (true, Factor { num: 10, den: 1 })),
    ("W", (false, Factor::ONE)),
    ("kW", (false, Factor { num: 1000, den: 1 })),
];

/// Seconds in a day and one more: a device that lets go later than that does not let go.
const DAY: std::ops::Range<i128> = 1..86_401;

pub(super) fn limit(section: &Section<'_, '_>, max_quantity: u16) -> Option<ModbusLimit> {
    let before = section.notes.count();
    let _ = section.required_choice("table", &[("holding", ())]);
    let found = part(section);
    if let Some((_, part, _)) = &found
        && (part.mask != part.kind.all_ones() || part.kind.bits() == 8)
    {
        section.problem("type", "is less than a register, but a whole register is written");
    }
    if found.as_ref().and_then(|(_, _, exponent)| *exponent).is_some_and(|exponent| exponent.mask != u16::MAX) {
        section.problem("scale_register", "must be a whole register here");
    }
    let unit = section.required_choice("unit", &UNITS);
    let factor = scaled(unit.map_or(Factor::ONE, |(_, size)| size), section);
    let share = match unit.map(|(share, _)| share) {
        Some(false) => rated(section, max_quantity).map(Share::Watts),
        Some(true) => Some(Share::Permille),
        None => {
            // Known either way, so that only the unit is complained about.
            let _ = section.get("rated");
            None
        }
    };
    let many = section.choice_of_numbers("function", &[6, 16]) == Some(16);
    let refresh: Option<u32> = section.number("refresh_s", DAY);
    let enable = section.section("enable").and_then(|inner| {
        let enable = enable(&inner);
        inner.close();
        enable
    });
    let reversion = section.section("reversion").and_then(|inner| {
        let reversion = reversion(&inner);
        inner.close();
        reversion
    });
    if enable.is_none() && reversion.as_ref().is_some_and(|reversion| reversion.off.is_some()) {
        section.problem("reversion", "has `off`, which is for a limit with [limit.enable]");
    }
    let setup = presets(section, "setup");
    let placed = found.and_then(|found| layout(section, vec![found], max_quantity));
    if section.notes.count() > before {
        return None;
    }
    let ((address, kind), factor) = (placed?, factor?);
    let scaling = Scaling { factor, invert: false, min: None, max: None, rollover: None };
    let value = RegisterField { quantity: Quantity::Power, table: Table::Holding, address, kind, scaling };
    let refresh = refresh.map(|seconds| Duration::from_secs(seconds.into()));
    Some(ModbusLimit { value, share: share?, enable, reversion, refresh, setup, many })
}

/// `rated = 5000`, or a table with the register that says it.
fn rated(section: &Section<'_, '_>, max_quantity: u16) -> Option<Rated> {
    let value = section.get("rated");
    let Some(value) = value else {
        section.problem("rated", "is missing: a limit in watts is a share of the rated power");
        return None;
    };
    if !value.get_ref().is_table() {
        return section.number("rated", 1..1_000_000_001).map(Watts).map(Rated::Known);
    }
    let inner = section.section("rated")?;
    let field = register_field(Quantity::Power, &inner, max_quantity);
    inner.close();
    field.map(Box::new).map(Rated::Said)
}

fn enable(section: &Section<'_, '_>) -> Option<Enable> {
    let table = section.choice("table", &[("holding", Table::Holding), ("coil", Table::Coil)]);
    let table = if section.get("table").is_none() { Some(Table::Holding) } else { table };
    let values = if table == Some(Table::Coil) { 0..2 } else { WORD };
    let address = section.required_number("address", WORD);
    let (on, off) = (section.number("on", values.clone()), section.number("off", values));
    let (on, off) = (on.unwrap_or(1), off.unwrap_or(0));
    if on == off {
        section.problem("off", "is the same value as on");
    }
    Some(Enable { table: table?, address: address?, on, off })
}

fn reversion(section: &Section<'_, '_>) -> Option<Reversion> {
    let address: Option<u16> = section.required_number("address", WORD);
    let registers = section.choice("type", &[("u16", 1_u16), ("u32", 2)]).unwrap_or(1);
    let seconds = section.number("seconds", if registers == 1 { 1..65_535 } else { DAY }).unwrap_or(60_u32);
    let (full, off) = (section.number("full", WORD), section.number("off", WORD));
    if address.is_some_and(|at| registers == 2 && at == u16::MAX) {
        section.problem("address", "is so high that the number does not fit below 65536");
    }
    Some(Reversion { address: address?, registers, after: Duration::from_secs(seconds.into()), full, off })
}
