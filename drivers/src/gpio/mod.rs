//! Lines of a GPIO chip: pulse outputs of meters that are counted (S0, IEC 62053-31), and outputs that drive contactors.
//!
//! What is counted and what is believed is decided in [`count`] and [`pace`], which know no file and no kernel.
//! [`store`] keeps the count over a power cut, [`lines`] is what a chip must be able to do, [`kernel`] does it with the
//! character device (`gpiocdev`, which is pure Rust, by the author of that kernel interface, and kept up: `rppal` is
//! retired, `gpio-cdev` knows only the interface of before 5.10, which neither debounces nor numbers edges, and
//! `libgpiod` wants a C library). The simulator is the other chip.

mod count;
mod group;
mod kernel;
mod lines;
mod meter;
mod pace;
mod spec;
mod store;
mod switch;

pub(crate) use count::Edge;
pub(crate) use lines::{Edges, Filter, Held, Lines, Sense};
pub(crate) use meter::PulseMeter;
pub use spec::{Bias, Feedback, GpioSpec, Level, PulseLine, PulsesPerKwh, SwitchLine};
pub(crate) use switch::LineSwitch;

use crate::capability::DeviceError;
use crate::traffic::Watch;
use domain::Clock;
use std::path::PathBuf;
use std::sync::Arc;

/// A chip.
pub(crate) struct GpioBus {
    pub clock: Clock,
    pub watch: Watch,
    pub lines: Arc<dyn Lines>,
    /// Where the counts are.
    pub counts: PathBuf,
    /// Whether they are written there.
    pub keep: bool,
}

impl GpioBus {
    pub fn new(spec: GpioSpec, clock: Clock) -> Self {
        let lines: Arc<dyn Lines> = if spec.simulated {
            Arc::new(crate::simulator::gpio::Simulated::new(spec.chip))
        } else {
            Arc::new(kernel::Chip::new(spec.chip))
        };
        Self { clock, watch: Watch::default(), lines, counts: spec.counts, keep: spec.keep }
    }

    /// Opens the chip and closes it again.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        let lines = Arc::clone(&self.lines);
        off_the_runtime(move || lines.look()).await
    }
}

/// Chips and files answer at once, but through system calls that may block.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeviceError> + Send + 'static,
) -> Result<T, DeviceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(_) => Err(DeviceError::wire("the runtime is shutting down")),
    }
}

/// The name under which a line is held, which `gpioinfo` shows: the kernel keeps 31 bytes of it.
fn consumer(device: &str) -> String {
    format!("{CONSUMER} {device}").chars().take(31).collect()
}

/// How every such name begins.
const CONSUMER: &str = "microgrid-gateway";
