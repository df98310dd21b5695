//! A simulated GPIO chip: its lines pulse as simulated meters count, and move simulated switches.
//!
//! There is no kernel to put it into, so it lives in this process, and the driver finds it by the name of the device
//! file that the configuration gives. Everything from the edges on is the driver's own code. It numbers its edges and
//! keeps as many as the kernel does.

use super::{Appliance, Running, SimDevice, impossible};
use crate::capability::DeviceError;
use crate::gpio::{Edge, Edges, Filter, Held, Lines, PulseLine, Sense};
use crate::spec::DeviceAddress;
use domain::{Clock, Position, WattHours};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The chips of this process, by the name of their device file.
static CHIPS: Mutex<BTreeMap<PathBuf, Weak<SimChip>>> = Mutex::new(BTreeMap::new());

/// The kernel keeps so many edges for a line.
const QUEUE: u64 = 1024;

/// A chip that does not exist.
pub(crate) struct SimChip {
    clock: Clock,
    lines: BTreeMap<u32, Arc<dyn Appliance>>,
    /// Who holds each line that is held.
    held: Mutex<BTreeMap<u32, String>>,
}

impl fmt::Debug for SimChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimChip").field("lines", &self.lines.keys()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts `devices` on the lines of a simulated chip of this name, until the answer is dropped.
pub fn serve_gpio(chip: &Path, devices: Vec<SimDevice>, clock: &Clock) -> io::Result<Running> {
    let mut lines = BTreeMap::new();
    for device in devices {
        let (own, feedback) = match &device.address {
            DeviceAddress::Pulses(line) => (line.line, None),
            DeviceAddress::Output(line) => (line.line, line.feedback.map(|f| f.line)),
            other => return Err(impossible(format!("{} at {other} is on no line", device.template.model))),
        };
        for line in std::iter::once(own).chain(feedback) {
            if lines.insert(line, Arc::clone(&device.what)).is_some() {
                return Err(impossible(format!("line {line} is named twice")));
            }
        }
    }
    let mut chips = lock(&CHIPS);
    chips.retain(|_, chip| chip.strong_count() > 0);
    if chips.contains_key(chip) {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} is simulated already", chip.display())));
    }
    let made = Arc::new(SimChip { clock: clock.clone(), lines, held: Mutex::default() });
    chips.insert(chip.to_owned(), Arc::downgrade(&made));
    Ok(Running::chip(made))
}

/// The driver's way to such a chip.
pub(crate) struct Simulated {
    name: PathBuf,
}

impl Simulated {
    pub fn new(name: PathBuf) -> Self {
        Self { name }
    }

    fn chip(&self) -> Result<Arc<SimChip>, DeviceError> {
        let found = lock(&CHIPS).get(&self.name).and_then(Weak::upgrade);
        found.ok_or_else(|| DeviceError::wire(format!("no chip {} is simulated in this process", self.name.display())))
    }

    fn take(&self, line: u32, consumer: &str) -> Result<Taken, DeviceError> {
        let chip = self.chip()?;
        let name = self.name.display();
        let Some(what) = chip.lines.get(&line).cloned() else {
            return Err(DeviceError::NotSetUp { what: format!("{name} (simulated) has no line {line}") });
        };
        if let Some(other) = lock(&chip.held).get(&line) {
            return Err(DeviceError::wire(format!("line {line} of {name} (simulated) is held by {other:?}")));
        }
        lock(&chip.held).insert(line, consumer.to_owned());
        Ok(Taken { chip: Arc::downgrade(&chip), clock: chip.clock.clone(), line, what })
    }
}

impl Lines for Simulated {
    fn look(&self) -> Result<(), DeviceError> {
        self.chip().map(drop)
    }

    fn listen(&self, line: &PulseLine, consumer: &str) -> Result<(Box<dyn Edges>, Filter), DeviceError> {
        let taken = self.take(line.line, consumer)?;
        let (constant, at) = (line.constant.get(), taken.now());
        let shown = pulses(&*taken.what, constant);
        Ok((Box::new(Pulsing { taken, constant, shown, at, number: 0 }), Filter::Kernel))
    }

    fn hold(&self, line: Sense, consumer: &str) -> Result<Box<dyn Held>, DeviceError> {
        Ok(Box::new(self.take(line.line, consumer)?))
    }
}

/// A line that is held, until this is dropped.
struct Taken {
    chip: Weak<SimChip>,
    clock: Clock,
    line: u32,
    what: Arc<dyn Appliance>,
}

impl Taken {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().0).unwrap_or(0).saturating_mul(1_000_000)
    }

    fn there(&self) -> Result<(), DeviceError> {
        let gone = || DeviceError::wire(format!("line {}: the simulated chip is gone", self.line));
        self.chip.upgrade().map(drop).ok_or_else(gone)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(chip) = self.chip.upgrade() {
            lock(&chip.held).remove(&self.line);
        }
    }
}

impl Held for Taken {
    fn active(&self) -> Result<bool, DeviceError> {
        self.there()?;
        let position = self.what.position().ok_or_else(|| DeviceError::nonsense("nothing switches there"))?;
        Ok(position == Position::Closed)
    }

    fn drive(&mut self, active: bool) -> Result<(), DeviceError> {
        self.there()?;
        self.what.operate(if active { Position::Closed } else { Position::Open }).map_err(DeviceError::wire)
    }
}

/// Pulses that a meter of this constant has ever made.
fn pulses(what: &dyn Appliance, constant: u32) -> u64 {
    let WattHours(wh) = what.show().import.unwrap_or(WattHours(0));
    u64::try_from(i128::from(wh) * i128::from(constant) / 1000).unwrap_or(0)
}

/// A line that pulses as a meter counts.
struct Pulsing {
    taken: Taken,
    constant: u32,
    /// Pulses that were made by the last look, and when that was.
    shown: u64,
    at: u64,
    number: u32,
}

impl Edges for Pulsing {
    fn take(&mut self) -> Result<Vec<Edge>, DeviceError> {
        self.taken.there()?;
        let (shown, now) = (pulses(&*self.taken.what, self.constant), self.taken.now());
        let new = shown.saturating_sub(self.shown);
        // Nobody looked in between, so they are spread evenly over the time, the last one now.
        let span = u128::from(now.saturating_sub(self.at));
        let (began, first) = (self.at, self.number);
        let edge = |nth: u64| Edge {
            at: began + u64::try_from(span * u128::from(nth) / u128::from(new.max(1))).unwrap_or(0),
            active: true,
            number: first.wrapping_add(u32::try_from(nth % (1 << 32)).unwrap_or(0)),
        };
        let edges: Vec<Edge> = (new.saturating_sub(QUEUE) + 1..=new).map(edge).collect();
        if let Some(last) = edges.last() {
            (self.shown, self.at, self.number) = (shown, now, last.number);
        }
        Ok(edges)
    }

    fn active(&self) -> Result<bool, DeviceError> {
        // Between two pulses: they are short.
        self.taken.there().map(|()| false)
    }

    fn now(&self) -> u64 {
        self.taken.now()
    }
}
