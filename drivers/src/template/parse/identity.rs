//! `[identity]`: the strings by which a device says who it is.

use super::WORD;
use crate::document::Section;
use crate::template::{Table, Text, Trait};

const TRAITS: [(&str, Trait); 4] = [
    ("manufacturer", Trait::Manufacturer),
    ("model", Trait::Model),
    ("version", Trait::Version),
    ("serial", Trait::Serial),
];

/// Every one is read before the first mistake counts.
pub(super) fn texts(section: &Section<'_, '_>, max_quantity: u16) -> Vec<Text> {
    let found: Vec<Option<Text>> = TRAITS
        .into_iter()
        .filter_map(|(key, says)| {
            let inner = section.section(key)?;
            let text = text(&inner, says, max_quantity);
            inner.close();
            Some(text)
        })
        .collect();
    if found.is_empty() {
        section.problem("serial", "is missing, and so is everything else that a device could say about itself");
    }
    found.into_iter().flatten().collect()
}

fn text(section: &Section<'_, '_>, says: Trait, max_quantity: u16) -> Option<Text> {
    let table = section.required_choice("table", &[("input", Table::Input), ("holding", Table::Holding)]);
    let address: Option<u16> = section.required_number("address", WORD);
    let kind = section.required_choice("type", &[("string", 0), ("u16", 1), ("u32", 2), ("u64", 4)]);
    let registers = match kind {
        Some(0) => section.required_number("registers", 1..i128::from(max_quantity) + 1),
        numbers => numbers,
    };
    let (address, registers): (u16, u16) = (address?, registers?);
    if u32::from(address) + u32::from(registers) > 0x1_0000 {
        section.problem("address", "is so high that the text does not fit below 65536");
    }
    Some(Text { says, table: table?, address, registers, number: kind? > 0 })
}
