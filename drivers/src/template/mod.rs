//! What a device model looks like from outside, as data: one TOML file per model.

mod gpio;
mod library;
mod limit;
mod parse;
mod plan;
mod registers;
mod telegram;

pub use crate::document::Problem as TemplateProblem;
pub use gpio::{GpioMap, PulseModel, SwitchModel};
pub use library::Library;
pub use limit::{Enable, ModbusLimit, Rated, Reversion, Share};
pub use plan::Request;
pub use registers::{Exponent, Kind, Layout, Order, Part, RegisterField};
pub use telegram::{Language, Obis, ObisField, ObisPart, TelegramMap};

use domain::{Guard, Position, WattHours, Watts};
use std::fmt;

/// One device model.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The name by which the configuration calls it.
    pub model: String,
    /// Who makes it.
    pub vendor: String,
    /// What it says on the box.
    pub name: String,
    /// Where its registers or topics are documented.
    pub source: String,
    /// What whoever installs it should know.
    pub notes: Option<String>,
    /// How it talks.
    pub protocol: Protocol,
}

/// How a model talks.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// Registers and coils.
    Modbus(ModbusMap),
    /// Topics and payloads.
    Mqtt(MqttMap),
    /// Telegrams with OBIS codes.
    Telegram(TelegramMap),
    /// A line of a GPIO chip.
    Gpio(GpioMap),
}

impl Template {
    /// Reads one template. All problems are reported together; `file` only names them.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<TemplateProblem>> {
        parse::template(file, text)
    }

    /// The protocol's name, for people.
    #[must_use]
    pub fn speaks(&self) -> &'static str {
        match self.protocol {
            Protocol::Modbus(_) => "Modbus",
            Protocol::Mqtt(_) => "MQTT",
            Protocol::Telegram(_) => "telegrams",
            Protocol::Gpio(_) => "GPIO",
        }
    }

    /// How long a device that speaks by itself may be quiet; `None` for one that is asked.
    #[must_use]
    pub fn quiet(&self) -> Option<std::time::Duration> {
        match &self.protocol {
            Protocol::Mqtt(map) => Some(map.quiet),
            Protocol::Telegram(map) => (map.language != Language::ModeC).then_some(map.quiet),
            Protocol::Modbus(_) | Protocol::Gpio(_) => None,
        }
    }

    /// Which contact of the device an order moves; two switches at one address with the same contact are one switch.
    #[must_use]
    pub fn contact(&self) -> Option<String> {
        match &self.protocol {
            Protocol::Modbus(map) => map.switch.map(|s| format!("{} {}", s.order.table.name(), s.order.address)),
            Protocol::Mqtt(map) => map.switch.as_ref().map(|s| s.command.clone()),
            // Its line is its address.
            Protocol::Telegram(_) | Protocol::Gpio(_) => None,
        }
    }

    /// Whether the model measures anything.
    #[must_use]
    pub fn is_meter(&self) -> bool {
        match &self.protocol {
            Protocol::Modbus(map) => !map.fields.is_empty() || map.discovery.is_some(),
            Protocol::Mqtt(map) => !map.fields.is_empty(),
            Protocol::Telegram(map) => !map.fields.is_empty(),
            Protocol::Gpio(map) => map.pulses.is_some(),
        }
    }

    /// Whether the model can disconnect a customer.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        match &self.protocol {
            Protocol::Modbus(map) => map.switch.is_some(),
            Protocol::Mqtt(map) => map.switch.is_some(),
            Protocol::Telegram(_) => false,
            Protocol::Gpio(map) => map.switch.is_some(),
        }
    }

    /// Where a switch of this model goes by itself when nobody asks it any more; `None` if it stays.
    #[must_use]
    pub fn lets_go(&self) -> Option<Position> {
        match &self.protocol {
            Protocol::Modbus(map) => map.switch.as_ref().and_then(|switch| switch.lets_go),
            _ => None,
        }
    }

    /// Whether the model's active power can be limited; one that describes itself may turn out to lack that.
    #[must_use]
    pub fn is_inverter(&self) -> bool {
        matches!(&self.protocol, Protocol::Modbus(map) if map.limit.is_some() || map.discovery.is_some())
    }

    /// Which quantities the model measures; none of one that describes itself is known beforehand.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> {
        self.fields().into_iter().map(|(quantity, _)| quantity)
    }

    fn fields(&self) -> Vec<(Quantity, Scaling)> {
        match &self.protocol {
            Protocol::Modbus(map) => map.fields.iter().map(|f| (f.quantity, f.scaling)).collect(),
            Protocol::Mqtt(map) => map.fields.iter().map(|f| (f.quantity, f.scaling)).collect(),
            Protocol::Telegram(map) => map.fields.iter().map(|f| (f.quantity, f.scaling)).collect(),
            Protocol::Gpio(map) => map.fields(),
        }
    }

    /// What the registers of a meter of this model are judged by, behind a connection of `limit`.
    #[must_use]
    pub fn guard(&self, limit: Watts) -> Guard {
        let rollover = |wanted| self.fields().iter().find(|(q, _)| *q == wanted).and_then(|(_, s)| s.rollover);
        Guard { limit, import_rollover: rollover(Quantity::Import), export_rollover: rollover(Quantity::Export) }
    }
}

