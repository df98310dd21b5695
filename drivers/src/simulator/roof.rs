//! An inverter under a sun that stands still: it makes what the sun gives, or what its limit leaves of that.

use super::{Appliance, impossible};
use domain::{Clock, MeterId, Permille, Position, Reading, WattHours, Watts};
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// A roof.
#[derive(Debug)]
pub struct Roof {
    meter: MeterId,
    rated: Watts,
    sun: Watts,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Option<Permille>,
    since: Instant,
    /// Up to `since`.
    millijoules: i64,
}

impl Roof {
    /// An inverter that can make `rated` and would now make `sun`. Readings are stamped by `clock`.
    #[must_use]
    pub fn new(meter: MeterId, rated: Watts, sun: Watts, clock: Clock) -> Self {
        let state = Mutex::new(State { limit: None, since: Instant::now(), millijoules: 0 });
        Self { meter, rated, sun, clock, state }
    }

    fn makes(&self, limit: Option<Permille>) -> i64 {
        let most = limit.map_or(self.rated.0, |limit| self.rated.0 * i64::from(limit.get()) / 1000);
        self.sun.0.min(most)
    }

    /// Up to an instant.
    fn made(&self, state: &State, at: Instant) -> i64 {
        let elapsed = i64::try_from(at.saturating_duration_since(state.since).as_millis()).unwrap_or(i64::MAX);
        state.millijoules.saturating_add(self.makes(state.limit).saturating_mul(elapsed))
    }
}

impl Appliance for Roof {
    fn show(&self) -> Reading {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Reading {
            import: Some(WattHours::ZERO),
            export: Some(WattHours(self.made(&state, Instant::now()) / 3_600_000)),
            power: Some(Watts(-self.makes(state.limit))),
            ..Reading::empty(self.meter.clone(), self.clock.now())
        }
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn operate(&self, _: Position) -> io::Result<()> {
        Err(impossible("an inverter has no switch"))
    }

    fn curtail(&self, limit: Option<Permille>, at: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let millijoules = self.made(&state, at);
        *state = State { limit, since: at.max(state.since), millijoules };
    }
}
