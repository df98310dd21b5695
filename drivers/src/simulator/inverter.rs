//! The inverter on a simulated home's roof: it makes what the sun gives, or what its limit leaves of that, and lets go of
//! a limit that nobody repeats. One that ignores limits says that it follows them.

use super::street::Street;
use super::{Appliance, impossible};
use crate::capability::{DeviceError, Inverter, Limited};
use async_trait::async_trait;
use domain::{MeterId, Permille, Position, Reading, Timestamp, Watts};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a limit lasts in an inverter that is reached without a bus, in real time.
const LAPSES: Duration = Duration::from_secs(60);

/// What there is to say about the inverter of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InverterSpec {
    /// The name under which its own meter is read.
    pub name: MeterId,
    /// Rated power: shares of limits are of this.
    pub rated: Watts,
    /// Whether it does what it says.
    pub obeys: bool,
}

pub(super) struct RoofDevice {
    pub street: Arc<Street>,
    pub home: usize,
    pub spec: InverterSpec,
}

impl RoofDevice {
    fn follow(&self, limit: Option<Permille>, until: Option<Timestamp>) {
        if self.spec.obeys {
            let most = limit.map(|limit| Watts(self.spec.rated.0.saturating_mul(i64::from(limit.get())) / 1000));
            self.street.hold_back(self.home, most, until);
        }
    }
}

impl Appliance for RoofDevice {
    fn show(&self) -> Reading {
        self.street.show_roof(self.home, &self.spec.name)
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn operate(&self, _: Position) -> io::Result<()> {
        Err(impossible("an inverter has no switch"))
    }

    fn curtail(&self, limit: Option<Permille>, _: Instant) {
        self.follow(limit, None);
    }
}

/// The inverter without a bus in between, for tests that own their time.
pub(super) struct InProcessInverter {
    pub device: RoofDevice,
    pub said: Mutex<Option<(Permille, Timestamp)>>,
}

#[async_trait]
impl Inverter for InProcessInverter {
    async fn limit(&self, to: Option<Permille>) -> Result<Limited, DeviceError> {
        let clock = self.device.street.clock();
        let until = clock.now() + LAPSES * clock.speed();
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = to.map(|to| (to, until));
        self.device.follow(to, Some(until));
        self.limited().await
    }

    async fn limited(&self) -> Result<Limited, DeviceError> {
        let said = *self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = said.filter(|(_, until)| self.device.street.clock().now() < *until);
        Ok(Limited { to: holds.map(|(to, _)| to), lapses: Some(LAPSES) })
    }
}