/// What can be read from a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Cumulative energy from the grid, Wh.
    Import,
    /// Cumulative energy to the grid, Wh.
    Export,
    /// Active power, W; + import.
    Power,
    /// Voltage, V.
    Voltage,
    /// Current, A.
    Current,
    /// Frequency, Hz.
    Frequency,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 6] = [Self::Import, Self::Export, Self::Power, Self::Voltage, Self::Current, Self::Frequency];

    /// Its name in a template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
            Self::Power => "power",
            Self::Voltage => "voltage",
            Self::Current => "current",
            Self::Frequency => "frequency",
        }
    }

    /// The units a template may give it in, each with its size in the base unit (the first).
    pub(crate) fn units(self) -> &'static [(&'static str, Factor)] {
        const ONE: Factor = Factor { num: 1, den: 1 };
        const KILO: Factor = Factor { num: 1000, den: 1 };
        const MEGA: Factor = Factor { num: 1_000_000, den: 1 };
        const MILLI: Factor = Factor { num: 1, den: 1000 };
        match self {
            Self::Import | Self::Export => &[("Wh", ONE), ("kWh", KILO), ("MWh", MEGA)],
            Self::Power => &[("W", ONE), ("kW", KILO), ("MW", MEGA)],
            Self::Voltage => &[("V", ONE), ("kV", KILO), ("mV", MILLI)],
            Self::Current => &[("A", ONE), ("kA", KILO), ("mA", MILLI)],
            Self::Frequency => &[("Hz", ONE), ("mHz", MILLI)],
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An exact ratio between the device's unit and ours: 0.1 is 1/10, not the float next to it, so that integer
/// registers stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Numerator, positive.
    pub num: u32,
    /// Denominator, positive.
    pub den: u32,
}

impl Factor {
    pub(crate) const ONE: Self = Self { num: 1, den: 1 };
}

/// How a raw number becomes a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Device unit in our base unit.
    pub factor: Factor,
    /// The device counts the other way round.
    pub invert: bool,
    /// Smallest value in our base unit that is believed.
    pub min: Option<f64>,
    /// Largest value in our base unit that is believed.
    pub max: Option<f64>,
    /// Where a register of energy begins again from zero: the first value that it never shows.
    pub rollover: Option<WattHours>,
}

/// The four Modbus tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Writable bits (functions 1, 5, 15).
    Coil,
    /// Read-only bits (function 2).
    Discrete,
    /// Read-only words (function 4).
    Input,
    /// Writable words (functions 3, 6, 16).
    Holding,
}

