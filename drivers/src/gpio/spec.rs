//! What the configuration says about a chip and its lines: plain data.

use domain::WattHours;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// A GPIO chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioSpec {
    /// The character device.
    pub chip: PathBuf,
    /// The folder of the counts: one file for each meter.
    pub counts: PathBuf,
    /// Whether counts are written there. A verb that only looks reads them, and leaves no file behind.
    pub keep: bool,
    /// The lines are those of the simulator in this process, not the kernel's.
    pub simulated: bool,
}

/// How many pulses make a kilowatt-hour: the meter constant, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulsesPerKwh(NonZeroU32);

impl PulsesPerKwh {
    /// The most that is believed of a meter.
    pub const MOST: u32 = 1_000_000;

    /// From the number beside the meter's pulse output; `None` if it is zero or more than [`PulsesPerKwh::MOST`].
    #[must_use]
    pub fn new(pulses: u32) -> Option<Self> {
        NonZeroU32::new(pulses).filter(|n| n.get() <= Self::MOST).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for PulsesPerKwh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} imp/kWh", self.0)
    }
}

/// What holds an input where nothing drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// Whatever the chip was set to before.
    AsIs,
    /// A resistor of the chip to its supply.
    PullUp,
    /// A resistor of the chip to ground.
    PullDown,
    /// Nothing: there is a resistor on the board.
    Disabled,
}

impl Bias {
    /// Every one, with its name in configurations and templates.
    pub const ALL: [(&'static str, Self); 4] =
        [("as-is", Self::AsIs), ("pull-up", Self::PullUp), ("pull-down", Self::PullDown), ("disabled", Self::Disabled)];
}

/// A level of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Near the supply.
    High,
    /// Near ground.
    Low,
}

impl Level {
    /// Both, with their names in configurations and templates.
    pub const ALL: [(&'static str, Self); 2] = [("high", Self::High), ("low", Self::Low)];
}

/// A line whose pulses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseLine {
    /// Its offset on the chip.
    pub line: u32,
    /// The meter constant.
    pub constant: PulsesPerKwh,
    /// A level that lasts for less is no level.
    pub debounce: Duration,
    /// What holds the line between two pulses.
    pub bias: Bias,
    /// Its level during a pulse.
    pub active: Level,
    /// What the meter's own counter showed when the counting began, or when it was last put right.
    pub start: WattHours,
}

/// A line that drives a contactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchLine {
    /// Its offset on the chip.
    pub line: u32,
    /// The level that connects the customer.
    pub active: Level,
    /// Where the contactor says how its contact is; without one, only the output itself can be read back.
    pub feedback: Option<Feedback>,
}

/// A line that an auxiliary contact of the contactor moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Its offset on the chip.
    pub line: u32,
    /// Its level while the customer is connected.
    pub active: Level,
    /// What holds it while the auxiliary contact is open.
    pub bias: Bias,
}
