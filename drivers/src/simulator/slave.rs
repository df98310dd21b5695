//! The Modbus side of simulated devices: from a request's PDU to the answer's, for any template.

use super::chain::{description, simulated};
use super::memory::{Change, Memory};
use super::process::operate;
use super::{Appliance, SimDevice, impossible};
use crate::codec;
use crate::spec::DeviceAddress;
use crate::template::{Contact, ModbusMap, Protocol, Table};
use domain::Position;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
const DEVICE_FAILURE: u8 = 4;

/// What one device holds at one instant.
type Image = BTreeMap<(Table, u16), u16>;

struct Unit {
    unit: u8,
    map: ModbusMap,
    what: Arc<dyn Appliance>,
    refuses_gaps: bool,
    memory: Mutex<Memory>,
    /// What it says about itself.
    fixed: Vec<((Table, u16), u16)>,
}

impl Unit {
    fn follow(&self, change: Option<Change>) {
        if let Some((limit, at)) = change {
            self.what.curtail(limit, at);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Devices on one bus. Several may share a unit, as the channels of a relay board do.
pub(crate) struct Slave(Vec<Unit>);

impl Slave {
    pub fn new(devices: Vec<SimDevice>) -> io::Result<Self> {
        let unit = |device: SimDevice| match (&device.address, &simulated(&device.template).protocol) {
            (DeviceAddress::Unit(unit), Protocol::Modbus(map)) => {
                let describes_itself =
                    matches!(&device.template.protocol, Protocol::Modbus(m) if m.discovery.is_some());
                let fixed = if describes_itself { description() } else { Vec::new() };
                let memory = Mutex::new(Memory::new(map));
                let (map, what, refuses_gaps) = (map.clone(), device.what, device.refuses_gaps);
                Ok(Unit { unit: *unit, map, what, refuses_gaps, memory, fixed })
            }
            (address, _) => Err(impossible(format!("{} at {address} is no Modbus device", device.template.model))),
        };
        devices.into_iter().map(unit).collect::<io::Result<_>>().map(Self)
    }

    /// The answer to a request; `None` if no such unit is here, or nothing was asked.
    pub async fn answer(&self, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
        let units: Vec<&Unit> = self.0.iter().filter(|u| u.unit == unit).collect();
        let (function, rest) = pdu.split_first()?;
        if units.is_empty() {
            return None;
        }
        // A timer runs out whether or not its device is asked.
        for unit in &self.0 {
            let change = unit.memory().revert();
            unit.follow(change);
        }
        Some(match serve(&units, *function, rest).await {
            Ok(body) => [&[*function], body.as_slice()].concat(),
            Err(exception) => vec![function | 0x80, exception],
        })
    }
}

async fn serve(units: &[&Unit], function: u8, rest: &[u8]) -> Result<Vec<u8>, u8> {
    let table = match function {
        1 | 5 | 15 => Table::Coil,
        2 => Table::Discrete,
        3 | 6 | 16 => Table::Holding,
        4 => Table::Input,
        _ => return Err(ILLEGAL_FUNCTION),
    };
    let (head, more) = rest.split_first_chunk::<4>().ok_or(ILLEGAL_VALUE)?;
    let (address, second) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
    match function {
        1 | 2 => {
            let bits = read(units, table, address, second, 2000)?;
            let bytes: Vec<u8> = bits
                .chunks(8)
                .map(|eight| eight.iter().rev().fold(0, |b, bit| (b << 1) | u8::from(*bit != 0)))
                .collect();
            Ok(counted(bytes))
        }
        3 | 4 => {
            let words = read(units, table, address, second, 125)?;
            Ok(counted(words.iter().flat_map(|word| word.to_be_bytes()).collect()))
        }
        5 => {
            let value = match second {
                0xFF00 => 1,
                0 => 0,
                _ => return Err(ILLEGAL_VALUE),
            };
            write(units, table, address, &[value]).await?;
            Ok(head.to_vec())
        }
        6 => {
            write(units, table, address, &[second]).await?;
            Ok(head.to_vec())
        }
        _ => {
            let values = values(function, second, more).ok_or(ILLEGAL_VALUE)?;
            write(units, table, address, &values).await?;
            Ok(head.to_vec())
        }
    }
}

fn counted(bytes: Vec<u8>) -> Vec<u8> {
    // At most 2000 bits or 125 words were asked for: 250 bytes.
    [vec![u8::try_from(bytes.len()).unwrap_or(0)], bytes].concat()
}

/// The values that functions 15 and 16 carry.
fn values(function: u8, quantity: u16, more: &[u8]) -> Option<Vec<u16>> {
    let (count, bytes) = more.split_first()?;
    let quantity = usize::from(quantity);
    let (most, wanted) = if function == 15 { (1968, quantity.div_ceil(8)) } else { (123, quantity * 2) };
    if !(1..=most).contains(&quantity) || usize::from(*count) != wanted || bytes.len() != wanted {
        return None;
    }
    Some(match function {
        15 => (0..quantity).map(|i| u16::from((bytes[i / 8] >> (i % 8)) & 1)).collect(),
        _ => bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect(),
    })
}

fn read(units: &[&Unit], table: Table, address: u16, quantity: u16, most: u16) -> Result<Vec<u16>, u8> {
    if !(1..=most).contains(&quantity) {
        return Err(ILLEGAL_VALUE);
    }
    let last = address.checked_add(quantity - 1).ok_or(ILLEGAL_ADDRESS)?;
    let image: Image = units.iter().flat_map(|unit| image(unit)).collect();
    let mut known = image.range((table, 0)..=(table, u16::MAX)).map(|((_, at), _)| *at);
    let lowest = known.next().ok_or(ILLEGAL_ADDRESS)?;
    let highest = known.next_back().unwrap_or(lowest);
    if address < lowest || last > highest {
        return Err(ILLEGAL_ADDRESS);
    }
    let refuses_gaps = units.iter().any(|unit| unit.refuses_gaps);
    (address..=last)
        .map(|at| match image.get(&(table, at)) {
            Some(value) => Ok(*value),
            None if refuses_gaps => Err(ILLEGAL_ADDRESS),
            None => Ok(0),
        })
        .collect()
}

fn image(unit: &Unit) -> Image {
    let mut image = Image::new();
    if !unit.map.fields.is_empty() {
        let reading = unit.what.show();
        for field in &unit.map.fields {
            for (offset, mask, word) in codec::encode(field, &reading) {
                // Two numbers may share a register, each with its own bits of it.
                let cell = image.entry((field.table, field.address.saturating_add(offset))).or_default();
                *cell = (*cell & !mask) | (word & mask);
            }
        }
    }
    image.extend(unit.fixed.iter().copied());
    image.extend(unit.memory().show());
    if let (Some(switch), Some(position)) = (unit.map.switch, unit.what.position()) {
        for Contact { table, address, closed, open, .. } in [switch.order, switch.readback] {
            image.insert((table, address), if position == Position::Closed { closed } else { open });
        }
    }
    image
}

/// What one written word does.
enum Effect<'a> {
    Moves(&'a Arc<dyn Appliance>, Position),
    Keeps(&'a Unit, u16, u16),
}

async fn write(units: &[&Unit], table: Table, address: u16, values: &[u16]) -> Result<(), u8> {
    let mut effects = Vec::with_capacity(values.len());
    for (at, value) in (u32::from(address)..).zip(values) {
        let at = u16::try_from(at).map_err(|_| ILLEGAL_ADDRESS)?;
        if let Some(unit) = units.iter().find(|unit| unit.memory().has(table, at)) {
            effects.push(Effect::Keeps(unit, at, *value));
            continue;
        }
        let here = |contact: Contact| contact.table == table && contact.address == at;
        let mut switches = units.iter().filter_map(|unit| Some((unit, unit.map.switch?.order)));
        let found = switches.find(|(_, order)| here(*order));
        let (unit, order) = found.filter(|(unit, _)| unit.what.position().is_some()).ok_or(ILLEGAL_ADDRESS)?;
        let position = match *value {
            value if value == order.closed => Position::Closed,
            value if value == order.open => Position::Open,
            _ => return Err(ILLEGAL_VALUE),
        };
        effects.push(Effect::Moves(&unit.what, position));
    }
    // Nothing moves unless all of it can.
    for effect in effects {
        match effect {
            Effect::Moves(what, position) => operate(what, position).await.map_err(|_| DEVICE_FAILURE)?,
            Effect::Keeps(unit, at, value) => {
                let change = unit.memory().keep(table, at, value);
                unit.follow(change);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_write_requests_carry_no_values() {
        assert_eq!(values(16, 1, &[2, 0x12, 0x34]), Some(vec![0x1234]));
        assert_eq!(values(15, 9, &[2, 0b1000_0001, 1]), Some(vec![1, 0, 0, 0, 0, 0, 0, 1, 1]));
        for (function, quantity, more) in [(16, 0, &[0][..]), (16, 2, &[2, 0, 0]), (16, 1, &[]), (15, 9, &[1, 0])] {
            assert_eq!(values(function, quantity, more), None);
        }
    }
}
