//! Modbus models made from bytes: legal ones mostly, and written as people write them, so that what the targets run on
//! is what the parser lets through.

use arbitrary::{Result, Unstructured};
use drivers::Template;
use drivers::template::{Kind, ModbusMap, Protocol};
use std::fmt::Write as _;

const UNITS: [(&str, &[&str]); 6] = [
    ("import", &["Wh", "kWh", "MWh"]),
    ("export", &["Wh", "kWh", "MWh"]),
    ("power", &["W", "kW", "MW"]),
    ("voltage", &["V", "kV", "mV"]),
    ("current", &["A", "kA", "mA"]),
    ("frequency", &["Hz", "mHz"]),
];
const SCALES: [&str; 8] = ["1", "0.1", "0.01", "10", "0.3", "2.5", "0.000001", "999"];

/// A model, and its text; `None` if the parser refuses it or there are no registers in it.
pub fn modbus(u: &mut Unstructured<'_>) -> Option<(ModbusMap, String)> {
    let text = text(u).ok()?;
    match Template::parse("made.toml", &text).ok()?.protocol {
        Protocol::Modbus(map) if !map.fields.is_empty() => Some((map, text)),
        _ => None,
    }
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = "model = \"made\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"modbus\"\n".to_owned();
    let mut line = |line: String| _ = writeln!(text, "{line}");
    if u.arbitrary()? {
        line(format!("max_quantity = {}", u.int_in_range(1..=125)?));
    }
    if u.arbitrary()? {
        line(format!("max_gap = {}", u.int_in_range(0..=125)?));
    }
    let mut next = u32::from(u.arbitrary::<u16>()?);
    for (quantity, units) in UNITS {
        let parts = u.int_in_range(0..=3)?;
        if parts == 0 {
            continue;
        }
        line(format!("[{quantity}]\ntable = \"{}\"", u.choose(&["input", "holding"])?));
        for flag in ["invert = true", "min = -10", "max = 100.5"] {
            if u.ratio(1, 8)? {
                line(flag.to_owned());
            }
        }
        for _ in 0..parts {
            if parts > 1 {
                line(format!("[[{quantity}.sum]]"));
                if u.ratio(1, 4)? {
                    line("subtract = true".to_owned());
                }
            }
            number(u, &mut next, units, &mut line)?;
        }
    }
    Ok(text)
}

/// One number, behind the last one in most cases.
fn number(u: &mut Unstructured<'_>, next: &mut u32, units: &[&str], line: &mut impl FnMut(String)) -> Result<()> {
    let (name, kind) = *u.choose(&Kind::ALL)?;
    let step = u.int_in_range(0..=5_u32)?;
    // Now and then it goes back, into a hole that an earlier number has left or to where its parts are.
    *next = if u.ratio(1, 16)? { next.saturating_sub(step) } else { *next + step };
    line(format!("address = {next}\ntype = \"{name}\"\nunit = \"{}\"", u.choose(units)?));
    line(format!("order = \"{}\"\nscale = {}", u.choose(&["abcd", "cdab", "badc", "dcba"])?, u.choose(&SCALES)?));
    let place = *next;
    *next += u32::from(kind.registers());
    let (mask, shift) = (u.arbitrary::<u64>()?, u.int_in_range(0..=15_u32)?);
    if u.ratio(1, 8)? && !kind.is_signed() {
        let ones = mask % (1 << 16);
        line(format!("mask = {}\nshift = {shift}", ((ones + 1).next_power_of_two() - 1) << shift));
    }
    match u.int_in_range(0..=6)? {
        0 => line("absent = \"sunspec\"".to_owned()),
        1 => line(format!("absent = [0, {}]", u.arbitrary::<u8>()?)),
        2 => {
            line(format!("scale_register = {{ address = {next} }}"));
            *next += 1;
        }
        // In the byte that a number of three bytes leaves of its two registers, or where it may be in the way.
        3 => line(format!(
            "scale_register = {{ address = {place}, type = \"i8\", half = \"{}\" }}",
            u.choose(&["high", "low"])?
        )),
        _ => {}
    }
    Ok(())
}
