//! What a chip must be able to do. The kernel's character device is one, the simulator another.

use super::count::Edge;
use super::spec::{Bias, Level, PulseLine};
use crate::capability::DeviceError;
use std::time::Duration;

/// Who keeps bounces apart from pulses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// The chip: every edge that it tells is the beginning of a pulse.
    Kernel,
    /// We: it tells every edge, and a level that lasts for less is none.
    Ours(Duration),
}

/// A line that is only looked at, or left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sense {
    pub line: u32,
    pub active: Level,
    /// An input with this bias; `None` leaves direction and level as they are.
    pub input: Option<Bias>,
}

/// A chip. Each line has one owner at a time, whatever process that is in.
pub(crate) trait Lines: Send + Sync {
    /// Opens the chip and closes it again.
    fn look(&self) -> Result<(), DeviceError>;

    /// Takes a line to hear its pulses from now on.
    fn listen(&self, line: &PulseLine, consumer: &str) -> Result<(Box<dyn Edges>, Filter), DeviceError>;

    /// Takes a line to read and perhaps drive it. Neither its direction nor its level changes by that.
    fn hold(&self, line: Sense, consumer: &str) -> Result<Box<dyn Held>, DeviceError>;
}

/// A line that is listened to. It is free again when this is dropped.
pub(crate) trait Edges: Send {
    /// The edges since the last call, oldest first; waits for none.
    fn take(&mut self) -> Result<Vec<Edge>, DeviceError>;

    /// The level now: whether it is the active one.
    fn active(&self) -> Result<bool, DeviceError>;

    /// Nanoseconds on the clock of the edges.
    fn now(&self) -> u64;
}

/// A line that is held. It is free again when this is dropped; its level then is the chip's affair.
pub(crate) trait Held: Send {
    /// The level now: whether it is the active one.
    fn active(&self) -> Result<bool, DeviceError>;

    /// Drives the line, which from then on is an output.
    fn drive(&mut self, active: bool) -> Result<(), DeviceError>;
}
