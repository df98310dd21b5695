//! Meters and switches behind registers and coils.

use super::ModbusBus;
use super::gate::Lane;
use super::plan::Known;
use crate::capability::{DeviceError, Meter, Outlook, Pace, Switch};
use crate::codec;
use crate::template::{Contact, ModbusMap, ModbusSwitch, Request as Plan, Table};
use crate::traffic::Traffic;
use async_trait::async_trait;
use domain::{MeterId, Position, Reading};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use tokio_modbus::{Request, Response};

/// A meter.
pub(crate) struct ModbusMeter {
    id: MeterId,
    bus: Arc<ModbusBus>,
    unit: u8,
    map: ModbusMap,
    /// Which requests this device answers.
    known: Mutex<Known>,
}

impl ModbusMeter {
    pub fn new(id: MeterId, bus: Arc<ModbusBus>, unit: u8, map: ModbusMap) -> Self {
        let known = Mutex::new(Known::new(&map.requests, Instant::now()));
        Self { id, bus, unit, map, known }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what the device is known to answer, and learns what it refuses.
    async fn ask(&self) -> Result<Vec<(Plan, Vec<u16>)>, DeviceError> {
        let mut work = self.known().begin(&self.map.requests, Instant::now());
        let mut answers = Vec::with_capacity(work.left());
        let mut refusal = None;
        while let Some(part) = work.next() {
            match read_words(&self.bus, self.unit, part).await {
                Ok(words) => {
                    let (table, address) = (part.table, part.address);
                    self.bus.watch.tell(Traffic::Registers { table, address, words: &words });
                    answers.push((part, words));
                    work.answered(part);
                }
                // Illegal address (2) and illegal value (3) are how devices refuse a register in between, or the length.
                Err(error @ DeviceError::Refused { exception: 2 | 3, .. }) => {
                    refusal = Some(error);
                    work.refused(part, &self.map.fields);
                    // Kept at once: what is learned must survive whatever happens to the rest of this reading.
                    self.known().learn(&work, Instant::now());
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(refusal) = refusal {
            let lacks = self.known().refused().len();
            if answers.is_empty() {
                return Err(refusal);
            }
            let (meter, parts) = (&self.id, answers.len());
            tracing::info!(%meter, parts, lacks, "refuses registers that its model names or spans: read in parts");
        }
        Ok(answers)
    }

    async fn read_all(&self) -> Result<Reading, DeviceError> {
        let answers = self.ask().await?;
        let mut reading = Reading::empty(self.id.clone(), self.bus.clock.stamp());
        let mut measured = false;
        for field in &self.map.fields {
            let words = answers.iter().find_map(|(part, words)| {
                let start = part.offset_of(field)?;
                words.get(start..start + usize::from(field.kind.registers()))
            });
            // A register that the device refuses is one that it does not have: unknown, and the others stay known.
            if words.is_none() && self.known().refused().iter().any(|part| part.offset_of(field).is_some()) {
                continue;
            }
            if let Some(raw) = codec::decode(field, words.unwrap_or_default())? {
                codec::put(&mut reading, field.quantity, &field.scaling, raw)?;
                measured = true;
            }
        }
        if measured { Ok(reading) } else { Err(DeviceError::nonsense("the meter says that it measures nothing")) }
    }
}

#[async_trait]
impl Meter for ModbusMeter {
    async fn read(&self) -> Result<Reading, DeviceError> {
        if self.known().is_a_trial() {
            // Everything was refused last time. Only if that has changed is everything worth asking again.
            self.ask().await?;
            *self.known() = Known::new(&self.map.requests, Instant::now());
        }
        self.read_all().await
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }

    fn outlook(&self) -> Outlook {
        let Some(part) = self.known().first() else { return Outlook::default() };
        let function = if part.table == Table::Input { 4 } else { 3 };
        self.bus.outlook(self.unit, function, 5 + 2 * usize::from(part.quantity))
    }
}

async fn read_words(bus: &ModbusBus, unit: u8, part: Plan) -> Result<Vec<u16>, DeviceError> {
    let request = match part.table {
        Table::Input => Request::ReadInputRegisters(part.address, part.quantity),
        _ => Request::ReadHoldingRegisters(part.address, part.quantity),
    };
    match bus.transact(unit, request, Lane::Reading).await? {
        Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words)
            if words.len() == usize::from(part.quantity) =>
        {
            Ok(words)
        }
        _ => Err(DeviceError::wire(format!("bus {}: an answer of the wrong length", bus.id))),
    }
}

/// A switch.
pub(crate) struct ModbusSwitchDevice {
    pub bus: Arc<ModbusBus>,
    pub unit: u8,
    pub map: ModbusSwitch,
}

impl ModbusSwitchDevice {
    fn echoed(&self, right: bool) -> Result<(), DeviceError> {
        if right { Ok(()) } else { Err(DeviceError::nonsense("the switch confirmed another order than the one given")) }
    }
}

#[async_trait]
impl Switch for ModbusSwitchDevice {
    async fn set(&self, position: Position) -> Result<(), DeviceError> {
        let Contact { table, address, closed, open } = self.map.order;
        let value = if position == Position::Closed { closed } else { open };
        let request = match table {
            Table::Coil => Request::WriteSingleCoil(address, value != 0),
            _ => Request::WriteSingleRegister(address, value),
        };
        match self.bus.transact(self.unit, request, Lane::Order).await? {
            Response::WriteSingleCoil(at, bit) => self.echoed(at == address && bit == (value != 0)),
            Response::WriteSingleRegister(at, word) => self.echoed(at == address && word == value),
            _ => self.echoed(false),
        }
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        let Contact { table, address, closed, open } = self.map.readback;
        let request = match table {
            Table::Coil => Request::ReadCoils(address, 1),
            Table::Discrete => Request::ReadDiscreteInputs(address, 1),
            Table::Input => Request::ReadInputRegisters(address, 1),
            Table::Holding => Request::ReadHoldingRegisters(address, 1),
        };
        let value = match self.bus.transact(self.unit, request, Lane::Order).await? {
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => bits.first().map(|bit| u16::from(*bit)),
            Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words) => words.first().copied(),
            _ => None,
        };
        match value {
            Some(value) if value == closed => Ok(Position::Closed),
            Some(value) if value == open => Ok(Position::Open),
            Some(value) => Err(DeviceError::nonsense(format!("the switch says {value}, neither open nor closed"))),
            None => Err(DeviceError::wire(format!("bus {}: an answer without a value", self.bus.id))),
        }
    }
}
