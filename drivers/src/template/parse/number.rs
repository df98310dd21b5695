//! The tables that say how a quantity lies in registers.

use super::{WORD, factor, limits};
use crate::document::{Section, integer};
use crate::template::{Exponent, Factor, Kind, Layout, Order, Part, Quantity, RegisterField, Table};
use toml::de::DeValue;

const TABLES: [(&str, Table); 2] = [("input", Table::Input), ("holding", Table::Holding)];

pub(super) fn register_field(
    quantity: Quantity,
    section: &Section<'_, '_>,
    max_quantity: u16,
) -> Option<RegisterField> {
    let table = section.required_choice("table", &TABLES);
    let sums = section.sections("sum");
    let (parts, scaling) = if sums.is_empty() {
        let single = part(section);
        let factor = factor(quantity, section);
        // The limits are read even if the number is wrong, so that all mistakes are found at once.
        let limits = limits(quantity, section, factor);
        (single.map(|part| vec![part]), limits)
    } else {
        let read = |sum: &Section<'_, '_>| {
            let (found, factor) = (part(sum), factor(quantity, sum));
            let subtract = sum.flag("subtract").unwrap_or(false);
            sum.close();
            found.zip(factor).map(|(found, factor)| (found.0, Part { factor, subtract, ..found.1 }, found.2))
        };
        // Every one is read before the first mistake counts.
        let found: Vec<Option<Placed>> = sums.iter().map(read).collect();
        (found.into_iter().collect(), limits(quantity, section, Some(Factor::ONE)))
    };
    let (table, (address, kind)) = (table?, layout(section, parts?, max_quantity)?);
    Some(RegisterField { quantity, table, address, kind, scaling: scaling? })
}

/// A number with its own address, and where its power of ten stands, by address too.
pub(super) type Placed = (u16, Part, Option<Exponent>);

pub(super) fn layout(section: &Section<'_, '_>, placed: Vec<Placed>, max_quantity: u16) -> Option<(u16, Layout)> {
    let places = |(address, _, exponent): &Placed| [Some(*address), exponent.map(|exponent| exponent.at)];
    let first = placed.iter().flat_map(places).flatten().min()?;
    let relative = |(address, part, exponent): Placed| {
        let exponent = exponent.map(|exponent| Exponent { at: exponent.at.saturating_sub(first), ..exponent });
        Part { offset: address.saturating_sub(first), exponent, ..part }
    };
    let layout = Layout::new(placed.into_iter().map(relative).collect());
    let Some(layout) = layout.filter(|layout| u32::from(first) + u32::from(layout.registers()) <= 0x1_0000) else {
        section.problem("address", "is so high that the number does not fit below 65536");
        return None;
    };
    if layout.registers() > max_quantity {
        // Numbers that were not read together may not belong together.
        let what = format!("takes {} registers in one request, max_quantity allows {max_quantity}", layout.registers());
        section.problem("type", what);
        return None;
    }
    Some((first, layout))
}

/// One number: `address`, `type`, `order`, `half`, `mask`, `shift`, `absent`, `scale_register`.
pub(super) fn part(section: &Section<'_, '_>) -> Option<Placed> {
    let address = section.required_number("address", WORD);
    let kind = section.required_choice("type", &Kind::ALL);
    let order = order(section, kind);
    let bits = mask(section, kind);
    let absent = absent(section, kind, bits);
    let before = section.notes.count();
    let exponent = section.section("scale_register").map(|inner| {
        let exponent = exponent(&inner);
        inner.close();
        exponent
    });
    if section.notes.count() > before {
        return None;
    }
    let (address, kind, (mask, shift)) = (address?, kind?, bits?);
    let plain = Part {
        offset: 0,
        kind,
        order: order?,
        mask,
        shift,
        factor: Factor::ONE,
        subtract: false,
        absent: absent?,
        exponent: None,
    };
    Some((address, plain, exponent.flatten()))
}

