//! Meters and switches behind registers and coils.

use super::gate::Lane;
use super::plan::Known;
use super::setup::SetUp;
use super::{ModbusBus, ask};
use crate::capability::{DeviceError, Meter, Outlook, Pace, Switch};
use crate::codec;
use crate::template::{Contact, ModbusMap, ModbusSwitch, Preset, Request as Plan, Table};
use crate::traffic::Traffic;
use async_trait::async_trait;
use domain::{MeterId, Position, Reading};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// A meter.
pub(crate) struct ModbusMeter {
    id: MeterId,
    bus: Arc<ModbusBus>,
    unit: u8,
    map: ModbusMap,
    /// Which requests this device answers.
    known: Mutex<Known>,
    setup: SetUp,
}

impl ModbusMeter {
    pub fn new(id: MeterId, bus: Arc<ModbusBus>, unit: u8, map: ModbusMap) -> Self {
        let known = Mutex::new(Known::new(&map.requests, Instant::now()));
        let setup = SetUp::new(Arc::clone(&bus), unit, map.setup.clone(), Lane::Reading);
        Self { id, bus, unit, map, known, setup }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what the device is known to answer, and learns what it refuses.
    async fn ask(&self) -> Result<Vec<(Plan, Vec<u16>)>, DeviceError> {
        let mut work = self.known().begin(&self.map.requests, Instant::now());
        let mut answers = Vec::with_capacity(work.left());
        let mut refusal = None;
        loop {
            // As many at a time as the far end bears; more often than not it is one.
            let wave: Vec<Plan> = std::iter::from_fn(|| work.next()).take(self.bus.pipeline()).collect();
            if wave.is_empty() {
                break;
            }
            let look = |part: &Plan| {
                let place = (part.table, part.address, part.quantity);
                ask::read(&self.bus, self.unit, place, Lane::Reading)
            };
            let (mut refused, mut trouble) = (Vec::new(), None);
            for (part, answer) in wave.iter().copied().zip(ask::together(wave.iter().map(look)).await) {
                match answer {
                    Ok(words) => {
                        let (table, address) = (part.table, part.address);
                        self.bus.watch.tell(Traffic::Registers { table, address, words: &words });
                        answers.push((part, words));
                        work.answered(part);
                    }
                    // Illegal address (2) and illegal value (3) are how devices refuse a register in between, or the
                    // length.
                    Err(error @ DeviceError::Refused { exception: 2 | 3, .. }) => {
                        refusal = Some(error);
                        refused.push(part);
                    }
                    Err(error) => {
                        work.unanswered(part);
                        trouble = trouble.or(Some(error));
                    }
                }
            }
            if !refused.is_empty() {
                refused.into_iter().for_each(|part| work.refused(part, &self.map.fields));
                // Kept at once: what is learned must survive whatever happens to the rest of this reading.
                self.known().learn(&work, Instant::now());
            }
            if let Some(trouble) = trouble {
                return Err(trouble);
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

    async fn read_now(&self) -> Result<Reading, DeviceError> {
        if self.known().is_a_trial() {
            // Everything was refused last time. Only if that has changed is everything worth asking again.
            self.ask().await?;
            *self.known() = Known::new(&self.map.requests, Instant::now());
        }
        self.read_all().await
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
        self.setup.before(|| self.read_now()).await
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }

    fn outlook(&self) -> Outlook {
        let asked = self.known().first().map(|part| (part.table, usize::from(part.quantity)));
        let asked = self.setup.first().map(|preset| (preset.table, preset.words.len())).or(asked);
        let Some((table, quantity)) = asked else { return Outlook::default() };
        let function = match table {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        };
        self.bus.outlook(self.unit, function, 5 + 2 * quantity)
    }
}

/// A switch.
pub(crate) struct ModbusSwitchDevice {
    bus: Arc<ModbusBus>,
    unit: u8,
    map: ModbusSwitch,
    setup: SetUp,
}

impl ModbusSwitchDevice {
    pub fn new(bus: Arc<ModbusBus>, unit: u8, map: ModbusSwitch, setup: Vec<Preset>) -> Self {
        let setup = SetUp::new(Arc::clone(&bus), unit, setup, Lane::Order);
        Self { bus, unit, map, setup }
    }
}

#[async_trait]
impl Switch for ModbusSwitchDevice {
    async fn set(&self, position: Position) -> Result<(), DeviceError> {
        let Contact { table, address, closed, open, .. } = self.map.order;
        let value = if position == Position::Closed { closed } else { open };
        let words = [value];
        let order = || ask::write(&self.bus, self.unit, (table, address, &words), false, Lane::Order);
        self.setup.before(order).await
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        let Contact { table, address, closed, open, mask } = self.map.readback;
        let look = || ask::read(&self.bus, self.unit, (table, address, 1), Lane::Order);
        match self.setup.before(look).await?.first().map(|value| value & mask) {
            Some(value) if value == closed => Ok(Position::Closed),
            Some(value) if value == open => Ok(Position::Open),
            Some(value) => Err(DeviceError::nonsense(format!("the switch says {value}, neither open nor closed"))),
            None => Err(DeviceError::wire(format!("bus {}: an answer without a value", self.bus.id))),
        }
    }
}
