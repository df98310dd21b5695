//! The outside world: meters and switches behind Modbus (TCP and RTU), MQTT and the lines of a GPIO chip, meters that
//! speak telegrams, device models as data, and a simulator that speaks the same protocols on real sockets.
//!
//! - [`Meter`], [`Switch`] and [`Inverter`] are what a device can do; [`DeviceError`] is why it did not.
//! - [`Bus`] owns one port and hands out the devices behind it; [`Round`] says whose turn it is there.
//! - [`sunspec`] finds out what a device that describes itself has.
//! - [`Template`] and [`Library`] are the device models.
//! - [`scan`] finds out who is on a bus, [`traffic`] shows what goes over it.
//! - [`Webhook`] tells another program something over HTTP.
//! - [`radio`] hears who is near, and how loud.
//! - [`mqtt`] is the one connection to a broker that the rest of the gateway uses too.
//! - [`simulator`] is a street of homes that does not exist, and says so.

mod backoff;
mod bus;
mod capability;
mod codec;
pub mod document;
#[doc(hidden)]
pub mod fuzzing;
mod gpio;
mod modbus;
pub mod mqtt;
pub mod radio;
mod round;
pub mod scan;
pub mod simulator;
mod spec;
pub mod sunspec;
mod telegram;
pub mod template;
mod tls;
pub mod traffic;
mod webhook;

pub use bus::Bus;
pub use capability::{DeviceError, Heard, Identify, Identity, Inverter, Limited, Meter, Outlook, Pace, Radio, Switch};
pub use gpio::{Bias, Feedback, GpioSpec, Level, PulseLine, PulsesPerKwh, SwitchLine};
pub use round::{Measured, Next, Round};
pub use spec::{
    BusKind, BusSpec, Credentials, DeviceAddress, MqttSpec, Parity, Rs485, SpecError, TelegramPlace, TelegramSpec,
};
pub use template::{Library, Template, TemplateProblem};
pub use tls::{Tls, TlsFile, TlsFiles};
pub use webhook::Webhook;
