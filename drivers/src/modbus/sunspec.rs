//! SunSpec devices, found out at run time: what they have, and where, is asked before the first reading, on every new
//! connection, and after every refusal, since new firmware or another setting moves it.

use super::{ModbusBus, ModbusInverter, ModbusMeter, ask, lock};
use crate::capability::{DeviceError, Identify, Identity, Inverter, Limited, Meter, Outlook, Pace};
use crate::sunspec::{BASES, Chain, discover_at};
use crate::template::{Discovery, Protocol};
use async_trait::async_trait;
use domain::{MeterId, Permille, Reading};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Where one device was found.
struct Finder {
    bus: Arc<ModbusBus>,
    unit: u8,
    /// Which of the bases is asked first.
    base: AtomicUsize,
}

impl Finder {
    fn new(bus: Arc<ModbusBus>, unit: u8) -> Self {
        Self { bus, unit, base: AtomicUsize::new(0) }
    }

    /// Walks the chain. A device that is silent costs one timeout: some do not answer for registers that they lack, so
    /// the next time it is another place that is asked first.
    async fn find(&self) -> Result<Chain, DeviceError> {
        let read = |address, count| ask::holding(&self.bus, self.unit, address, count);
        let first = self.base.load(Ordering::Relaxed);
        for step in 0..BASES.len() {
            let index = (first + step) % BASES.len();
            let found = discover_at(BASES.get(index).copied().unwrap_or_default(), read).await;
            match found {
                Ok(Some(chain)) => {
                    self.base.store(index, Ordering::Relaxed);
                    return Ok(chain);
                }
                Ok(None) => {}
                Err(error) => {
                    if matches!(error, DeviceError::Silent { .. }) {
                        self.base.store((index + 1) % BASES.len(), Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
        }
        let places: Vec<String> = BASES.iter().map(u16::to_string).collect();
        Err(DeviceError::nonsense(format!("no SunSpec device: it has no marker at {}", places.join(", "))))
    }
}

/// Whether what was found may be somewhere else now.
fn unsettles(error: &DeviceError) -> bool {
    match error {
        DeviceError::Refused { .. } => !error.is_transient(),
        DeviceError::Silent { .. } | DeviceError::Wire { .. } => true,
        DeviceError::NotSetUp { .. } | DeviceError::Ignored { .. } | DeviceError::Nonsense { .. } => false,
    }
}

/// A meter or inverter that describes itself.
pub(crate) struct SunSpec {
    id: MeterId,
    finder: Finder,
    wanted: Option<u16>,
    /// As what it is read, and the connection on which that was found.
    found: Mutex<Option<(Arc<ModbusMeter>, u32)>>,
}

impl SunSpec {
    pub fn new(id: MeterId, bus: Arc<ModbusBus>, unit: u8, discovery: Discovery) -> Self {
        Self { id, finder: Finder::new(bus, unit), wanted: discovery.model, found: Mutex::default() }
    }

    fn known(&self) -> Option<Arc<ModbusMeter>> {
        let found = lock(&self.found);
        found.as_ref().filter(|(_, on)| *on == self.finder.bus.connection()).map(|(meter, _)| Arc::clone(meter))
    }

    /// Finds out what it has, and reads the first of it that says anything.
    async fn find(&self) -> Result<Reading, DeviceError> {
        let chain = self.finder.find().await?;
        let connection = self.finder.bus.connection();
        let mut last = None;
        for (model, template) in chain.readable().filter(|(model, _)| self.wanted.is_none_or(|w| w == *model)) {
            let Protocol::Modbus(map) = template.protocol else { continue };
            let (id, bus) = (self.id.clone(), Arc::clone(&self.finder.bus));
            let meter = Arc::new(ModbusMeter::new(id, bus, self.finder.unit, map));
            match meter.read().await {
                Ok(reading) => {
                    tracing::info!(meter = %self.id, model, base = chain.base, "reads this SunSpec model");
                    *lock(&self.found) = Some((meter, connection));
                    return Ok(reading);
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            let models: Vec<String> = chain.blocks.iter().map(|block| block.model.to_string()).collect();
            let wanted =
                self.wanted.map_or_else(|| "no model that is read here".to_owned(), |w| format!("no model {w}"));
            DeviceError::nonsense(format!("it has {wanted}, only {}", models.join(", ")))
        }))
    }
}

#[async_trait]
impl Meter for SunSpec {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let Some(meter) = self.known() else { return self.find().await };
        let result = meter.read().await;
        // A connection that was made anew meanwhile may lead to another device.
        if self.known().is_none() {
            return self.find().await;
        }
        if result.as_ref().is_err_and(unsettles) {
            *lock(&self.found) = None;
        }
        result
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }

    fn outlook(&self) -> Outlook {
        // Two holding registers, as long as nothing is known.
        self.known().map_or_else(|| self.finder.bus.outlook(self.finder.unit, 3, 9), |meter| meter.outlook())
    }
}

/// The limit, and the name, of a device that describes itself.
pub(crate) struct SunSpecInverter {
    finder: Finder,
    found: Mutex<Option<(Arc<ModbusInverter>, u32)>>,
}

impl SunSpecInverter {
    pub fn new(bus: Arc<ModbusBus>, unit: u8) -> Self {
        Self { finder: Finder::new(bus, unit), found: Mutex::default() }
    }

    async fn inverter(&self) -> Result<Arc<ModbusInverter>, DeviceError> {
        let bus = &self.finder.bus;
        let known = lock(&self.found).as_ref().filter(|(_, on)| *on == bus.connection()).map(|(i, _)| Arc::clone(i));
        if let Some(known) = known {
            return Ok(known);
        }
        let chain = self.finder.find().await?;
        let limit = chain
            .limiter()
            .ok_or_else(|| DeviceError::nonsense("its power cannot be limited: it has neither model 704 nor 123"))?;
        let inverter = Arc::new(ModbusInverter::new(Arc::clone(bus), self.finder.unit, limit, Vec::new()));
        *lock(&self.found) = Some((Arc::clone(&inverter), bus.connection()));
        Ok(inverter)
    }

    fn settled<T>(&self, result: Result<T, DeviceError>) -> Result<T, DeviceError> {
        if result.as_ref().is_err_and(unsettles) {
            *lock(&self.found) = None;
        }
        result
    }
}

#[async_trait]
impl Inverter for SunSpecInverter {
    async fn limit(&self, to: Option<Permille>) -> Result<Limited, DeviceError> {
        let inverter = self.inverter().await?;
        self.settled(inverter.limit(to).await)
    }

    async fn limited(&self) -> Result<Limited, DeviceError> {
        let inverter = self.inverter().await?;
        self.settled(inverter.limited().await)
    }
}

#[async_trait]
impl Identify for SunSpecInverter {
    async fn identify(&self) -> Result<Identity, DeviceError> {
        let read = |address, count| ask::holding(&self.finder.bus, self.finder.unit, address, count);
        let said = self.finder.find().await?.identify(read).await?;
        said.ok_or_else(|| DeviceError::nonsense("it has no common model, so that it does not say who it is"))
    }
}
