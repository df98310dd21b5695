//! A street of homes that does not exist. It is a driver like any other and it says that it is one.
//!
//! [`Street`] decides what every meter shows at every instant; the servers put that on real transports, encoded by the
//! same templates by which the drivers decode it, so that any model can be simulated: [`serve_tcp`], [`serve_rtu`]
//! and [`serve_telegrams`] (on pseudo-terminals) and [`serve_mqtt`]. The lines of [`serve_gpio`] are in this process
//! only: no kernel stands between.

mod chain;
mod curve;
mod fault;
pub(crate) mod gpio;
mod inverter;
mod memory;
mod mqtt;
mod process;
mod roof;
mod rtu;
pub(crate) mod slave;
mod store;
mod street;
mod tcp;
mod telegram;
pub(crate) mod wording;

pub use chain::simulated;
pub use fault::Fault;
pub use gpio::serve_gpio;
pub use inverter::InverterSpec;
pub use mqtt::serve_mqtt;
pub use roof::Roof;
pub use rtu::serve_rtu;
pub use street::{HomeSpec, Street, StreetSpec};
pub use tcp::serve_tcp;
pub use telegram::serve_telegrams;

use crate::spec::DeviceAddress;
use crate::template::Template;
use domain::{Permille, Position, Reading};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::Instant;

/// What stands behind a simulated device.
pub trait Appliance: Send + Sync {
    /// What its meter shows now.
    fn show(&self) -> Reading;

    /// Where its switch is; `None` if it has none.
    fn position(&self) -> Option<Position>;

    /// Moves its switch. May write to disk; on return the position is durable.
    fn operate(&self, position: Position) -> io::Result<()>;

    /// Its device follows this limit from an instant on, which may be past. What makes no power goes on as before.
    fn curtail(&self, _limit: Option<Permille>, _at: Instant) {}
}

/// A device to be simulated: where it is, what model it pretends to be, and what stands behind it.
#[derive(Clone)]
pub struct SimDevice {
    /// Unit or topic prefix.
    pub address: DeviceAddress,
    /// The model.
    pub template: Arc<Template>,
    /// What stands behind it.
    pub what: Arc<dyn Appliance>,
    /// Whether it refuses requests that span registers which its template does not name, as some devices do.
    pub refuses_gaps: bool,
}

impl SimDevice {
    /// A device that answers zero for registers between those that its template names.
    #[must_use]
    pub fn new(address: DeviceAddress, template: Arc<Template>, what: Arc<dyn Appliance>) -> Self {
        Self { address, template, what, refuses_gaps: false }
    }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Running {
    task: Option<tokio::task::AbortHandle>,
    /// A chip that is there as long as somebody has it.
    _chip: Option<Arc<gpio::SimChip>>,
    /// The link to the pseudo-terminal, with where it points.
    link: Option<(PathBuf, PathBuf)>,
}

impl Running {
    fn new(task: tokio::task::AbortHandle) -> Self {
        Self { task: Some(task), _chip: None, link: None }
    }

    fn chip(chip: Arc<gpio::SimChip>) -> Self {
        Self { task: None, _chip: Some(chip), link: None }
    }

    fn with_link(mut self, link: &Path, target: PathBuf) -> Self {
        self.link = Some((link.to_owned(), target));
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // Somebody may have put another link in its place meanwhile; that one stays.
        if let Some((link, target)) = &self.link
            && std::fs::read_link(link).is_ok_and(|now| now == *target)
        {
            let _ = std::fs::remove_file(link);
        }
    }
}

fn impossible(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_string())
}
