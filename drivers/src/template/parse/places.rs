//! That no two numbers of a model claim the same bits of a register.

use crate::codec::scatter;
use crate::document::Section;
use crate::template::{ModbusSwitch, RegisterField, Table};

struct Place {
    name: &'static str,
    table: Table,
    address: u32,
    bits: u16,
    /// Several quantities may be scaled by one register.
    shared: bool,
}

impl Place {
    fn collides(&self, other: &Self) -> bool {
        let here = self.table == other.table && self.address == other.address;
        here && self.bits & other.bits != 0 && !(self.shared && other.shared)
    }
}

pub(super) fn no_overlap(root: &Section<'_, '_>, fields: &[RegisterField], switch: Option<&ModbusSwitch>) {
    let mut places: Vec<Place> = Vec::new();
    for field in fields {
        for part in &field.kind.parts {
            let start = u32::from(field.address);
            let place = |at: u32, bits, shared| Place {
                name: field.quantity.name(),
                table: field.table,
                address: start + at,
                bits,
                shared,
            };
            let words = scatter(part.kind, part.order, part.mask);
            places.extend((u32::from(part.offset)..).zip(words).map(|(at, bits)| place(at, bits, false)));
            places.extend(part.exponent.map(|exponent| place(u32::from(exponent.at), exponent.mask, true)));
        }
    }
    if let Some(switch) = switch {
        let mut contacts = vec![("switch", switch.order)];
        if (switch.readback.table, switch.readback.address) != (switch.order.table, switch.order.address) {
            contacts.push(("switch.readback", switch.readback));
        }
        for (name, contact) in contacts {
            let channels = u32::from(contact.address)..u32::from(contact.address) + u32::from(switch.channels);
            let table = contact.table;
            places.extend(channels.map(|address| Place { name, table, address, bits: u16::MAX, shared: false }));
        }
    }
    let mut told = std::collections::BTreeSet::new();
    for (i, place) in places.iter().enumerate() {
        for other in &places[..i] {
            if place.collides(other) && told.insert((place.name, other.name)) {
                let key = if place.name == "switch.readback" { "switch" } else { place.name };
                root.problem(key, format!("overlaps with {} in the {} table", other.name, place.table.name()));
            }
        }
    }
}
