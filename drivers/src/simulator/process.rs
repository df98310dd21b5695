//! The street's devices, and how they are used without a bus in between.

use super::{Appliance, Street, impossible};
use crate::capability::{DeviceError, Meter, Pace, Switch};
use async_trait::async_trait;
use domain::{MeterId, Position, Reading, Timestamp};
use std::io;
use std::sync::Arc;

/// A home: meter and switch.
pub(super) struct HomeDevice {
    pub street: Arc<Street>,
    pub meter: MeterId,
    pub home: usize,
}

impl Appliance for HomeDevice {
    fn show(&self) -> Reading {
        // Homes never leave a street, so that "nothing measured" stays theory.
        self.street.show_home(self.home).unwrap_or_else(|| Reading::empty(self.meter.clone(), Timestamp(0)))
    }

    fn position(&self) -> Option<Position> {
        self.street.position(self.home)
    }

    fn operate(&self, position: Position) -> io::Result<()> {
        self.street.operate(self.home, position)
    }
}

/// The feeder: a meter.
pub(super) struct Feeder {
    pub street: Arc<Street>,
    pub meter: MeterId,
}

impl Appliance for Feeder {
    fn show(&self) -> Reading {
        self.street.show_feeder(&self.meter)
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn operate(&self, _: Position) -> io::Result<()> {
        Err(impossible("a feeder has no switch"))
    }
}

/// An appliance as the rest of the gateway sees devices.
pub(super) struct InProcess(pub Arc<dyn Appliance>);

#[async_trait]
impl Meter for InProcess {
    async fn read(&self) -> Result<Reading, DeviceError> {
        Ok(self.0.show())
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }
}

#[async_trait]
impl Switch for InProcess {
    async fn set(&self, position: Position) -> Result<(), DeviceError> {
        operate(&self.0, position).await.map_err(DeviceError::wire)
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        self.0.position().ok_or_else(|| DeviceError::nonsense("it has no switch"))
    }
}

/// Moves a switch off the runtime's thread, since that writes to disk.
pub(super) async fn operate(what: &Arc<dyn Appliance>, position: Position) -> io::Result<()> {
    let what = Arc::clone(what);
    match tokio::task::spawn_blocking(move || what.operate(position)).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}
