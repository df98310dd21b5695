//! One owner per port: the only place where devices are made.

use crate::capability::{DeviceError, Identify, Identity, Inverter, Meter, Switch};
use crate::gpio::{GpioBus, LineSwitch, PulseLine, PulseMeter, SwitchLine};
use crate::modbus::{
    ModbusBus, ModbusInverter, ModbusMeter, ModbusSwitchDevice, Place, SunSpec, SunSpecInverter, Texts, ask,
};
use crate::mqtt::{MqttBus, MqttMeter, MqttSwitchDevice};
use crate::spec::{BusKind, BusSpec, DeviceAddress, SpecError, TelegramPlace};
use crate::sunspec::Chain;
use crate::telegram::{TelegramBus, TelegramMeter};
use crate::template::{Protocol, Template};
use crate::traffic::{Watch, Watcher};
use domain::{BusId, Clock, MeterId, SwitchId};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A field bus. Its devices keep it open; it connects when it is first used, and again whenever it must.
#[derive(Clone)]
pub struct Bus {
    id: BusId,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Modbus { bus: Arc<ModbusBus>, serial: bool },
    Mqtt(Arc<MqttBus>),
    Telegram(Arc<TelegramBus>),
    Gpio(Arc<GpioBus>),
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Bus {
    /// A bus that is not connected yet: a port that is missing now is no error here. Readings are stamped by `clock`.
    pub fn open(spec: BusSpec, clock: Clock) -> Result<Self, SpecError> {
        let id = spec.id;
        let bad = |what: &str| SpecError::BadBus { bus: id.clone(), what: what.to_owned() };
        let has_port = |address: &str| {
            address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let least = spec.kind.turnaround();
        let modbus = |place: Place, timeout: Duration| {
            if timeout.is_zero() {
                return Err(bad("the timeout is zero"));
            }
            let serial = !matches!(place, Place::Tcp { .. } | Place::Tls { .. });
            let (silence, pipeline) = (spec.turnaround.max(least), spec.pipeline);
            if !(1..=BusSpec::PIPELINE).contains(&pipeline) {
                return Err(bad(&format!(
                    "{pipeline} questions at a time: from 1 to {} are possible",
                    BusSpec::PIPELINE
                )));
            }
            if serial && pipeline > 1 {
                return Err(bad("on a line there is one question at a time: only Modbus TCP numbers them"));
            }
            let bus = Arc::new(ModbusBus::new(id.clone(), place, timeout, (silence, pipeline), clock.clone()));
            Ok(Kind::Modbus { bus, serial })
        };
        let kind = match spec.kind {
            BusKind::ModbusTcp { address, .. }
            | BusKind::ModbusTls { address, .. }
            | BusKind::RtuOverTcp { address, .. }
                if !has_port(&address) =>
            {
                return Err(bad(&format!("{address:?} is not host:port")));
            }
            BusKind::ModbusTcp { address, timeout } => modbus(Place::Tcp { address }, timeout)?,
            BusKind::ModbusTls { address, timeout, tls } => modbus(Place::Tls { address, tls }, timeout)?,
            BusKind::RtuOverTcp { address, timeout } => modbus(Place::RtuOverTcp { address }, timeout)?,
            BusKind::ModbusRtu { baud, .. } if !(300..=4_000_000).contains(&baud) => {
                return Err(bad(&format!("{baud} baud is no speed of a serial port")));
            }
            BusKind::ModbusRtu { stop_bits, .. } if !(1..=2).contains(&stop_bits) => {
                return Err(bad(&format!("{stop_bits} stop bits: there can be 1 or 2")));
            }
            BusKind::ModbusRtu { port, baud, parity, stop_bits, timeout } => {
                modbus(Place::Serial { port, baud, parity, stop_bits, rs485: spec.rs485 }, timeout)?
            }
            BusKind::Mqtt(spec) if !has_port(&spec.broker) => {
                return Err(bad(&format!("{:?} is not host:port", spec.broker)));
            }
            BusKind::Mqtt(spec) => Kind::Mqtt(Arc::new(MqttBus {
                id: id.clone(),
                spec,
                clock,
                link: OnceLock::new(),
                watch: Watch::default(),
            })),
            BusKind::Telegram(spec) => {
                if let TelegramPlace::Tcp(address) = &spec.place
                    && !has_port(address)
                {
                    return Err(bad(&format!("{address:?} is not host:port")));
                }
                if spec.baud.is_some_and(|baud| !(300..=4_000_000).contains(&baud)) {
                    return Err(bad("that is no speed of a serial port"));
                }
                Kind::Telegram(Arc::new(TelegramBus { id: id.clone(), spec, clock, watch: Watch::default() }))
            }
            BusKind::Gpio(spec) => Kind::Gpio(Arc::new(GpioBus::new(spec, clock))),
        };
        Ok(Self { id, kind })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &BusId {
        &self.id
    }

    /// Shows `watcher` everything that goes over this bus from now on. The first watcher stays.
    pub fn watch(&self, watcher: Watcher) {
        match &self.kind {
            Kind::Modbus { bus, .. } => bus.watch.set(watcher),
            Kind::Mqtt(bus) => bus.watch.set(watcher),
            Kind::Telegram(bus) => bus.watch.set(watcher),
            Kind::Gpio(bus) => bus.watch.set(watcher),
        }
    }

    /// Connects now, to find out whether that works. Nobody needs to call this before using a device.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        match &self.kind {
            Kind::Modbus { bus, .. } => bus.try_connect().await,
            Kind::Mqtt(bus) => bus.try_connect().await,
            Kind::Telegram(bus) => bus.try_connect().await,
            Kind::Gpio(bus) => bus.try_connect().await,
        }
    }

    /// Waits until nothing that a pushing meter says is missed any more: until the broker has consented to the
    /// subscriptions. A bus that is asked misses nothing.
    pub async fn listens(&self) {
        if let Kind::Mqtt(bus) = &self.kind {
            bus.listens().await;
        }
    }

    /// The meter of this model at `address`. On an MQTT bus it listens from now on, so this must happen on a tokio
    /// runtime.
    pub fn meter(
        &self,
        id: MeterId,
        template: Arc<Template>,
        address: DeviceAddress,
    ) -> Result<Arc<dyn Meter>, SpecError> {
        if !template.is_meter() {
            return Err(SpecError::NoMeter(template.model.clone()));
        }
        match (&self.kind, &template.protocol) {
            (Kind::Modbus { bus, serial }, Protocol::Modbus(map)) => {
                let (bus, unit, map) = (Arc::clone(bus), self.unit(&address, *serial)?, map.clone());
                if let Some(discovery) = map.discovery {
                    return Ok(Arc::new(SunSpec::new(id, bus, unit, discovery)));
                }
                Ok(Arc::new(ModbusMeter::new(id, bus, unit, map)))
            }
            (Kind::Mqtt(bus), Protocol::Mqtt(map)) => {
                Ok(Arc::new(MqttMeter::new(id, Arc::clone(bus), map.clone(), self.topic(&address)?)))
            }
            (Kind::Telegram(bus), Protocol::Telegram(map)) => {
                self.alone(&address)?;
                Ok(Arc::new(TelegramMeter::new(id, Arc::clone(bus), map.clone())))
            }
            (Kind::Gpio(bus), Protocol::Gpio(_)) => {
                Ok(Arc::new(PulseMeter::new(id, Arc::clone(bus), self.pulses(&address)?)))
            }
            _ => Err(self.wrong_bus(&template)),
        }
    }

    /// The switch of this model at `address`.
    pub fn switch(
        &self,
        id: SwitchId,
        template: Arc<Template>,
        address: DeviceAddress,
    ) -> Result<Arc<dyn Switch>, SpecError> {
        let missing = || SpecError::NoSwitch(template.model.clone());
        match (&self.kind, &template.protocol) {
            (Kind::Modbus { bus, serial }, Protocol::Modbus(map)) => {
                let switch = map.switch.ok_or_else(missing)?;
                let unit = self.unit(&address, *serial)?;
                Ok(Arc::new(ModbusSwitchDevice::new(Arc::clone(bus), unit, switch, map.setup.clone())))
            }
            (Kind::Mqtt(bus), Protocol::Mqtt(map)) => {
                let map = map.switch.clone().ok_or_else(missing)?;
                Ok(Arc::new(MqttSwitchDevice::new(Arc::clone(bus), map, self.topic(&address)?)))
            }
            (Kind::Telegram(_), Protocol::Telegram(_)) => Err(missing()),
            (Kind::Gpio(bus), Protocol::Gpio(map)) => {
                map.switch.ok_or_else(missing)?;
                Ok(Arc::new(LineSwitch::new(id, Arc::clone(bus), self.output(&address)?)))
            }
            _ => Err(self.wrong_bus(&template)),
        }
    }

    /// The inverter of this model at `address`.
    pub fn inverter(&self, template: &Template, address: &DeviceAddress) -> Result<Arc<dyn Inverter>, SpecError> {
        match (&self.kind, &template.protocol) {
            (Kind::Modbus { bus, serial }, Protocol::Modbus(map)) => {
                let unit = self.unit(address, *serial)?;
                if map.discovery.is_some() {
                    return Ok(Arc::new(SunSpecInverter::new(Arc::clone(bus), unit)));
                }
                let limit = map.limit.clone().ok_or_else(|| SpecError::NoInverter(template.model.clone()))?;
                Ok(Arc::new(ModbusInverter::new(Arc::clone(bus), unit, limit, map.setup.clone())))
            }
            _ => Err(SpecError::NoInverter(template.model.clone())),
        }
    }

    /// Who the device of this model at `address` says that it is; `None` for a model that cannot say it.
    #[must_use]
    pub fn identify(&self, template: &Template, address: &DeviceAddress) -> Option<Arc<dyn Identify>> {
        let (Kind::Modbus { bus, serial }, Protocol::Modbus(map)) = (&self.kind, &template.protocol) else {
            return None;
        };
        let (bus, unit) = (Arc::clone(bus), self.unit(address, *serial).ok()?);
        if map.discovery.is_some() {
            return Some(Arc::new(SunSpecInverter::new(bus, unit)));
        }
        (!map.identity.is_empty())
            .then(|| -> Arc<dyn Identify> { Arc::new(Texts::new(bus, unit, map.identity.clone())) })
    }

    /// What a unit says about itself, if it is a SunSpec device: its chain of models, and who it is.
    pub async fn sunspec(&self, address: &DeviceAddress) -> Result<Option<(Chain, Option<Identity>)>, DeviceError> {
        let Kind::Modbus { bus, serial } = &self.kind else { return Ok(None) };
        let unit = self.unit(address, *serial).map_err(DeviceError::nonsense)?;
        let read = |address, count| ask::holding(bus, unit, address, count);
        let Some(chain) = crate::sunspec::discover(read).await? else { return Ok(None) };
        let identity = chain.identify(read).await?;
        Ok(Some((chain, identity)))
    }

    fn wrong_bus(&self, template: &Template) -> SpecError {
        let is = match self.kind {
            Kind::Modbus { .. } => "Modbus",
            Kind::Mqtt(_) => "MQTT",
            Kind::Telegram(_) => "for telegrams",
            Kind::Gpio(_) => "GPIO",
        };
        SpecError::WrongBus { model: template.model.clone(), speaks: template.speaks(), bus: self.id.clone(), is }
    }

    fn unit(&self, address: &DeviceAddress, serial: bool) -> Result<u8, SpecError> {
        let wrong = |wanted| SpecError::WrongAddress { address: address.clone(), bus: self.id.clone(), wanted };
        match address {
            DeviceAddress::Unit(unit) if !serial || (1..=247).contains(unit) => Ok(*unit),
            DeviceAddress::Unit(_) => Err(wrong("units on a serial line go from 1 to 247")),
            _ => Err(wrong("devices on Modbus have a unit")),
        }
    }

    fn topic<'a>(&self, address: &'a DeviceAddress) -> Result<&'a str, SpecError> {
        let wrong = |wanted| SpecError::WrongAddress { address: address.clone(), bus: self.id.clone(), wanted };
        match address {
            DeviceAddress::Topic(topic) if topic.is_empty() || topic.contains(['+', '#', '\0']) => {
                Err(wrong("a topic prefix is a text without wildcards"))
            }
            DeviceAddress::Topic(topic) => Ok(topic),
            _ => Err(wrong("devices on MQTT have a topic")),
        }
    }

    fn pulses(&self, address: &DeviceAddress) -> Result<PulseLine, SpecError> {
        let wanted = "a meter on a GPIO chip is a line whose pulses are counted";
        match address {
            DeviceAddress::Pulses(line) => Ok(*line),
            other => Err(SpecError::WrongAddress { address: other.clone(), bus: self.id.clone(), wanted }),
        }
    }

    fn output(&self, address: &DeviceAddress) -> Result<SwitchLine, SpecError> {
        let wanted = "a switch on a GPIO chip is a line that drives it";
        match address {
            DeviceAddress::Output(line) => Ok(*line),
            other => Err(SpecError::WrongAddress { address: other.clone(), bus: self.id.clone(), wanted }),
        }
    }

    fn alone(&self, address: &DeviceAddress) -> Result<(), SpecError> {
        let wanted = "a meter that speaks telegrams is alone on its bus";
        match address {
            DeviceAddress::Alone => Ok(()),
            other => Err(SpecError::WrongAddress { address: other.clone(), bus: self.id.clone(), wanted }),
        }
    }
}
