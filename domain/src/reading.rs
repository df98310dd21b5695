//! What a meter said at one moment.

use crate::{Amps, Hertz, MeterId, Stamp, Timestamp, Uptime, Volts, WattHours, Watts};
use serde::{Deserialize, Serialize};

/// One reading of one meter. What the device does not measure, or said it could not, is `None`: never zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Which meter.
    pub meter: MeterId,
    /// When the answer arrived.
    pub at: Timestamp,
    /// The same on the clock that nobody sets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub up: Option<Uptime>,
    /// Cumulative energy from the grid.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub import: Option<WattHours>,
    /// Cumulative energy to the grid.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub export: Option<WattHours>,
    /// Active power; + import.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub power: Option<Watts>,
    /// Voltage of the first phase.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voltage: Option<Volts>,
    /// Current of the first phase.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current: Option<Amps>,
    /// Mains frequency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frequency: Option<Hertz>,
}

impl Reading {
    /// A reading in which nothing was measured yet.
    #[must_use]
    pub fn empty(meter: MeterId, stamp: impl Into<Stamp>) -> Self {
        let Stamp { at, up } = stamp.into();
        Self { meter, at, up, import: None, export: None, power: None, voltage: None, current: None, frequency: None }
    }
}

/// The registers of a device, as a person read them off its display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// Cumulative energy from the grid.
    pub import: WattHours,
    /// Cumulative energy to the grid; `None` for a device that does not count it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub export: Option<WattHours>,
}

/// Another device in the place of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Which meter: the place, which keeps its name.
    pub meter: MeterId,
    /// When it was done.
    pub at: Timestamp,
    /// The same on the clock that nobody sets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub up: Option<Uptime>,
    /// What the device that was taken out showed in the end.
    pub last: Registers,
    /// What the device that was put in showed at first.
    pub first: Registers,
}
