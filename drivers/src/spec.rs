//! What the configuration says about buses and devices: plain data.

use crate::gpio::{GpioSpec, PulseLine, SwitchLine};
use crate::tls::Tls;
use domain::BusId;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// One field bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSpec {
    /// Its name in the configuration.
    pub id: BusId,
    /// What it is and how to reach it.
    pub kind: BusKind,
    /// The silence on a serial line from one frame to our next; never less than 3.5 characters there.
    pub turnaround: Duration,
    /// How the kernel drives the direction of an RS-485 transceiver on a serial port; `None` where the adapter does.
    pub rs485: Option<Rs485>,
    /// How many questions may be under way at a time, 1 to [`BusSpec::PIPELINE`]; more than 1 over Modbus TCP and TLS
    /// only. A far end that turns out not to bear it is asked one by one.
    pub pipeline: u8,
}

impl BusSpec {
    /// The most questions at a time: as many as the implementation guide of Modbus/TCP lets a client have under way.
    pub const PIPELINE: u8 = 16;

    /// A bus with the turnaround that the specification asks for, and one question at a time.
    #[must_use]
    pub fn new(id: BusId, kind: BusKind) -> Self {
        Self { id, turnaround: kind.turnaround(), rs485: None, pipeline: 1, kind }
    }
}

/// How a bus is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// Modbus over TCP.
    ModbusTcp {
        /// `host:port`.
        address: String,
        /// How long a device may take to answer.
        timeout: Duration,
    },
    /// Modbus over TCP inside TLS.
    ModbusTls {
        /// `host:port`.
        address: String,
        /// How long a device may take to answer.
        timeout: Duration,
        /// How to tell the device from an impostor.
        tls: Tls,
    },
    /// Modbus RTU on a serial port.
    ModbusRtu {
        /// The device file; `/dev/serial/by-id/…` names survive re-plugging.
        port: PathBuf,
        /// Bits per second.
        baud: u32,
        /// Parity bit.
        parity: Parity,
        /// 1 or 2.
        stop_bits: u8,
        /// How long a device may take until its answer starts; the time that the frames themselves need on the wire
        /// is added to it.
        timeout: Duration,
    },
    /// Modbus RTU frames through a serial server that passes bytes along as they are.
    RtuOverTcp {
        /// `host:port`.
        address: String,
        /// How long a device may take until its answer is here, with the time that the frames need on the wire.
        timeout: Duration,
    },
    /// An MQTT broker.
    Mqtt(MqttSpec),
    /// One meter that speaks telegrams.
    Telegram(TelegramSpec),
    /// Lines of a GPIO chip.
    Gpio(GpioSpec),
}

impl BusKind {
    /// The silence that separates two frames: 3.5 characters of 11 bits, and 1.75 ms from 19,200 baud on. A serial
    /// server's speed is not known: 9600 baud is assumed.
    #[must_use]
    pub fn turnaround(&self) -> Duration {
        match self {
            Self::ModbusTcp { .. } | Self::ModbusTls { .. } | Self::Mqtt(_) | Self::Telegram(_) | Self::Gpio(_) => {
                Duration::ZERO
            }
            Self::ModbusRtu { baud, .. } if *baud > 19_200 => Duration::from_micros(1750),
            Self::ModbusRtu { baud, .. } => Duration::from_secs(77) / 2 / (*baud).max(1),
            Self::RtuOverTcp { .. } => Duration::from_micros(4010),
        }
    }
}

/// A transceiver whose direction the kernel drives by the RTS line (`TIOCSRS485`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rs485 {
    /// RTS is low while we send, instead of high.
    pub invert_rts: bool,
    /// From RTS to the first bit, in whole milliseconds.
    pub delay_before: Duration,
    /// From the last bit to RTS, in whole milliseconds.
    pub delay_after: Duration,
}

/// The parity bit of a serial port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// How to reach an MQTT broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSpec {
    /// `host:port`.
    pub broker: String,
    /// Name of this connection; the broker throws out the older of two clients with one name.
    pub client_id: String,
    /// User and password, if the broker wants them.
    pub credentials: Option<Credentials>,
}

/// User and password. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("password", &"…").finish()
    }
}

/// How to reach a meter that speaks telegrams. What is left out is what its template says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramSpec {
    /// The port that it alone is on.
    pub place: TelegramPlace,
    /// Bits per second; of a meter that is asked, those of the first question.
    pub baud: Option<u32>,
    /// None goes with 8 data bits, even and odd with 7.
    pub parity: Option<Parity>,
    /// How long a connection may take, and a meter that is asked from one byte to the next.
    pub timeout: Duration,
}

/// A port with one meter on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelegramPlace {
    /// A device file.
    Serial(PathBuf),
    /// `host:port` of a serial server or of an adapter on the network, which passes bytes along as they are.
    Tcp(String),
}

/// Where on its bus a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceAddress {
    /// A Modbus unit.
    Unit(u8),
    /// What stands for `{topic}` in an MQTT template.
    Topic(String),
    /// Nowhere in particular: its bus has no other.
    Alone,
    /// A line whose pulses are counted.
    Pulses(PulseLine),
    /// A line that drives a contactor.
    Output(SwitchLine),
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => write!(f, "unit {unit}"),
            Self::Topic(topic) => write!(f, "topic {topic:?}"),
            Self::Alone => f.write_str("the only place"),
            Self::Pulses(PulseLine { line, .. }) | Self::Output(SwitchLine { line, .. }) => write!(f, "line {line}"),
        }
    }
}

/// A device that cannot be on this bus, or a bus that cannot be. Every one is a mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The template speaks another protocol than the bus.
    #[error("{model} speaks {speaks}, bus {bus} is {is}")]
    WrongBus {
        /// The model.
        model: String,
        /// Its protocol.
        speaks: &'static str,
        /// The bus.
        bus: BusId,
        /// Its protocol.
        is: &'static str,
    },
    /// The address is of the wrong kind or out of range for the bus.
    #[error("{address} is no address on bus {bus}: {wanted}")]
    WrongAddress {
        /// What was given.
        address: DeviceAddress,
        /// The bus.
        bus: BusId,
        /// What it takes.
        wanted: &'static str,
    },
    /// The model measures nothing.
    #[error("{0} is no meter: its template names no quantity")]
    NoMeter(String),
    /// The model cannot disconnect anybody.
    #[error("{0} is no switch: its template has no [switch]")]
    NoSwitch(String),
    /// The model's power cannot be limited.
    #[error("{0} takes no limit: its template has no [limit]")]
    NoInverter(String),
    /// The bus itself is impossible.
    #[error("bus {bus}: {what}")]
    BadBus {
        /// The bus.
        bus: BusId,
        /// What is wrong.
        what: String,
    },
}