impl Table {
    /// Its name in a template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }
}

/// A Modbus model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModbusMap {
    /// Most registers that one request may ask for.
    pub max_quantity: u16,
    /// Most unused registers that are read along to save a request.
    pub max_gap: u16,
    /// What it measures.
    pub fields: Vec<RegisterField>,
    /// How it switches.
    pub switch: Option<ModbusSwitch>,
    /// What must stand in its registers before it is read or switched.
    pub setup: Vec<Preset>,
    /// How its active power is limited.
    pub limit: Option<ModbusLimit>,
    /// The device describes itself: what it measures is found out when it is first asked.
    pub discovery: Option<Discovery>,
    /// The strings by which it says who it is.
    pub identity: Vec<Text>,
    /// The fewest requests that read all fields.
    pub requests: Vec<Request>,
    /// The same without a register that no field names, for devices that refuse those.
    pub requests_without_gaps: Vec<Request>,
}

/// A device that describes itself, as SunSpec devices do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Which model of its chain is read; the first that can be, if left out. The configuration picks it by
    /// `sunspec:203`.
    pub model: Option<u16>,
}

/// What a string of a device says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Who made it.
    Manufacturer,
    /// What it is.
    Model,
    /// The version of its software.
    Version,
    /// Its serial number.
    Serial,
}

/// A string in registers, two characters each, or a number that is read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub says: Trait,
    /// Input or holding.
    pub table: Table,
    /// Protocol address (from 0) of the first register.
    pub address: u16,
    /// How many registers.
    pub registers: u16,
    /// It is a whole number, the highest word first.
    pub number: bool,
}

/// What must stand in one or more registers, or in a coil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Coil or holding.
    pub table: Table,
    /// Protocol address (from 0) of the first register.
    pub address: u16,
    /// The registers as they must be; 0 or 1 for a coil.
    pub words: Vec<u16>,
    /// Written by function 16 even if it is one register.
    pub many: bool,
}

/// A switch behind a coil or a holding register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModbusSwitch {
    /// What is written.
    pub order: Contact,
    /// What is read back; the same place unless the template says otherwise.
    pub readback: Contact,
    /// How many such switches follow each other, one address apart; the configuration picks one by `model:number`.
    pub channels: u16,
    /// Where the device puts its contacts by itself when it is not asked for a while, as it is set up here.
    pub lets_go: Option<Position>,
}

/// A place that holds a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Which table.
    pub table: Table,
    /// Protocol address (from 0).
    pub address: u16,
    /// The value that means closed (coils: 0 or 1).
    pub closed: u16,
    /// The value that means open.
    pub open: u16,
    /// The bits of a register that say so; the others are not looked at.
    pub mask: u16,
}

/// An MQTT model.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttMap {
    /// Topic of the readings, with `{topic}` for the device's prefix.
    pub topic: String,
    /// Longest time between two messages of a healthy device.
    pub quiet: std::time::Duration,
    /// What it measures.
    pub fields: Vec<JsonField>,
    /// How it switches.
    pub switch: Option<MqttSwitch>,
}

/// One quantity in a JSON payload.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonField {
    /// Which quantity.
    pub quantity: Quantity,
    /// RFC 6901 pointer to the number.
    pub pointer: String,
    /// From number to quantity.
    pub scaling: Scaling,
}

/// A switch behind topics.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttSwitch {
    /// Where orders go.
    pub command: String,
    /// The order to close.
    pub command_closed: String,
    /// The order to open.
    pub command_open: String,
    /// Where the device says how its contact is.
    pub state: String,
    /// RFC 6901 pointer into the state; empty: the payload as a whole.
    pub pointer: String,
    /// The state that means closed.
    pub state_closed: serde_json::Value,
    /// The state that means open.
    pub state_open: serde_json::Value,
    /// Topic and payload that make the device say its state.
    pub ask: Option<(String, String)>,
}
