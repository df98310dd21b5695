//! How a model of inverter takes a limit of its active power.

use super::{Preset, RegisterField, Table};
use domain::Watts;
use std::time::Duration;

/// The registers of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ModbusLimit {
    /// Where the limit stands: thousandths of the rated power, or watts, as [`Share`] says.
    pub value: RegisterField,
    /// What the value counts.
    pub share: Share,
    /// What switches the limit on and off; without it, a limit is lifted by one of 100 %.
    pub enable: Option<Enable>,
    /// The device's own timer, after which it lets go.
    pub reversion: Option<Reversion>,
    /// How long the device keeps a limit that nobody repeats, if it forgets by itself.
    pub refresh: Option<Duration>,
    /// What must stand in other registers before a limit is set.
    pub setup: Vec<Preset>,
    /// Written by function 16 even where it is one register.
    pub many: bool,
}

/// What the value of a limit counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Share {
    /// Thousandths of the rated power.
    Permille,
    /// Watts, of so many.
    Watts(Rated),
}

/// Where the rated power is known from.
#[derive(Clone, Debug, PartialEq)]
pub enum Rated {
    /// The same for all devices of this model.
    Known(Watts),
    /// The device says it.
    Said(Box<RegisterField>),
}

/// What switches a limit on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enable {
    /// Coil or holding.
    pub table: Table,
    /// Protocol address (from 0).
    pub address: u16,
    /// The value that means on.
    pub on: u16,
    /// The value that means off.
    pub off: u16,
}

/// The device's own timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversion {
    /// Protocol address (from 0) of the holding register with its seconds.
    pub address: u16,
    /// One register, or two with the high word first.
    pub registers: u16,
    /// What is written there.
    pub after: Duration,
    /// A register like that of the limit, with the limit that holds afterwards; it is set to 100 %.
    pub full: Option<u16>,
    /// A register like that of the switch, with its position afterwards; it is set to off.
    pub off: Option<u16>,
}

impl Reversion {
    /// The timer's registers.
    #[must_use]
    pub fn words(&self) -> Vec<u16> {
        // Templates give at most a day.
        let seconds = u32::try_from(self.after.as_secs()).unwrap_or(u32::MAX);
        let both = [u16::try_from(seconds >> 16).unwrap_or(0), u16::try_from(seconds & 0xFFFF).unwrap_or(0)];
        if self.registers == 2 { both.to_vec() } else { both[1..].to_vec() }
    }

    /// What registers say; `None` where there is no timer, or it does not run: zero, and what SunSpec says for a point
    /// that a device lacks.
    #[must_use]
    pub fn said(&self, words: &[u16]) -> Option<Duration> {
        let lacking = words.iter().all(|word| *word == u16::MAX);
        let seconds = words.iter().fold(0_u64, |high, word| (high << 16) | u64::from(*word));
        (!lacking && seconds > 0).then(|| Duration::from_secs(seconds))
    }
}