/// `scale_register`: an i16, or an i8 in one half of its register.
fn exponent(section: &Section<'_, '_>) -> Option<Exponent> {
    let at = section.required_number("address", WORD);
    let byte = section.choice("type", &[("i16", false), ("i8", true)]).unwrap_or(false);
    let half = section.choice("half", &[("high", 0xFF00), ("low", 0x00FF)]);
    if half.is_some() && !byte {
        section.problem("half", "is for i8 only");
    }
    let mask = if byte { half.unwrap_or(0x00FF) } else { u16::MAX };
    Some(Exponent { at: at?, mask })
}

pub(super) fn order(section: &Section<'_, '_>, kind: Option<Kind>) -> Option<Order> {
    if section.get("order").is_none() {
        return Some(Order::default());
    }
    let order = section.choice("order", &Order::NAMES)?;
    let long = section.text("order").is_some_and(|name| name.len() > 4);
    if long && kind.is_some_and(|kind| kind.registers() != 4) {
        section.problem("order", "names eight bytes, but the number has fewer");
        return None;
    }
    Some(order)
}

/// Which bits of the registers are the number, and how far above the lowest one they begin.
fn mask(section: &Section<'_, '_>, kind: Option<Kind>) -> Option<(u64, u32)> {
    let half = section.choice("half", &[("high", 8), ("low", 0)]);
    let half_given = section.get("half").is_some();
    let mask_given = section.get("mask").is_some();
    let mask: Option<u64> = section.number("mask", 1..(1 << 64));
    let shift: Option<u32> = section.number("shift", 0..64);
    let kind = kind?;
    let byte = kind.bits() == 8;
    if half_given && !byte {
        section.problem("half", "is for u8 and i8 only");
        return None;
    }
    if !mask_given {
        if section.get("shift").is_some() {
            section.problem("shift", "is for numbers with a mask only");
            return None;
        }
        let shift = if half_given { half? } else { 0 };
        return Some((kind.all_ones() << shift, shift));
    }
    if kind.is_signed() || byte || section.choice("type", &Kind::ALL).is_none_or(bcd) {
        section.problem("mask", "is for u16, u24, u32, u48 and u64 only");
        return None;
    }
    let (mask, shift) = (mask?, if section.get("shift").is_some() { shift? } else { 0 });
    if mask & !kind.all_ones() != 0 || mask >> shift == 0 || (mask >> shift) << shift != mask {
        section.problem("mask", "does not fit the type, or shift would cut bits of it off");
        return None;
    }
    let room = mask >> shift;
    if room & room.wrapping_add(1) != 0 {
        section.problem("mask", "must be bits without a gap, of which shift brings the lowest to the end");
        return None;
    }
    Some((mask, shift))
}

fn bcd(kind: Kind) -> bool {
    matches!(kind, Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64)
}

fn absent(section: &Section<'_, '_>, kind: Option<Kind>, mask: Option<(u64, u32)>) -> Option<Vec<u64>> {
    let Some(value) = section.get("absent") else { return Some(Vec::new()) };
    let kind = kind?;
    if value.get_ref().as_str() == Some("sunspec") {
        let room = mask.map_or(u64::MAX, |(mask, shift)| mask >> shift);
        return Some(kind.sunspec_absent().map(|all| all & room).into_iter().collect());
    }
    let bits = kind.bits();
    let (least, most) = (-(1_i128 << (bits - 1)), (1_i128 << bits) - 1);
    let raw = |v: &DeValue<'_>| {
        let number = integer(v).filter(|n| (least..=most).contains(n))?;
        // Two's complement in the width of the type.
        u64::try_from(number.rem_euclid(1_i128 << bits)).ok()
    };
    let raws = value.get_ref().as_array().and_then(|list| list.iter().map(|v| raw(v.get_ref())).collect());
    if raws.is_none() {
        section.problem("absent", format!("must be \"sunspec\", or a list of whole numbers that fit in {bits} bits"));
    }
    raws
}
