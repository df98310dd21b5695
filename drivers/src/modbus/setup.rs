//! What a device needs in its registers after power-up. It is looked at before the first reading, and again whenever
//! the device may have been without power: after a silence, and on every new connection. Only what differs is
//! written, since such registers often lie in a memory that wears out.

use super::gate::Lane;
use super::{ModbusBus, ask, lock};
use crate::capability::DeviceError;
use crate::template::{Preset, Table};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A device that refuses its set-up, or does not keep it, is asked again after this, then ever more rarely.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// One device's set-up, and whether it has it.
pub(super) struct SetUp {
    bus: Arc<ModbusBus>,
    unit: u8,
    presets: Vec<Preset>,
    lane: Lane,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The connection on which it was found to be right.
    right_on: Option<u32>,
    /// What the device did not take, and until when it is left alone.
    refused: Option<(DeviceError, Instant)>,
    wait: Duration,
}

impl SetUp {
    pub fn new(bus: Arc<ModbusBus>, unit: u8, presets: Vec<Preset>, lane: Lane) -> Self {
        Self { bus, unit, presets, lane, state: Mutex::default() }
    }

    /// Whether it holds, as far as anybody can know without asking.
    pub fn holds(&self) -> bool {
        self.presets.is_empty() || lock(&self.state).right_on == Some(self.bus.connection())
    }

    /// What is asked next, if the set-up must be looked at first.
    pub fn first(&self) -> Option<&Preset> {
        if self.holds() { None } else { self.presets.first() }
    }

    /// Does `work` on a device that is set up: set up before, and not on another connection meanwhile. A device that
    /// falls silent may have been without power afterwards.
    pub async fn before<T, R>(&self, work: impl Fn() -> R) -> Result<T, DeviceError>
    where
        R: Future<Output = Result<T, DeviceError>>,
    {
        let tried = async {
            self.ensure().await?;
            let done = work().await?;
            if self.holds() {
                return Ok(done);
            }
            // The connection was made anew in between.
            self.ensure().await?;
            work().await
        };
        let result = tried.await;
        if matches!(result, Err(DeviceError::Silent { .. } | DeviceError::Wire { .. })) {
            lock(&self.state).right_on = None;
        }
        result
    }

    async fn ensure(&self) -> Result<(), DeviceError> {
        if self.holds() {
            return Ok(());
        }
        let refused = lock(&self.state).refused.clone();
        if let Some((error, until)) = refused
            && Instant::now() < until
        {
            return Err(error);
        }
        let mut connection = None;
        for preset in &self.presets {
            if let Err(error) = self.keep(preset).await {
                let mut state = lock(&self.state);
                if matches!(error, DeviceError::NotSetUp { .. }) {
                    state.wait = (state.wait * 2).clamp(RETRY, RETRY_MAX);
                    state.refused = Some((error.clone(), Instant::now() + state.wait));
                }
                return Err(error);
            }
            connection.get_or_insert_with(|| self.bus.connection());
        }
        *lock(&self.state) = State { right_on: connection, ..State::default() };
        Ok(())
    }

    /// Makes one preset hold, and looks whether it does.
    async fn keep(&self, preset: &Preset) -> Result<(), DeviceError> {
        let Preset { table, address, words, many } = preset;
        let place = || format!("{} {address}", if *table == Table::Coil { "coil" } else { "holding register" });
        let refused = |what: &str, error: DeviceError| match error {
            DeviceError::Refused { .. } | DeviceError::Nonsense { .. } if !error.is_transient() => {
                DeviceError::NotSetUp { what: format!("{} cannot be {what}: {error}", place()) }
            }
            other => other,
        };
        let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
        let look = || ask::read(&self.bus, self.unit, (*table, *address, count), self.lane);
        let before = look().await.map_err(|error| refused("read", error))?;
        if before == *words {
            return Ok(());
        }
        let order = (*table, *address, words.as_slice());
        ask::write(&self.bus, self.unit, order, *many, self.lane).await.map_err(|error| refused("written", error))?;
        let after = look().await.map_err(|error| refused("read", error))?;
        if after != *words {
            let what = format!("{} says {after:?} after {words:?} was written", place());
            return Err(DeviceError::NotSetUp { what });
        }
        tracing::info!(bus = %self.bus.id, unit = self.unit, ?before, ?after, "set up {}", place());
        Ok(())
    }
}
