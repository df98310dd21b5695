//! Inverters that take a limit of their active power.
//!
//! A limit is written in the order: timer, value, switch; so that it never holds without the timer that ends it. Then
//! the device is asked what it follows. Every order starts the timer anew.

use super::gate::Lane;
use super::setup::SetUp;
use super::{ModbusBus, ask};
use crate::capability::{DeviceError, Inverter, Limited};
use crate::codec;
use crate::template::{ModbusLimit, Preset, Rated, RegisterField, Share, Table};
use async_trait::async_trait;
use domain::Permille;
use std::sync::Arc;
use std::time::Duration;

/// How often a device is asked whether it follows, and how long it is left in between.
const LOOKS: u32 = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// An inverter.
pub(crate) struct ModbusInverter {
    bus: Arc<ModbusBus>,
    unit: u8,
    map: ModbusLimit,
    setup: SetUp,
    /// What belongs to the limit alone.
    ready: SetUp,
}

impl ModbusInverter {
    pub fn new(bus: Arc<ModbusBus>, unit: u8, map: ModbusLimit, setup: Vec<Preset>) -> Self {
        let setup = SetUp::new(Arc::clone(&bus), unit, setup, Lane::Order);
        let ready = SetUp::new(Arc::clone(&bus), unit, map.setup.clone(), Lane::Order);
        Self { bus, unit, map, setup, ready }
    }

    async fn read(&self, table: Table, address: u16, count: u16) -> Result<Vec<u16>, DeviceError> {
        ask::read(&self.bus, self.unit, (table, address, count), Lane::Order).await
    }

    async fn write(&self, table: Table, address: u16, words: &[u16]) -> Result<(), DeviceError> {
        ask::write(&self.bus, self.unit, (table, address, words), self.map.many, Lane::Order).await
    }

    async fn field(&self, field: &RegisterField) -> Result<Vec<u16>, DeviceError> {
        self.read(field.table, field.address, field.kind.registers()).await
    }

    /// The rated power in W, where the device counts in W.
    async fn rated(&self) -> Result<Option<i64>, DeviceError> {
        let watts = match &self.map.share {
            Share::Permille => return Ok(None),
            Share::Watts(Rated::Known(watts)) => Some(watts.0),
            Share::Watts(Rated::Said(field)) => codec::heard(field, &self.field(field).await?)?,
        };
        match watts.filter(|watts| (1..=1_000_000_000).contains(watts)) {
            Some(watts) => Ok(Some(watts)),
            None => Err(DeviceError::nonsense("the inverter does not say its rated power")),
        }
    }

    /// The registers that say a limit, with their address.
    fn order(&self, to: Permille, rated: Option<i64>, words: &[u16]) -> Result<(u16, Vec<u16>), DeviceError> {
        let share = i64::from(to.get());
        let amount = rated.map_or(share, |rated| rated * share / 1000);
        let (offset, said) = codec::said(&self.map.value, amount, words)
            .ok_or_else(|| DeviceError::nonsense(format!("the inverter has no number for {to}")))?;
        Ok((self.map.value.address.saturating_add(offset), said))
    }

