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
