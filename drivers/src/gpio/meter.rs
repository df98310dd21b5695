//! A meter whose pulses are counted. The kernel keeps and numbers them; each reading takes what has come, writes the
//! count down, and only then tells it.

use super::count::{Backwards, Counter, Found, Register};
use super::lines::Edges;
use super::pace::Pace;
use super::spec::PulseLine;
use super::store::{CountFile, StoreProblem};
use super::{GpioBus, consumer, off_the_runtime};
use crate::capability::{DeviceError, Meter, Pace as Asked};
use crate::traffic::Traffic;
use async_trait::async_trait;
use domain::{MeterId, Reading, WattHours, Watts};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A meter.
pub(crate) struct PulseMeter {
    inner: Arc<Inner>,
}

struct Inner {
    id: MeterId,
    bus: Arc<GpioBus>,
    line: PulseLine,
    open: Mutex<Option<Counting>>,
}

/// A line that is listened to.
struct Counting {
    edges: Box<dyn Edges>,
    counter: Counter,
    pace: Pace,
    /// As it is on disk, if there is a file.
    kept: Register,
    /// What came since then.
    pulses: u64,
    lost: u64,
    /// `None` if nothing is to be written.
    file: Option<CountFile>,
}

/// What one look at the line found.
struct Seen {
    register: Register,
    new: u64,
    power: Option<Watts>,
}

impl PulseMeter {
    pub fn new(id: MeterId, bus: Arc<GpioBus>, line: PulseLine) -> Self {
        Self { inner: Arc::new(Inner { id, bus, line, open: Mutex::new(None) }) }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Option<Counting>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Result<Seen, DeviceError> {
        let mut open = self.lock();
        let counting = match &mut *open {
            Some(counting) => counting,
            none => none.insert(self.begin()?),
        };
        let seen = counting.look(&self.line);
        if let Err(problem) = &seen
            && problem.is_line
        {
            // The numbers of the edges begin anew with the line, so what was taken must be kept first; if that fails
            // too, it is the under-count of a power cut.
            *open = None;
        }
        seen.map_err(|problem| problem.error)
    }

    /// Takes the line first: whoever has it is the only one to count.
    fn begin(&self) -> Result<Counting, DeviceError> {
        let (edges, filter) = self.bus.lines.listen(&self.line, &consumer(self.id.as_str()))?;
        let active = edges.active()?;
        let path = self.bus.counts.join(format!("{}.count", self.id));
        let (constant, start) = (self.line.constant, u64::try_from(self.line.start.0).unwrap_or(0));
        let fresh = || Register::new(constant, start);
        let (file, found) = if self.bus.keep {
            let (file, found) = CountFile::open(&path, fresh).map_err(unstored)?;
            (Some(file), found)
        } else {
            (None, CountFile::peek(&path).map_err(unstored)?.unwrap_or_else(fresh))
        };
        let register = found.under(constant, start).map_err(|Backwards { wanted, shows }| DeviceError::NotSetUp {
            what: format!(
                "start_wh is {wanted}, but {shows} Wh are counted already and a register never falls: set start_wh \
                 back to {}, or give another meter another id",
                found.start
            ),
        })?;
        let mut counting = Counting {
            edges,
            counter: Counter::new(filter, active),
            pace: Pace::default(),
            kept: found,
            pulses: 0,
            lost: 0,
            file,
        };
        if register != found {
            tracing::info!(meter = %self.id, from = found.wh, to = register.wh, "a register was put right by start_wh");
            counting.keep(register).map_err(|problem| problem.error)?;
        }
        Ok(counting)
    }
}

/// What went wrong, and whether it was the line.
struct Trouble {
    error: DeviceError,
    is_line: bool,
}

impl Counting {
    /// Takes every edge that has come, and keeps the count.
    fn look(&mut self, line: &PulseLine) -> Result<Seen, Trouble> {
        let (taken, before) = (self.take(), self.kept.pulses);
        let register = self.kept.plus(self.pulses, self.lost);
        self.keep(register)?;
        taken.map_err(|error| Trouble { error, is_line: true })?;
        let power = self.pace.power(self.edges.now(), line.constant);
        Ok(Seen { register, new: register.pulses.saturating_sub(before), power })
    }

    fn take(&mut self) -> Result<(), DeviceError> {
        let edges = self.edges.take()?;
        for edge in edges {
            let found = self.counter.edge(edge);
            self.found(found);
        }
        let found = self.counter.quiet(self.edges.now());
        self.found(found);
        Ok(())
    }

    fn found(&mut self, found: Found) {
        self.pulses = self.pulses.saturating_add(found.pulses);
        self.lost = self.lost.saturating_add(found.lost);
        if found.lost > 0 {
            self.pace.interrupted();
        }
        self.pace.pulses(found.pulses, found.at);
    }

    /// Writes the count down, if it has changed: the medium wears by the reading and not by the pulse.
    fn keep(&mut self, register: Register) -> Result<(), Trouble> {
        if register != self.kept
            && let Some(file) = &mut self.file
        {
            let failed = |error| Trouble {
                error: DeviceError::wire(format!("the count could not be kept, so it is not told: {error}")),
                is_line: false,
            };
            file.save(&register).map_err(failed)?;
        }
        (self.kept, self.pulses, self.lost) = (register, 0, 0);
        Ok(())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // An orderly end loses nothing but what comes while nobody listens.
        let _ = self.take();
        let _ = self.keep(self.kept.plus(self.pulses, self.lost));
    }
}

fn unstored(problem: StoreProblem) -> DeviceError {
    match problem {
        StoreProblem::Io(..) | StoreProblem::Taken(_) => DeviceError::wire(problem),
        StoreProblem::Damaged(_) => DeviceError::NotSetUp { what: problem.to_string() },
    }
}

#[async_trait]
impl Meter for PulseMeter {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let inner = Arc::clone(&self.inner);
        // It runs to its end even if nobody waits for it any more: what was taken from the kernel is kept.
        let seen = off_the_runtime(move || inner.look()).await?;
        let Inner { id, bus, line, .. } = &*self.inner;
        let (code, value) = (format!("line {}", line.line), seen.register.pulses.to_string());
        let unit = format!("pulses, {} of them new, {} edges lost", seen.new, seen.register.lost);
        bus.watch.tell(Traffic::Entry { code: &code, value: &value, exponent: 0, unit: &unit });
        let import = i64::try_from(seen.register.wh).ok().filter(|wh| *wh < 1 << 40);
        let import = import.ok_or_else(|| DeviceError::nonsense(format!("{} Wh in a register", seen.register.wh)))?;
        let empty = Reading::empty(id.clone(), bus.clock.stamp());
        Ok(Reading { import: Some(WattHours(import)), power: seen.power, ..empty })
    }

    fn pace(&self) -> Asked {
        Asked::Polled
    }
}
