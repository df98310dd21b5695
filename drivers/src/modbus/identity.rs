//! Devices that say who they are in registers that their model names.

use super::gate::Lane;
use super::{ModbusBus, ask};
use crate::capability::{DeviceError, Identify, Identity};
use crate::sunspec::text;
use crate::template::{Text, Trait};
use async_trait::async_trait;
use std::sync::Arc;

/// The strings of one device.
pub(crate) struct Texts {
    bus: Arc<ModbusBus>,
    unit: u8,
    texts: Vec<Text>,
}

impl Texts {
    pub fn new(bus: Arc<ModbusBus>, unit: u8, texts: Vec<Text>) -> Self {
        Self { bus, unit, texts }
    }
}

#[async_trait]
impl Identify for Texts {
    async fn identify(&self) -> Result<Identity, DeviceError> {
        let mut identity = Identity::default();
        for Text { says, table, address, registers, number } in &self.texts {
            let place = (*table, *address, *registers);
            let said = match ask::read(&self.bus, self.unit, place, Lane::Reading).await {
                Ok(words) if *number => {
                    let absent = words.iter().all(|word| *word == u16::MAX);
                    let value = words.iter().fold(0_u64, |high, word| (high << 16) | u64::from(*word));
                    (!absent).then(|| value.to_string())
                }
                Ok(words) => text(&words),
                // What a device does not have, it does not say.
                Err(error @ DeviceError::Refused { .. }) if !error.is_transient() => None,
                Err(error) => return Err(error),
            };
            match says {
                Trait::Manufacturer => identity.manufacturer = said,
                Trait::Model => identity.model = said,
                Trait::Version => identity.version = said,
                Trait::Serial => identity.serial = said,
            }
        }
        Ok(identity)
    }
}