    async fn apply(&self, to: Option<Permille>) -> Result<Limited, DeviceError> {
        let rated = self.rated().await?;
        let before = self.field(&self.map.value).await?;
        let mut ordered = None;
        if to.is_some() {
            self.start_timer(rated, &before).await?;
        }
        if to.is_some() || self.map.enable.is_none() {
            let (address, words) = self.order(to.unwrap_or(Permille::FULL), rated, &before)?;
            self.write(Table::Holding, address, &words).await?;
            ordered = Some((address, words));
        }
        if let Some(enable) = &self.map.enable {
            let value = if to.is_some() { enable.on } else { enable.off };
            self.write(enable.table, enable.address, &[value]).await?;
        }
        let mut looks = 1;
        loop {
            let (limited, words) = self.look(rated).await?;
            let kept = ordered.as_ref().is_none_or(|(address, ordered)| {
                let start = usize::from(address.saturating_sub(self.map.value.address));
                words.get(start..start + ordered.len()) == Some(ordered.as_slice())
            });
            if kept && limited.to.is_some() == to.is_some_and(|to| to < Permille::FULL || self.map.enable.is_some()) {
                return Ok(limited);
            }
            if looks == LOOKS {
                let wanted = to.map_or_else(|| "no limit".to_owned(), |to| to.to_string());
                let says = limited.to.map_or_else(|| "no limit".to_owned(), |to| to.to_string());
                return Err(DeviceError::Ignored { what: format!("{wanted} was ordered, it says {says}") });
            }
            looks += 1;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Sees to it that the device lets go by itself. One that has no timer, or refuses it, is limited all the same, and
    /// says so in [`Limited::lapses`].
    async fn start_timer(&self, rated: Option<i64>, before: &[u16]) -> Result<(), DeviceError> {
        let Some(reversion) = &self.map.reversion else { return Ok(()) };
        // Some of these registers lie in a memory that wears out: what is right is not written.
        self.if_there(reversion.address, &reversion.words()).await?;
        if let Some(full) = reversion.full {
            let (_, words) = self.order(Permille::FULL, rated, before)?;
            self.if_there(full, &words).await?;
        }
        if let (Some(at), Some(enable)) = (reversion.off, &self.map.enable) {
            self.if_there(at, &[enable.off]).await?;
        }
        Ok(())
    }

    /// Makes registers hold a value, if the device has them.
    async fn if_there(&self, address: u16, words: &[u16]) -> Result<(), DeviceError> {
        match self.read(Table::Holding, address, u16::try_from(words.len()).unwrap_or(1)).await {
            Ok(found) if found == words || found.iter().all(|word| *word == u16::MAX) => Ok(()),
            Ok(_) => self.may_refuse(address, words).await,
            Err(error @ DeviceError::Refused { .. }) if !error.is_transient() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn may_refuse(&self, address: u16, words: &[u16]) -> Result<(), DeviceError> {
        match self.write(Table::Holding, address, words).await {
            Err(error @ DeviceError::Refused { .. }) if !error.is_transient() => {
                let (bus, unit) = (&self.bus.id, self.unit);
                tracing::warn!(%bus, unit, address, %error, "the inverter refuses the timer that ends its limit");
                Ok(())
            }
            other => other,
        }
    }

    /// What the device follows, and the registers of its limit.
    async fn look(&self, rated: Option<i64>) -> Result<(Limited, Vec<u16>), DeviceError> {
        let words = self.field(&self.map.value).await?;
        let on = match &self.map.enable {
            None => true,
            Some(enable) => match self.read(enable.table, enable.address, 1).await?.first() {
                Some(value) if *value == enable.on => true,
                Some(value) if *value == enable.off => false,
                other => {
                    return Err(DeviceError::nonsense(format!("the limit is {other:?}, neither on nor off")));
                }
            },
        };
        let amount = if on { codec::heard(&self.map.value, &words)? } else { None };
        if on && amount.is_none() {
            return Err(DeviceError::nonsense("the limit is on, but has no value"));
        }
        let share = amount.map(|amount| rated.map_or(amount, |rated| amount.saturating_mul(1000) / rated));
        let to = match share.map(u16::try_from) {
            None => None,
            Some(Ok(share)) if share < 1000 => Permille::new(share),
            // More than all of it is no limit; all of it is one only where a switch says so.
            Some(Ok(_)) => self.map.enable.map(|_| Permille::FULL),
            Some(Err(_)) => return Err(DeviceError::nonsense(format!("a limit of {share:?} thousandths"))),
        };
        let timer = match &self.map.reversion {
            None => None,
            Some(reversion) => match self.read(Table::Holding, reversion.address, reversion.registers).await {
                Ok(words) => reversion.said(&words),
                Err(error @ DeviceError::Refused { .. }) if !error.is_transient() => None,
                Err(error) => return Err(error),
            },
        };
        let lapses = timer.into_iter().chain(self.map.refresh).min();
        Ok((Limited { to, lapses }, words))
    }
}

#[async_trait]
impl Inverter for ModbusInverter {
    async fn limit(&self, to: Option<Permille>) -> Result<Limited, DeviceError> {
        self.setup.before(|| self.ready.before(|| self.apply(to))).await
    }

    async fn limited(&self) -> Result<Limited, DeviceError> {
        let look = || async {
            let rated = self.rated().await?;
            Ok(self.look(rated).await?.0)
        };
        self.setup.before(look).await
    }
}
