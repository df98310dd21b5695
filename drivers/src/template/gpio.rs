//! Models on a line of a GPIO chip: what the configuration need not say again of each device.

use super::{Factor, Quantity, Scaling};
use crate::gpio::{Bias, Level, PulsesPerKwh};
use std::time::Duration;

/// A model on a line: a meter whose pulses are counted, or an output that drives a contactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpioMap {
    /// How its pulses look.
    pub pulses: Option<PulseModel>,
    /// How it switches.
    pub switch: Option<SwitchModel>,
}

/// A pulse output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseModel {
    /// The meter constant, of a model that always has the same.
    pub constant: Option<PulsesPerKwh>,
    /// A level that lasts for less is no level.
    pub debounce: Duration,
    /// What holds the line between two pulses.
    pub bias: Bias,
    /// Its level during a pulse.
    pub active: Level,
}

/// An output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchModel {
    /// The level that connects the customer.
    pub active: Level,
}

impl GpioMap {
    /// What a reading of it has: energy is counted, power derived from the time between pulses.
    pub(super) fn fields(self) -> Vec<(Quantity, Scaling)> {
        let plain = Scaling { factor: Factor::ONE, invert: false, min: None, max: None, rollover: None };
        let measured = self.pulses.map(|_| [(Quantity::Import, plain), (Quantity::Power, plain)]);
        measured.into_iter().flatten().collect()
    }
}
